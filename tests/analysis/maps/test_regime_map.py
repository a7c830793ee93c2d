"""The map: laws it must obey whatever the data, and known truths it must find."""

import dataclasses
import gc
import weakref

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from analysis import RegimeMap
from analysis.models.ensemble import Ensemble
from grokcore.errors import DataError
from grokcore.records.regimes import REGIMES, RegimeRule

NAMES = [str(regime) for regime in REGIMES]


def accuracy(known, regime_map, dimensions=2, n=2048):
    points = known.points(n, 77, dimensions)
    return float((regime_map.regimes(points).to_numpy() == known.truth(points, regime_map.rule)).mean())


def test_probabilities_are_probabilities_at_every_point(known, known_map):
    points = known.points(512, 5)
    chances = known_map.probabilities(points)
    assert list(chances.columns) == NAMES
    assert chances.index.equals(points.index)
    assert (chances.to_numpy() >= 0).all()
    assert chances.sum(axis=1).to_numpy() == pytest.approx(1.0)


def test_a_known_diagram_is_found_from_a_few_runs(known, known_map):
    assert accuracy(known, known_map) >= 0.95


def test_a_brief_fit_finds_the_edges_and_looks_for_no_jumps(known):
    brief = RegimeMap.fit(known.runs(48, 1), known.scales(), rule=known.rule, brief=True)
    assert accuracy(known, brief) >= 0.88
    assert brief.ensemble.times.jumps == {"t_mem": [], "delay": []}
    assert brief.ensemble.law is None
    assert sum(brief.weights.values()) == pytest.approx(1.0)
    assert accuracy(known, brief.with_runs(known.runs(64, 1))) >= 0.88


def test_more_runs_make_it_better_and_three_axes_work(known):
    few, many = (RegimeMap.fit(known.runs(n, 1, 3), known.scales(3), rule=known.rule) for n in (64, 192))
    assert accuracy(known, few, 3) >= 0.90
    assert accuracy(known, many, 3) >= 0.95


def test_the_order_of_rows_and_names_of_axes_change_nothing(known):
    frame = known.runs(48, 2)
    points = known.points(128, 6)
    first = RegimeMap.fit(frame, known.scales(), rule=known.rule).probabilities(points)
    shuffled = frame.sample(frac=1, random_state=3)
    second = RegimeMap.fit(shuffled, {"fraction": "linear", "optimizer.decay": "log"}, rule=known.rule)
    assert second.probabilities(points).to_numpy() == pytest.approx(first.to_numpy(), abs=0.02)


def test_units_of_an_axis_change_nothing(known):
    frame = known.runs(48, 2)
    points = known.points(128, 6)
    first = RegimeMap.fit(frame, known.scales(), rule=known.rule).probabilities(points)

    def in_percent(table):
        return table.assign(**{"optimizer.decay": 100 * table["optimizer.decay"]})

    second = RegimeMap.fit(in_percent(frame), known.scales(), rule=known.rule).probabilities(in_percent(points))
    assert second.to_numpy() == pytest.approx(first.to_numpy(), abs=0.02)


def test_swapping_what_counts_as_late_swaps_the_labels(known):
    """A run without any delay is comprehension under every ratio, grokking under ratio 1."""
    frame = known.runs(64, 0)
    points = known.points(256, 5)
    never = RegimeMap.fit(frame, known.scales(), rule=RegimeRule(budget=10_000, ratio=1.0)).probabilities(points)
    always = RegimeMap.fit(frame, known.scales(), rule=RegimeRule(budget=10_000, ratio=1e6)).probabilities(points)
    assert never["comprehension"].max() < 0.1
    assert always["grokking"].max() < 0.1
    assert never["memorization"].to_numpy() == pytest.approx(always["memorization"].to_numpy(), abs=0.15)


def test_relabelling_by_under_equals_a_fresh_fit(known, known_map):
    rule = RegimeRule(budget=4000, ratio=4.0)
    points = known.points(512, 8)
    relabelled_map = known_map.under(rule)
    fresh = RegimeMap.fit(known.runs(96, 0), known.scales(), rule=rule)
    assert (relabelled_map.regimes(points) == fresh.regimes(points)).mean() > 0.98
    assert accuracy(known, relabelled_map) >= 0.93


def test_a_longer_budget_never_makes_memorization_likelier(known, known_map):
    points = known.points(256, 9)
    chances = [
        known_map.member_probabilities("times", points, RegimeRule(budget=budget, ratio=6.0))["memorization"]
        for budget in (2000, 5000, 10_000)
    ]
    late = chances[0] > 0.5
    assert (chances[1][late] <= chances[0][late] + 1e-3).all()
    assert (chances[2][late] <= chances[1][late] + 1e-3).all()


