"""Judging: runs of a cohort that are stopped because the rest of their budget is not worth its steps."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from grokcore.engine.run_state import RunState
from grokcore.records.run_record import Ending, Outcome, RuledOut, RunRecord
from grokcore.run_config import RunConfig


class Judge(Protocol):
    """Says which runs are not worth the rest of their budget.

    What it says should follow from a run's own past alone, so that it says the same wherever, and however often
    interrupted, the run is trained. One that compares the runs it is given stops others in other company.
    """

    def looks(self, config: RunConfig) -> frozenset[int]:
        """Return the steps at which it is asked; those of them that are evaluated count."""

    def verdicts(self, runs: Sequence[tuple[RunConfig, Mapping[str, Any]]], step: int) -> list[str]:
        """Return why each run need not go on after `step`, from its curves so far; empty where it should."""

    def rules_out(self, config: RunConfig) -> RuledOut:
        """Return until which step, and at which accuracy, a verdict rules out that a run generalises, if it does."""

    def audited(self, config: RunConfig) -> bool:
        """Say whether a run goes on whatever the verdict, to see how often that is wrong."""

    def remark(self, config: RunConfig, curves: Mapping[str, Any]) -> str:
        """Return what is written down of an audited run that is over: where it would have been stopped, or nothing."""


def judged(judge: Judge | None, going: Sequence[RunState], step: int) -> dict[int, Ending]:
    """Return the runs that a judge stops after `step`, by identity, each with why."""
    if judge is None:
        return {}
    asked = [run for run in going if step in judge.looks(run.config) and not judge.audited(run.config)]
    reasons = judge.verdicts([(run.config, run.curves()) for run in asked], step) if asked else []
    return {
        id(run): Ending(Outcome.STOPPED, why, *judge.rules_out(run.config))
        for run, why in zip(asked, reasons, strict=True)
        if why
    }


def remarked(judge: Judge | None, record: RunRecord) -> RunRecord:
    """Return a record with what there is to say of it if its run was audited."""
    if judge is None or record.reason or not judge.audited(record.config):
        return record
    remark = judge.remark(record.config, record.columns)
    if not remark:
        return record
    step, accuracy = judge.rules_out(record.config)
    return dataclasses.replace(record, reason=remark, ruled_out=step, ruled_out_accuracy=accuracy)
