"""The picture of a sweep under way in a terminal: a map of cells for each level of what is chosen among words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from analysis.figures.base import REGIME_COLOURS
from grokcore.records.regimes import Regime
from sweeps.spec.space import Choice, Range, Space

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

COLUMNS, ROWS = 32, 10
"""Cells of the live map."""
ABREAST = 2
"""Maps side by side, each of half as many columns."""
MOST_MAPS = 6
"""Levels that have a map of their own on the screen; of more, those with most runs."""
Cells = Mapping[tuple[int, int], Counter[Regime]]
"""Runs by cell (column, row) and regime."""
Level = tuple[str, ...]
"""One level of every choice, as text."""


def choices_of(space: Space) -> dict[str, Choice]:
    """Return the dimensions each value of which has a map of its own: choices, the seed apart."""
    return {
        name: dimension
        for name, dimension in space.dimensions.items()
        if isinstance(dimension, Choice) and len(dimension.values) > 1 and name != "seed"
    }


def level_of(choices: Mapping[str, Choice], flat: Mapping[str, Any]) -> Level:
    """Return the level that a run's flat configuration is at."""
    return tuple(_chosen(name, choice, flat) for name, choice in choices.items())


def _chosen(name: str, choice: Choice, flat: Mapping[str, Any]) -> str:
    for value in choice.values:
        table = {f"{name}.{key}": part for key, part in value.items()} if isinstance(value, Mapping) else None
        if table is not None and all(flat.get(key) == part for key, part in table.items()):
            return _word(value, choice)
        if table is None and value in (flat.get(name), flat.get(f"{name}.name")):
            return _word(value, choice)
    return str(flat.get(name, flat.get(f"{name}.name")))


def _word(value: Any, choice: Choice) -> str:
    """Return what a value is called: a table by its name, with its settings where another has the same."""
    if not isinstance(value, Mapping):
        return str(value)
    name = str(value.get("name"))
    same = [other for other in choice.values if isinstance(other, Mapping) and str(other.get("name")) == name]
    if len(same) == 1:
        return name
    return " ".join([name, *(f"{key} {part}" for key, part in value.items() if key != "name")])


def live_maps(axes: Sequence[tuple[str, Range]], names: Sequence[str], cells: Mapping[Level, Cells]) -> Table:
    """Return the maps of all levels over two axes; `names` are those of the choices."""
    from rich.table import Table

    grid = Table.grid(padding=(0, 2))
    if not names:
        grid.add_row(_map(axes, cells.get((), {}), "", 1, 1))
        return grid
    by_runs = sorted(cells, key=lambda level: -sum(counts.total() for counts in cells[level].values()))
    shown = sorted(by_runs[:MOST_MAPS])
    tall = 1 if len(shown) <= ABREAST else 2
    maps = [_map(axes, cells[level], _title(names, level), ABREAST, tall) for level in shown]
    for start in range(0, len(maps), ABREAST):
        grid.add_row(*maps[start : start + ABREAST])
    if len(cells) > len(shown):
        grid.add_row(f"and {len(cells) - len(shown)} more levels")
    return grid


def _title(names: Sequence[str], level: Level) -> str:
    shorts = [name.removesuffix(".name").rpartition(".")[2] for name in names]
    return ", ".join(f"{name} {text}" for name, text in zip(shorts, level, strict=True))


def _map(axes: Sequence[tuple[str, Range]], cells: Cells, title: str, wide: int, tall: int) -> Table:
    """Return one map, each of its cells made of `wide` times `tall` cells."""
    from rich.table import Table
    from rich.text import Text

    (x_name, x), (y_name, y) = axes
    columns, rows = COLUMNS // wide, ROWS // tall
    merged: dict[tuple[int, int], Counter[Regime]] = {}
    for (column, row), counts in cells.items():
        merged.setdefault((column // wide, row // tall), Counter()).update(counts)
    table = Table.grid(padding=(0, 1))
    if title:
        table.add_row("", Text(title, style="bold"))
    for row in reversed(range(rows)):
        label = f"{y.low:g}" if row == 0 else f"{y.high:g}" if row == rows - 1 else ""
        name = y_name.rpartition(".")[2] if row == rows // 2 else ""
        cells_text = Text.assemble(*(_cell_text(merged.get((column, row))) for column in range(columns)))
        table.add_row(Text(name or label, justify="right"), cells_text)
    table.add_row("", _foot(x_name, x, columns))
    return table


def _foot(name: str, x: Range, columns: int) -> Text:
    from rich.text import Text

    left, right = f"{x.low:g}", f"{x.high:g}"
    return Text(left.ljust(columns - len(name) // 2) + name + right.rjust(columns - (len(name) + 1) // 2))


def _cell_text(counts: Counter[Regime] | None) -> tuple[str, str]:
    if not counts:
        return "· ", "#555555"
    regime, most = counts.most_common(1)[0]
    # A cell whose runs disagree is drawn half full.
    return ("██" if most == counts.total() else "▓▓"), REGIME_COLOURS[regime]
