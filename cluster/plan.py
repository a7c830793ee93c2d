"""Plan: what of a sweep will run where, how many cohorts at once and how wide, before anything starts."""

from __future__ import annotations

import math
import multiprocessing
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Gt, Le

from grokcore.config.component import Component
from grokcore.errors import ConfigError

if TYPE_CHECKING:
    from grokcore.engine.devices.base import Device
    from grokcore.run_config import RunConfig
    from sweeps.spec.sweep_spec import SweepSpec

MEMORY_SHARE = 0.8
"""Part of a device's memory that cohorts may fill; the rest is the allocator's and the framework's."""
MEMORY_STEPS = 3
"""Optimizer steps after which the memory of a cohort has reached its height."""

STARTUP_SECONDS = 16.0
"""Time from the command to the first training: importing and starting Ray and its workers."""
TRAINING_SHARE = 0.8
"""Part of a slot's time that optimizer steps take; evaluations and measures take the rest."""
SPENT = 0.75
"""Share of its budget that a run spends on average where it may leave once it has generalised."""
WAVE_SECONDS = 3.0
"""Time that an adaptive sampler takes before a wave, in which slots may wait."""
MAP_SECONDS, MAP_SECONDS_PER_RUN = 5.0, 0.03
"""Time that a map takes: a part that is always, and one for each run."""
SAMPLED = 64
"""Runs that are drawn from a space to see how many of a wave have one shape."""

_NODE = re.compile(r"(?:(\d+)x)?(\d+)cpu(?:(\d+)gpu(?:@(\d+(?:\.\d+)?)G)?)?")


@dataclass(frozen=True, kw_only=True)
class Node(Component):
    """A host, as far as a plan needs to know it."""

    name: str
    """Its name."""
    cpus: Annotated[int, Ge(0)]
    """Cores that Ray may give away."""
    gpus: Annotated[int, Ge(0)] = 0
    """GPUs that Ray may give away."""
    gpu_memory: Annotated[float, Gt(0)] | None = None
    """Bytes of each of its GPUs, where known."""
    memory: Annotated[float, Gt(0)] | None = None
    """Bytes of main memory, where known."""


@dataclass(frozen=True, kw_only=True)
class Slot:
    """A place for one cohort: a core, or a share of one GPU and a core to feed it."""

    node: str
    """The host's name."""
    device: str
    """`cpu`, or `cuda:N` on that host."""
    share: Annotated[float, Gt(0), Le(1)] = 1.0
    """Part of the device."""


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """Memory of a cohort: a part that every process needs, and a part for each run in it."""

    base: float
    """Bytes without runs: of the process on a CPU, of what a cohort shares on a card."""
    per_run: float
    """Bytes for each run."""

    def width(self, memory: float) -> int:
        """Return how many runs fit into `memory` bytes of a device; the base lies in main memory."""
        return max(0, int(MEMORY_SHARE * memory / max(self.per_run, 1.0)))


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What will run where."""

    slots: tuple[Slot, ...]
    """Places for cohorts; all train at once."""
    width: int
    """Runs in a cohort."""
    runs: int
    """Runs of the sweep."""
    steps: int
    """Optimizer steps of all runs together, if each spends its whole budget."""
    speed: float
    """Run-steps per second of one slot, measured where the plan was made, evaluations apart."""
    footprint: Footprint
    """Memory of a cohort."""
    waves: int = 1
    """Times that the sampler chooses."""
    spent: float = 1.0
    """Share of the budgets that is expected to be spent: runs may leave once they have generalised, or be stopped."""

    @property
    def seconds(self) -> float:
        """Return the expected time of all, from the command to the map."""
        return self.startup_seconds + self.train_seconds + self.map_seconds

    @property
    def startup_seconds(self) -> float:
        """Return the expected time until the first cohort trains."""
        return STARTUP_SECONDS

    @property
    def train_seconds(self) -> float:
        """Return the expected time of training, if every slot is as fast as one of this machine.

        A wave occupies no more slots than it has cohorts, and its sampler looks at a map first.
        """
        busy = min(len(self.slots), math.ceil(math.ceil(self.runs / self.waves) / self.width))
        return self.spent * self.steps / (TRAINING_SHARE * self.speed * busy) + (self.waves - 1) * WAVE_SECONDS

    @property
    def map_seconds(self) -> float:
        """Return the expected time of fitting the map, drawing and writing it, which one core does."""
        return MAP_SECONDS + self.runs * MAP_SECONDS_PER_RUN

    @property
    def memory(self) -> float:
        """Return the bytes that one cohort's process takes."""
        return self.footprint.base + self.width * self.footprint.per_run


