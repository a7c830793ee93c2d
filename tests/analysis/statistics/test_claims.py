"""Claims: every kind of question finds the planted number, and a verdict follows from interval and region alone."""

import math

import numpy as np
import pandas as pd
import pytest

from analysis.statistics.claims import CurveRun, Finding, Verdict, mean_interval
from analysis.statistics.edge import Edge
from analysis.statistics.questions import (
    QUESTIONS,
    Beside,
    Change,
    Difference,
    Forgets,
    Order,
    Ratio,
    Reached,
    Slope,
    Time,
    Value,
)

STEPS = np.unique(np.round(np.logspace(0, 4, 361)).astype(int))


def run(t_mem=100, t_gen=1000, budget=10_000, norm=1.0, **settings):
    steps = STEPS[budget >= STEPS]
    return CurveRun(
        settings,
        pd.DataFrame(
            {
                "step": steps,
                "train_accuracy": np.where(steps >= t_mem, 1.0, 0.1),
                "val_accuracy": np.where(steps >= t_gen, 1.0, 0.1),
                "norm": np.where(steps >= t_gen, 1.0, 4.0) * norm,
                "half_there": np.where(steps >= t_gen / 10, 1.0, 0.0),
            }
        ),
    )


SEEDS = [run(t_gen=1000 * 10**shift, seed=seed) for seed, shift in enumerate((-0.2, -0.1, 0.0, 0.1, 0.2))]


def test_a_verdict_follows_from_interval_and_region():
    question = Time(low=10, high=100)
    for low, high, verdict in (
        (20, 50, Verdict.AGREES),
        (1, 5, Verdict.DIFFERS),
        (200, math.inf, Verdict.DIFFERS),
        (5, 50, Verdict.OPEN),
        (math.nan, math.nan, Verdict.OPEN),
        (50, math.inf, Verdict.OPEN),
    ):
        assert question.verdict(Finding(30, low, high, 3)) is verdict
    assert Time(low=10).verdict(Finding(30, 20, math.inf, 3)) is Verdict.AGREES


def test_the_typical_time_is_a_geometric_mean_with_at_least_the_known_spread():
    found = Time(low=1).find(SEEDS)
    assert found.estimate == pytest.approx(1000, rel=0.03)
    assert math.log10(found.high / found.estimate) == pytest.approx(1.96 * 0.158 / math.sqrt(5), rel=0.05)
    alone = Time(low=1).find(SEEDS[2:3])
    assert math.log10(alone.high / alone.estimate) == pytest.approx(1.96 * 0.15, rel=1e-6)


def test_runs_that_never_got_there_leave_the_upper_end_open():
    found = Time(low=1).find([*SEEDS, run(t_gen=10**9)])
    assert found.high == math.inf
    assert found.low > 600
    assert found.note == "1 of 6 runs never got there"


def test_intervals_hold_the_truth_as_often_as_they_say():
    """1,000 samples of 4 normal numbers: 95 % intervals; a share outside .95 ± .021 is 3 standard errors away."""
    draw = np.random.default_rng(0)
    held = [low <= 0 <= high for _, low, high in (mean_interval(draw.normal(size=4)) for _ in range(1000))]
    assert np.mean(held) == pytest.approx(0.95, abs=0.021)


def test_a_share_has_an_exact_interval():
    found = Reached(high=1).find([*SEEDS, run(t_gen=10**9)])
    assert (found.estimate, found.note) == (pytest.approx(5 / 6), "5 of 6 runs")
    assert (found.low, found.high) == (pytest.approx(0.3588, abs=1e-4), pytest.approx(0.9958, abs=1e-4))


def test_nine_of_ten_are_90_percent_in_single_precision_too():
    kept = run(t_gen=500)
    kept.curves["val_accuracy"] = (kept.curves["val_accuracy"] * 0.9).astype(np.float32)
    assert Reached(at=0.9, low=0.5).find([kept]).estimate == 1
    assert Time(at=0.9, low=1).find([kept]).note == ""


