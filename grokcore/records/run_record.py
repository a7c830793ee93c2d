"""RunRecord: what a run leaves behind, and how it is written down."""

from __future__ import annotations

import enum
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from grokcore.errors import DataError
from grokcore.notebook_tables import table_html, words
from grokcore.records.milestones import THRESHOLDS, Milestone, Split, first_passage, forgetting
from grokcore.records.older_reasons import ruled_out_until
from grokcore.records.regimes import Regime, RegimeRule
from grokcore.run_config import RunConfig

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_RATIO = 5.0
"""Delay that counts as grokking where no rule is given: t_gen ≥ 5 · t_mem, the form that suits any length of run."""


UNDECIDED = "undecided"
"""What is said in place of a regime of a run that was stopped: it is censored at its last step, and no memorization."""


class Outcome(enum.StrEnum):
    """How a run ended; `sentence` says it in words, with the remedy where there is one.

    >>> print(Outcome.FINISHED.sentence)
    ran its whole budget
    """

    FINISHED = "finished"
    RETIRED = "retired"
    STOPPED = "stopped"
    UNSTABLE = "unstable"
    FORGOTTEN = "forgotten"
    DIVERGED = "diverged"
    FAILED = "failed"

    @property
    def sentence(self) -> str:
        """Return the outcome in words."""
        return _SENTENCES[self]


_SENTENCES = {
    Outcome.FINISHED: "ran its whole budget",
    Outcome.RETIRED: "generalised, stayed so through the confirmation window, and left before its budget was spent",
    Outcome.STOPPED: "was stopped before its budget, as the rest was judged not worth its cost; censored at that step",
    Outcome.UNSTABLE: "reached the threshold and was below it again at its last evaluation; try a lower rate or decay",
    Outcome.FORGOTTEN: "generalised, stayed so for a while, and lost it for good; try a lower rate, or stop it in time",
    Outcome.DIVERGED: "its loss or weights became infinite or NaN; try a lower rate, decay or initial scale",
    Outcome.FAILED: "raised an error; see its reason",
}


class RuledOut(NamedTuple):
    """What a forecast rules out: that a run generalises at an accuracy, or a higher one, by a step; 0 for nothing."""

    step: int = 0
    accuracy: float = RegimeRule.threshold


