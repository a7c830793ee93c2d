"""Pages: one HTML file with everything inside, which asks the network for nothing."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

from grokcore.atomic_files import write_text

FRAME = (
    'sandbox="allow-scripts allow-downloads allow-popups allow-popups-to-escape-sandbox" '
    'style="width:100%;height:900px;border:0"'
)
"""How a frame in a notebook is: what it links to opens beside it."""


@dataclass(frozen=True)
class Page:
    """A page that a notebook shows in a frame of its own."""

    text: str
    """The whole document."""

    def save(self, path: str | Path) -> Path:
        """Write the page to a file, whole or not at all, and return its path."""
        return write_text(Path(path), self.text)

    def __repr__(self) -> str:
        return f"<Page of {len(self.text) // 1024:,} kB; save(path) writes it>"

    def _repr_html_(self) -> str:
        # One letter beyond Latin-1 doubles the memory of a text, and marimo shows no output that takes more than 8 MB.
        text = escape(self.text).encode("ascii", "xmlcharrefreplace").decode()
        return f'<iframe title="Regime map" {FRAME} srcdoc="{text}"></iframe>'


def render(name: str, **values: Any) -> str:
    """Return the page of template `name`; strings among `values` are escaped, `markup` is not.

    Every page has `css`; a page that runs scripts gets `scripts`, a list of `source` texts.
    """
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, loader=jinja2.FunctionLoader(source)
    )
    return environment.get_template(name).render(css=markup(source("page.css")), **{"scripts": [], **values})


def source(name: str) -> str:
    """Return the text of a template, script or style sheet."""
    return (resources.files("analysis.pages") / "templates" / name).read_text(encoding="utf-8")


def markup(text: str) -> Any:
    """Return text that goes into a page as it is."""
    import markupsafe

    return markupsafe.Markup(text)