def parse_nodes(text: str) -> tuple[Node, ...]:
    """Read hosts written as ``2x16cpu,32cpu8gpu@80G``: two with 16 cores, one with 32 and eight GPUs of 80 GB each.

    >>> [(node.cpus, node.gpus) for node in parse_nodes("2x16cpu,32cpu8gpu@80G")]
    [(16, 0), (16, 0), (32, 8)]
    """
    nodes: list[Node] = []
    for part in text.replace(" ", "").split(","):
        match = _NODE.fullmatch(part)
        if match is None or int(match[1] or 1) == 0:
            example = "2x16cpu,32cpu8gpu@80G"
            raise ConfigError([f"hosts {part!r}: write them as {example} (count, cores, GPUs, memory of each GPU)."])
        count, cpus, gpus, size = match.groups()
        for _ in range(int(count or 1)):
            memory = float(size) * 1e9 if size else None
            nodes.append(Node(name=f"host-{len(nodes) + 1}", cpus=int(cpus), gpus=int(gpus or 0), gpu_memory=memory))
    return tuple(nodes)


def nodes_of(entries: Iterable[Mapping[str, Any]]) -> tuple[Node, ...]:
    """Return the living hosts among those that Ray lists (``ray.nodes()``)."""
    living = [entry for entry in entries if entry["Alive"]]
    amounts = [entry["Resources"] for entry in living]
    return tuple(
        Node(
            name=str(entry["NodeManagerHostname"]),
            cpus=int(have.get("CPU", 0)),
            gpus=int(have.get("GPU", 0)),
            memory=float(have["memory"]) if have.get("memory") else None,
        )
        for entry, have in zip(living, amounts, strict=True)
    )


def slots(nodes: Sequence[Node], device: str, share: float = 1.0) -> tuple[Slot, ...]:
    """Return every place for a cohort: whole devices in turn, then their next shares; one core goes with each.

    A share never straddles two devices, so a device takes ``floor(1 / share)`` cohorts.
    """
    found: list[Slot] = []
    per_device = math.floor(1 / share + 1e-9)
    for node in nodes:
        if device == "cpu":
            found += [Slot(node=node.name, device="cpu")] * node.cpus
        else:
            places = [f"cuda:{index}" for _ in range(per_device) for index in range(node.gpus)]
            found += [Slot(node=node.name, device=place, share=share) for place in places[: node.cpus]]
    return tuple(found)


def make_plan(spec: SweepSpec, nodes: Sequence[Node]) -> Plan:
    """Return what of `spec` will run where on `nodes`; measures a step and the memory of a run on this machine.

    For cards that this machine does not have, widths and memory are the device's own, on paper; the speed is a core's.

    Raises `ConfigError` if no host has what the sweep asks for.
    """
    places = slots(nodes, spec.device, spec.device_share)
    if not places:
        what = "a GPU and a core to feed it" if spec.device == "cuda" else "a core"
        have = ", ".join(f"{node.name} {node.cpus} cores {node.gpus} GPUs" for node in nodes) or "no hosts"
        raise ConfigError([f'device = "{spec.device}": no host has {what} ({have}). Take "cpu", or other hosts.'])
    config = example(spec)
    device = _device(spec.device)
    footprint = measured_footprint(config) if spec.device == "cpu" else predicted_footprint(config, device)
    width = spec.width or _width(config, device, spec)
    sizes = [node.gpu_memory * spec.device_share for node in nodes if spec.device == "cuda" and node.gpu_memory]
    if sizes and (fits := footprint.width(min(sizes))) < width:
        if fits == 0:
            raise ConfigError([f"one run needs {footprint.per_run / 1e9:.1f} GB, more than {min(sizes) / 1e9:.1f} GB."])
        width = fits
    # As the driver does: no slot is left idle for the sake of a wide cohort.
    width = max(1, min(width, math.ceil(spec.runs / len(places))))
    return Plan(
        slots=places,
        width=width,
        runs=spec.runs,
        steps=spec.runs * config.steps,
        speed=_speed(config, device, _usual_width(spec, device, width)),
        footprint=footprint,
        waves=_waves(spec),
        spent=(SPENT if spec.retire else 1.0) * spec.stopping_rule.taken,
    )


