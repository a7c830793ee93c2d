"""The engine against the plain way: run-steps per second on one thread, and how near the processor's peak it comes.

``python -m benchmarks.engine [SHAPE ...]`` alternates short repetitions of the plain PyTorch loop (benchmarks/plain.py)
and of the engine on the same run, and prints medians; "peak" is a float32 matrix product of 512 × 512, which the cache
holds, measured between them, by the library that the engine takes (grokcore/numerics/matmul.py), and the share of it
counts the operations of the engine's own matrix products (``FlopCounterMode``), less padding. With
``GROKMAP_MATMUL=mkl`` both ways multiply with what torch takes by itself. The last columns are the roofline of a
run-step: operations of its products and bytes beyond the cache that it needs, the time they would take at the peak and
at the bandwidth of a copy, and what it takes.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from unittest import mock

import torch
from torch.utils.flop_counter import FlopCounterMode

import grokcore.numerics.matmul
from benchmarks.plain import build, parameter_count
from grokcore.data.bucketing import distinct_count
from grokcore.engine.cohort import Cohort
from grokcore.engine.devices.named import device_named
from grokcore.engine.width_tuning import measured_width
from grokcore.numerics.matmul import matmul, matmul_library
from grokcore.numerics.processor import processor
from grokcore.run_config import RunConfig

SHAPES: dict[str, dict[str, Any]] = {
    "small-mlp": {
        "task": {"name": "modular_addition", "modulus": 31},
        "model": {"name": "mlp", "width": 64, "inputs": "embedding"},
        "fraction": 0.5,
    },
    "embedding-mlp": {
        "task": {"name": "modular_addition", "modulus": 97},
        "model": {"name": "mlp", "width": 64, "inputs": "embedding"},
        "fraction": 0.5,
    },
    "deep-mlp": {
        "task": {"name": "modular_addition", "modulus": 113},
        "model": {"name": "mlp", "width": 200, "depth": 2, "inputs": "one_hot", "combine": "concat", "bias": False},
        "fraction": 0.4,
    },
    "transformer": {
        "task": {"name": "modular_addition", "modulus": 113},
        "model": {"name": "transformer"},
        "fraction": 0.3,
    },
    "power": {
        "task": {"name": "modular_addition", "modulus": 97},
        "model": {"name": "transformer", "layers": 2, "norm": "post", "operator_token": True, "bias": False},
        "fraction": 0.5,
        "batch": 512,
    },
}
"""The shapes that are compared; each a run of full-batch AdamW."""


@dataclass
class Reading:
    """What one shape came to."""

    plain: float
    """Run-steps per second of the plain loop (median)."""
    engine: float
    """Run-steps per second of the engine (median)."""
    ratio: float
    """Median over repetitions of engine over plain, each pair taken back to back."""
    share: float
    """Floating-point operations of the engine's matrix products per second, over the peak (median)."""
    operations: float
    """Floating-point operations of a run-step's matrix products."""
    bytes: float
    """What a run-step moves beyond the cache, by the memory that is predicted for it."""
    roof: float
    """Seconds of a run-step whose products run at the peak and whose bytes move as in a copy, one after the other."""
    width: int
    """Runs per cohort."""


def config(shape: str) -> RunConfig:
    """Return the run of a shape."""
    optimizer = {"name": "adamw", "rate": 1e-3, "decay": 1.0, "betas": [0.9, 0.98], "warmup": 10}
    return RunConfig.from_dict({**SHAPES[shape], "optimizer": optimizer, "steps": 10**6})


def _seconds(work: Callable[[], object]) -> float:
    """Return what the one thread took, without the time that others had its core."""
    begun = time.thread_time()
    work()
    return time.thread_time() - begun


def _repeat(work: Callable[[], None], times: int) -> None:
    for _ in range(times):
        work()


def _peak() -> float:
    a, b, out = (torch.randn(1, 512, 512) for _ in range(3))
    return 2 * 512**3 / min(_seconds(lambda: matmul(a, b, out=out)) for _ in range(30))


def _bandwidth() -> float:
    """Return the bytes per second of a copy that no cache holds."""
    source, target = torch.randn(1 << 24), torch.empty(1 << 24)
    return 8 * len(source) / min(_seconds(lambda: target.copy_(source)) for _ in range(5))