def test_doubling_the_budget_of_half_the_runs_moves_no_finished_milestone(known):
    frame = known.runs(64, 4)
    half = frame.index % 2 == 0
    t_mem, delay = known.median_times(frame)
    later = np.minimum(np.ceil(t_mem + delay), 20_000).astype(int)
    longer = frame.copy()
    censored = half & ~frame["t_gen_event"]
    longer.loc[censored, "t_gen"] = np.maximum(later[censored], 10_001)
    longer.loc[censored, "t_gen_event"] = later[censored] < 20_000
    first, second = (RegimeMap.fit(table, known.scales(), rule=known.rule) for table in (frame, longer))
    done = frame["t_gen_event"]
    columns = ["t_mem", "t_gen", "regime"]
    pd.testing.assert_frame_equal(first.runs.loc[done, columns], second.runs.loc[done, columns])
    points = known.points(512, 5)
    assert (first.regimes(points) == second.regimes(points)).mean() > 0.95


def test_one_regime_has_no_boundary(known):
    frame = known.runs(32, 0).assign(t_mem=100, t_mem_event=True, t_gen=10_000, t_gen_event=False)
    one = RegimeMap.fit(frame, known.scales(), rule=known.rule)
    assert set(one.regimes(known.points(256, 1))) == {"memorization"}
    boundary = one.boundary("memorization", "grokking", x="fraction", y="decay")
    assert boundary.curves == []
    assert boundary.sentence == "no boundary between memorization and grokking in this box"
    assert one.boundaries(x="fraction", y="decay").empty


def test_runs_that_never_memorise_are_confusion(known):
    frame = known.runs(16, 0).assign(t_mem=10_000, t_mem_event=False, t_gen=10_000, t_gen_event=False)
    assert set(RegimeMap.fit(frame, known.scales(), rule=known.rule).regimes(known.points(64, 1))) == {"confusion"}


def test_an_idle_axis_is_not_given_a_boundary(known):
    frame = known.runs(128, 0, 3)
    frame["idle"] = np.random.default_rng(5).random(128)
    scales = {"fraction": "linear", "decay": "log", "idle": "linear"}
    frame["optimizer.rate"] = 1e-3
    t_mem, delay = known.median_times(frame)
    frame["t_mem"], frame["t_mem_event"] = np.ceil(t_mem), True
    frame["t_gen"] = np.minimum(np.ceil(t_mem + delay), 10_000)
    frame["t_gen_event"] = t_mem + delay <= 10_000
    fitted = RegimeMap.fit(frame, scales, rule=known.rule)
    points = known.points(512, 3).assign(idle=0.1)
    assert (fitted.regimes(points) == fitted.regimes(points.assign(idle=0.9))).mean() > 0.96


def test_decay_zero_is_a_category_of_its_own(known):
    frame = known.runs(64, 0)
    none = frame.head(24).assign(
        **{"optimizer.decay": 0.0, "t_mem": 200, "t_mem_event": True, "t_gen": 10_000, "t_gen_event": False}
    )
    fitted = RegimeMap.fit(pd.concat([frame, none], ignore_index=True), known.scales(), rule=known.rule)
    assert fitted.axis("decay").zero
    at_zero = pd.DataFrame({"fraction": np.linspace(0.2, 0.85, 20), "optimizer.decay": 0.0})
    beside = at_zero.assign(**{"optimizer.decay": 0.03})
    assert (fitted.regimes(at_zero) == "memorization").mean() > 0.9
    assert (fitted.regimes(beside) != "memorization").mean() > 0.3


def test_the_band_holds_the_edge_and_narrows_with_runs(known):
    widths = []
    for n in (48, 192):
        fitted = RegimeMap.fit(known.runs(n, 0), known.scales(), rule=known.rule)
        boundary = fitted.boundary("memorization", "grokking", x="fraction", y="decay", resolution=61)
        assert len(boundary.curves) >= 1
        inside = (boundary.share > 0.05) & (boundary.share < 0.95)
        widths.append(np.nansum(inside))
        assert set(boundary.table()["kind"]) == {"edge", "band50", "band90"}
    assert widths[1] < widths[0]


def test_the_boundary_runs_where_two_regimes_are_equally_likely(known_map):
    boundary = known_map.boundary("memorization", "grokking", x="fraction", y="decay")
    edge = pd.DataFrame(boundary.curves[0], columns=["fraction", "decay"])
    chances = known_map.probabilities(edge)
    assert chances["memorization"].to_numpy() == pytest.approx(chances["grokking"].to_numpy(), abs=0.05)
    assert (chances["memorization"] >= chances["comprehension"] - 1e-9).all()