def _waves(spec: SweepSpec) -> int:
    return math.ceil(spec.runs / spec.wave) if spec.built_sampler.adaptive else 1


def _usual_width(spec: SweepSpec, device: Device, width: int) -> int:
    """Return how many runs are trained as one on average: those of a wave that have one shape, `width` at most."""
    from grokcore.engine.grouping import cohort_key, default_layout

    drawn = _drawn(spec, SAMPLED)
    layout = default_layout(drawn[0], device)
    shapes = Counter(cohort_key(config, layout) for config in drawn).values()
    alike = sum((count / SAMPLED) ** 2 for count in shapes)
    return max(1, min(width, round(alike * spec.runs / _waves(spec))))


def _device(name: str) -> Device:
    """Return a device, a card also where this machine has none: then only what is said of it on paper may be used."""
    from grokcore.engine.devices.cpu import Cpu
    from grokcore.engine.devices.cuda import Cuda

    return Cpu(name) if name == "cpu" else Cuda(name)


def _is_here(device: Device) -> bool:
    from grokcore.engine.devices import cuda

    return device.kind == "cpu" or cuda.trouble(device.name) is None


def _width(config: RunConfig, device: Device, spec: SweepSpec) -> int:
    """Return the width that is fastest on the device; its largest, where it is not here to be timed."""
    from grokcore.engine.width_tuning import measured_width

    if not _is_here(device):
        return min(spec.runs, max(device.widths))
    sharing = 1 if device.kind == "cpu" else math.floor(1 / spec.device_share + 1e-9)
    return measured_width(config, device, spec.runs, sharing)


def _speed(config: RunConfig, device: Device, width: int) -> float:
    """Return the run-steps per second of a cohort on the device, or of the best one on a core where it is not here."""
    from grokcore.engine.width_tuning import measured_width, run_steps_per_second

    if _is_here(device):
        return run_steps_per_second(config, width, device)
    return run_steps_per_second(config, measured_width(config, "cpu", width))


def example(spec: SweepSpec) -> RunConfig:
    """Return the run in the middle of the sweep's space."""
    configs = sorted(_drawn(spec, 16), key=lambda config: config.fraction)
    return configs[len(configs) // 2]


def _drawn(spec: SweepSpec, count: int) -> list[RunConfig]:
    """Return runs drawn evenly from the sweep's space."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space = spec.whole_space
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return [space.config(study.ask(space.distributions).params) for _ in range(count)]


def predicted_footprint(config: RunConfig, device: Device) -> Footprint:
    """Return what cohorts take of a device's memory, counted on paper for its own layout."""
    from grokcore.engine.memory import predicted_bytes

    one, two = (predicted_bytes(config, runs, device) for runs in (1, 2))
    return Footprint(base=float(max(0, 2 * one - two)), per_run=float(two - one))


def measured_footprint(config: RunConfig) -> Footprint:
    """Measure the main memory of cohorts of two widths, each in a process of its own, on a CPU."""
    from grokcore.config.folders import folders

    narrow, wide = 1, 33
    context = multiprocessing.get_context("spawn")
    with context.Pool(1, _use_folders, (folders(),), maxtasksperchild=1) as pool:
        small, large = (pool.apply(_peak, (config.to_dict(), width)) for width in (narrow, wide))
    per_run = max(0.0, (large - small) / (wide - narrow))
    return Footprint(base=max(0.0, small - narrow * per_run), per_run=per_run)


def _use_folders(paths: Sequence[Path]) -> None:
    """Find the components here that the process that asks finds."""
    from grokcore.config.folders import use_folder

    for path in reversed(paths):
        use_folder(path)


def _peak(values: dict[str, Any], width: int) -> float:
    from grokcore.engine.cohort import Cohort
    from grokcore.run_config import RunConfig

    config = RunConfig.from_dict(values)
    # The height that importing reached is forgotten, so that the cohort's own is seen.
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    cohort = Cohort([config] * width)
    cohort.train_to(MEMORY_STEPS)
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return 1024.0 * float(status.partition("VmHWM:")[2].split()[0])
