"""The sweeps that forecasts are tried on: six kinds of problem and the published twin, trained whole, curves kept.

``python -m benchmarks.forecast_sweeps NAME ... --folder FOLDER`` trains the sweeps of these names (all without one),
each into FOLDER/NAME.parquet; ``python -m benchmarks.forecast_sweeps --pack FOLDER`` puts all that are there into
benchmarks/forecast_sweeps.parquet, which ``python -m benchmarks.forecast`` reads. No run is stopped by a forecast; one
that has generalised for good retires. A row is an evaluation; curves keep the points at which measures are taken, 15 a
decade of steps, and milestones are exact.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import qmc

from grokcore import train
from grokcore.engine.early_stopping import EarlyStopping
from grokcore.numerics.processor import pin_threads
from grokcore.run_config import RunConfig

PACKED = Path(__file__).with_suffix(".parquet")
ADAMW = {"name": "adamw", "betas": [0.9, 0.98]}
SMALL = {"optimizer": ADAMW, "model": {"name": "mlp", "width": 64}, "steps": 5000}
SPACE = {"fraction": (0.2, 0.9), "decay": (0.03, 10.0), "rate": (0.001, 0.1)}
ATTENTION = {
    "optimizer": ADAMW,
    "task": {"name": "modular_addition", "modulus": 23},
    "model": {"name": "transformer", "width": 32, "heads": 2, "mlp_width": 128},
    "steps": 4000,
}
ATTENTION_SPACE = {"fraction": (0.3, 0.9), "decay": (0.03, 10.0), "rate": (0.001, 0.03)}
SWEEPS: dict[str, tuple[dict[str, Any], dict[str, tuple[float, float]], int]] = {
    "addition-31": ({**SMALL, "task": {"name": "modular_addition", "modulus": 31}}, SPACE, 256),
    "random-labels": ({**SMALL, "task": {"name": "random_labels", "modulus": 23}}, SPACE, 64),
    "addition-47": ({**SMALL, "task": {"name": "modular_addition", "modulus": 47}}, SPACE, 96),
    "transformer": (ATTENTION, ATTENTION_SPACE, 96),
    "multiplication-29": ({**SMALL, "task": {"name": "modular_multiplication", "modulus": 29}}, SPACE, 128),
    "division-29": ({**SMALL, "task": {"name": "modular_division", "modulus": 29}}, SPACE, 128),
    "group-s4": ({**SMALL, "task": {"name": "group_composition", "group": "S4"}}, SPACE, 128),
    "quadratic-23": (
        {
            **SMALL,
            "task": {"name": "modular_addition", "modulus": 23},
            "model": {"name": "mlp", "width": 96, "inputs": "one_hot", "combine": "concat", "activation": "quadratic"},
        },
        SPACE,
        128,
    ),
    "twin": (
        {
            "task": {"name": "modular_addition", "modulus": 53},
            "model": {"name": "transformer"},
            "optimizer": {**ADAMW, "warmup": 10},
            "fraction": 0.5,
            "rate": 0.001,
            "steps": 5000,
        },
        {"decay": (1.0, 1.0)},
        4,
    ),
}
"""Name to what its runs share, the ranges of what varies (the fraction evenly, the others in their logarithm), runs."""
LATER: dict[str, tuple[dict[str, Any], dict[str, tuple[float, float]], int]] = {
    "subtraction-37": ({**SMALL, "task": {"name": "modular_subtraction", "modulus": 37}}, SPACE, 128),
    "deep-29": (
        {
            **SMALL,
            "task": {"name": "modular_addition", "modulus": 29},
            "model": {"name": "mlp", "width": 64, "depth": 2, "activation": "gelu", "inputs": "embedding"},
        },
        SPACE,
        96,
    ),
    "transformer-29": (
        {
            **ATTENTION,
            "task": {"name": "modular_subtraction", "modulus": 29},
            "model": {"name": "transformer", "width": 32, "heads": 4, "mlp_width": 128},
        },
        ATTENTION_SPACE,
        96,
    ),
}
"""Sweeps that were trained after a forecast's settings had been chosen on the others: no choice was made on them."""
LINEAR = {"fraction"}
KEPT = ("train_loss", "train_accuracy", "val_loss", "val_accuracy", "weight_norm", "activation_rank")


def configs(name: str) -> list[RunConfig]:
    """Return the runs of a sweep: scrambled Sobol points, seeds 0, 1, 2 in turn (0 to 3 of the twin)."""
    run, space, count = (SWEEPS | LATER)[name]
    points = qmc.Sobol(len(space), rng=0).random(256)[:count]
    found = []
    for i, point in enumerate(points):
        values = {}
        for (axis, (low, high)), share in zip(space.items(), point, strict=True):
            values[axis] = low + share * (high - low) if axis in LINEAR else low * (high / low) ** share
        varied = {k: round(float(v), 6) for k, v in values.items()}
        found.append(_config({**run, **varied, "seed": i % (3 if count > 4 else count)}))
    return found


def _config(values: dict[str, Any]) -> RunConfig:
    optimizer = {**values["optimizer"], "rate": values["rate"], "decay": values["decay"]}
    rest = {name: value for name, value in values.items() if name not in ("rate", "decay", "optimizer")}
    return RunConfig.from_dict({**rest, "optimizer": optimizer})


def trained(name: str) -> pd.DataFrame:
    """Return the curves of a sweep, in long form: a row an evaluation."""
    parts: list[pd.DataFrame] = []
    for record in train(configs(name), retire=EarlyStopping(), measures="light,activation_rank"):
        config, gen, mem = record.config, record.milestone("val", 0.9), record.milestone("train", 0.9)
        curves = pd.DataFrame({"step": record.columns["step"]})
        for column in KEPT:
            curves[column] = np.float32(record.columns.get(column, np.nan))
        kept = pd.DataFrame(curves[np.isfinite(curves["weight_norm"])])
        facts: dict[str, Any] = {
            "sweep": name,
            "run_id": record.run_id,
            "outcome": str(record.outcome),
            "budget": config.steps,
        }
        facts |= {"fraction": config.fraction, "rate": config.optimizer.rate, "decay": config.optimizer.decay}
        facts |= {"examples": len(config.task.table.inputs), "classes": config.task.table.classes}
        facts |= {"t_mem": mem.step, "t_mem_event": mem.event, "t_gen": gen.step, "t_gen_event": gen.event}
        for place, (key, value) in enumerate(facts.items()):
            kept.insert(place, key, value)
        parts.append(kept)
    return pd.concat(parts, ignore_index=True)


def main() -> None:
    """Train the sweeps asked for, or pack those that are there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--folder", type=Path, default=Path("forecast-sweeps"))
    parser.add_argument("--pack", type=Path)
    options = parser.parse_args()
    pin_threads(1)
    if options.pack is not None:
        parts = [pd.read_parquet(path) for path in sorted(options.pack.glob("*.parquet"))]
        whole = pd.concat(parts, ignore_index=True)
        whole.to_parquet(PACKED, index=False, compression="zstd")
        print(f"{PACKED}: {whole['run_id'].nunique()} runs, {PACKED.stat().st_size / 1e6:.1f} MB")
        return
    options.folder.mkdir(parents=True, exist_ok=True)
    for name in options.names or SWEEPS | LATER:
        curves = trained(name)
        curves.to_parquet(options.folder / f"{name}.parquet", index=False)
        runs = curves.drop_duplicates("run_id")
        print(f"{name}: {len(runs)} runs, {runs['t_gen_event'].sum()} generalised", flush=True)


if __name__ == "__main__":
    main()
