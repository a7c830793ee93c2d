"""Stopping: a rule that ends runs before their budget; a member builds the judge that cohorts ask."""

from __future__ import annotations

import abc
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from grokcore.config.component import Component
from grokcore.config.registry import ComponentRegistry
from grokcore.engine.judging import Judge
from grokcore.records.regimes import RegimeRule
from grokcore.records.run_record import RuledOut
from grokcore.run_config import RunConfig

if TYPE_CHECKING:
    from grokcore.records.run_record import RunRecord

Array = npt.NDArray[np.float64]


class Expected(NamedTuple):
    """What the runs of a sweep that were over said of one when it was first handed out."""

    chance: float | None = None
    """Chance to generalise by their map; None where it says none."""
    level: float = 0.0
    """What they add to the log odds of its forecast hazards."""

    @classmethod
    def of(cls, value: Any) -> Self:
        """Return what was written down: a chance and a level, or a chance alone, as before there was a level."""
        chance, level = value if isinstance(value, (list, tuple)) else (value, 0.0)
        return cls(None if chance is None else float(chance), float(level))


NOTHING: Final = Expected()
"""What is said of a run when too few are over."""


@dataclass(frozen=True, kw_only=True)
class Stopping(Component, abc.ABC):
    """A rule of stopping; its fields are its settings."""

    expects: ClassVar[bool] = False
    """Whether its judge makes use of what the sweep's own runs say of others."""
    taken: ClassVar[float] = 1.0
    """Share of the steps that runs still take under it; of ours as ``python -m benchmarks.forecast`` prints it."""

    def misfits(self, rule: RegimeRule, families: Iterable[str]) -> Iterator[str]:  # noqa: ARG002 - most take all
        """Yield why this rule of stopping cannot judge runs under a rule, or of tasks of some families."""
        yield from ()

    @abc.abstractmethod
    def judge(self, rule: RegimeRule) -> Judge | None:
        """Return who is asked of every run of a sweep under `rule`; None if no run is ever stopped."""

    def level(self, rule: RegimeRule, records: Iterable[RunRecord], expected: Mapping[str, Expected]) -> float:  # noqa: ARG002
        """Return what the runs of a sweep that are over, of which something was `expected`, say of the level of others.

        A rule that makes no use of it returns 0.
        """
        return 0.0

    def expecting(self, rule: RegimeRule, expected: Mapping[str, Expected]) -> Judge | None:  # noqa: ARG002
        """Return the judge of runs of which the sweep's own runs said what is `expected`, by identity.

        A rule that makes no use of them judges as it does without.
        """
        return self.judge(rule)


STOPPING: ComponentRegistry[Stopping] = ComponentRegistry("sweeps.stopping", Stopping, "rule of stopping")  # type: ignore[type-abstract]


def told(name: str, options: Mapping[str, Any], rule: RegimeRule) -> str:
    """Return what `judge_of` reads on another host."""
    return json.dumps({"name": name, "options": dict(options), "rule": rule.to_section()})


def judge_of(text: str, expected: Mapping[str, Any] | None = None) -> Judge | None:
    """Return the judge that `told` described, for runs of which something is `expected`, as it was written down."""
    said = json.loads(text)
    stopping: Stopping = STOPPING.member(said["name"])(**said["options"])
    return stopping.expecting(
        RegimeRule(**said["rule"]), {run: Expected.of(one) for run, one in (expected or {}).items()}
    )


class PeerJudge(abc.ABC):
    """Compares the validation accuracies of the runs of a cohort at the same step; audits none.

    Its verdicts depend on the company: the peers of a run are those trained beside it that reach that step too. A
    cohort of one stops nothing, and the same run may go on among others. What it decided is in the record.
    """

    @abc.abstractmethod
    def looks(self, config: RunConfig) -> frozenset[int]:
        """Return the steps at which runs are compared."""

    @abc.abstractmethod
    def losers(self, best: Array, now: Array, step: int) -> list[str]:
        """Return why each run is stopped, from its best accuracy so far and that at `step`, (N,) each; or nothing."""

    def verdicts(self, runs: Sequence[tuple[RunConfig, Mapping[str, Any]]], step: int) -> list[str]:
        """Return why each run is stopped; empty where it goes on."""
        curves = [np.asarray(curves["val_accuracy"], dtype=float) for _, curves in runs]
        known = [curve[np.isfinite(curve)] for curve in curves]
        # A run whose accuracy is not a number at any step is as bad as one can be.
        best = np.array([curve.max() if len(curve) else 0.0 for curve in known])
        now = np.array([curve[-1] if len(curve) else 0.0 for curve in known])
        return self.losers(best, now, step)

    def rules_out(self, config: RunConfig) -> RuledOut:  # noqa: ARG002
        """Return nothing: being worse than others now says nothing of later."""
        return RuledOut()

    def audited(self, config: RunConfig) -> bool:  # noqa: ARG002
        """Return False."""
        return False

    def remark(self, config: RunConfig, curves: Mapping[str, Any]) -> str:  # noqa: ARG002
        """Return nothing."""
        return ""
