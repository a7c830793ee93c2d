"""Runs with a known truth, for every test of maps."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import qmc

from grokcore.records.regimes import RegimeRule

BOX = {"fraction": (0.1, 0.9), "optimizer.decay": (-2.0, 0.0), "optimizer.rate": (-4.0, -2.0)}


class KnownTruth:
    """Times that are known everywhere: t_mem falls with the rate, the delay follows a critical law."""

    rule = RegimeRule(budget=10_000, ratio=6.0)

    def points(self, n, seed, dimensions=2):
        names = list(BOX)[:dimensions]
        units = qmc.Sobol(dimensions, rng=np.random.default_rng(seed)).random_base2(int(np.ceil(np.log2(n))))[:n]
        table = {}
        for name, u in zip(names, units.T, strict=True):
            low, high = BOX[name]
            value = low + u * (high - low)
            table[name] = value if name == "fraction" else 10.0**value
        return pd.DataFrame(table)

    def median_times(self, points):
        rate = points.get("optimizer.rate", pd.Series(1e-3, index=points.index)).to_numpy()
        decay = points["optimizer.decay"].to_numpy()
        t_mem = 150.0 * (rate / 1e-3) ** -0.5
        beyond = np.maximum(points["fraction"].to_numpy() - 0.3, 1e-9)
        return t_mem, 10**1.9 * decay**-0.8 * beyond**-1.2

    def truth(self, points, rule=None):
        t_mem, delay = self.median_times(points)
        budget = (rule or self.rule).budget
        labels = (rule or self.rule).labels(t_mem, t_mem <= budget, t_mem + delay, t_mem + delay <= budget)
        return np.array(["confusion", "memorization", "grokking", "comprehension"])[labels]

    def runs(self, n, seed, dimensions=2, noise=0.12):
        points = self.points(n, seed, dimensions)
        rng = np.random.default_rng(1000 + seed)
        t_mem, delay = self.median_times(points)
        t_mem = t_mem * 10 ** (noise * rng.standard_normal(n))
        t_gen = t_mem + delay * 10 ** (noise * rng.standard_normal(n))
        budget = self.rule.budget
        return points.assign(
            t_mem=np.minimum(np.ceil(t_mem), budget).astype(int),
            t_mem_event=t_mem <= budget,
            t_gen=np.minimum(np.ceil(t_gen), budget).astype(int),
            t_gen_event=t_gen <= budget,
            seed=np.arange(n),
        )

    def scales(self, dimensions=2):
        return dict(list({"fraction": "linear", "decay": "log", "rate": "log"}.items())[:dimensions])


@pytest.fixture(scope="session")
def known():
    return KnownTruth()


@pytest.fixture(scope="session")
def known_map(known):
    from analysis import RegimeMap

    return RegimeMap.fit(known.runs(96, 0), known.scales(), rule=known.rule)
