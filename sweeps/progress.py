"""What a sweep tells while it runs: a live picture in a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from analysis.figures.base import REGIME_COLOURS
from grokcore.records.regimes import REGIMES, Regime
from grokcore.records.run_record import Outcome, RunRecord
from sweeps.live_map import COLUMNS, ROWS, Level, choices_of, level_of, live_maps
from sweeps.notebook_output import notebook_output
from sweeps.spec.space import Range
from sweeps.spec.sweep_spec import SweepSpec
from sweeps.stages import Stage
from sweeps.store.reported_run import ReportedRun

if TYPE_CHECKING:
    from rich.console import Console, Group
    from rich.table import Table
    from rich.text import Text

PLAIN_SECONDS = 10.0
"""Time between two lines where there is no terminal."""
NOTEBOOK_SECONDS = 0.5
"""Time between two pictures in a notebook."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """What one report of a cohort says that it did."""

    run_steps: int
    """Optimizer steps times runs."""
    cpu_seconds: float
    """Processor time that they took."""
    train_seconds: float
    """Wall time that they took on one slot."""


@dataclass(kw_only=True)
class Watcher:
    """Counts what happens in a sweep; tells nobody. Its children do."""

    spec: SweepSpec
    """The sweep."""
    clock: Callable[[], float] = time.monotonic
    """Where time comes from."""
    there: int = 0
    """Runs that were finished when the sweep began, known before they are read."""
    done: int = 0
    """Runs finished, those of earlier sessions among them as far as they are read."""
    failed: int = 0
    """Runs that failed."""
    stopped: int = 0
    """Runs that were stopped before their regime could be seen."""
    running: int = 0
    """Runs being trained now."""
    run_steps: int = 0
    """Run-steps of this session."""
    cpu_seconds: float = 0.0
    """Processor time spent training in this session."""
    busy_seconds: float = 0.0
    """Time spent training in this session, summed over slots."""
    wanted: int | None = None
    """Runs wanted in all, where it is known that they are not those of the specification."""
    regimes: Counter[Regime] = field(default_factory=Counter)
    """Runs by regime."""
    cells_at: dict[Level, dict[tuple[int, int], Counter[Regime]]] = field(default_factory=dict)
    """Per level of the choices, runs by cell of its live map (column, row) and regime."""

    def __post_init__(self) -> None:
        self._begun: float | None = None
        self._ended: float | None = None
        self._new = 0
        space = self.spec.whole_space
        axes = [name for name in self.spec.axes if isinstance(space.dimensions[name], Range)][:2]
        self.choices = choices_of(space)
        self.axes: list[tuple[str, Range]] = [(name, space.dimensions[name]) for name in axes]  # type: ignore[misc]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def known(self, records: Iterable[RunRecord | ReportedRun]) -> None:
        """Count runs of earlier sessions."""
        self._count(records)

    def trained(self, work: Work, running: int) -> None:
        """Take note of work done; the clock starts when the first of it began."""
        if self._begun is None:
            self._begun = self.clock() - work.train_seconds
        self.run_steps += work.run_steps
        self.cpu_seconds += work.cpu_seconds
        self.busy_seconds += work.train_seconds
        self.running = running
        self.changed()

    def finished(self, records: Iterable[RunRecord | ReportedRun]) -> None:
        """Take note of runs that finished in this session."""
        self._new += self._count(records)
        self.changed()

    def _count(self, records: Iterable[RunRecord | ReportedRun]) -> int:
        before = self.done
        for record in records:
            self.done += 1
            if record.outcome is Outcome.FAILED:
                self.failed += 1
                continue
            if record.outcome is Outcome.STOPPED:
                self.stopped += 1
                continue
            regime = record.regime_under(self.spec.rule)
            self.regimes[regime] += 1
            if len(self.axes) == 2:
                values = record.config.to_flat()
                cells = self.cells_at.setdefault(level_of(self.choices, values), {})
                cells.setdefault(self._cell(values), Counter())[regime] += 1
        return self.done - before

    @property
    def total(self) -> int:
        """Return how many runs are wanted in all: fewer than were asked for once a goal is reached."""
        return self.spec.runs if self.wanted is None else self.wanted

    @property
    def cells(self) -> dict[tuple[int, int], Counter[Regime]]:
        """Return the runs by cell and regime of a sweep without choices."""
        return self.cells_at.get((), {})

    def _cell(self, values: Mapping[str, Any]) -> tuple[int, int]:
        shares = [share(dimension, values[name]) for name, dimension in self.axes]
        return min(int(shares[0] * COLUMNS), COLUMNS - 1), min(int(shares[1] * ROWS), ROWS - 1)

    @property
    def seconds(self) -> float:
        """Return how long training has gone on in this session."""
        end = self.clock() if self._ended is None else self._ended
        return 0.0 if self._begun is None else end - self._begun

    @property
    def rate(self) -> float:
        """Return run-steps per second in this session."""
        return self.run_steps / max(self.seconds, 1e-9)

    @property
    def remaining(self) -> float | None:
        """Return the seconds that the runs to come will take, if they take as long as those of this session."""
        if not self._new:
            return None
        return max(self.total - self.done, 0) * self.seconds / self._new

    def line(self) -> str:
        """Return the state in one line."""
        failed = f", {self.stopped} stopped early" if self.stopped else ""
        failed += f", {self.failed} failed" if self.failed else ""
        left = f", {_duration(self.remaining)} left" if self.remaining is not None else ""
        counts = ", ".join(f"{regime} {self.regimes[regime]}" for regime in REGIMES if self.regimes[regime])
        done = max(self.done, self.there)
        state = f"{done}/{self.total} runs, {self.running} running{failed}, {self.rate:,.0f} run-steps/s{left}"
        return f"{state} | {counts}" if counts else state

    def picture(self) -> Group:
        """Return the picture: bar, map, counts."""
        from rich.console import Group
        from rich.padding import Padding
        from rich.progress_bar import ProgressBar
        from rich.text import Text

        head = Text.assemble((f"{self.spec.name}  ", "bold"), self._numbers())
        bar = ProgressBar(total=self.total, completed=max(self.done, self.there), width=COLUMNS * 2 + 10)
        parts: list[Any] = [head, bar] if len(self.axes) < 2 else [head, bar, Padding(self._maps(), (1, 0, 0, 0))]
        return Group(*parts, self._legend())

    def _maps(self) -> Table:
        return live_maps(self.axes, list(self.choices), self.cells_at)

    def _numbers(self) -> str:
        failed = f" · {self.stopped} stopped early" if self.stopped else ""
        failed += f" · {self.failed} failed" if self.failed else ""
        left = f" · {_duration(self.remaining)} left" if self.remaining is not None else ""
        done = max(self.done, self.there)
        return f"{done}/{self.total} runs · {self.running} running{failed} · {self.rate:,.0f} run-steps/s{left}"

    def _legend(self) -> Text:
        from rich.text import Text

        parts: list[tuple[str, str]] = []
        for regime in REGIMES:
            parts += [("██ ", REGIME_COLOURS[regime]), (f"{regime} {self.regimes[regime]}   ", "")]
        return Text.assemble(*parts)

    def note(self, text: str) -> None:
        """Say something in passing."""

    def stage(self, text: str) -> None:
        """Say what is being done from now on, beside training."""
        self.note(text)

    def changed(self) -> None:
        """Show the new state, or do not."""

    def stop(self) -> None:
        """Stop the clock, and showing: training is over."""
        self._ended = self.clock() if self._ended is None else self._ended


@dataclass(kw_only=True)
class PlainWatcher(Watcher):
    """Prints a line now and then."""

    print: Callable[[str], None]
    """Where lines go."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._printed = self.clock()

    def note(self, text: str) -> None:
        """Print it."""
        self.print(text)

    def changed(self) -> None:
        """Print a line if the last is old, or this is the end."""
        if self.clock() - self._printed >= PLAIN_SECONDS:
            self._printed = self.clock()
            self.print(self.line())


