"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RESULTS = Path("results")
"""Where results lie if nothing else is said."""

Results = Annotated[Path, typer.Option(help="Folder of all results.", show_default=True)]
Style = Annotated[str, typer.Option(help="screen or paper.")]
