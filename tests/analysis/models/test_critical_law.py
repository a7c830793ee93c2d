"""The critical law: a planted one is recovered with honest intervals, and least squares on what generalised is not."""

import numpy as np
import pandas as pd
import pytest

from analysis.models.critical_law import fit_critical_law
from analysis.runs.run_table import check_runs
from grokcore.errors import DataError

AXES = {"fraction": "linear", "decay": "log"}


def planted(n, seed, budget=30_000, noise=0.15, critical=0.3):
    rng = np.random.default_rng(seed)
    fraction, decay = rng.uniform(0.2, 0.9, n), 10 ** rng.uniform(-1.5, 1.0, n)
    beyond = np.maximum(fraction - critical, 1e-12)
    t_gen = 100 + 10**2.2 * decay**-0.8 * beyond**-1.5 * 10 ** (noise * rng.standard_normal(n))
    return pd.DataFrame(
        {
            "fraction": fraction,
            "decay": decay,
            "t_mem": 100,
            "t_mem_event": True,
            "t_gen": np.minimum(t_gen, budget),
            "t_gen_event": t_gen <= budget,
        }
    )


def least_squares_exponent(frame):
    """Fit as usual: log delay of generalised runs on log decay and log fraction."""
    seen = frame[frame["t_gen_event"]]
    design = np.column_stack([np.ones(len(seen)), np.log10(seen["decay"]), np.log10(seen["fraction"])])
    return -np.linalg.lstsq(design, np.log10(seen["t_gen"] - 100), rcond=None)[0][1]


def test_a_planted_law_is_recovered_from_a_hundred_runs():
    """Six sets of 100 runs: every exponent within .05 and every critical fraction within .03, their means closer."""
    laws = [fit_critical_law(check_runs(planted(100, seed), AXES, 0.9), intervals=False) for seed in range(6)]
    exponents = np.array([law.estimates["estimate"]["a_decay"] for law in laws])
    critical = np.array([law.estimates["estimate"]["critical_fraction"] for law in laws])
    assert np.abs(exponents - 0.8).max() < 0.06
    assert abs(exponents.mean() - 0.8) < 0.02
    assert np.abs(critical - 0.3).max() < 0.03
    assert abs(critical.mean() - 0.3) < 0.015


def test_its_intervals_cover_and_are_not_idle():
    law = fit_critical_law(check_runs(planted(100, 1), AXES, 0.9))
    for name, truth in (("a_decay", 0.8), ("gamma", 1.5), ("critical_fraction", 0.3), ("noise", 0.15)):
        row = law.estimates.loc[name]
        assert row["low"] < row["estimate"] < row["high"]
        assert row["low"] < truth < row["high"]
    assert law.estimates.loc["a_decay", "high"] - law.estimates.loc["a_decay", "low"] < 0.2
    assert "t_gen − t_mem = 10^" in law.sentence()


@pytest.mark.parametrize("n", [100, 1600])
def test_least_squares_on_generalised_runs_is_biased_at_any_n(n):
    frames = [planted(n, seed, budget=1_000) for seed in range(8)]
    naive = np.mean([least_squares_exponent(frame) for frame in frames])
    ours = np.mean(
        [fit_critical_law(check_runs(f, AXES, 0.9), intervals=False).estimates["estimate"]["a_decay"] for f in frames]
    )
    assert naive < 0.8 - 0.05
    assert abs(ours - 0.8) < 0.04
    assert abs(ours - 0.8) < abs(naive - 0.8) / 2


def test_the_law_predicts_infinity_below_the_critical_fraction():
    law = fit_critical_law(check_runs(planted(100, 1), AXES, 0.9), intervals=False)
    below, above = law.predict(pd.DataFrame({"fraction": [0.1, 0.6], "decay": [1.0, 1.0]}))
    assert np.isinf(below)
    assert above == pytest.approx(2.2 - 1.5 * np.log10(0.3), abs=0.1)


def test_a_moving_critical_fraction_is_seen_where_there_is_one():
    rng = np.random.default_rng(0)
    frame = planted(200, 0)
    edge = 0.35 - 0.08 * np.log10(frame["decay"])
    t_gen = 100 + 10**2.2 * frame["decay"] ** -0.8 * np.maximum(frame["fraction"] - edge, 1e-12) ** -1.5
    t_gen = t_gen * 10 ** (0.1 * rng.standard_normal(200))
    frame["t_gen"], frame["t_gen_event"] = np.minimum(t_gen, 30_000), t_gen <= 30_000
    law = fit_critical_law(check_runs(frame, AXES, 0.9), intervals=False)
    assert law.sloped
    assert law.estimates["estimate"]["critical_slope"] == pytest.approx(-0.08, abs=0.03)


def test_no_law_without_a_fraction_or_without_delays():
    frame = planted(100, 0).rename(columns={"fraction": "width"})
    with pytest.raises(DataError, match=r"axis called fraction; of a table say which is, as --column fraction=NAME"):
        fit_critical_law(check_runs(frame, {"width": "linear", "decay": "log"}, 0.9))
    with pytest.raises(DataError, match="at least 12"):
        fit_critical_law(check_runs(planted(20, 0, budget=200), AXES, 0.9))


def test_the_fraction_alone_makes_a_law_and_an_axis_on_a_linear_scale_enters_none():
    for axes in ({"fraction": "linear"}, {"fraction": "linear", "decay": "linear"}):
        law = fit_critical_law(check_runs(planted(100, 0), axes, 0.9), intervals=False)
        assert law.powers == ()
        assert list(law.estimates.index) == ["log10_scale", "gamma", "critical_fraction", "noise"]


def test_draws_stay_within_the_bounds_where_the_delay_has_no_critical_fraction():
    """Delays that do not depend on the fraction put γ and f_c at their bounds; the rest must still be unsure."""
    frame = planted(60, 0)
    delay = 10 ** (2.7 + 0.3 * np.random.default_rng(1).standard_normal(60))
    frame["t_gen"], frame["t_gen_event"] = np.minimum(100 + delay, 1000), delay < 900
    law = fit_critical_law(check_runs(frame, AXES, 0.9), intervals=False, draws=64)
    names = list(law.estimates.index)
    draws = pd.DataFrame(law.draws, columns=names)
    assert draws["gamma"].min() >= 0.05
    assert draws["critical_fraction"].min() >= -0.2
    assert 0.02 < draws["a_decay"].std() < 0.3
    assert 0.02 < draws["log10_scale"].std() < 0.3
