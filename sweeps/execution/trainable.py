"""CohortTrainable: a Ray Tune trial that trains one cohort and reports the records of its members."""

from __future__ import annotations

import dataclasses
import io
import json
import time
from collections.abc import Mapping
from typing import Any

import ray
from ray import tune

from grokcore.config.folders import use_files
from grokcore.engine.cohort import Cohort
from grokcore.engine.early_stopping import EarlyStopping
from grokcore.errors import CheckpointError
from grokcore.records.weight_snapshots import pack_snapshot
from grokcore.run_config import RunConfig
from sweeps.store.checkpoint_store import checkpoint_name
from sweeps.store.reported_run import report
from sweeps.store.storage import Place, place

REPORT_SECONDS = 2.0
"""Time between two reports of a cohort: short enough for a live picture, long enough to cost nothing."""


class Courier:
    """Carries one cohort's checkpoints: to the keeper over Ray, or to the storage that all hosts see."""

    def __init__(self, cohort: str, keeper: Any, storage: str | None) -> None:
        self._cohort, self._keeper = cohort, keeper
        self._place: Place | None = place(storage) if storage is not None else None

    def keep(self, content: bytes) -> None:
        """Put a checkpoint in place of the last one; it vanishes if the cohort is over elsewhere."""
        if self._place is None:
            ray.get(self._keeper.keep.remote(self._cohort, content))
            return
        name = checkpoint_name(self._cohort)
        # Asked twice: a worker that is cut off writes nothing, one that was slow takes back what it wrote.
        if self._wanted():
            self._place.write(name, io.BytesIO(content))
            if not self._wanted():
                self._place.delete(name)

    def _wanted(self) -> bool:
        return bool(ray.get(self._keeper.wants.remote(self._cohort)))

    def fetch(self) -> bytes | None:
        """Return the last checkpoint, or None."""
        if self._place is not None:
            return self._place.read(checkpoint_name(self._cohort))
        content: bytes | None = ray.get(self._keeper.fetch.remote(self._cohort))
        return content


class CohortTrainable(tune.Trainable):
    """Trains one cohort in steps of `REPORT_SECONDS`; the process is used again for the next cohort.

    Its configuration: `cohort` (name), `members` (JSON list of run configurations), `device`, `retire`,
    `measures`, `keep_weights`, `threshold` (of the rule),
    `checkpoint_seconds`, `storage` (or None) and `keeper` (name of the actor).
    """

    def setup(self, config: dict[str, Any], components: Mapping[str, bytes] | None = None) -> None:
        """Start the cohort, or go on from its checkpoint if it has one; `components` are files that the sweep names."""
        if components:
            use_files(components)
        self._every, self._threshold = float(config["checkpoint_seconds"]), float(config["threshold"])
        self._keeper = ray.get_actor(config["keeper"])
        self._courier = Courier(str(config["cohort"]), self._keeper, config["storage"])
        configs = [RunConfig.from_dict(values) for values in json.loads(config["members"])]
        early_stopping = EarlyStopping() if config["retire"] else None
        options: dict[str, Any] = {
            "device": config["device"],
            "early_stopping": early_stopping,
            "measures": config["measures"],
        }
        options["on_snapshot"] = self._keep_weights if config["keep_weights"] else None
        self._cohort = self._resumed(configs, options) or Cohort(configs, **options)
        self._kept_at, self._began = time.monotonic(), time.time()

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next cohort in this process."""
        self.setup(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Train for a moment; report what finished, what was done and what it cost."""
        moment = min(REPORT_SECONDS, self._every / 2)
        # The records of the last report are in the store by now: only then may a checkpoint leave them out.
        due = time.monotonic() - self._kept_at + moment > self._every
        trouble = self._keep() if due else ""
        before, cpu, wall = self._cohort.run_steps, time.process_time(), time.monotonic()
        trained = self._began, max(self._began, time.time())
        records = [dataclasses.replace(record, trained=trained) for record in self._cohort.advance(seconds=moment)]
        return {
            "records": [report(record, self._threshold) for record in records],
            "run_steps": self._cohort.run_steps - before,
            "cpu_seconds": time.process_time() - cpu,
            "train_seconds": time.monotonic() - wall,
            "trouble": trouble,
            "done": self._cohort.done,
        }

    def cleanup(self) -> None:
        """Keep what an interrupted cohort has done."""
        if not self._cohort.done:
            self._keep()

    def _keep(self) -> str:
        """Keep a checkpoint; return why that failed, if it did: training goes on without."""
        self._kept_at = time.monotonic()
        try:
            self._courier.keep(self._cohort.to_bytes())
        except (OSError, ray.exceptions.RayError) as error:
            return str(error).strip().splitlines()[-1]
        return ""

    def _keep_weights(self, config: RunConfig, step: int, weights: dict[str, Any]) -> None:
        ray.get(self._keeper.keep_weights.remote(config.run_id, step, pack_snapshot(config, step, weights)))

    def _resumed(self, configs: list[RunConfig], options: dict[str, Any]) -> Cohort | None:
        content = self._courier.fetch()
        if content is None:
            return None
        try:
            return Cohort.from_bytes(content, configs, **options)
        except CheckpointError:
            # A damaged checkpoint costs the work since the start of the cohort, never the cohort.
            return None
