"""run_sweep: the whole of a sweep, from its specification to its tables, its map and its mirror in MLflow."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import shlex
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grokcore.atomic_files import write_text
from grokcore.cautions import cautions
from grokcore.errors import GrokmapError
from grokcore.records.regimes import Regime
from grokcore.records.run_record import RunRecord
from sweeps.interrupts import held_back
from sweeps.progress import Watcher, watcher_here
from sweeps.spec.sweep_spec import SweepSpec
from sweeps.store.early_end import EXHAUSTED, REACHED
from sweeps.store.lines import parsed
from sweeps.store.run_store import ANOTHER, Asked, Store
from sweeps.store.storage import deliver
from sweeps.tracking.database import database_file, tracking_uri
from sweeps.tracking.follower_process import MirrorProcess

if TYPE_CHECKING:
    import optuna
    import pandas as pd

    from sweeps.driver import Driver
    from sweeps.execution.ray_session import RaySession


RESULTS = (
    "spec.toml",
    REACHED,
    EXHAUSTED,
    "records.jsonl",
    "asked.jsonl",
    "*.parquet",
    "optuna.log",
    "map*.*",
    "definition.json",
    "components/**/*",
)
"""Files of a sweep's folder that are copied to its storage when it is complete."""

RESTARTS = 3
"""How often an embedded Ray that lost a part is started again in one sweep."""


MAP = ("map.html", "map.png", "definition.json")
"""Files of a map that is drawn whole; the last is written last."""

STUDY = "optuna.log"
"""File that has the Optuna study."""

MIRRORED = "mirrored"
"""File that names the MLflow that has all of the sweep."""


@dataclass(frozen=True, kw_only=True)
class SweepOptions:
    """How a sweep is run, apart from what it is."""

    results: Path = Path("results")
    """Folder under which the sweep has its own."""
    mlflow: bool = True
    """Whether to mirror its runs in MLflow while it runs."""
    map: bool = True
    """Whether to draw its map when it is complete."""
    address: str | None = None
    """Address of a Ray cluster; the one that is there, or an embedded Ray, if not given; "local" for the latter."""
    extend: bool = False
    """Whether the sweep that is there may get a wider space, another part of it to look at, or another sampler."""
    enqueue: Sequence[Mapping[str, Any]] = ()
    """Points of one's own, parameters by dotted name, that are run before anything is chosen."""
    slots: int | None = None
    """Cohorts trained at the same time at most; as many as there are cores (or shares of GPUs) if not given."""


@dataclass(frozen=True, kw_only=True)
class SweepResult:
    """What a sweep left, and what it cost in this session."""

    path: Path
    """Its folder."""
    complete: bool
    """Whether all runs are there; if not, the same command goes on."""
    slots: int
    """Cohorts trained at the same time."""
    startup_seconds: float
    """From the call until the first cohort began to train."""
    train_seconds: float
    """From then until the last cohort was over."""
    busy_seconds: float
    """Time that slots spent training, summed over slots."""
    cpu_seconds: float
    """Processor time that they took for it."""
    run_steps: int
    """Optimizer steps times runs."""
    map_seconds: float = 0.0
    """Wall time that drawing the map took; 0 where none was drawn."""

    @functools.cached_property
    def runs(self) -> pd.DataFrame:
        """Return its finished runs, as in `runs.parquet`."""
        import pandas as pd

        return pd.read_parquet(self.path / "runs.parquet")

    @functools.cached_property
    def study(self) -> optuna.Study:
        """Return the Optuna study."""
        from sweeps.finished_runs.read_study import read_study

        return read_study(self.path, SweepSpec.from_toml(self.path / "spec.toml"))

    def __repr__(self) -> str:
        state = "complete" if self.complete else "not complete: the same call goes on"
        return f"<SweepResult: {len(self.runs)} runs in {self.path}, {state}>"

    @property
    def overhead(self) -> float:
        """Return the share of slot-seconds after start-up that was not spent training."""
        return max(0.0, 1.0 - self.busy_seconds / max(self.slots * self.train_seconds, 1e-9))


