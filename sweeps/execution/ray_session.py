"""RaySession: Ray itself, an embedded one or the cluster that is there, and the Tune experiment of one sweep on it."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import signal
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Self

import ray
from ray import tune
from ray.tune.error import TuneError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from grokcore.config.folders import use_files
from grokcore.data.bucketed import Bucketed
from grokcore.engine.devices.cpu import Cpu
from grokcore.engine.grouping import cohort_key, problem_key
from grokcore.engine.width_tuning import Tuning, tuned
from grokcore.errors import ConfigError, GrokmapError
from grokcore.numerics.processor import pin_threads
from grokcore.run_config import RunConfig
from sweeps.driver import Driver
from sweeps.execution.address import asked_for, found
from sweeps.execution.joining import connect, full
from sweeps.execution.preflight import preflight
from sweeps.execution.ray_watch import RayLostError, RayWatch
from sweeps.execution.searcher import CohortSearcher, Recorder, StartsInPeace
from sweeps.execution.trainable import CohortTrainable
from sweeps.progress import Watcher
from sweeps.spec.sweep_spec import SweepSpec
from sweeps.stopping.base import told
from sweeps.store.checkpoint_store import CheckpointStore
from sweeps.store.run_store import Store

TUNE_SETTINGS = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # no CSV, JSON and TensorBoard files beside our own store
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000",  # our store is the state; snapshots would grow with the sweep
    "TUNE_MAX_PENDING_TRIALS_PG": "1000",  # the searcher itself limits how many cohorts are out
    "TUNE_WARN_THRESHOLD_S": "10",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
"""Switches of Ray Tune, set where they are not set already."""

SLOTS_SECONDS = 5.0
"""How long the size of the cluster is believed before it is looked up again."""


class RaySession:
    """Ray for one sweep: starts an embedded one unless a cluster is there, and stops what it started.

    A cluster is found by `address`, by RAY_ADDRESS, or because this host belongs to one (``ray start``).
    """

    def __init__(
        self,
        spec: SweepSpec,
        store: Store,
        address: str | None = None,
        *,
        slots: int | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.spec, self._store, self._say, self._most = spec, store, say, slots
        self._checked: set[str] = set()
        self._lost = False
        self._tunings: dict[str, Tuning] = {}
        self._slots, self._slots_at = 0, float("-inf")
        for name, value in TUNE_SETTINGS.items():
            os.environ.setdefault(name, value)
        logging.getLogger("ray").setLevel(logging.ERROR)
        logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
        # The driver shares the machine with the workers: the models of samplers get one thread.
        self._threads = pin_threads(1)
        self._own = not ray.is_initialized()
        instead = None if asked_for(address) else say
        self.embedded = self._own and connect(found(address), slots, instead)
        try:
            self._check_devices()
            if not self.embedded:
                self._preflight(ray.nodes())  # type: ignore[no-untyped-call]
            self._store_name = f"grokmap-checkpoints-{uuid.uuid4().hex[:12]}"
            here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
            options = {"name": self._store_name, "num_cpus": 0, "scheduling_strategy": here}
            options |= {"max_restarts": -1, "max_task_retries": -1}
            # The handle keeps the actor alive as long as the session.
            actor: Any = ray.remote(CheckpointStore)
            self._checkpoints = actor.options(**options).remote(str(store.path.resolve()), store.storage)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the checkpoint store, and Ray itself if this session started or joined it."""
        if (store := getattr(self, "_checkpoints", None)) and not self._lost:
            ray.kill(store)
        if self._own:
            ray.shutdown()
        pin_threads(self._threads)

    def slots(self) -> int:
        """Return how many cohorts the cluster can train at once, as it is now."""
        if time.monotonic() - self._slots_at > SLOTS_SECONDS:
            if self.spec.device == "cuda":
                self._slots = gpu_slots(ray.nodes(), self.spec.device_share)  # type: ignore[no-untyped-call]
            else:
                self._slots = int(_cluster().get("CPU", 0))
            self._slots_at = time.monotonic()
        return max(1, min(self._slots, self._most or self._slots))

    def _preflight(self, nodes: Iterable[Mapping[str, Any]]) -> None:
        """Check the hosts that have not been checked yet, those that join later as the first ones."""
        new = [node for node in nodes if node["Alive"] and node["NodeID"] not in self._checked]
        if new:
            preflight(new, self.spec.own_storage)
            self._checked |= {str(node["NodeID"]) for node in new}

    def forget(self, cohort: str) -> None:
        """Delete the checkpoint of a cohort that is over, and refuse those still on their way."""
        ray.get(self._checkpoints.forget.remote(cohort))

    def width(self, config: RunConfig) -> int:
        """Return how many runs shaped like `config` train best together."""
        return self.spec.width or self._tuning(config).width

    def layout(self, config: RunConfig) -> str:
        """Return how the examples of such runs lie best; a CPU knows one way."""
        return Bucketed.name if self.spec.device == Cpu.kind else self._tuning(config).layout

    def key(self, config: RunConfig) -> str:
        """Return what the runs of a cohort share."""
        return cohort_key(config, self.layout(config))

    def _tuning(self, config: RunConfig) -> Tuning:
        """Return what is best on a worker, measured once per problem."""
        kind = problem_key(config)
        if kind not in self._tunings:
            if self.embedded and self.spec.device == Cpu.kind:
                self._tunings[kind] = tuned(config, sharing=self.slots())
            else:
                measure: Any = ray.remote(_tuned_there).options(**_resources(self.spec, "num_cpus", "num_gpus"))
                self._tunings[kind] = ray.get(
                    measure.remote(config.to_dict(), self.spec.device, self.spec.component_files, self._sharing())
                )
        return self._tunings[kind]

    def _sharing(self) -> int:
        """Return how many cohorts share the memory of one device: of a card, or of the host with the most cores."""
        if self.spec.device == "cuda":
            return math.floor(1 / self.spec.device_share + 1e-9)
        nodes = ray.nodes()  # type: ignore[no-untyped-call]
        return max([1, *(int(node["Resources"].get("CPU", 0)) for node in nodes if node["Alive"])])

    def tune(self, driver: Driver, watcher: Watcher) -> None:
        """Run the driver's cohorts until there are no more, or an interrupt."""
        settings = {
            "device": self.spec.device,
            "retire": self.spec.retire,
            "stopping": told(self.spec.stopping, self.spec.stopping_options, self.spec.rule),
            "threshold": self.spec.rule.threshold,
            "measures": self.spec.measures,
            "keep_weights": self.spec.keep_weights,
            "checkpoint_seconds": self.spec.checkpoint_seconds,
            # The workers of an embedded Ray write where the driver does.
            "storage": self._store.storage if self.embedded else self.spec.own_storage,
            "checkpoint_store": self._store_name,
        }
        # One cohort waits, so that a slot that falls free has work at once.
        searcher = CohortSearcher(driver, settings, limit=lambda: self.slots() + 1, layout=self.layout)
        watch = RayWatch(embedded=self.embedded, newcomers=self._preflight)
        if not self.embedded and (said := full(_resources(self.spec, "CPU", "GPU"))):
            watcher.note(said)
        try:
            with watch.over():
                self._fit(searcher, Recorder(driver, watcher))
        except RayLostError:
            self._lost = True
            raise

    def _fit(self, searcher: CohortSearcher, recorder: Recorder) -> None:
        with tempfile.TemporaryDirectory(prefix="grokmap-tune-") as folder, _terminable(), _unwrapped():
            tune.Tuner(
                tune.with_resources(self._trainable(), _resources(self.spec, "cpu", "gpu")),
                tune_config=tune.TuneConfig(
                    search_alg=searcher,
                    scheduler=StartsInPeace(self.slots),
                    num_samples=-1,
                    reuse_actors=True,
                    trial_name_creator=_trial_name,
                    trial_dirname_creator=_trial_name,
                ),
                run_config=tune.RunConfig(
                    name=self.spec.name,
                    storage_path=folder,
                    verbose=0,
                    # Tune's own reporter clears the cell of a notebook, whatever it is told of verbosity.
                    progress_reporter=tune.CLIReporter(max_progress_rows=0),
                    callbacks=[recorder],
                    checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                    failure_config=tune.FailureConfig(max_failures=self.spec.retries),
                ),
            ).fit()

    def _trainable(self) -> Any:
        """Return the trainable, which carries the sweep's components to the workers."""
        files = self.spec.component_files
        return tune.with_parameters(CohortTrainable, components=files) if files else CohortTrainable

    def _check_devices(self) -> None:
        if self.spec.device == "cuda" and _cluster().get("GPU", 0) < self.spec.device_share:
            raise ConfigError(
                ['device = "cuda": no node of this Ray has a GPU; take device = "cpu", or a cluster with GPUs.']
            )


