"""What the site has beside the pages in docs/: root files, every part there is, and a list of the decisions."""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from sweeps.cli import listing, recipes

ROOT = Path(__file__).parents[1]
OUTSIDE = {"contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md"}
"""Page of the site to the file in the repository's root that it shows."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put every decision where the navigation names their folder."""
    decisions = sorted(path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs/decisions").glob("*.md"))
    for section in config.nav or []:
        for pages in section.values():
            for entry in pages if isinstance(pages, list) else []:
                if entry.get("Decisions") == "decisions/":
                    entry["Decisions"] = decisions
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are written elsewhere; their links are relative to the root."""
    for page, source in OUTSIDE.items():
        text = (ROOT / source).read_text(encoding="utf-8").replace("](docs/", "](")
        files.append(File.generated(config, page, content=text))
    files.append(File.generated(config, "reference/parts.md", content=listing.page()))
    files.append(File.generated(config, "reference/recipes.md", content=recipes.page()))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Show examples of the interpreter as such: python-markdown's highlighter calls them pycon."""
    return re.sub(r"^```python\n>>>", "```pycon\n>>>", markdown, flags=re.MULTILINE)
