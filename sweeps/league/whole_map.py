"""The same question asked of a whole map: how far a method moves the edge of generalisation from the baseline's.

A method's map goes over the share of the data and the rate as a multiple of the rate that was tuned, around the best
setting on the larger of the problem's fractions. Places and seeds are the same for all, so that maps are compared over
pairs of runs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd
from scipy.stats import qmc

from analysis.maps.comparison import RESAMPLES, Comparison, compare
from analysis.maps.regime_map import RegimeMap
from grokcore.errors import DataError
from grokcore.records.regimes import RegimeRule
from sweeps.league.ledger import Ledger
from sweeps.league.plan import THRESHOLD, Plan
from sweeps.league.search import Cell, prepared

MAPPED = "addition"
"""The problem whose maps are made."""

FRACTIONS = (0.3, 0.9)
"""Shares of the data that a map covers."""

FACTORS = (0.1, 3.0)
"""Multiples of the tuned rate."""

SEEDS = 4
"""Seeds, taken in turn."""

RATES = ("optimizer.rate", "optimizer.adam_rate", "optimizer.embedding_rate")
"""What is multiplied."""


def places(runs: int) -> Iterator[tuple[float, float, int]]:
    """Yield fraction, multiple of the rate and seed of each run, the same whenever asked."""
    for number, (across, up) in enumerate(qmc.Sobol(2, rng=0).random(runs)):
        fraction = FRACTIONS[0] + across * (FRACTIONS[1] - FRACTIONS[0])
        yield round(float(fraction), 4), float(f"{FACTORS[0] * (FACTORS[1] / FACTORS[0]) ** up:.4g}"), number % SEEDS


def train_map(cell: Cell, values: Mapping[str, Any], plan: Plan, ledger: Ledger) -> None:
    """Train the runs of a method's map around its best setting."""
    if not plan.map_runs:
        return
    where = list(places(plan.map_runs))
    runs = []
    for fraction, factor, seed in where:
        scaled = {name: values[name] * factor for name in RATES if name in values}
        runs.append(({**values, **scaled}, seed, {"fraction": fraction}))
    configs, before = prepared(cell, ledger, runs)
    factors = {config.run_id: factor for config, (_, factor, _) in zip(configs, where, strict=True)}
    ledger.train(configs, before=before, rate_factor=factors, stage="map", **cell.where)


def table_of(ledger: Ledger) -> pd.DataFrame:
    """Return the runs of a method's map as an analysis takes them."""
    runs = ledger.runs
    runs = runs[runs["stage"] == "map"].reset_index(drop=True)
    fractions = [json.loads(settings)["fraction"] for settings in runs["settings"]]
    return runs.assign(fraction=fractions, t_gen=runs["step"], t_gen_event=runs["event"])[
        ["fraction", "rate_factor", "seed", "t_mem", "t_mem_event", "t_gen", "t_gen_event"]
    ]


def fitted(runs: pd.DataFrame, budget: int) -> RegimeMap:
    """Return the map of such runs: what generalises within the budget, late or at once, and what only memorises."""
    rule = RegimeRule(threshold=THRESHOLD, budget=budget, ratio=1.0)
    axes = {"fraction": "linear", "rate_factor": "log"}
    return RegimeMap.fit(runs, axes, rule=rule, box={"fraction": FRACTIONS, "rate_factor": FACTORS})


def moved(base: RegimeMap, other: RegimeMap, resamples: int = RESAMPLES) -> Comparison | None:
    """Return how far the edge of generalisation moved along the fraction; None where a map has no such edge.

    Its interval is from so many `resamples`; without them there is none.
    """
    try:
        return compare(base, other, regimes=("memorization", "grokking"), along="fraction", resamples=resamples)
    except DataError:
        return None