class Ending(NamedTuple):
    """How a run ends, and what a record says beside that."""

    outcome: Outcome
    reason: str = ""
    ruled_out: int = 0
    ruled_out_accuracy: float = RegimeRule.threshold


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """One finished run: configuration, outcome, curves; milestones and regime are read off the curves.

    >>> from grokcore import RunConfig, train
    >>> config = RunConfig.from_dict({
    ...     "task": "modular_addition", "task.modulus": 7, "model": "mlp", "model.width": 16, "optimizer": "adamw",
    ...     "optimizer.rate": 0.01, "fraction": 0.8, "steps": 200,
    ... })
    >>> record = train([config])[0]
    >>> record.milestone("train", 0.9).event, list(record.curves)[:3]
    (True, ['step', 'train_loss', 'train_accuracy'])
    """

    config: RunConfig
    """What was run."""
    outcome: Outcome
    """How it ended."""
    columns: Mapping[str, npt.NDArray[Any]]
    """The curves: `step` (int64, optimizer steps taken) and float64 columns as long; NaN where not measured."""
    environment: Mapping[str, Any] = field(default_factory=dict)
    """Versions, CPU, threads, device and dtype that made it."""
    reason: str = ""
    """What went wrong, for a failed run; why it was stopped, for a stopped one, or would have been, for an audited."""
    ruled_out: int = 0
    """Step until which a forecast ruled out that it generalises, if one stopped it, or would have; 0 where none did."""
    ruled_out_accuracy: float = RegimeRule.threshold
    """Validation accuracy that the forecast was about; the shipped forecaster's where an older record does not say."""
    trained: tuple[float, float] | None = None
    """When a worker began and ended training it, in seconds of Unix time; None where nobody looked at a clock."""

    def __repr__(self) -> str:
        rule = RegimeRule(budget=self.config.steps, ratio=DEFAULT_RATIO)
        return f"<RunRecord {self.run_id}: {self.outcome} at step {self.steps:,}, {self.verdict_under(rule)}>"

    def _repr_html_(self) -> str:
        reached = {name: self.milestone(split, 0.9) for name, split in (("t_mem", "train"), ("t_gen", "val"))}  # type: ignore[arg-type]
        rows = [(name, f"{at.step:,}" if at.event else f"after {at.step:,}") for name, at in reached.items()]
        rows += [("regime", str(self.regime)), ("outcome", self.outcome.sentence), ("reason", self.reason)]
        settings = [(name, words(value)) for name, value in self.config.to_dict().items()]
        return table_html(f"RunRecord {self.run_id}", [row for row in [*rows, *settings] if row[1]])

    @property
    def run_id(self) -> str:
        """Return the configuration's identity."""
        return self.config.run_id

    @property
    def steps(self) -> int:
        """Return the last optimizer step that was evaluated."""
        return int(self.columns["step"][-1]) if len(self.columns["step"]) else 0

    @property
    def extent(self) -> tuple[int, int]:
        """Return what orders records of one run by how much of it they have: failed, stopped when, gone to its end."""
        if self.outcome is Outcome.FAILED:
            return 0, 0
        return (1, self.steps) if self.outcome is Outcome.STOPPED else (2, 0)

    def milestone(self, split: Split, threshold: float) -> Milestone:
        """Return when `split` accuracy first reached `threshold`, censored at the last step when it never did."""
        if not len(self.columns["step"]):
            return Milestone(event=False, step=0)
        return first_passage(self.columns["step"], self.columns[f"{split}_accuracy"], threshold)

    @property
    def word(self) -> RuledOut:
        """Return what a forecast ruled out of it."""
        return RuledOut(self.ruled_out, self.ruled_out_accuracy)

    def forgetting(self, threshold: float) -> Milestone:
        """Return when validation accuracy, reached and kept, fell below `threshold` for good; censored if it did not.

        See `grokcore.records.milestones.forgetting`. A run that left early cannot be seen to forget.
        """
        if not len(self.columns["step"]):
            return Milestone(event=False, step=0)
        return forgetting(self.columns["step"], self.columns["val_accuracy"], threshold)

    def regime_under(self, rule: RegimeRule) -> Regime:
        """Return the run's regime under `rule`."""
        return rule.label(self.milestone("train", rule.threshold), self.milestone("val", rule.threshold))

    def verdict_under(self, rule: RegimeRule) -> str:
        """Return the run's regime under `rule` in a word; `UNDECIDED` for one stopped before that could be seen."""
        undecided = self.outcome is Outcome.STOPPED and not self.milestone("val", rule.threshold).event
        return UNDECIDED if undecided and self.steps < rule.budget else str(self.regime_under(rule))

    @property
    def regime(self) -> Regime:
        """Return the regime at threshold 0.9, the run's own budget, and the ratio form of the delay (5)."""
        return self.regime_under(RegimeRule(budget=self.config.steps, ratio=DEFAULT_RATIO))

    @property
    def curves(self) -> pd.DataFrame:
        """Return the curves: step, train_loss, train_accuracy, val_loss, val_accuracy, then the measures."""
        import pandas as pd

        return pd.DataFrame(dict(self.columns))

    def environment_at(self, step: int | None = None) -> dict[str, Any]:
        """Return where the update that led to `step` was made; the last place where none is given.

        A run that was paused may have gone on elsewhere: `environment` is then the last place, with the step from
        which on it was there (`from_step`), and lists those before it (`earlier`).
        """
        places = [dict(self.environment)]
        earlier = self.environment.get("earlier")
        if isinstance(earlier, list):
            places = [dict(place) for place in earlier if isinstance(place, Mapping)] + places
        before = [p for p in places if step is None or _step_of(p) < max(step, 1)]
        chosen = before[-1] if before else places[0]
        return {name: value for name, value in chosen.items() if name not in ("from_step", "earlier")}

    @property
    def final(self) -> dict[str, float]:
        """Return the last value of every curve but `step`."""
        return {name: float(values[-1]) for name, values in self.columns.items() if name != "step" and len(values)}

    def row(self, rule: RegimeRule) -> dict[str, Any]:
        """Return the run's row of `runs.parquet`: identity, dotted configuration, milestones, regime, finals.

        `steps` is the configured budget, `last_step` the last step that was evaluated.
        """
        row: dict[str, Any] = {"run_id": self.run_id}
        for name, value in self.config.to_flat().items():
            # A column has one type: a batch may be "full" or a number, betas are a list.
            row[name] = json.dumps(value) if isinstance(value, list) or name == "batch" else value
        mem, gen = self.milestone("train", rule.threshold), self.milestone("val", rule.threshold)
        lost = self.forgetting(rule.threshold)
        row |= {"t_mem": mem.step, "t_mem_event": mem.event, "t_gen": gen.step, "t_gen_event": gen.event}
        row |= {"t_forget": lost.step, "t_forget_event": lost.event}
        for split in ("train", "val"):
            for threshold in THRESHOLDS:
                name = f"t_{split}_{round(100 * threshold):03d}"
                milestone = self.milestone(split, threshold)
                row |= {name: milestone.step, f"{name}_event": milestone.event}
        row |= {"regime": self.verdict_under(rule), "outcome": str(self.outcome), "last_step": self.steps}
        row |= {"reason": self.reason, "ruled_out": self.ruled_out}
        row |= {"ruled_out_accuracy": self.ruled_out_accuracy if self.ruled_out else math.nan}
        row |= {"environment": json.dumps(dict(self.environment), sort_keys=True)}
        return row | self.final

    def to_json(self) -> str:
        """Return the record as one line of JSON; floats keep every bit, NaN and infinities are written as strings."""
        columns = {name: _listed(values) for name, values in self.columns.items()}
        some: dict[str, Any] = {} if self.trained is None else {"trained": list(self.trained)}
        if self.ruled_out:
            some |= {"ruled_out": self.ruled_out, "ruled_out_accuracy": self.ruled_out_accuracy}
        return json.dumps(
            {
                "config": self.config.to_dict(),
                "outcome": str(self.outcome),
                "reason": self.reason,
                "environment": dict(self.environment),
                **some,
                "columns": columns,
            },
            allow_nan=False,
            separators=(",", ":"),
        )

    @classmethod
    def from_json(cls, text: str | bytes) -> RunRecord:
        """Read a record that `to_json` wrote; raises `DataError` for anything else, `ConfigError` for a bad config."""
        try:
            values = json.loads(text)
            columns: dict[str, npt.NDArray[Any]] = {
                name: np.array([float(v) for v in column], dtype=np.float64)
                for name, column in values["columns"].items()
            }
            columns["step"] = _steps(columns["step"])
            if len({len(column) for column in columns.values()}) != 1:
                raise ValueError("columns differ in length")
            return cls(
                config=RunConfig.from_dict(values["config"]),
                outcome=Outcome(values["outcome"]),
                columns=columns,
                environment=dict(values["environment"]),
                reason=str(values["reason"]),
                ruled_out=int(values.get("ruled_out", ruled_out_until(values["reason"]))),
                ruled_out_accuracy=float(values.get("ruled_out_accuracy", RegimeRule.threshold)),
                trained=_moments(values.get("trained")),
            )
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise DataError(f"not a run record: {error}. Was the line cut or edited by hand?") from error


def _step_of(place: Mapping[str, Any]) -> int:
    step = place.get("from_step", 0)
    return step if isinstance(step, int) else 0


def _steps(values: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return the steps of evaluations as whole numbers; raises ValueError for what can be none, or does not rise."""
    if not (np.isfinite(values).all() and (values == values.round()).all() and (np.abs(values) < 2**53).all()):
        raise ValueError("a step is no whole number")
    if (np.diff(values) <= 0).any() or (values < 0).any():
        raise ValueError("steps do not rise")
    return values.astype(np.int64)


def _listed(values: npt.NDArray[Any]) -> list[Any]:
    return [v if np.isfinite(v) else str(v) for v in values.tolist()]


def _moments(given: Any) -> tuple[float, float] | None:
    """Return when training began and ended, as it was written; raises `ValueError` or `TypeError` for anything else."""
    if given is None:
        return None
    began, ended = (float(moment) for moment in given)
    if not 0 <= began <= ended < 1e11:
        raise ValueError(f"trained from {began:g} to {ended:g}")
    return began, ended