def run_sweep(spec: SweepSpec, options: SweepOptions | None = None, *, watcher: Watcher | None = None) -> SweepResult:
    """Run what is missing of `spec`, write its tables, draw its map, and return what there is.

    A notebook's cell shows how far it is.

    Runs that are in the store already are read, not trained again. An interrupt (Ctrl-C) ends the sweep within
    seconds with `complete` False and nothing finished lost. Raises `SweepExistsError` if a sweep of this name has
    another specification, `SweepBusyError` if another process is running it.
    """
    options, watcher = options or SweepOptions(), watcher or watcher_here(spec)
    begun = time.monotonic()
    with Store(spec, options.results, extend=options.extend) as store, contextlib.ExitStack() as open_things:
        for change in store.changes:
            watcher.note(f"goes on with {change}")
        if options.enqueue:
            watcher.note(_enqueue(store, options.enqueue))
        whole = store.complete
        mirror = None
        if options.mlflow and not (whole and is_mirrored(store.path)):
            mirror = open_things.enter_context(MirrorProcess(store.path))
        complete, slots = (_read(store, watcher), 0) if whole else _train(store, options, watcher)
        startup = time.monotonic() - begun - watcher.seconds
        _write_tables(store, watcher)
        if mirror is None:
            _write_study(store.path)
        result = SweepResult(
            path=store.path,
            complete=complete,
            slots=slots,
            startup_seconds=startup,
            train_seconds=watcher.seconds,
            busy_seconds=watcher.busy_seconds,
            cpu_seconds=watcher.cpu_seconds,
            run_steps=watcher.run_steps,
        )
        if result.complete:
            result = dataclasses.replace(result, map_seconds=_finish(result, spec, options, watcher, mirror))
    return result


def _read(store: Store, watcher: Watcher) -> bool:
    """Count the runs of a sweep that is complete, with no driver: Optuna and Ray take long to import."""
    watcher.known(store.records())
    watcher.wanted = store.wanted
    watcher.stop()
    if said := store.exhausted:
        watcher.note(said)
    if store.spec.until is not None:
        _look_back(store, watcher)
    for name in store.cohorts():
        store.forget(name)
    return True


def _look_back(store: Store, watcher: Watcher) -> None:
    """Say how a complete sweep stands to its goal: that it was reached, or what is wanting."""
    if said := store.reached:
        watcher.note(f"{store.spec.until} was reached: {said}")
        return
    from sweeps.driver import Driver

    watcher.stage("looking how far its goal is …")
    Driver(store, key=lambda _: "", width=lambda _: 1, say=watcher.note).close()


def new_points(
    folder: Path, spec: SweepSpec, points: Iterable[Mapping[str, Any]]
) -> tuple[int, dict[str, Mapping[str, Any]]]:
    """Return how many runs the sweep in a folder has asked for, and those of `points` that it has not, by identity."""
    known = {asked.run_id for asked in parsed(folder / "asked.jsonl", Asked.from_json, ANOTHER)}
    new = {spec.whole_space.config(params).run_id: params for params in points}
    return len(known), {run_id: params for run_id, params in new.items() if run_id not in known}


def _enqueue(store: Store, points: Sequence[Mapping[str, Any]]) -> str:
    """Ask for runs of one's own, each unless it is asked for already; return in words how many were not."""
    begun, new = new_points(store.path, store.spec, points)
    numbers = itertools.count(begun)
    store.ask(Asked(number=next(numbers), params=params, run_id=run_id) for run_id, params in new.items())
    known = len(points) - len(new)
    return f"{len(new)} of {len(points)} points are new" + (
        f"; {known} stand there twice or are run already" * bool(known)
    )


def _driver(
    store: Store,
    session: RaySession,
    known: Callable[[RunRecord], object] | None,
    say: Callable[[str], object],
) -> Driver:
    from sweeps.driver import Driver

    return Driver(
        store,
        key=session.key,
        width=session.width,
        slots=session.slots,
        forget=session.forget,
        known=known,
        say=say,
    )


def _train(store: Store, options: SweepOptions, watcher: Watcher) -> tuple[bool, int]:
    """Train what is missing on Ray, and return whether all runs are there and how many slots there were.

    An embedded Ray that loses a part of itself is started again, `RESTARTS` times at most.
    """
    for name, reason in store.spec.unmeasured().items():
        watcher.note(f"{name} is not measured: {reason}")
    for caution in dict.fromkeys(said for run in store.spec.whole_space.ends() for said in cautions(run)):
        watcher.note(f"caution: {caution}")
    if store.finished:
        watcher.there = len(store.finished)
        watcher.note(f"{len(store.finished):,} of {store.wanted:,} runs are there already")
    watcher.stage("starting Ray and its workers …")
    # Ray takes seconds to import: a refusal should not, nor a sweep that is complete.
    with held_back():
        from sweeps.execution.ray_session import RaySession
        from sweeps.execution.ray_watch import RayLostError

    for life in itertools.count():
        with RaySession(store.spec, store, options.address, slots=options.slots, say=watcher.note) as session:
            known = None if life else lambda record: watcher.known([record])
            driver = _driver(store, session, known, watcher.note)
            try:
                if not driver.finished:
                    session.tune(driver, watcher)
            except RayLostError as error:
                if life == RESTARTS or not session.embedded:
                    raise RayLostError(f"{error} Finished runs are kept; the same command goes on.") from None
                watcher.note(f"{error} It is started again, and cohorts go on from their checkpoints.")
                continue
            watcher.stop()
            driver.close()
            watcher.wanted = driver.wanted
            return driver.finished, session.slots()
    raise AssertionError("the last life returns or raises")


