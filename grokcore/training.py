"""train: the public door to the engine. Any number of configurations in, as many records out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable

from grokcore.engine.cohort import Cohort, SnapshotCallback
from grokcore.engine.early_stopping import EarlyStopping
from grokcore.engine.grouping import cohort_key
from grokcore.engine.width_tuning import measured_width
from grokcore.measures.base import MeasureChoice
from grokcore.records.run_record import Outcome, RunRecord
from grokcore.run_config import RunConfig


def train(
    configs: Iterable[RunConfig],
    device: str = "cpu",
    retire: EarlyStopping | None = None,
    progress: Callable[[RunRecord], None] | None = None,
    *,
    measures: MeasureChoice = "light",
    on_snapshot: SnapshotCallback | None = None,
) -> list[RunRecord]:
    """Train every configuration and return the records in the same order.

    Configurations of one shape are stacked into cohorts of the width that was measured to be best. A run stops before
    its budget only by `retire`. `progress` is called with each record as its run ends. Equal configurations are
    trained once. `measures` names what is measured on the way: a set ("none", "light", "full", "circuit") or measures;
    `on_snapshot` is called with a run's configuration, step and weights at the steps at which it is measured.
    """
    configs = list(configs)
    groups: dict[str, dict[str, RunConfig]] = defaultdict(dict)
    for config in configs:
        groups[cohort_key(config)][config.run_id] = config
    records: dict[str, RunRecord] = {}
    for group in groups.values():
        runs = list(group.values())
        width = measured_width(runs[0], device, wanted=len(runs))
        for start in range(0, len(runs), width):
            cohort = Cohort(runs[start : start + width], device, retire, measures=measures, on_snapshot=on_snapshot)
            while not cohort.done:
                for record in cohort.advance(seconds=1.0):
                    records[record.run_id] = record
                    if progress is not None:
                        progress(record)
    return [records[config.run_id] for config in configs]


def train_again(
    record: RunRecord, on_snapshot: SnapshotCallback | None = None, progress: Callable[[int], None] | None = None
) -> RunRecord:
    """Train a finished run once more and return its record, which has the same bits; `on_snapshot` takes its weights.

    `progress` is called with the step now and then.
    """
    early_stopping = EarlyStopping() if record.outcome is Outcome.RETIRED else None
    cohort = Cohort([record.config], early_stopping=early_stopping, measures="none", on_snapshot=on_snapshot)
    again: list[RunRecord] = []
    while not cohort.done:
        again += cohort.advance(seconds=0.2)
        if progress is not None:
            progress(cohort.step)
        if record.outcome is Outcome.STOPPED and cohort.step >= record.steps:
            cohort.stop(record.run_id, record.reason)
    return again[0]