def test_forgetting_is_a_share_with_its_step():
    kept, lost = run(t_gen=1000), run(t_gen=1000)
    lost.curves.loc[lost.curves["step"] >= 5000, "val_accuracy"] = 0.2
    found = Forgets(high=1).find([kept, lost, run(t_gen=10**9)])
    assert (found.estimate, found.runs) == (pytest.approx(1 / 3), 3)
    assert found.note == "1 of 3 runs, at a median of 5,012 steps"


def test_an_accuracy_counts_at_any_moment_and_a_measure_at_the_end():
    fallen = run()
    fallen.curves.loc[len(fallen.curves) - 1, "val_accuracy"] = 0.0
    assert Reached(high=1).find([fallen]).estimate == 1
    assert Reached(high=1, column="norm", at=2.0).find([fallen]).estimate == 0


def test_values_and_differences_are_taken_where_they_are_asked():
    runs = [run(seed=seed, norm=1 + seed / 10, kind=kind) for seed in range(3) for kind in "ab"]
    for member in runs:
        if member.settings["kind"] == "a":
            member.curves["norm"] += 5
    assert Value(column="norm", high=9, where={"kind": "b"}).find(runs).estimate == pytest.approx(1.1)
    assert Value(column="norm", of="max", high=9, where={"kind": "b"}).find(runs).estimate == pytest.approx(4.4)
    found = Difference(column="norm", one={"kind": "a"}, other={"kind": "b"}, low=0).find(runs)
    assert (found.estimate, found.low, found.runs) == (pytest.approx(5), pytest.approx(5), 3)
    assert math.isnan(Value(column="absent", high=9).find(runs).estimate)


def test_a_ratio_is_of_pairs_and_open_where_a_side_never_got_there():
    slow = [run(t_gen=3000 * 2**seed, seed=seed, decay=0.1) for seed in range(3)]
    fast = [run(t_gen=300 * 2**seed, seed=seed, decay=1.0) for seed in (2, 0, 1)]
    question = Ratio(slow={"decay": 0.1}, fast={"decay": 1.0}, low=1)
    found = question.find(slow[:2] + fast)
    assert (found.estimate, found.runs) == (pytest.approx(10, rel=0.05), 2)
    found = question.find(slow + fast)
    assert (found.high, found.note) == (math.inf, "1 of 3 slow runs never got there")
    assert found.low > 1
    assert question.verdict(found) is Verdict.AGREES


def test_pairs_agree_in_everything_else_but_in_what_a_member_alone_has():
    slow = run(t_gen=2000, **{"optimizer.name": "sgd", "optimizer.momentum": 0.9, "seed": 1})
    fast = run(t_gen=200, **{"optimizer.name": "adamw", "optimizer.eps": 1e-8, "seed": 1})
    other = run(t_gen=200, **{"optimizer.name": "adamw", "optimizer.eps": 1e-8, "seed": 2})
    question = Ratio(slow={"optimizer.name": "sgd"}, fast={"optimizer.name": "adamw"}, low=1)
    assert question.find([slow, fast, other]).runs == 1
    assert math.isnan(question.find([slow, other]).estimate)


def test_a_slope_is_found_and_has_no_interval_where_runs_are_missing():
    runs = [run(t_mem=10, t_gen=10 + 300 / decay, decay=decay) for decay in (0.1, 0.2, 0.5, 1.0)]
    found = Slope(field="decay", wait=True, low=-1.1).find(runs)
    assert found.estimate == pytest.approx(-1, abs=0.03)
    assert found.low < -1 < found.high
    biased = Slope(field="decay", low=-1.1).find([*runs, run(t_gen=10**9, decay=0.05)])
    assert math.isnan(biased.low)
    assert "biased" in biased.note


def test_a_change_compares_the_end_with_the_plateau():
    found = Change(column="norm", high=1).find([*SEEDS, run(t_gen=10**9)])
    assert (found.estimate, found.runs) == (pytest.approx(0.25), 5)
    assert found.note == "1 runs have no plateau"


