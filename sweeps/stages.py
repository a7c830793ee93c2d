"""What long work does now: in a terminal a line with a bar that moves, elsewhere a line each."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

WIDTH = 24
"""Columns of a bar."""


@dataclass(frozen=True)
class Stage:
    """One piece of work whose length nobody knows beforehand."""

    text: str
    """What is being done."""
    begun: float
    """When it began, on the clock of whoever shows it."""

    def bar(self, now: float) -> Table:
        """Return what it is, a bar that moves, and the seconds it has taken."""
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        line = Table.grid(padding=(0, 1))
        line.add_row(
            Text(self.text), ProgressBar(total=None, pulse=True, width=WIDTH), Text(f"{now - self.begun:.0f} s")
        )
        return line

    def over(self, now: float) -> str:
        """Return in a line what it was and how long it took."""
        return f"{self.text} {now - self.begun:.0f} s"


@contextlib.contextmanager
def stages(console: Console, clock: Callable[[], float] = time.monotonic) -> Iterator[Callable[[str], None]]:
    """Give a function that is told what is being done from then on; what was done before is left as a line."""
    if not console.is_terminal:
        yield lambda text: console.print(text, markup=False, highlight=False, soft_wrap=True)
        return
    from rich.live import Live

    now: list[Stage] = []

    def leave() -> None:
        for stage in now:
            console.print(stage.over(clock()), markup=False, highlight=False, style="dim")
        now.clear()

    def say(text: str) -> None:
        leave()
        now.append(Stage(text, clock()))

    with Live(
        console=console,
        get_renderable=lambda: now[0].bar(clock()) if now else "",
        refresh_per_second=4,
        redirect_stderr=False,
        transient=True,
    ):
        yield say
        leave()
