"""The bridge between a `Driver` and Ray Tune: a searcher that hands out cohorts, a callback that takes records back.

Neither holds state worth saving: what a sweep has done is in its store, from which a new driver is built.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from grokcore.run_config import RunConfig
from sweeps.driver import Driver
from sweeps.progress import Watcher, Work


class CohortSearcher(Searcher):
    """Suggests one cohort per Tune trial, as long as the driver has any and `limit` allows."""

    def __init__(
        self,
        driver: Driver,
        settings: dict[str, Any],
        limit: Callable[[], int],
        layout: Callable[[RunConfig], str],
    ) -> None:
        super().__init__()
        self._driver, self._settings, self._limit, self._layout = driver, settings, limit, layout
        self._cohorts: dict[str, str] = {}

    def suggest(self, trial_id: str) -> Any:
        """Return the configuration of a cohort's trial; None to be asked again later."""
        if self._driver.finished:
            return str(Searcher.FINISHED)
        if self._driver.cohorts_out >= self._limit():
            return None
        task = self._driver.next_cohort()
        if task is None:
            return None
        self._cohorts[trial_id] = task.name
        members = json.dumps([config.to_dict() for config in task.configs])
        layout = self._layout(task.configs[0])
        expected = json.dumps(task.expected)
        return {**self._settings, "cohort": task.name, "members": members, "expected": expected, "layout": layout}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Take the cohort back; with an error its reason was noted by the callback."""

    def save(self, checkpoint_path: str) -> None:
        """Save nothing: the store is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Restore nothing: the store is the state."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


LOST = "its worker died"
"""The reason of a cohort that did nothing wrong."""


class StartsInPeace(FIFOScheduler):
    """Gives a worker that falls free to a cohort that has none, not to one whose worker is starting elsewhere.

    Tune's own order gives it to the cohort that waits longest and ends the worker that was starting for it: where
    cohorts take less time than workers to start, one host trains and all others start workers for ever.
    """

    def __init__(self, slots: Callable[[], int]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._slots, self._added = slots, 0
        self._order: dict[str, int] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:  # noqa: ARG002
        """Note the order in which cohorts came."""
        self._added += 1
        self._order[trial.trial_id] = self._added

    def choose_trial_to_run(self, tune_controller: Any) -> Any:
        """Return the cohort that waits longest, or while workers are starting the one that came last."""
        live = tune_controller.get_live_trials()
        waiting = [trial for trial in live if trial.status in (Trial.PENDING, Trial.PAUSED)]
        running = sum(trial.status == Trial.RUNNING for trial in live)
        choose = min if running + 1 >= self._slots() else max
        return choose(waiting, key=lambda trial: self._order[trial.trial_id], default=None)


class Recorder(tune.Callback):
    """Takes records out of every report and cohorts back when they are over; tells a watcher what happens."""

    def __init__(self, driver: Driver, watcher: Watcher) -> None:
        self._driver, self._watcher = driver, watcher

    def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: dict[str, Any], **info: Any) -> None:  # noqa: ARG002
        """Store the records; they leave the report, which Tune keeps."""
        records = [self._driver.reported(values) for values in result.pop("records", ())]
        new = self._driver.receive(records)
        work = Work(**{name: result[name] for name in ("run_steps", "cpu_seconds", "train_seconds")})
        if work.run_steps:
            self._driver.progressed(trial.config["cohort"])
        self._watcher.wanted = self._driver.wanted
        self._watcher.trained(work, self._driver.running)
        if result["trouble"]:
            self._watcher.note(f"a checkpoint could not be kept: {result['trouble']}")
        self._watcher.finished(new)

    def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:  # noqa: ARG002
        """Take the cohort back."""
        self._watcher.finished(self._driver.ended(trial.config["cohort"]))

    def on_trial_recover(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:  # noqa: ARG002
        """Say that a cohort lost its worker and will be gone on with."""
        self._watcher.note(f"cohort {trial.config['cohort']} goes on from its checkpoint after: {_reason(trial)}")

    def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:  # noqa: ARG002
        """Take back a cohort that failed for good.

        Tune calls it that too if the end of a worker is reported twice, by the worker and by what it was asked to do,
        and the cohort is waiting for another one by then; so who lost a worker is counted by the driver.
        """
        cohort, reason = trial.config["cohort"], _reason(trial)
        if reason == LOST and self._driver.lost(cohort):
            self._watcher.note(f"cohort {cohort} goes on from its checkpoint after: {reason}")
            return
        self._watcher.note(f"cohort {cohort} failed: {reason}")
        self._watcher.finished(self._driver.ended(cohort, reason))

    def __getstate__(self) -> dict[str, Any]:
        return {}


def _reason(trial: Any) -> str:
    """Return the sentence of the last error of a trial, without the traceback in front of it."""
    path = Path(trial.error_file) if trial.error_file else None
    lines = path.read_text(errors="replace").splitlines() if path is not None and path.exists() else []
    sentences = [line.strip() for line in lines if line.strip()]
    lost = [line for line in sentences if "actor died" in line.lower() or "actor is dead" in line.lower()]
    return LOST if lost else sentences[-1] if sentences else "an unknown error"
