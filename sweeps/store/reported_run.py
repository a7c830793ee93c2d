"""ReportedRun: a finished run as its worker reports it, so that the driver need not read the whole record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from grokcore.records.milestones import Milestone, Split
from grokcore.records.regimes import Regime, RegimeRule
from grokcore.records.run_record import Outcome, RuledOut, RunRecord
from grokcore.run_config import RunConfig


def report(record: RunRecord, threshold: float) -> dict[str, Any]:
    """Return what a worker sends of a finished run: what the driver asks for, and the record as text."""
    milestones = {split: record.milestone(split, threshold) for split in ("train", "val")}
    return {
        "run_id": record.run_id,
        "outcome": str(record.outcome),
        "reason": record.reason,
        "ruled_out": record.word,
        "threshold": threshold,
        "steps": record.steps,
        **{split: [milestone.event, milestone.step] for split, milestone in milestones.items()},
        "record": record.to_json(),
    }


@dataclass(frozen=True, kw_only=True)
class ReportedRun:
    """What the driver needs of a finished run; its record is written down as it came."""

    config: RunConfig
    """The run."""
    outcome: Outcome
    """How it ended."""
    reason: str
    """Why, where there is something to say."""
    word: RuledOut
    """What a forecast ruled out of it, if one stopped it."""
    threshold: float
    """Accuracy at which its milestones are known."""
    milestones: Mapping[Split, Milestone]
    """Those of both splits."""
    steps: int
    """The last optimizer step that was evaluated."""
    text: str
    """The record as one line of JSON."""

    @classmethod
    def of(cls, values: Mapping[str, Any], config: RunConfig | None) -> ReportedRun:
        """Return the run that `report` described; its configuration is read from the record where it is not known."""
        milestones: dict[Split, Milestone] = {
            "train": Milestone(event=values["train"][0], step=values["train"][1]),
            "val": Milestone(event=values["val"][0], step=values["val"][1]),
        }
        return cls(
            config=config or RunRecord.from_json(values["record"]).config,
            outcome=Outcome(values["outcome"]),
            reason=values["reason"],
            word=RuledOut(*values["ruled_out"]),
            threshold=values["threshold"],
            milestones=milestones,
            steps=values["steps"],
            text=values["record"],
        )

    @property
    def run_id(self) -> str:
        """Return the identity of the run."""
        return self.config.run_id

    def milestone(self, split: Split, threshold: float) -> Milestone:
        """Return when `split` accuracy first reached `threshold`."""
        if threshold != self.threshold:
            return RunRecord.from_json(self.text).milestone(split, threshold)
        return self.milestones[split]

    def regime_under(self, rule: RegimeRule) -> Regime:
        """Return the run's regime under `rule`."""
        return rule.label(self.milestone("train", rule.threshold), self.milestone("val", rule.threshold))

    def to_json(self) -> str:
        """Return the record as one line of JSON."""
        return self.text
