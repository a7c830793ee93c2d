"""Options that several commands have."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

RESULTS = Path("results")
"""Where results lie if nothing else is said."""

Results = Annotated[Path, typer.Option(help="Folder of all results.", show_default=True)]
Until = Annotated[
    str | None,
    typer.Option(
        help="Stop choosing runs once boundary:0.02 (90 % bands as shares of an axis) or steps:1e9 is reached."
    ),
]
Style = Annotated[
    str, typer.Option(help="screen, or paper: no caption in the figures, which lies beside them as .txt and .tex.")
]
Width = Annotated[
    str | None,
    typer.Option(help="Width of the paper's figures: single or double (columns), or a length as 89mm or 3.5in."),
]
Columns = Annotated[
    list[str] | None, typer.Option("--column", help="Which column is meant by a name, as t_gen=summary.grokked_at.")
]
Axes = Annotated[
    list[str] | None,
    typer.Option("--axis", help="A column that is an axis, as decay=log, fraction=linear or transform=categorical."),
]
Threshold = Annotated[float | None, typer.Option(help="Accuracy that counts as learned.")]
Budget = Annotated[int | None, typer.Option(help="Steps after which not generalising is memorization.")]
Gap = Annotated[float | None, typer.Option(help="Steps of delay that count as grokking.")]
Ratio = Annotated[float | None, typer.Option(help="Factor of delay that counts as grokking.")]
Quick = Annotated[bool, typer.Option("--quick", help="Of recipes: the cheap form, where there is one.")]
MaxCost = Annotated[
    str | None, typer.Option("--budget", help="Of recipes: refuse what takes more core time than 90s, 30min or 2h.")
]


def core_seconds(text: str | None) -> float | None:
    """Return the seconds that 90, 90s, 30min or 2h mean; raises `ConfigError` for anything else."""
    from grokcore.errors import ConfigError

    if text is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|min|h|)", text.strip())
    if found is None or not float(found[1]):
        raise ConfigError([f"--budget {text}: write core time as 90s, 30min or 2h."])
    return float(found[1]) * {"": 1, "s": 1, "min": 60, "h": 3600}[found[2]]
