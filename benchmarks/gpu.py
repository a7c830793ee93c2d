"""The engine on a graphics card: right, and how fast, against a plain loop and ``torch.func.vmap`` on the same card.

``python -m benchmarks.gpu [SHAPE ...]`` checks the card against the CPU (curves in float64, milestones and regimes in
float32), then, for the shapes of ``benchmarks.engine``, prints run-steps per second by width and layout, kernels per
step, the share of the card's float32 peak and of its bandwidth, and what a checkpoint and a smaller stack cost. It ends
in a table for the documentation. Where there is no CUDA device it says so, and prints what needs none: kernels per step
and predicted bytes.

    python -m benchmarks.gpu                    all shapes on "cuda"
    python -m benchmarks.gpu small-mlp --device cuda:1
"""

from __future__ import annotations

import argparse
import datetime
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.engine import SHAPES, config, needed_bytes
from benchmarks.plain import build
from grokcore import train
from grokcore.data.layouts import LAYOUTS
from grokcore.engine.cohort import Cohort
from grokcore.engine.devices.base import Device
from grokcore.engine.devices.cuda import Cuda, trouble
from grokcore.engine.memory import GIB, fitting, predicted_bytes
from grokcore.engine.on_paper import kernels_per_step, on_paper
from grokcore.engine.width_tuning import run_steps_per_second
from grokcore.errors import ConfigError
from grokcore.records.run_record import RunRecord
from grokcore.run_config import RunConfig

SEEDS = 6
"""Runs that are compared with the CPU."""

SIDE, COPIED = 8192, 1 << 28
"""Rows of the square matrices, and elements of the vector, that peak and bandwidth are measured with."""

CHECKED: dict[str, dict[str, Any]] = {
    "mlp": {
        "task": {"name": "modular_addition", "modulus": 23},
        "model": {"name": "mlp", "width": 48},
        "fraction": 0.6,
        "steps": 3000,
        "optimizer": {"name": "adamw", "rate": 3e-3, "decay": 1.0, "betas": [0.9, 0.98]},
    },
    "transformer": {
        "task": {"name": "modular_addition", "modulus": 13},
        "model": {"name": "transformer", "width": 32, "mlp_width": 64},
        "fraction": 0.7,
        "steps": 1500,
        "optimizer": {"name": "adamw", "rate": 3e-3, "decay": 1.0, "betas": [0.9, 0.98]},
    },
    "power in minibatches": {
        "task": {"name": "modular_division", "modulus": 13},
        "model": {"name": "transformer", "width": 32, "mlp_width": 64, "layers": 2, "norm": "post", "bias": False},
        "fraction": 0.7,
        "batch": 64,
        "steps": 600,
        "optimizer": {"name": "adamw", "rate": 1e-3, "decay": 1.0, "betas": [0.9, 0.98]},
    },
}
"""Small runs that grok, trained on both devices."""


def main() -> None:
    """Check, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shapes", nargs="*", metavar="SHAPE", help=f"of {', '.join(SHAPES)}; all if none is given")
    parser.add_argument("--device", default="cuda", help="the card (default cuda)")
    parser.add_argument("--seconds", type=float, default=0.5, help="seconds of each measurement (default 0.5)")
    given = parser.parse_args()
    shapes = given.shapes or list(SHAPES)
    if unknown := sorted(set(shapes) - set(SHAPES)):
        parser.error(f"unknown shape {', '.join(unknown)}; there are {', '.join(SHAPES)}")
    print_counts(shapes)
    if (complaint := trouble(given.device)) is not None:
        print(f"\nNothing was measured. {complaint}")
        return
    check(given.device)
    print("\n" + "\n".join(measured(shapes, Cuda(given.device), given.seconds)))


# Counted: needs no card -----------------------------------------------------------------------------------------------


def print_counts(shapes: Sequence[str]) -> None:
    """Print kernels per step and predicted bytes, which are counted on torch's meta device."""
    card = Cuda("cuda")
    print(
        f"{'counted':<16}{'layout':<12}" + "".join(f"{f'kernels, {k} runs':>20}" for k in (1, 64, 1024)) + "   MiB/run"
    )
    for shape in shapes:
        for layout in layouts_of(config(shape), card):
            counts = [kernels_per_step(config(shape), runs, card, layout).total() for runs in (1, 64, 1024)]
            each = (
                predicted_bytes(config(shape), 65, card, layout) - predicted_bytes(config(shape), 1, card, layout)
            ) / 64
            print(f"{shape:<16}{layout:<12}" + "".join(f"{count:>20}" for count in counts) + f"{each / 2**20:>10.2f}")


