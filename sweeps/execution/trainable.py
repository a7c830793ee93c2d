"""CohortTrainable: a Ray Tune trial that trains one cohort and reports the records of its members."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

import ray
from ray import tune

from grokcore.config.folders import use_files
from grokcore.engine.cohort import Cohort
from grokcore.engine.early_stopping import EarlyStopping
from grokcore.errors import CheckpointError
from grokcore.records.run_record import RunRecord
from grokcore.records.weight_snapshots import pack_snapshot
from grokcore.run_config import RunConfig
from grokcore.training import OutOfMemoryError, halved
from sweeps.execution.checkpoint_uploader import CheckpointUploader
from sweeps.stopping.base import judge_of
from sweeps.store.reported_run import report

REPORT_SECONDS = 2.0
"""Time between two reports of a cohort: short enough for a live picture, long enough to cost nothing."""

FIRST_SECONDS = 0.25
"""The first stretch after a worker was lost: what it did is kept at once, should this one not live longer."""


class CohortTrainable(tune.Trainable):
    """Trains one cohort in steps of `REPORT_SECONDS`; the process is used again for the next cohort.

    Its configuration: `cohort` (name), `members` (JSON list of run configurations), `device`, `layout`, `retire`,
    `stopping` (rule, its settings and the regimes', as JSON), `expected` (chances by run identity, as JSON),
    `measures`, `keep_weights`, `threshold` (of the rule), `checkpoint_seconds`, `storage` (or None) and
    `checkpoint_store` (name of the actor).
    """

    def setup(self, config: dict[str, Any], components: Mapping[str, bytes] | None = None) -> None:
        """Start the cohort, or go on from its checkpoint if it has one; `components` are files that the sweep names."""
        if components:
            use_files(components)
        self._every, self._threshold = float(config["checkpoint_seconds"]), float(config["threshold"])
        self._checkpoints: Any = ray.get_actor(config["checkpoint_store"])
        self._uploader = CheckpointUploader(str(config["cohort"]), self._checkpoints, config["storage"])
        configs = [RunConfig.from_dict(values) for values in json.loads(config["members"])]
        early_stopping = EarlyStopping.asked(config["retire"])
        options: dict[str, Any] = {
            "device": config["device"],
            "layout": config["layout"],
            "early_stopping": early_stopping,
            "measures": config["measures"],
            "judge": judge_of(config["stopping"], json.loads(config["expected"])),
        }
        options["on_snapshot"] = self._keep_weights if config["keep_weights"] else None
        self._cohort = self._resumed(configs, options) or Cohort(configs, **options)
        self._going = {config.run_id: config for config in self._cohort.configs}
        self._waiting: list[Sequence[RunConfig]] = []
        self._halved = False
        self._kept_at, self._began = time.monotonic(), time.time()
        # Another worker had this cohort before, and was lost: whatever comes of this one is kept soon.
        self._hasty = bool(ray.get(self._checkpoints.begin.remote(str(config["cohort"]))))

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next cohort in this process."""
        self.setup(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Train for a moment; report what finished, what was done and what it cost."""
        moment = FIRST_SECONDS if self._hasty else min(REPORT_SECONDS, self._every / 2)
        # The records of the last report are in the store by now: only then may a checkpoint leave them out.
        due = time.monotonic() - self._kept_at + moment > self._every
        trouble = self._keep() if due else ""
        cpu, wall = time.process_time(), time.monotonic()
        records, run_steps = self._advance(moment)
        cpu, wall = time.process_time() - cpu, time.monotonic() - wall
        trained = self._began, max(self._began, time.time())
        if self._hasty:
            self._hasty = bool(records)
            trouble = trouble if records else self._keep()
        return {
            "records": [report(dataclasses.replace(record, trained=trained), self._threshold) for record in records],
            "run_steps": run_steps,
            "cpu_seconds": cpu,
            "train_seconds": wall,
            "trouble": trouble,
            "done": self._cohort.done,
        }

    def _advance(self, seconds: float) -> tuple[list[RunRecord], int]:
        """Train for a moment; return the records of runs that are over, and optimizer steps times runs.

        A cohort for which the device has too little memory is halved: one half goes on from the last checkpoint, the
        other one waits for its end.
        """
        before, halves = self._cohort.run_steps, None
        try:
            records = self._cohort.advance(seconds=seconds)
        except OutOfMemoryError as error:
            halves = halved(list(self._going.values()), error)
        if halves is not None:
            # Only now: the error holds on to what did not fit.
            self._waiting.append(halves[1])
            self._go_on_with(halves[0])
            return [], 0
        for record in records:
            del self._going[record.run_id]
        steps = self._cohort.run_steps - before
        while self._cohort.done and self._waiting:
            self._go_on_with(self._waiting.pop())
        return records, steps

    def _go_on_with(self, runs: Sequence[RunConfig]) -> None:
        self._halved, self._going = True, {config.run_id: config for config in runs}
        try:
            self._cohort = self._cohort.again(runs, self._uploader.fetch())
        except CheckpointError:
            self._cohort = self._cohort.again(runs, None)

    def cleanup(self) -> None:
        """Keep what an interrupted cohort has done."""
        if not self._cohort.done:
            self._keep()

    def _keep(self) -> str:
        """Keep a checkpoint; return why that failed, if it did: training goes on without."""
        self._kept_at = time.monotonic()
        if self._halved:
            # What is kept is of all its members, from which either half can go on; that of a half would not be.
            return ""
        try:
            self._uploader.upload(self._cohort.to_bytes())
        except (OSError, ray.exceptions.RayError) as error:
            return str(error).strip().splitlines()[-1]
        return ""

    def _keep_weights(self, config: RunConfig, step: int, weights: dict[str, Any]) -> None:
        ray.get(self._checkpoints.save_weights.remote(config.run_id, step, pack_snapshot(config, step, weights)))

    def _resumed(self, configs: list[RunConfig], options: dict[str, Any]) -> Cohort | None:
        content = self._uploader.fetch()
        if content is None:
            return None
        try:
            return Cohort.from_bytes(content, configs, **{**options, "layout": None})  # its own
        except CheckpointError:
            # A damaged checkpoint costs the work since the start of the cohort, never the cohort.
            return None
