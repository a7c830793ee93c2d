"""Pages: one HTML file with everything inside, which asks the network for nothing."""

from __future__ import annotations

from importlib import resources
from typing import Any


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
