"""Halfway: a run that has not generalised by half of its budget is stopped there."""

from dataclasses import dataclass

from grokcore.records.run_record import RuledOut
from sweeps.stopping.base import Stopping


class HalfwayJudge:
    """Looks once, in the middle."""

    def looks(self, config):
        return frozenset(step for step in range(config.steps // 2, config.steps))

    def verdicts(self, runs, step):
        return ["" if max(curves["val_accuracy"]) > 0.9 else "had not generalised by half" for _, curves in runs]

    def rules_out(self, config):
        return RuledOut()

    def audited(self, config):
        return False

    def remark(self, config, curves):
        return ""


@dataclass(frozen=True, kw_only=True)
class Halfway(Stopping):
    """No settings."""

    def judge(self, rule):
        return HalfwayJudge()
