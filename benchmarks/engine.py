"""The engine against the plain way: run-steps per second on one thread, and how near the processor's peak it comes.

``python -m benchmarks.engine [SHAPE ...]`` alternates short repetitions of the plain PyTorch loop (benchmarks/plain.py)
and of the engine on the same run, and prints medians; "peak" is a float32 matrix product of 1024 × 1024 measured
between them, by the library that the engine takes (grokcore/products.py), and the share of it counts the operations of
the engine's own matrix products (``FlopCounterMode``), less padding. With ``GROKMAP_PRODUCTS=mkl`` both ways multiply
with what torch takes by itself.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.plain import build
from grokcore.cohort import Cohort, one_thread
from grokcore.config import RunConfig
from grokcore.environment import processor
from grokcore.products import library, product
from grokcore.width import measured_width

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
    a, b = torch.randn(1, 1024, 1024), torch.randn(1, 1024, 1024)
    return 2 * 1024**3 / min(_seconds(lambda: product(a, b)) for _ in range(5))


def _linear_operations(*shapes: Any, **_: Any) -> int:
    """Return how many operations a product by oneDNN takes; with an addition the second matrix comes third."""
    a, b = shapes[0], shapes[2 if len(shapes) == 5 else 1]
    return int(2 * a[0] * a[1] * b[0])


COUNTED = {torch.ops.mkldnn._linear_pointwise: _linear_operations}
"""Products that torch's counter does not know."""


def measure(shape: str, repetitions: int, seconds: float) -> Reading:
    """Alternate the two ways `repetitions` times, about `seconds` each."""
    run = config(shape)
    width = measured_width(run)
    cohort = Cohort([run] * width)
    plain = build(run)
    with one_thread("cpu"):
        torch.set_flush_denormal(False)
        with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=COUNTED) as counter:
            cohort.train_to(1)
        full = 1.0
        if cohort.examples is not None:
            full = float(cohort.examples.weights.count_nonzero() / cohort.examples.weights.numel())
        flops = counter.get_total_flops() * full / width
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
    plain_rate, engine_rate, ratio, share = (statistics.median(column) for column in zip(*readings, strict=True))
    return Reading(plain_rate, engine_rate, ratio, share, width)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shapes", nargs="*", metavar="SHAPE", help=f"of {', '.join(SHAPES)}; all if none is given")
    parser.add_argument("--repetitions", type=int, default=7, help="alternating repetitions (default 7)")
    parser.add_argument("--seconds", type=float, default=1.5, help="seconds of each (default 1.5)")
    given = parser.parse_args()
    print(f"large products of the engine by {library()}, on {processor()}")
    print(f"{'shape':<16}{'plain steps/s':>15}{'engine':>10}{'ratio':>8}{'of peak':>9}{'width':>7}")
    for shape in given.shapes or SHAPES:
        r = measure(shape, given.repetitions, given.seconds)
        print(f"{shape:<16}{r.plain:>15,.1f}{r.engine:>10,.1f}{r.ratio:>8.2f}{r.share:>9.2f}{r.width:>7}", flush=True)


if __name__ == "__main__":
    main()
