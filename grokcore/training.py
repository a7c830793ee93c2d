"""train: the public door to the engine. Any number of configurations in, as many records out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable

from grokcore.cohort import Cohort, Keep
from grokcore.config import RunConfig
from grokcore.measures.base import Choice
from grokcore.record import RunRecord
from grokcore.retirement import Retirement
from grokcore.shape import cohort_key
from grokcore.width import measured_width


def train(
    configs: Iterable[RunConfig],
    device: str = "cpu",
    retire: Retirement | None = None,
    progress: Callable[[RunRecord], None] | None = None,
    *,
    measures: Choice = "light",
    keep: Keep | None = None,
) -> list[RunRecord]:
    """Train every configuration and return the records in the same order.

    Configurations of one shape are stacked into cohorts of the width that was measured to be best. A run stops before
    its budget only by `retire`. `progress` is called with each record as its run ends. Equal configurations are
    trained once. `measures` names what is measured on the way: a set ("none", "light", "full", "circuit") or measures;
    `keep` is called with a run's configuration, step and weights at the steps at which it is measured.
    """
    configs = list(configs)
    groups: dict[str, dict[str, RunConfig]] = defaultdict(dict)
    for config in configs:
        groups[cohort_key(config)][config.run_id] = config
    records: dict[str, RunRecord] = {}
    for group in groups.values():
        members = list(group.values())
        width = measured_width(members[0], device, wanted=len(members))
        for start in range(0, len(members), width):
            cohort = Cohort(members[start : start + width], device, retire, measures=measures, keep=keep)
            while not cohort.done:
                for record in cohort.advance(seconds=1.0):
                    records[record.run_id] = record
                    if progress is not None:
                        progress(record)
    return [records[config.run_id] for config in configs]