def test_a_measure_stands_beside_another_on_the_plateau():
    """Of the planted runs, 4 of the one and 8 of the other between memorising and generalising."""
    planted = [CurveRun(one.settings, one.curves.assign(other=8.0)) for one in SEEDS]
    found = Beside(column="norm", beside="other", high=1).find([*planted, run(t_gen=10**9)])
    assert (found.estimate, found.runs) == (pytest.approx(0.5), 5)
    assert Beside(column="norm", beside="absent", high=1).find(planted).runs == 0


def test_an_order_is_a_factor_between_halves():
    found = Order(first="half_there", then="val_accuracy", low=1).find(SEEDS)
    assert found.estimate == pytest.approx(10, rel=0.1)
    assert math.isnan(Order(first="absent", then="val_accuracy", low=1).find(SEEDS).estimate)


@pytest.mark.parametrize("kind", QUESTIONS)
def test_no_runs_give_no_verdict(kind):
    needed = {
        "column": "norm",
        "field": "decay",
        "along": "rate",
        "beside": "norm",
        "one": {},
        "other": {},
        "slow": {},
        "fast": {},
    }
    needed |= {"first": "norm", "then": "val_accuracy", "budget": 10, "ratio": 5.0}
    needed |= {"axes": {"a": [1.0], "b": [1.0]}, "rows": ["m"]}
    fields = QUESTIONS[kind].__dataclass_fields__
    question = QUESTIONS[kind](low=0, **{name: value for name, value in needed.items() if name in fields})
    assert question.verdict(question.find([])) is Verdict.OPEN


def plane(exponent, rates, decays, seeds=(0,)):
    """Return runs of a plane whose least rate that generalises is 0.01 · decay^exponent, whatever the seed."""
    return [
        run(t_gen=100 if rate >= 0.01 * decay**exponent else 10**9, rate=rate, decay=decay, seed=seed)
        for rate in rates
        for decay in decays
        for seed in seeds
    ]


@pytest.mark.parametrize("exponent", [-1.2, -1.0, -0.5])
def test_the_exponent_of_an_edge_is_found_within_what_its_cells_allow(exponent):
    rates, decays = np.logspace(-2, 2, 21), np.logspace(-3, 0, 7)
    found = Edge(field="rate", along="decay", low=-1.4).find(plane(exponent, rates, decays))
    assert found.low < exponent < found.high
    assert 0.03 < found.high - found.low < 0.3
    coarse = Edge(field="rate", along="decay", low=-1.4).find(plane(exponent, rates[::4], decays))
    assert coarse.high - coarse.low > found.high - found.low


def test_an_edge_outside_the_box_or_of_too_few_values_is_none():
    rates, decays = np.logspace(-2, 2, 21), np.logspace(-3, 0, 7)
    question = Edge(field="rate", along="decay", low=-1.4)
    # At decay 1 the lowest rate generalises, and so no edge is seen there.
    assert question.find(plane(-1.0, rates, decays)).note == "6 of 7 values have an edge inside the box"
    assert question.find(plane(-1.0, rates, decays[:2])).runs == 0
    assert question.find(plane(-1.0, rates[:3], decays)).runs == 0


def test_an_edge_is_where_any_seed_passes():
    rates, decays = np.logspace(-2, 2, 21), np.logspace(-3, 0, 7)
    both = plane(-1.0, rates, decays) + [
        run(t_gen=10**9, rate=rate, decay=decay, seed=1) for rate in rates for decay in decays
    ]
    question = Edge(field="rate", along="decay", low=-1.4)
    assert question.edges(both) == question.edges(plane(-1.0, rates, decays))


def test_verdicts_are_counted_in_words():
    two, one = [Verdict.AGREES] * 2, [Verdict.DIFFERS]
    assert Verdict.counted([*two, *one, Verdict.OPEN]) == "2 agree, 1 differs, 1 cannot be told at this cost"
    assert Verdict.counted([*one, Verdict.OPEN, *one]) == "2 differ, 1 cannot be told at this cost"
