"""train: the public door to the engine. Any number of configurations in, as many records out."""

from __future__ import annotations

import dataclasses
import functools
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

from grokcore.engine.cohort import Cohort, SnapshotCallback
from grokcore.engine.devices.base import Device
from grokcore.engine.devices.named import device_named
from grokcore.engine.early_stopping import EarlyStopping
from grokcore.engine.grouping import cohort_key, problem_key
from grokcore.engine.width_tuning import tuned
from grokcore.errors import ConfigError
from grokcore.lazy_torch import torch
from grokcore.measures.base import MeasureChoice
from grokcore.records.run_record import Outcome, RunRecord
from grokcore.run_config import RunConfig

CHECKPOINT_SECONDS = 60.0
"""Time between two copies of a cohort that are kept in case the device runs out of memory."""

OutOfMemoryError = torch.OutOfMemoryError
"""What a device raises that has too little memory."""

_log = logging.getLogger("grokcore")


def train(
    configs: Iterable[RunConfig],
    device: str | Device = "cpu",
    retire: EarlyStopping | None = None,
    progress: Callable[[RunRecord], None] | None = None,
    *,
    measures: MeasureChoice = "light",
    on_snapshot: SnapshotCallback | None = None,
) -> list[RunRecord]:
    """Train every configuration and return the records in the same order.

    Configurations of one problem are stacked into cohorts of the layout and width that were measured to be best on the
    device; one that does not fit into its memory is halved and goes on. A run stops before its budget only by
    `retire`. `progress` is called with each record as its run ends. Equal configurations are trained once. `measures`
    names what is measured on the way: a set ("none", "light", "full", "circuit") or measures; `on_snapshot` is called
    with a run's configuration, step and weights at the steps at which it is measured. Raises `ConfigError` for a
    device that is not there, and for a run that does not fit into its memory.

    >>> from grokcore import RunConfig
    >>> config = RunConfig.from_dict({
    ...     "task": "modular_addition", "task.modulus": 7, "model": "mlp", "model.width": 16, "optimizer": "adamw",
    ...     "optimizer.rate": 0.01, "fraction": 0.8, "steps": 200,
    ... })
    >>> [record] = train([config], measures="none")
    >>> record.outcome, record.steps
    (<Outcome.FINISHED: 'finished'>, 200)
    """
    configs = list(configs)
    device = device if isinstance(device, Device) else device_named(device)
    records: dict[str, RunRecord] = {}
    for layout, runs in _cohorts({config.run_id: config for config in configs}.values(), device):
        cohort = Cohort(runs, device, retire, measures=measures, on_snapshot=on_snapshot, layout=layout)
        for record in _run(cohort):
            records[record.run_id] = record
            if progress is not None:
                progress(record)
    return [records[config.run_id] for config in configs]


def _cohorts(configs: Iterable[RunConfig], device: Device) -> Iterator[tuple[str, list[RunConfig]]]:
    """Yield a layout and the runs of a cohort until all are in one."""
    for problem in _grouped(configs, problem_key):
        layout = tuned(problem[0], device, wanted=len(problem)).layout
        for runs in _grouped(problem, functools.partial(cohort_key, layout=layout)):
            width = tuned(runs[0], device, wanted=len(runs), layout=layout).width
            for start in range(0, len(runs), width):
                yield layout, runs[start : start + width]


def _grouped(configs: Iterable[RunConfig], key: Callable[[RunConfig], str]) -> list[list[RunConfig]]:
    groups: dict[str, list[RunConfig]] = defaultdict(list)
    for config in configs:
        groups[key(config)].append(config)
    return list(groups.values())


def _run(cohort: Cohort) -> Iterator[RunRecord]:
    """Train a cohort to its end; where the device runs out of memory, its halves, from where it was last copied."""
    going = {config.run_id: config for config in cohort.configs}
    content, copied = None, time.monotonic()
    while not cohort.done:
        if cohort.device.may_run_out and time.monotonic() - copied > CHECKPOINT_SECONDS:
            content, copied = cohort.to_bytes(), time.monotonic()
        try:
            records = cohort.advance(seconds=1.0)
        except OutOfMemoryError as error:
            halves = halved(list(going.values()), error)
        else:
            for record in records:
                del going[record.run_id]
                yield record
            continue
        for runs in halves:
            yield from _run(cohort.again(runs, content))
        return


def halved(runs: Sequence[RunConfig], error: Exception) -> tuple[Sequence[RunConfig], Sequence[RunConfig]]:
    """Return two halves of the runs of a cohort for which memory was too small; raises `ConfigError` for a lone one."""
    if len(runs) == 1:
        raise ConfigError([f"model, fraction, batch: a run alone does not fit into the device's memory ({error})."])
    middle = len(runs) // 2
    _log.warning("%d runs at a time were too many for the device's memory: now %d.", len(runs), len(runs) - middle)
    return runs[:middle], runs[middle:]


def train_again(
    record: RunRecord, on_snapshot: SnapshotCallback | None = None, progress: Callable[[int], None] | None = None
) -> RunRecord:
    """Train a finished run once more and return its record, which has the same bits; `on_snapshot` takes its weights.

    On the device and in the layout that it was trained in last; on the CPU where that device is not there. `progress`
    is called with the step now and then.
    """
    device, layout = _place_of(record)
    cohort = Cohort([record.config], device, measures="none", on_snapshot=on_snapshot, layout=layout)
    if record.outcome in (Outcome.STOPPED, Outcome.RETIRED):
        cohort.stop(record.run_id, record.reason, at=record.steps, ruled_out=record.word)
    again: list[RunRecord] = []
    while not cohort.done:
        again += cohort.advance(seconds=0.2)
        if progress is not None:
            progress(cohort.step)
    left_early = record.outcome is Outcome.RETIRED and again[0].outcome is Outcome.STOPPED
    return dataclasses.replace(again[0], outcome=Outcome.RETIRED) if left_early else again[0]


def _place_of(record: RunRecord) -> tuple[Device, str | None]:
    """Return where a record's run was trained, and in which layout; the CPU and its own where that is not there."""
    try:
        device = device_named(record.environment.get("device", "cpu"))
        device.check(record.config)
    except ConfigError:
        return device_named("cpu"), None
    layout = record.environment.get("layout")
    return device, layout if layout in device.layouts else None
