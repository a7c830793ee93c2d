"""How well the critical law is recovered, and what the usual fit gives: ``python -m benchmarks.laws``.

Truth: t_gen − t_mem = 10^2.2 · decay^-0.8 · (f − 0.3)^-1.5 with seed noise .15 in log10, f in .2–.9, decay in
10^-1.5–10. Printed are means and spreads over sets of runs of: the exponent of decay by our censored law, by least
squares on the runs that generalised, and by the same with the critical fraction known; our critical fraction; how
often our 95 % intervals cover; and the share of sets in which a comes within .05 and f_c within .015, beside the share
that the Cramér-Rao bound leaves to any unbiased estimator with normal errors (Fisher's information of the censored law
at the truth, its critical fraction fixed).
"""

from __future__ import annotations

import argparse

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import log_ndtr, ndtr
from scipy.stats import norm

from analysis.models.critical_law import fit_critical_law
from analysis.runs.run_table import check_runs

TRUTH = {"a_decay": 0.8, "gamma": 1.5, "critical_fraction": 0.3, "noise": 0.15}
AXES = {"fraction": "linear", "decay": "log"}
CLOSE = {"a_decay": 0.05, "critical_fraction": 0.015}
"""How near an estimate shall come."""
T_MEM = 100
SIMULATED = 400_000
"""Runs over which the information of one is averaged."""


def planted(runs: int, seed: int, budget: int) -> pd.DataFrame:
    """Return runs drawn from the law."""
    rng = np.random.default_rng(seed)
    fraction, decay = rng.uniform(0.2, 0.9, runs), 10 ** rng.uniform(-1.5, 1.0, runs)
    beyond = np.maximum(fraction - TRUTH["critical_fraction"], 1e-12)
    delay = 10**2.2 * decay ** -TRUTH["a_decay"] * beyond ** -TRUTH["gamma"]
    t_gen = T_MEM + delay * 10 ** (TRUTH["noise"] * rng.standard_normal(runs))
    columns = {"fraction": fraction, "decay": decay, "t_mem": T_MEM, "t_mem_event": True}
    return pd.DataFrame(columns | {"t_gen": np.minimum(t_gen, budget), "t_gen_event": t_gen <= budget})


def least_squares(frame: pd.DataFrame, critical: float) -> float:
    """Return the exponent of decay from least squares on generalised runs, in logs of decay and of f − critical."""
    seen = frame[frame["t_gen_event"] & (frame["fraction"] > critical)]
    design = np.column_stack([np.ones(len(seen)), np.log10(seen["decay"]), np.log10(seen["fraction"] - critical)])
    return float(-np.linalg.lstsq(design, np.log10(seen["t_gen"] - T_MEM), rcond=None)[0][1])


def bound(budget: int) -> npt.NDArray[np.float64]:
    """Return the least standard deviations times √runs of: scale, a, γ, f_c, log noise (Cramér-Rao)."""
    rng = np.random.default_rng(0)
    noise = TRUTH["noise"]
    fraction, decay = rng.uniform(0.2, 0.9, SIMULATED), rng.uniform(-1.5, 1.0, SIMULATED)
    beyond = np.maximum(fraction - TRUTH["critical_fraction"], 1e-12)
    median = 2.2 - TRUTH["a_decay"] * decay - TRUTH["gamma"] * np.log10(beyond)
    delay, end = median + noise * rng.standard_normal(SIMULATED), np.log10(budget - T_MEM)
    z = (np.minimum(delay, end) - median) / noise
    tail = np.exp(norm.logpdf(z) - log_ndtr(-z))
    by_median = np.where(delay <= end, z, tail) / noise
    by_noise = np.where(delay <= end, z**2 - 1.0, tail * z)
    columns = [np.ones(SIMULATED), -decay, -np.log10(beyond), TRUTH["gamma"] / (np.log(10) * beyond)]
    inside = fraction > TRUTH["critical_fraction"]
    slopes = np.column_stack([*(by_median * column for column in columns), by_noise])[inside]
    return np.asarray(np.sqrt(np.diag(np.linalg.inv(slopes.T @ slopes / SIMULATED))))


def line(runs: int, budget: int, sets: int) -> dict[str, float]:
    """Return one row of the table."""
    ours, naive, informed, critical, covered, events = [], [], [], [], [], []
    for seed in range(sets):
        frame = planted(runs, seed, budget)
        law = fit_critical_law(check_runs(frame, AXES, 0.9)).estimates
        ours.append(law["estimate"]["a_decay"])
        critical.append(law["estimate"]["critical_fraction"])
        covered.append([law["low"][name] <= value <= law["high"][name] for name, value in TRUTH.items()])
        naive.append(least_squares(frame, 0.0))
        informed.append(least_squares(frame, TRUTH["critical_fraction"]))
        events.append(frame["t_gen_event"].mean())
    row: dict[str, float] = {"runs": runs, "budget": budget, "generalised": float(np.mean(events))}
    for name, values in {
        "a ours": ours,
        "a least squares": naive,
        "a, f_c known": informed,
        "f_c ours": critical,
    }.items():
        row |= {name: float(np.mean(values)), f"sd {name}": float(np.std(values))}
    least = dict(zip(("scale", "a_decay", "gamma", "critical_fraction", "noise"), bound(budget), strict=True))
    for name, values in (("a_decay", ours), ("critical_fraction", critical)):
        row[f"near {name}"] = float(np.mean(np.abs(np.array(values) - TRUTH[name]) <= CLOSE[name]))
        row[f"at best {name}"] = float(2.0 * ndtr(CLOSE[name] * np.sqrt(runs) / least[name]) - 1.0)
    return row | {f"cover {name}": share for name, share in zip(TRUTH, np.mean(covered, axis=0), strict=True)}


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=20, help="sets of runs per line")
    parser.add_argument("--budgets", type=int, nargs="+", default=[1_000, 10_000, 30_000])
    parser.add_argument("--runs", type=int, nargs="+", default=[100, 300, 1600])
    given = parser.parse_args()
    rows = [line(runs, budget, given.sets) for budget in given.budgets for runs in given.runs]
    print(pd.DataFrame(rows).round(3).T.to_string())


if __name__ == "__main__":
    main()