def layouts_of(run: RunConfig, device: Device) -> list[str]:
    """Return the layouts that a device tries for a run."""
    return [layout for layout in device.layouts if LAYOUTS[layout].serves(run)]


# Right: against the CPU -----------------------------------------------------------------------------------------------


def check(device: str) -> None:
    """Compare runs on the card with the same runs on the CPU; print how far apart they are."""
    print(
        f"\n{'checked':<24}{'float64: largest difference of':>32}{'float32: regimes alike':>26}{'milestones alike':>18}"
    )
    for name, values in CHECKED.items():
        runs = [RunConfig.from_dict({**values, "seed": seed}) for seed in range(SEEDS)]
        exact = [replace(run, dtype="float64", steps=min(run.steps, 300)) for run in runs]
        apart = max(difference(*pair) for pair in zip(train(exact), train(exact, device), strict=True))
        here, there = train(runs), train(runs, device)
        regimes = sum(a.regime is b.regime for a, b in zip(here, there, strict=True))
        close = sum(alike(a, b) for a, b in zip(here, there, strict=True))
        print(f"{name:<24}{f'losses {apart:.1e}':>32}{f'{regimes} of {SEEDS}':>26}{f'{close} of {SEEDS}':>18}")


def difference(one: RunRecord, other: RunRecord) -> float:
    """Return the largest difference of two runs' losses, relative to their size, over the first 300 steps."""
    found = 0.0
    for name in ("train_loss", "val_loss"):
        a, b = (np.asarray(record.columns[name]) for record in (one, other))
        found = max(found, float(np.max(np.abs(a - b) / np.maximum(np.abs(a), 1e-12))))
    return found


def alike(one: RunRecord, other: RunRecord) -> bool:
    """Say whether times to generalise are as near as two evaluations; rounding moves them a little."""
    a, b = (record.milestone("val", 0.9) for record in (one, other))
    return a.event == b.event and abs(np.log10(max(a.step, 1) / max(b.step, 1))) < 0.1


# Fast -----------------------------------------------------------------------------------------------------------------


def measured(shapes: Sequence[str], card: Cuda, seconds: float) -> Iterator[str]:
    """Yield the lines of the table, as Markdown."""
    facts = card.facts()
    peak, bandwidth = float32_peak(card), copy_bandwidth(card)
    versions = f"driver {facts['driver']}, CUDA {facts['cuda']}, torch {torch.__version__}"
    yield f"{facts['processor']}, {versions}, {datetime.date.today()}."
    yield f"Float32 product {peak / 1e12:.1f} TFLOP/s, copy {bandwidth / 1e12:.2f} TB/s, both measured."
    yield ""
    columns = "shape|layout|runs|run-steps/s|× plain loop|× vmap|kernels|of peak|of bandwidth|checkpoint|smaller stack"
    yield "| " + " | ".join(columns.split("|")) + " |"
    yield "|---|---|" + "---:|" * 9
    for shape in shapes:
        run = config(shape)
        plain, mapped = plain_rate(run, card, seconds), vmap_rate(run, card, seconds)
        for layout in layouts_of(run, card):
            for width in card.widths:
                if width > fit(run, card, layout, width):
                    break
                rate = run_steps_per_second(run, width, card, seconds, layout)
                kernels = kernels_per_step(run, width, card, layout).total()
                used, moved = operations(run, card, layout) * rate / peak, needed_bytes(run) * rate / bandwidth
                saved, smaller = costs(run, width, card, layout)
                speeds = f"{rate:,.0f} | {rate / plain:.1f} | {rate / mapped:.1f}"
                shares = f"{kernels} | {used:.0%} | {moved:.0%} | {saved} | {1e3 * smaller:.0f} ms"
                yield f"| {shape} | {layout} | {width} | {speeds} | {shares} |"


def fit(run: RunConfig, card: Cuda, layout: str, width: int) -> int:
    """Return how many of `width` runs fit on the card."""
    try:
        return fitting(run, width, card, layout=layout)
    except ConfigError:
        return 0


