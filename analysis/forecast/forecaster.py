"""Forecaster: P(a run generalises by step s | its settings, and its curves and light measures so far).

And of a run that has not, P(it memorises by step s), learned from the same runs in the same way: a discrete hazard by
gradient boosting (scikit-learn's `HistGradientBoostingClassifier`) over the rows of `analysis.forecast.landmarks`. That
of generalising is the mean in log odds of a model that knows what a map of the sweep's own runs expects
(`sweeps.expectations`) and of one that does not. A file is a Parquet table of the rows, to learn from beside others,
with the trees as arrays in its metadata: it runs no code, and nothing is learned anew, and nothing needed that learns,
where it is only asked.
"""

from __future__ import annotations

import functools
import io
import itertools
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.optimize import brentq
from scipy.special import expit

from analysis.forecast.boosted_trees import BoostedTrees
from analysis.forecast.landmarks import COLUMNS, EXPECTED, GIVEN, SEEN, Array, ahead, edges, landmarks, rows, seen
from analysis.forecast.learned import misfit
from grokcore.atomic_files import replacing
from grokcore.errors import DataError
from grokcore.records.milestones import Milestone

SHIPPED: Final = Path(__file__).with_name("shipped.parquet")
"""Rows of the sweeps of ``python -m benchmarks.forecast_sweeps``: what a forecast knows before a sweep has runs."""
SPREAD: Final = 1.0
"""How far sweeps differ in the log odds of their hazards: the standard deviation that `level_of` supposes."""
FEWEST_EVENTS: Final = 20
"""Rows with an event below which nothing is fitted."""
GENERALISING: Final = "generalising"
"""What a forecaster is asked about, and the rows that teach it."""
MEMORISING: Final = "memorising"
"""The other thing."""
TREES: Final = b"grokmap.trees"
"""Where the trees are in a file's metadata."""
MASKED: Final = 3
"""Every so many runs are learned from once more as if nothing but their accuracies were known."""


@dataclass(frozen=True, kw_only=True)
class KnownRun:
    """What is known of a run: of one that is over, to learn from, or of one under way."""

    curves: Mapping[str, Any]
    """step, train_accuracy and val_accuracy, and those of train_loss, val_loss and weight_norm that there are."""
    settings: Mapping[str, Any]
    """Those of rate and decay that there are."""
    budget: int
    """Optimizer steps that it may take."""
    t_gen: Milestone | None = None
    """When it generalised, or until when it was watched."""
    t_mem: Milestone | None = None
    """When it memorised, or until when it was watched; None where nobody says."""
    family: str = ""
    """That of its task, `Task.family`; empty where it is not known."""
    level: float = 0.0
    """What its sweep's own runs add to the log odds of each hazard to generalise: `Forecaster.level_of` them."""