@dataclass(kw_only=True)
class NotebookWatcher(Watcher):
    """Keeps a picture of the sweep up to date in a notebook's cell."""

    show: Callable[[str], None]
    """Puts HTML in place of what the cell showed."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._shown, self._notes = -math.inf, list[str]()

    def note(self, text: str) -> None:
        """Show it beneath the picture."""
        self._notes.append(text)
        self._show()

    def changed(self) -> None:
        """Show the new state, a few times a second at most."""
        if self.clock() - self._shown >= NOTEBOOK_SECONDS:
            self._show()

    def stop(self) -> None:
        """Leave the last picture in the cell."""
        super().stop()
        self._show()

    def _show(self) -> None:
        import io

        from rich.console import Console

        self._shown = self.clock()
        console = Console(record=True, file=io.StringIO(), width=110, color_system="truecolor", force_jupyter=False)
        console.print(self.picture())
        for text in self._notes:
            console.print(text, markup=False, highlight=False)
        frame = '<pre style="line-height:1.2;font-family:monospace">{code}</pre>'
        self.show(console.export_html(inline_styles=True, code_format=frame))


@dataclass(kw_only=True)
class LiveWatcher(Watcher):
    """Keeps a picture of the sweep up to date in a terminal."""

    console: Console
    """The terminal."""

    def __post_init__(self) -> None:
        from rich.live import Live

        super().__post_init__()
        self._stage: Stage | None = None
        self._live = Live(
            console=self.console, get_renderable=self._screen, refresh_per_second=4, redirect_stderr=False
        )
        self._live.start()

    def __exit__(self, *exception: object) -> None:
        super().__exit__(*exception)
        self._leave()
        self._live.stop()

    def _screen(self) -> Group:
        from rich.console import Group

        picture, stage = self.picture(), self._stage
        return picture if stage is None else Group(picture, stage.bar(self.clock()))

    def note(self, text: str) -> None:
        """Print it above the picture."""
        from rich.text import Text

        self._live.console.print(Text(text, style="dim"))

    def stage(self, text: str) -> None:
        """Show it with a bar beneath the picture, until the next, or until runs are trained."""
        self._leave()
        self._stage = Stage(text, self.clock())

    def changed(self) -> None:
        """Leave what stood beneath the picture: runs are trained."""
        self._leave()

    def _leave(self) -> None:
        stage, self._stage = self._stage, None
        if stage is not None:
            self.note(stage.over(self.clock()))


def watcher_here(spec: SweepSpec) -> Watcher:
    """Return what shows a sweep in the cell of a notebook, where there is one; elsewhere a watcher that is silent."""
    show = notebook_output()
    return Watcher(spec=spec) if show is None else NotebookWatcher(spec=spec, show=show)


def watcher_for(spec: SweepSpec, console: Console) -> Watcher:
    """Return a live watcher for a terminal, one that prints lines for anything else."""
    if console.is_terminal:
        return LiveWatcher(spec=spec, console=console)

    def show(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    return PlainWatcher(spec=spec, print=show)


def share(dimension: Range, value: float) -> float:
    """Return where in the range a value lies: 0 at its low end, 1 at its high end."""
    if dimension.log:
        return math.log(value / dimension.low) / math.log(dimension.high / dimension.low)
    return (value - dimension.low) / (dimension.high - dimension.low)


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