def test_a_surface_lies_where_the_boundaries_of_its_slices_do(known):
    fitted = RegimeMap.fit(known.runs(96, 1, 3), known.scales(3), rule=known.rule)
    surface = fitted.surface("memorization", "grokking", resolution=13)
    assert surface.faces.max() < len(surface.vertices)
    points = pd.DataFrame(surface.vertices, columns=[axis.name for axis in fitted.axes])
    chances = fitted.probabilities(points)
    gap = (chances["memorization"] - chances["grokking"]).abs()
    assert gap.median() < 0.2
    assert set(surface.bands) == {0.5, 0.9}
    with pytest.raises(DataError, match="three axes"):
        RegimeMap.fit(known.runs(16, 1), known.scales(), rule=known.rule).surface("memorization", "grokking")


def test_uncertainty_splits_into_what_runs_remove_and_what_seeds_keep(known):
    points = known.points(256, 5)
    quiet, noisy = (
        RegimeMap.fit(known.runs(192, 0, noise=noise), known.scales(), rule=known.rule).uncertainty(points)
        for noise in (0.02, 0.4)
    )
    for found in (quiet, noisy):
        assert found["total"].to_numpy() == pytest.approx((found["epistemic"] + found["seeds"]).to_numpy())
        assert (found.to_numpy() >= 0).all()
    assert noisy["seeds"].mean() > 2 * quiet["seeds"].mean()


def test_failed_diverged_and_unstable_runs_are_a_layer_of_their_own(known):
    frame = known.runs(64, 0)
    wild = frame["optimizer.decay"] > 0.3
    frame["outcome"] = np.where(wild, "diverged", "finished")
    frame.loc[wild, ["t_mem", "t_gen"]] = 5
    frame.loc[wild, ["t_mem_event", "t_gen_event"]] = False
    fitted = RegimeMap.fit(frame, known.scales(), rule=known.rule)
    assert len(fitted.runs) == 64
    points = known.points(256, 4)
    chances = fitted.outcomes(points)
    assert list(chances.columns) == ["diverged", "failed", "unstable", "forgotten"]
    assert ((chances["diverged"] > 0.5) == (points["optimizer.decay"] > 0.3)).mean() > 0.95
    assert (chances["failed"] == 0).all()


def test_forgotten_runs_are_a_layer_and_keep_their_regime(known):
    frame = known.runs(64, 0)
    forgot = (frame["optimizer.decay"] > 0.3) & frame["t_gen_event"]
    frame["outcome"] = np.where(forgot, "forgotten", "finished")
    fitted = RegimeMap.fit(frame, known.scales(), rule=known.rule)
    assert not set(fitted.runs["regime"][forgot.to_numpy()]) & {"confusion", "memorization"}
    there = frame[["fraction", "optimizer.decay"]]
    chances = fitted.outcomes(there)["forgotten"]
    assert chances[forgot.to_numpy()].min() > chances[~forgot.to_numpy()].mean()
    assert (fitted.outcomes(there)["unstable"] == 0).all()


def test_a_rare_outcome_stays_rare(known):
    frame = known.runs(96, 0)
    frame["outcome"] = np.where(np.arange(96) % 32 == 5, "unstable", "finished")
    chances = RegimeMap.fit(frame, known.scales(), rule=known.rule).outcomes(known.points(256, 4))
    assert chances["unstable"].mean() < 0.1


def test_runs_stopped_early_are_censored_not_called_memorization(known):
    frame = known.runs(96, 0).assign(outcome="finished")
    stopped = frame.index % 3 == 0
    stopped &= (frame["t_gen"] > 1500).to_numpy()
    frame.loc[stopped, "t_gen"] = 1500
    frame.loc[stopped, "t_gen_event"] = False
    frame.loc[stopped, "outcome"] = "stopped"
    fitted = RegimeMap.fit(frame, known.scales(), rule=known.rule)
    assert (~fitted.runs["known"]).sum() == stopped.sum()
    assert accuracy(known, fitted) >= 0.93
    assert any("censored before the budget" in warning for warning in fitted.warnings)


def test_the_chance_to_generalise_falls_as_a_run_survives_where_runs_are_fast(known_map):
    fast = pd.DataFrame({"fraction": [0.8], "decay": [0.8]})
    early, late = (float(known_map.chance_to_generalise(fast, step)[0]) for step in (10, 9990))
    assert early > 0.95
    assert late < 0.5
    slow = pd.DataFrame({"fraction": [0.2], "decay": [0.02]})
    assert known_map.chance_to_generalise(slow, 5000)[0] < 0.05
    known_start = known_map.chance_to_generalise(fast, 10, memorised_at=[150.0])
    assert known_start[0] > 0.95


def test_a_sampler_finds_most_disagreement_near_edges(known, known_map):
    points = known.points(512, 5)
    pool, disagreement = known_map.pool(points), known_map.disagreement(points)
    assert pool.sum(axis=1).to_numpy() == pytest.approx(1.0)
    sure = pool.max(axis=1) > 0.98
    assert disagreement[~sure].mean() > 3 * disagreement[sure].mean()