class Forecaster:
    """A fitted hazard; raises `DataError` where the rows say too little."""

    def __init__(self, table: pd.DataFrame, *, threshold: float = 0.9) -> None:
        missing = [name for name in (*COLUMNS, "event", "family", "of") if name not in table.columns]
        if missing:
            raise DataError(
                f"not the rows of a forecaster: {', '.join(missing)} is missing; save one with this version."
            )
        self.table, self.threshold = table, threshold
        self._trees: dict[str, list[BoostedTrees]] = {}
        events = self._events(GENERALISING)
        if events < FEWEST_EVENTS:
            raise DataError(
                f"{events} rows of runs that generalised are too few to forecast from; give at least {FEWEST_EVENTS}."
            )

    @classmethod
    def of_runs(cls, runs: Iterable[KnownRun], threshold: float = 0.9) -> Self:
        """Learn from runs that are over."""
        parts = []
        for number, run in enumerate(runs):
            assert run.t_gen is not None
            for of, reached in ((GENERALISING, run.t_gen), (MEMORISING, run.t_mem)):
                if reached is None:
                    continue
                values, events = rows(run.curves, run.settings, reached, run.budget, threshold)
                part = pd.DataFrame(values.astype(np.float32), columns=list(COLUMNS)).assign(
                    event=events, family=run.family, of=of
                )
                parts.append(part)
                if number % MASKED == 0:
                    parts.append(part.assign(**dict.fromkeys([*SEEN[6:], *GIVEN], np.float32(np.nan))))
        empty = pd.DataFrame(columns=[*COLUMNS, "event", "family", "of"])
        return cls(pd.concat(parts, ignore_index=True) if parts else empty, threshold=threshold)

    @classmethod
    def load(cls, path: Path | str = SHIPPED) -> Self:
        """Read a forecaster that `save` wrote; raises `DataError` for anything else."""
        try:
            read = pq.read_table(io.BytesIO(Path(path).read_bytes()))
            table, kept = read.to_pandas(), (read.schema.metadata or {}).get(TREES)
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "it is no Parquet file"
            raise DataError(
                f"{path} cannot be read as a forecaster: {why}; name a file that one was saved in."
            ) from None
        thresholds = set(table["threshold"]) if "threshold" in table.columns else set()
        if len(thresholds) != 1:
            raise DataError(f"{path} is not a forecaster: it has no one threshold; name a file that one was saved in.")
        try:
            found = cls(table, threshold=float(thresholds.pop()))
            found._trees = {} if kept is None else _unpacked(kept)
        except DataError as error:
            raise DataError(f"{path}: {error}") from None
        return found

    def save(self, path: Path | str) -> None:
        """Write it, to be applied to other sweeps."""
        asked = [GENERALISING, *([MEMORISING] if self.knows_memorising else [])]
        table = pa.Table.from_pandas(self.table.assign(threshold=self.threshold), preserve_index=False)
        kept = {TREES: _packed({of: self._models(of) for of in asked})}
        with replacing(Path(path)) as temporary:
            pq.write_table(
                table.replace_schema_metadata({**(table.schema.metadata or {}), **kept}), temporary, compression="zstd"
            )

    def joined(self, other: Forecaster) -> Forecaster:
        """Return one that has learned from the runs of both; raises `DataError` if their thresholds differ."""
        if other.threshold != self.threshold:
            raise DataError(f"forecasters of accuracy ≥ {self.threshold:g} and ≥ {other.threshold:g} cannot be joined.")
        return Forecaster(pd.concat([self.table, other.table], ignore_index=True), threshold=self.threshold)

    @functools.cached_property
    def families(self) -> frozenset[str]:
        """Return the families of the tasks that it learned from."""
        return frozenset(self.table["family"]) - {""}

    def misfit(self, family: str) -> str:
        """Return why it cannot forecast tasks of a family; nothing where it can, or does not know what it learned."""
        return misfit(self.families, family)

    def _events(self, of: str) -> int:
        return int(self.table.loc[self.table["of"] == of, "event"].sum())

    @functools.cached_property
    def knows_memorising(self) -> bool:
        """Whether it learned enough to say how likely a run is to memorise."""
        return self._events(MEMORISING) >= FEWEST_EVENTS

    def _models(self, of: str) -> list[BoostedTrees]:
        """Return the models of generalising or memorising, learned if they are not known.

        One looks at all columns, the other one at a run's past alone: a map of few runs may mislead, and the two err
        apart. What a map expects of generalising is nothing to memorising.
        """
        if of not in self._trees:
            table = self.table[self.table["of"] == of]
            told = [index for index, name in enumerate(COLUMNS) if table[name].nunique() > 1]
            past = [index for index in told if COLUMNS[index] != EXPECTED]
            views = [told, past] if past != told and of == GENERALISING else [past]
            values, events = table[list(COLUMNS)].to_numpy(np.float32), table["event"].to_numpy(bool)
            self._trees[of] = [BoostedTrees.grown(values, events, view) for view in views]
        return self._trees[of]

    def _odds(self, asked: Array, of: str) -> Array:
        """Return the log odds of rows of `COLUMNS`, (N, 17), that a run gets there in its interval, (N,)."""
        return np.asarray(np.mean([trees.log_odds(asked) for trees in self._models(of)], axis=0))

    def level_of(self, runs: Iterable[KnownRun]) -> float:
        """Return what is to be added to the log odds of all hazards to generalise for them to fit runs of one sweep.

        The most probable one of a normal with standard deviation `SPREAD` around 0, each run counting once however many
        landmarks it has. Runs may be over or stopped: those are watched until then. What they add already is not asked.
        """
        tables: list[Array] = []
        events: list[npt.NDArray[np.bool_]] = []
        for run in runs:
            assert run.t_gen is not None
            values, event = rows(run.curves, run.settings, run.t_gen, run.budget, self.threshold)
            if len(values):
                tables.append(values)
                events.append(event)
        if not tables:
            return 0.0
        weights = np.concatenate([np.full(len(table), 1 / len(np.unique(table[:, 0]))) for table in tables])
        odds, happened = self._odds(np.concatenate(tables), GENERALISING), np.concatenate(events)

        def slope(level: float) -> float:
            return float(np.sum(weights * (expit(odds + level) - happened)) + level / SPREAD**2)

        furthest = weights.sum() + 1.0  # no sum of weights outweighs the pull back to 0 from there
        return float(brentq(slope, -furthest, furthest, xtol=1e-6))

    def chances(self, run: KnownRun, landmark: int) -> tuple[Array, Array]:
        """Return steps after a landmark, (S,), and the chance that the run has generalised by each, (S,).

        The run must not have generalised by then. Nothing that comes after the landmark is looked at.
        """
        return self.chances_of([run], landmark)[0]

    def chances_of(self, runs: Iterable[KnownRun], landmark: int, of: str = GENERALISING) -> list[tuple[Array, Array]]:
        """Return `chances` of several runs, computed together; those to memorise by each step, if that is asked."""
        tables, ends, levels = [], [], []
        for run in runs:
            at = seen(run.curves, run.settings, landmark, self.threshold)
            borders = edges(landmark, run.budget)
            pairs = itertools.pairwise(borders)
            tables.append(np.array([np.append(at, ahead(landmark, begin, end)) for begin, end in pairs]))
            ends.append(borders[1:])
            levels.append(np.full(len(tables[-1]), run.level if of == GENERALISING else 0.0))
        if not tables:
            return []
        hazard = expit(self._odds(np.concatenate(tables), of) + np.concatenate(levels))
        found: list[tuple[Array, Array]] = []
        place = 0
        for steps in ends:
            survived = np.cumprod(1 - hazard[place : place + len(steps)])
            found.append((steps, np.asarray(1 - survived)))
            place += len(steps)
        return found