def operations(run: RunConfig, card: Cuda, layout: str) -> float:
    """Return the floating-point operations of a run-step's products."""
    with on_paper(run, 2, card, layout) as stack, FlopCounterMode(display=False) as counter:
        stack.train(0, 1)
    return float(counter.get_total_flops()) / 2


def float32_peak(card: Cuda) -> float:
    """Return the operations per second of a large IEEE float32 product."""
    a, b = torch.randn(2, SIDE, SIDE, device=card.torch)
    with card.computing():
        return 2 * SIDE**3 / best(lambda: a @ b, card)


def copy_bandwidth(card: Cuda) -> float:
    """Return the bytes per second, read and written, of a large copy."""
    source = torch.zeros(COPIED, device=card.torch)
    target = torch.empty_like(source)
    return 8 * len(source) / best(lambda: target.copy_(source), card)


def best(work: Callable[[], object], card: Cuda, times: int = 10) -> float:
    """Return the least seconds of some repetitions."""
    work()
    found = []
    for _ in range(times):
        begun = card.seconds()
        work()
        found.append(card.seconds() - begun)
    return min(found)


def rate_of(step: Callable[[], object], card: Cuda, seconds: float) -> float:
    """Return steps per second: the median of batches of ten for about that long."""
    for _ in range(5):
        step()
    found: list[float] = []
    begun = time.perf_counter()
    while len(found) < 3 or time.perf_counter() - begun < seconds:
        start = card.seconds()
        for _ in range(10):
            step()
        found.append(10 / (card.seconds() - start))
    return statistics.median(found)


def plain_rate(run: RunConfig, card: Cuda, seconds: float) -> float:
    """Return the steps per second of one run at a time, by torch.nn and torch.optim."""
    with card.computing():
        return rate_of(build(run, card.torch).step, card, seconds)


def vmap_rate(run: RunConfig, card: Cuda, seconds: float) -> float:
    """Return the run-steps per second of ``torch.func.vmap`` over networks and a fused AdamW, at its best width."""
    found: list[float] = []
    with card.computing():
        for width in card.widths:
            try:
                found.append(width * rate_of(mapped_step(run, width, card), card, seconds))
            except torch.OutOfMemoryError:
                break
    return max(found)


def mapped_step(run: RunConfig, width: int, card: Cuda) -> Callable[[], None]:
    """Return a step of `width` runs by vmap over their gradients."""
    alone = [build(replace(run, seed=seed), card.torch) for seed in range(width)]
    base = alone[0].network
    parameters, buffers = torch.func.stack_module_state([each.network for each in alone])
    size = len(alone[0].train[0]) if run.batch == "full" else run.batch
    inputs = torch.stack([each.train[0][:size] for each in alone])
    targets = torch.stack([each.train[1][:size] for each in alone])

    def loss(own: Any, kept: Any, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(torch.func.functional_call(base, (own, kept), (x,)), y)

    gradients = torch.func.vmap(torch.func.grad(loss))
    leaves = {name: value.detach().requires_grad_() for name, value in parameters.items()}
    o = run.optimizer
    optimizer = torch.optim.AdamW(leaves.values(), lr=o.rate, betas=o.betas, weight_decay=o.decay, fused=True)  # type: ignore[attr-defined]

    def step() -> None:
        found = gradients({name: value.detach() for name, value in leaves.items()}, buffers, inputs, targets)
        for name, value in leaves.items():
            value.grad = found[name]
        optimizer.step()

    return step


def costs(run: RunConfig, width: int, card: Cuda, layout: str) -> tuple[str, float]:
    """Return size and seconds of a checkpoint, in words, and the seconds until half of the runs train on alone."""
    cohort = Cohort([replace(run, steps=10**6)] * width, card, measures="none", layout=layout)
    with cohort.computing(), torch.no_grad():
        cohort.train_to(4)
        begun = card.seconds()
        content = cohort.to_bytes()
        saved = card.seconds() - begun
        half = max(1, width // 2)
        begun = card.seconds()
        cohort.stack.only([state.examples for state in cohort.runs[:half]], range(half)).train(4, 5)
        smaller = card.seconds() - begun
    return f"{len(content) / GIB:.2f} GiB, {1e3 * saved:.0f} ms", smaller


if __name__ == "__main__":
    main()
