"""Every page of docs/ is in the site's navigation, which is mkdocs.yml's."""

from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def pages(entries):
    """Yield every path in a navigation, however deep."""
    for entry in entries.values() if isinstance(entries, dict) else entries:
        if isinstance(entry, str):
            yield entry
        else:
            yield from pages(entry)


def test_every_page_is_in_the_navigation():
    named = set(pages(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]))
    assert "decisions/" in named, "which the site fills with every decision there is"
    found = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    lost = sorted(page for page in found - named if not page.startswith("decisions/"))
    assert lost == [], f"add docs/{lost[0]} to `nav` in mkdocs.yml, where a reader would look for it"
