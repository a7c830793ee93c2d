"""The circuit of Nanda et al. 2023 (arXiv 2301.05217) reproduced: one run, its page, its numbers beside theirs.

    OMP_NUM_THREADS=1 python -m benchmarks.mainline [--modulus 53] [--seed 0] [--results results]

Trains the published network (p = 113, 30 % of all pairs) or its small twin (p = 53, 50 %) with its weights kept, as
``grokmap run --keep-weights`` does, measures it, writes its page, and prints a table. A run that is there already is
not trained again.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from grokcore import RunConfig, train
from grokcore.atomic_files import write_bytes
from grokcore.records.run_record import RunRecord
from grokcore.records.weight_snapshots import SnapshotFolder
from sweeps.finished_runs.inspect import measure, show

SIZES = {113: (0.3, 15000), 53: (0.5, 4000)}
"""Fraction and steps by modulus."""

STEPS = {
    113: ("by 200", "4,800 to 14,300", "5,250 to 15,000", "806 to 1,409", "4,500 to 13,750", "3,000"),
    53: ("93", "1,637", "–", "–", "–", "–"),
}
"""Published steps by modulus, in the order of the table; of the small twin two are."""

MEASURES = (
    "weight_norm,fourier_concentration,key_frequencies,restricted_loss,excluded_loss,logit_variance_explained,"
    "neuron_specificity"
)


def config(modulus: int, seed: int) -> RunConfig:
    """Return the published run of that size."""
    fraction, steps = SIZES[modulus]
    return RunConfig.from_dict(
        {
            "task": {"name": "modular_addition", "modulus": modulus},
            "model": {"name": "transformer"},
            "optimizer": {"name": "adamw", "rate": 1e-3, "decay": 1.0, "betas": [0.9, 0.98], "warmup": 10},
            "fraction": fraction,
            "steps": steps,
            "seed": seed,
        }
    )


def trained(run: RunConfig, results: Path) -> RunRecord:
    """Return the run's record, and train it if it is not among the results."""
    folder = results / "runs" / run.run_id
    path = folder / "record.json"
    if not path.exists():
        begun, used = time.monotonic(), time.process_time()
        (record,) = train([run], on_snapshot=SnapshotFolder(folder))
        write_bytes(path, record.to_json().encode() + b"\n")
        used = time.process_time() - used
        print(f"{run.steps:,} steps: {used:,.0f} s of one processor, {time.monotonic() - begun:,.0f} s on the clock")
    return RunRecord.from_json(path.read_text(encoding="utf-8"))


def first(values: pd.Series, level: float) -> float:
    """Return the first step at which a curve is at or above a level; NaN if it never is."""
    there = values.index[values.to_numpy() >= level]
    return float(there[0]) if len(there) else math.nan


def percent(share: float) -> str:
    """Return a share as a percentage."""
    return f"{100 * share:.1f} %"


def rows(record: RunRecord, table: pd.DataFrame) -> Iterator[tuple[str, str, str]]:
    """Yield what is compared, what was published and what is found."""
    modulus = record.config.task.table.classes
    curves, end = record.curves.set_index("step"), table.iloc[-1]
    worst = curves["val_loss"].idxmax()
    ahead = first(curves["val_accuracy"], 0.5) - first(table["restricted_accuracy"], 0.5)
    steps = (
        ("training accuracy 99 % at step", first(curves["train_accuracy"], 0.99)),
        ("validation accuracy 90 % at step", first(curves["val_accuracy"], 0.9)),
        ("validation accuracy 99 % at step", first(curves["val_accuracy"], 0.99)),
        ("least loss without the circuit, where memorising ends, at step", table["excluded_loss"].loc[10:].idxmin()),
        ("validation loss below ln p, where cleaning up begins, at step",
         first(-curves["val_loss"].loc[worst:], -math.log(modulus))),
        ("steps by which the circuit alone is right in half of all pairs before the network is", ahead),
    )  # fmt: skip
    for (name, step), published in zip(steps, STEPS[modulus], strict=True):
        yield name, published, f"{step:,.0f}"
    yield "key frequencies", "3 to 6", f"{end['key_frequencies']:.0f}"
    yield "logit variance explained", "≥ 95 %", percent(end["logit_variance_explained"])
    yield "accuracy of the circuit alone, all pairs", "≥ 99 %", percent(end["restricted_accuracy"])
    yield "accuracy without it, training pairs", "≤ 5 %", percent(end["excluded_accuracy"])
    yield "neurons with more than 85 % in one frequency", "about 85 %", percent(end["specific_neurons"])
    yield "Gini coefficient of the embedding", ".55 to .80", f"{end['fourier_concentration']:.2f}"
    yield (
        "weight norm, highest to last",
        "about 60 to 30",
        f"{table['weight_norm'].max():.1f} to {end['weight_norm']:.1f}",
    )


def main() -> None:
    """Train, measure, write the page and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--modulus", type=int, choices=SIZES, default=113)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--style", choices=("screen", "paper"), default="paper", help="of the page")
    given = parser.parse_args()
    record = trained(config(given.modulus, given.seed), given.results)
    begun = time.process_time()
    (path,) = measure(record.run_id, given.results, MEASURES, print)
    for written in show(record.run_id, given.results, None, again=False, style=given.style, say=print).values():
        print(written)
    print(f"measured and drawn in {time.process_time() - begun:,.0f} s of one processor")
    print(f"\n| p = {given.modulus} | published | found |\n|---|---|---|")
    for row in rows(record, pd.read_parquet(path).set_index("step")):
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