def test_recorded_thresholds_have_their_own_times(known):
    frame = known.runs(48, 0)
    for split, name in (("train", "t_mem"), ("val", "t_gen")):
        for threshold, factor in ((50, 0.5), (90, 1.0), (95, 1.2), (99, 2.0)):
            step = np.minimum(np.ceil(frame[name] * factor), 10_000)
            frame[f"t_{split}_{threshold:03d}"] = np.where(frame[f"{name}_event"], step, 10_000)
            frame[f"t_{split}_{threshold:03d}_event"] = frame[f"{name}_event"] & (step < 10_000)
    fitted = RegimeMap.fit(frame, known.scales(), rule=known.rule)
    points = known.points(64, 2)
    low, high = (fitted.milestones(points, threshold)["t_mem_mean"].mean() for threshold in (0.5, 0.99))
    assert high - low == pytest.approx(np.log10(4), abs=0.05)


def test_a_previous_map_only_gives_a_starting_point(known, known_map):
    frame = pd.concat([known.runs(96, 0), known.runs(32, 9)], ignore_index=True)
    points = known.points(256, 5)
    fresh, warm = (
        RegimeMap.fit(frame, known.scales(), rule=known.rule, previous=previous) for previous in (None, known_map)
    )
    assert (fresh.regimes(points) == warm.regimes(points)).mean() > 0.97


def test_the_card_is_plain_and_says_what_made_the_map(known_map):
    import json

    card = json.loads(json.dumps(known_map.model_card()))
    assert card["runs"] == 96
    assert sum(card["weights"].values()) == pytest.approx(1.0)
    assert card["rule"]["budget"] == 10_000
    assert 0.05 < card["noise_log10"]["t_mem"] < 0.25


def test_unknown_names_are_answered_with_the_nearest(known_map):
    with pytest.raises(DataError, match="Did you mean 'grokking'"):
        known_map.boundary("memorization", "groking", x="fraction", y="decay")
    with pytest.raises(DataError, match="unknown axis 'rate'"):
        known_map.grid(x="fraction", y="rate")
    with pytest.raises(DataError, match="give two axes"):
        known_map.grid(x="decay", y="decay")
    with pytest.raises(DataError, match="knows only the rule of the fit"):
        known_map.member_probabilities("labels", known_map.runs, RegimeRule(budget=500, ratio=2.0))


# What is kept -----------------------------------------------------------------------------------------------------


def recorded(frame):
    """Return runs with their milestones at all thresholds, later at higher ones."""
    columns = {}
    for split, name in (("train", "t_mem"), ("val", "t_gen")):
        for threshold, factor in ((50, 0.7), (90, 1.0), (95, 1.1), (99, 1.3)):
            step = np.minimum(np.ceil(frame[name] * np.where(frame[f"{name}_event"], factor, 1.0)), 10_000)
            columns[f"t_{split}_{threshold:03d}"] = step
            columns[f"t_{split}_{threshold:03d}_event"] = frame[f"{name}_event"] & (step < 10_000)
    return frame.assign(**columns)


def test_a_map_that_is_dropped_is_forgotten_whatever_it_was_asked(known):
    fitted = RegimeMap.fit(recorded(known.runs(32, 0)), known.scales(), rule=known.rule)
    points = known.points(8, 1)
    fitted.milestones(points)
    fitted.milestones(points, 0.5)
    fitted.probabilities(points)
    dropped = weakref.ref(fitted)
    del fitted
    gc.collect()
    assert dropped() is None


def test_times_at_another_threshold_are_nearly_those_of_a_fit_of_its_own(known):
    frame = recorded(known.runs(64, 0))
    fitted = RegimeMap.fit(frame, known.scales(), rule=known.rule)
    own = RegimeMap.fit(frame, known.scales(), rule=dataclasses.replace(known.rule, threshold=0.5))
    points = known.points(64, 5)
    adapted, anew = fitted.milestones(points, 0.5), own.milestones(points)
    # Reached earlier at the lower threshold, by the factor .7 that is a shift of .155 in log10.
    shift = (fitted.milestones(points)["t_mem_mean"] - adapted["t_mem_mean"]).median()
    assert shift == pytest.approx(-np.log10(0.7), abs=0.03)
    difference = (adapted["t_mem_mean"] - anew["t_mem_mean"]).abs()
    assert difference.median() < 0.03


def test_what_a_user_asks_is_computed_on_one_thread(known, known_map, monkeypatch):
    seen = []
    mixture = Ensemble.mixture

    def counted(self, points):
        seen.extend(library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas")
        return mixture(self, points)

    monkeypatch.setattr(Ensemble, "mixture", counted)
    with threadpool_limits(2):
        known_map.boundary("memorization", "grokking", x="fraction", y="decay", resolution=9)
        known_map.probabilities(known.points(4, 0))
    assert set(seen) == {1}