def needed_bytes(run: RunConfig) -> float:
    """Return the bytes of a step: AdamW reads four numbers per weight and writes three; activations come and go."""
    examples = distinct_count(run) if run.batch == "full" else run.batch
    return 4.0 * (7 * parameter_count(run) + 2 * activations(run) * examples)


def activations(run: RunConfig) -> int:
    """Return how many numbers a step keeps of an example for the way back, counted by torch on a few of them."""
    drawn = run.initialisation.initial(run.model, run.task, torch.Generator().manual_seed(0))
    parameters = {name: value.float().unsqueeze(0).requires_grad_() for name, value in drawn.items()}
    known = {value.data_ptr() for value in parameters.values()}
    kept: dict[int, int] = {}

    def note(value: torch.Tensor) -> torch.Tensor:
        if value.data_ptr() not in known:
            kept[value.data_ptr()] = max(kept.get(value.data_ptr(), 0), value.numel())
        return value

    inputs = torch.from_numpy(run.task.table.inputs[:32].copy()).unsqueeze(0)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda value: value):
        outputs = run.model.forward(run.task, parameters, inputs)
    return (sum(kept.values()) + 3 * outputs.numel()) // inputs.shape[1]


def _operations(cohort: Cohort) -> int:
    """Return the operations of a step's products, which torch counts where it is torch that multiplies."""
    by_torch = mock.patch.object(grokcore.numerics.matmul, "matmul_library", return_value="mkl")
    with torch.no_grad(), by_torch, FlopCounterMode(display=False) as counter:
        cohort.train_to(cohort.step + 1)
    return int(counter.get_total_flops())


def measure(shape: str, repetitions: int, seconds: float) -> Reading:
    """Alternate the two ways `repetitions` times, about `seconds` each."""
    run = config(shape)
    width = measured_width(run)
    cohort = Cohort([run] * width)
    plain = build(run)
    with device_named("cpu").computing():
        torch.set_flush_denormal(False)
        operations = _operations(cohort)
        full = 1.0
        if run.batch == "full":
            weights = cohort.stack.examples.training_set().weights
            full = float(weights.count_nonzero() / weights.numel())
        flops = operations * full / width
        plain.step()
        plain_steps = max(1, int(seconds / _seconds(plain.step)))
        engine_steps = max(1, int(seconds / _seconds(lambda: cohort.train_to(2))))
        readings = []
        for _ in range(repetitions):
            slow = plain_steps / _seconds(partial(_repeat, plain.step, plain_steps))
            torch.set_flush_denormal(True)
            with torch.no_grad():
                fast = width * engine_steps / _seconds(lambda: cohort.train_to(cohort.step + engine_steps))
            torch.set_flush_denormal(False)
            readings.append((slow, fast, fast / slow, flops * fast / _peak()))
        roof = flops / _peak() + needed_bytes(run) / _bandwidth()
    plain_rate, engine_rate, ratio, share = (statistics.median(column) for column in zip(*readings, strict=True))
    return Reading(plain_rate, engine_rate, ratio, share, flops, needed_bytes(run), roof, width)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shapes", nargs="*", metavar="SHAPE", help=f"of {', '.join(SHAPES)}; all if none is given")
    parser.add_argument("--repetitions", type=int, default=7, help="alternating repetitions (default 7)")
    parser.add_argument("--seconds", type=float, default=1.5, help="seconds of each (default 1.5)")
    given = parser.parse_args()
    print(f"products of the engine by {matmul_library()}, on {processor()}")
    columns = ("plain steps/s", "engine", "ratio", "of peak", "width", "GFLOP", "MB", "roof ms", "ms")
    print(f"{'shape':<16}" + "".join(f"{name:>{max(9, len(name) + 2)}}" for name in columns))
    for shape in given.shapes or SHAPES:
        r = measure(shape, given.repetitions, given.seconds)
        print(
            f"{shape:<16}{r.plain:>15,.1f}{r.engine:>9,.1f}{r.ratio:>9.2f}{r.share:>9.2f}{r.width:>9}"
            f"{r.operations / 1e9:>9.3f}{r.bytes / 1e6:>9.1f}{1e3 * r.roof:>9.2f}{1e3 / r.engine:>9.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