@contextlib.contextmanager
def _unwrapped() -> Iterator[None]:
    """Raise an error of ours as it is: Tune hands on what a callback raises as the text of a traceback."""
    try:
        yield
    except TuneError as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, GrokmapError):
            cause = cause.__cause__ or cause.__context__
        if cause is None:
            raise
        raise cause from None


def _cluster() -> dict[str, float]:
    """Return what all nodes of the cluster have together."""
    have: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return have


def gpu_slots(nodes: Iterable[Mapping[str, Any]], share: float) -> int:
    """Return how many cohorts the GPUs of living nodes take: a share lies on one GPU, and a core goes with each."""
    living = [node["Resources"] for node in nodes if node["Alive"]]
    per_gpu = math.floor(1 / share + 1e-9)
    return sum(min(int(have.get("CPU", 0)), per_gpu * int(have.get("GPU", 0))) for have in living)


def _tuned_there(values: dict[str, Any], device: str, components: Mapping[str, bytes], sharing: int) -> Tuning:
    """Return what is best for a run on another host, where the sweep's components may be unknown yet."""
    if components:
        use_files(components)
    return tuned(RunConfig.from_dict(values), device, sharing=sharing)


def _resources(spec: SweepSpec, cpu: str, gpu: str) -> dict[str, float]:
    return {cpu: 1, gpu: spec.device_share} if spec.device == "cuda" else {cpu: 1}


def _trial_name(trial: Any) -> str:
    return f"cohort-{trial.trial_id}"


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end the experiment in the orderly way in which Tune treats Ctrl-C."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: Callable[..., Any] | int | None = signal.signal(
        signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT)
    )
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
