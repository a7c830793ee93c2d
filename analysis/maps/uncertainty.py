"""Which part of a map's uncertainty more runs would remove, and which part stays because seeds differ."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri
from scipy.stats import qmc

from analysis.models.ensemble import POOLED, Ensemble
from analysis.models.milestone_times import regimes_by_delays, regimes_from_times
from analysis.models.stages import deciding, sharpened
from analysis.runs.axes import Array
from analysis.runs.run_table import BoolArray

DRAWS = 16
"""Quasi-random draws of the latents per point; halving them moves the split by about .01 bit."""


def _normals(dimension: int) -> Array:
    uniform = qmc.Sobol(dimension, rng=np.random.default_rng(0)).random(DRAWS)
    return np.asarray(ndtri(np.clip(uniform, 1e-6, 1 - 1e-6)))


def entropy(probabilities: Array) -> Array:
    """Return the entropy in bits along the last axis."""
    return np.asarray(-np.sum(probabilities * np.log2(np.maximum(probabilities, 1e-15)), axis=-1))


def entropy_split(ensemble: Ensemble, rows: Array, *, equal: bool = False) -> dict[str, Array]:
    """Return bits `total`, `epistemic`, `seeds` of the mixture (or of the equal pool): total is the sum of the others.

    `seeds` is the mean entropy left once a member and its latent are known (Houlsby et al. 2011, arXiv 1112.5745).
    """
    weights = {name: 1.0 / len(POOLED) for name in POOLED} if equal else ensemble.weights
    left = np.zeros(len(rows))
    for name, weight in weights.items():
        left += weight * entropy(_draws(ensemble, name, rows)).mean(axis=0)
    total = entropy(ensemble.pool(rows) if equal else ensemble.mixture(rows))
    return {"total": total, "epistemic": np.maximum(total - left, 0.0), "seeds": np.minimum(left, total)}


def _draws(ensemble: Ensemble, name: str, rows: Array) -> Array:
    """Return (S, n, 4): regimes' probabilities over seeds, for draws of what the member does not know."""
    if name == "times":
        times = ensemble.times.predict(rows)
        unknowns = 2 + len(times.mem.steps) + len(times.delay.steps)
        return ensemble.times.sample(times, _normals(unknowns), ensemble.rule)
    if name == "law":
        times = ensemble.predict_times(rows, name)
        delays = ensemble.law_delays(rows)
        some = delays[:: max(1, len(delays) // DRAWS)]
        return regimes_by_delays(times.mem, [times.delay._replace(mean=mean) for mean in some], ensemble.rule)
    if name in ("labels", "plain"):
        process, powers = ensemble.label_process(name), ensemble.sharpness.get(name, {})
        mean, variance = process.latents(rows)
        draws = [mean + z * np.sqrt(variance) for z in _normals(mean.shape[1])]
        return np.stack([sharpened(process.probabilities((f, np.zeros_like(f))), powers) for f in draws])
    return ensemble.member(name, rows)[None]


def _median_side(ensemble: Ensemble, name: str, rows: Array, pair: tuple[int, int]) -> Array:
    """Return (n,): the share of one member's draws in which the median run is in the first of two regimes."""
    if name in ("labels", "plain"):
        return ensemble.label_process(name).first_side(rows, *pair)
    chance = ensemble.memo.answer(("medians", name), rows, lambda: _medians(ensemble, name, rows))
    return np.asarray((chance[:, pair[0]] + 1e-9) / (chance[:, list(pair)].sum(axis=1) + 2e-9))


def _medians(ensemble: Ensemble, name: str, rows: Array) -> Array:
    """Return (n, 4): the share of one member's draws in which the median run is in each regime."""
    if name == "times":
        return regimes_from_times(ensemble.times.predict(rows), ensemble.rule, noise=False)
    if name == "law":
        return _law_medians(ensemble, rows)
    # Between two runs of different regimes the edge may be anywhere: the propagated share is its distribution.
    return ensemble.propagation.probabilities(rows)


def _law_medians(ensemble: Ensemble, rows: Array) -> Array:
    """Return (n, 4): how often the median run is in each regime, over draws of t_mem and of the law."""
    times, delays = ensemble.times.predict(rows), ensemble.law_delays(rows)
    rng = np.random.default_rng(0)
    shares = (np.arange(len(delays)) + 0.5) / len(delays)
    normals = np.column_stack([ndtri(rng.permutation(shares)) for _ in range(1 + len(times.mem.steps))])
    counts, row = np.zeros((len(rows), 4)), np.arange(len(rows))
    for z, delay in zip(normals, delays, strict=True):
        mem = 10.0 ** times.mem.drawn(z).median
        gen = mem + 10.0**delay
        counts[row, ensemble.rule.labels(mem, mem <= ensemble.rule.budget, gen, gen <= ensemble.rule.budget)] += 1.0
    return counts / len(delays)


def side_share(ensemble: Ensemble, rows: Array, pair: tuple[int, int]) -> tuple[Array, BoolArray]:
    """Return P(the median run is in the first of two regimes rather than the second), and where either matters.

    It is the limit of many draws from the mixture, each of which picks a member by its weight and draws what that
    member does not know.
    """
    weights = ensemble.stage_weights[deciding(*pair)]
    share = sum(weight * _median_side(ensemble, name, rows, pair) for name, weight in weights.items())
    chances = ensemble.mixture(rows)[:, list(pair)]
    chance = chances[:, 0] / chances.sum(axis=1)
    # Where the median run is in the second, at least half of the seeds are: P(second) ≤ 2 (1 − chance), and likewise.
    share = np.clip(share, 1.0 - 2.0 * (1.0 - chance), 2.0 * chance)
    return np.asarray(share), np.asarray(chances.sum(axis=1) > 0.1)