def _write_tables(store: Store, watcher: Watcher) -> None:
    """Write the tables of the finished runs, unless they are newer than what they are made of."""
    if not is_newer(store.path, ("runs.parquet", "curves.parquet")):
        from sweeps.store.tables import write_tables

        watcher.stage("writing the tables of runs and curves …")
        write_tables(store.path, store.spec.rule)


def _write_study(path: Path) -> None:
    """Write the file of the study, unless it is newer than what it is made of."""
    if not is_newer(path, (STUDY,)):
        from sweeps.tracking.study_file import write_study

        write_study(path)


def _finish(
    result: SweepResult, spec: SweepSpec, options: SweepOptions, watcher: Watcher, mirror: MirrorProcess | None
) -> float:
    """Draw the map, deliver the results, and wait for MLflow; return the seconds that the map took.

    What prevents one of them is said.
    """
    if caution := few_generalised(watcher.regimes, watcher.stopped):
        watcher.note(f"caution: {caution}")
    drawn = is_newer(result.path, MAP)
    seconds = draw_map(result.path, watcher) if options.map and not drawn else 0.0
    if mirror is not None:
        if (trouble := mirror.finish()) is not None:
            watcher.note(f"MLflow lacks some of it: {trouble} Write the rest with: grokmap track {result.path}")
            _write_study(result.path)
        else:
            write_text(result.path / MIRRORED, tracking_uri(result.path.parent) + "\n")
    if spec.own_storage is not None and not (drawn and result.run_steps == 0):
        deliver_results(result.path, spec.own_storage, watcher)
    return seconds


MOST = 0.8
"""Share of runs that did not generalise from which a sweep is said to show little."""


def few_generalised(regimes: Mapping[Regime, int], stopped: int = 0) -> str:
    """Return in a sentence that most runs of a sweep, counted by regime, had not generalised; empty if enough had.

    Runs that were `stopped` before that could be seen are not among them, and count as not having.
    """
    runs = sum(regimes.values()) + stopped
    late = runs - sum(regimes.get(regime, 0) for regime in (Regime.GROKKING, Regime.COMPREHENSION))
    if not late or late < MOST * runs:
        return ""
    early = f", {stopped} of which were stopped early" if stopped else ""
    return (
        f"{late} of {runs} runs had not generalised when they ended{early}; raise steps or the fraction to see where."
    )


def is_mirrored(path: Path) -> bool:
    """Say whether MLflow, where it is now, has all that the sweep in folder `path` left."""
    marker, uri = path / MIRRORED, tracking_uri(path.parent)
    file = database_file(uri)
    if file is not None and not file.exists():
        return False
    return is_newer(path, (MIRRORED,)) and marker.read_text(encoding="utf-8").strip() == uri


def is_newer(path: Path, names: Sequence[str]) -> bool:
    """Say whether all these files of a sweep's folder are there, and newer than its specification and records."""
    made = [path / name for name in names]
    origins = [path / name for name in ("spec.toml", "records.jsonl")]
    if not all(file.is_file() for file in [*made, *origins]):
        return False
    return min(file.stat().st_mtime_ns for file in made) >= max(file.stat().st_mtime_ns for file in origins)


def deliver_results(path: Path, storage: str, watcher: Watcher) -> None:
    """Copy what a sweep leaves to its storage; what prevents that is said, and costs nothing else."""
    files = [file for pattern in RESULTS for file in sorted(path.glob(pattern)) if file.is_file()]
    try:
        deliver(files, storage, path)
    except (OSError, GrokmapError) as error:
        watcher.note(f"the results could not be copied to {storage}: {error}")


def draw_map(path: Path, watcher: Watcher) -> float:
    """Draw the map of the sweep in folder `path` into it and return the seconds it took.

    What is being done is said; what prevents a map is said, and costs nothing else.
    """
    from analysis.exports.map import export_map
    from analysis.runs.sources import read_source
    from sweeps.tracking.browsing import with_tracker

    begun = watcher.clock()
    try:
        export_map(with_tracker(read_source(path), path), path, say=watcher.stage)
    except GrokmapError as error:
        watcher.note(f"no map: {error}")
    except OSError as error:
        where = error.filename or path
        watcher.note(
            f"no map: {where}: {error.strerror or error}. Make room, then: grokmap map {shlex.quote(str(path))}"
        )
    return watcher.clock() - begun