def _packed(trees: Mapping[str, Sequence[BoostedTrees]]) -> bytes:
    """Return trees as one string of bytes, an archive of NumPy's."""
    arrays = {
        f"{of}/{number}/{name}": array
        for of, several in trees.items()
        for number, each in enumerate(several)
        for name, array in each.arrays.items()
    }
    kept = io.BytesIO()
    np.savez_compressed(kept, allow_pickle=False, **arrays)
    return kept.getvalue()


def _unpacked(kept: bytes) -> dict[str, list[BoostedTrees]]:
    """Return the trees that `_packed` gave; raises `DataError` for other bytes."""
    parts: defaultdict[tuple[str, str], dict[str, npt.NDArray[Any]]] = defaultdict(dict)
    try:
        with np.load(io.BytesIO(kept), allow_pickle=False) as arrays:
            for place, array in arrays.items():
                of, number, name = place.split("/")
                parts[of, number][name] = array
    except (OSError, ValueError, zipfile.BadZipFile):
        raise DataError("the trees of a forecaster are damaged; save it anew.") from None
    found: dict[str, list[BoostedTrees]] = {}
    for (of, _), own in sorted(parts.items()):
        found.setdefault(of, []).append(BoostedTrees.of_arrays(own))
    return found


def last_landmark(run: KnownRun) -> int | None:
    """Return the last landmark that the curves of a run have reached; None before the first."""
    last = float(np.max(run.curves["step"])) if len(run.curves["step"]) else -1.0
    reached = [step for step in landmarks(run.budget) if step <= last]
    return reached[-1] if reached else None
