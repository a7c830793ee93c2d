"""Tables for notebooks: what an object's ``_repr_html_`` is made of, with everything escaped."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape


def table_html(title: str, rows: Iterable[tuple[str, object]]) -> str:
    """Return a title above a table of names and values, as HTML that works on a light and on a dark ground.

    >>> table_html("one run", [("steps", 5000), ("task", "<my task>")])  # doctest: +ELLIPSIS
    '<b>one run</b><table>...steps</th>...5000</td>...&lt;my task&gt;</td></tr></table>'
    """
    left = 'style="text-align:left;padding-right:1em"'
    cells = (f"<tr><th {left}>{escape(name)}</th><td {left}>{escape(str(value))}</td></tr>" for name, value in rows)
    return f"<b>{escape(title)}</b><table>{''.join(cells)}</table>"


def words(value: object) -> str:
    """Return a section of a specification in a line: a table as its name and settings.

    >>> words({"name": "adamw", "rate": 0.01, "betas": [0.9, 0.98]})
    'adamw, rate 0.01, betas [0.9, 0.98]'
    """
    if not isinstance(value, dict):
        return str(value)
    named = [str(value["name"])] if "name" in value else []
    return ", ".join([*named, *(f"{key} {words(part)}" for key, part in value.items() if key != "name")])
