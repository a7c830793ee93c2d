"""Seeking boundaries: runs gather where regimes meet, a standing share stays evenly spread, any oracle will do."""

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from grokcore.records.regimes import RegimeRule
from sweeps import BoundarySampler, tell_milestones
from sweeps.samplers.boundary import Boundary
from sweeps.samplers.sobol import SobolSampler
from sweeps.search_map import axes_of

RULE = RegimeRule(budget=3000, ratio=5.0)
SPACE = {"decay": FloatDistribution(0.01, 10.0, log=True), "fraction": FloatDistribution(0.2, 0.9)}
SEED = CategoricalDistribution([0])
EDGE = 0.5


def oracle(params):
    """Memorise at 60; generalise at 90 above fraction 0.5, never below."""
    gen = 90 if params["fraction"] > EDGE else 10**6
    return (60, True), (min(gen, RULE.budget), gen <= RULE.budget)


def ask(sampler, waves, size=16):
    study = optuna.create_study(sampler=sampler)
    for _ in range(waves):
        for trial in [study.ask(SPACE) for _ in range(size)]:
            mem, gen = oracle(trial.params)
            tell_milestones(study, trial, t_mem=mem, t_gen=gen)
    return study.trials


def test_chosen_runs_are_nearer_to_the_boundary_than_the_sobol_slice():
    sampler = BoundarySampler(RULE, seed=0)
    trials = ask(sampler, waves=5)
    late = [trial for trial in trials if trial.number >= sampler.settings.startup]
    near = {
        kind: [abs(t.params["fraction"] - EDGE) for t in late if sampler.is_sobol(t.number) == kind] for kind in (0, 1)
    }
    assert np.median(near[False]) < 0.5 * np.median(near[True])


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_the_sobol_slice_is_as_large_as_asked(share):
    sampler = BoundarySampler(RULE, settings=Boundary(startup=8, sobol=share))
    slice_ = [sampler.is_sobol(number) for number in range(8, 408)]
    assert sum(slice_) == round(400 * share)


def test_a_wave_keeps_its_runs_apart():
    trials = ask(BoundarySampler(RULE, seed=1), waves=4)
    wave = np.array([[np.log10(t.params["decay"]) / 3, t.params["fraction"] / 0.7] for t in trials[-16:]])
    gaps = np.linalg.norm(wave[:, None] - wave[None, :], axis=-1)[np.triu_indices(16, 1)]
    assert gaps.min() > 0.01


def test_one_regime_everywhere_is_no_reason_to_fail():
    study = optuna.create_study(sampler=BoundarySampler(RULE, seed=0, settings=Boundary(startup=8)))
    for _ in range(3):
        for trial in [study.ask(SPACE) for _ in range(8)]:
            tell_milestones(study, trial, t_mem=(3000, False), t_gen=(3000, False))
    assert len(study.trials) == 24


def test_a_space_without_numbers_is_sampled_evenly():
    space = {"seed": optuna.distributions.CategoricalDistribution([0, 1, 2, 3])}
    study = optuna.create_study(sampler=BoundarySampler(RULE, seed=0, settings=Boundary(startup=8)))
    for _ in range(16):
        trial = study.ask(space)
        tell_milestones(study, trial, t_mem=(3, True), t_gen=(9, True))
    assert {trial.params["seed"] for trial in study.trials} == {0, 1, 2, 3}


def test_runs_gather_at_the_edge_of_each_level_of_a_category():
    space = {**SPACE, "method": CategoricalDistribution(["none", "fast"]), "seed": CategoricalDistribution([0, 1])}
    edges = {"none": 0.75, "fast": 0.35}
    sampler = BoundarySampler(RULE, seed=0, settings=Boundary(sobol=0.25))
    study = optuna.create_study(sampler=sampler)
    for _ in range(5):
        for trial in [study.ask(space) for _ in range(16)]:
            gen = 90 if trial.params["fraction"] > edges[trial.params["method"]] else 10**6
            tell_milestones(study, trial, t_mem=(60, True), t_gen=(min(gen, 3000), gen <= 3000))
    chosen = [t for t in study.trials if not sampler.is_sobol(t.number)]
    for method, edge in edges.items():
        gaps = [abs(t.params["fraction"] - edge) for t in chosen if t.params["method"] == method]
        assert len(gaps) >= 5
        assert np.median(gaps) < 0.1


def test_choices_of_numbers_are_axes_of_words_categories_and_seeds_neither():
    space = {
        "width": CategoricalDistribution([16, 64]),
        "layers": CategoricalDistribution([1, 2, 3]),
        "method": CategoricalDistribution(["none", "fast"]),
        "bias": CategoricalDistribution([True, False]),
        "seed": CategoricalDistribution([0, 1]),
        "only": CategoricalDistribution(["one"]),
    }
    assert axes_of(space) == {"width": "log", "layers": "linear", "method": "categorical", "bias": "categorical"}


@pytest.mark.parametrize("box", [SPACE, {**SPACE, "fraction": FloatDistribution(0.49, 0.51), "seed": SEED}])
def test_points_of_the_same_sequence_that_sobol_had_are_not_chosen_again(box):
    """A sweep of Sobol points that goes on with this sampler has its sequence behind it, or some of it running."""
    study = optuna.create_study(sampler=SobolSampler(box, seed=4))
    for number in range(96):
        trial = study.ask(box)
        if number < 80:
            mem, gen = oracle(trial.params)
            tell_milestones(study, trial, t_mem=mem, t_gen=gen)
    for _ in range(2):
        study.sampler = BoundarySampler(RULE, seed=4)
        for _ in range(12):
            study.ask(box)
    assert len({(f"{t.params['decay']:.6g}", f"{t.params['fraction']:.6g}") for t in study.trials}) == 120


def test_a_wave_wider_than_the_candidates_that_still_count_repeats_none():
    levels = {"fraction": IntDistribution(1, 40), "method": CategoricalDistribution(["none", "fast"])}
    study = optuna.create_study(sampler=BoundarySampler(RULE, seed=0, settings=Boundary(startup=8, sobol=0.0)))
    for trial in [study.ask(levels) for _ in range(30)]:
        gen = 90 if trial.params["fraction"] > 20 else 10**6
        tell_milestones(study, trial, t_mem=(60, True), t_gen=(min(gen, 3000), gen <= 3000))
    for _ in range(50):
        study.ask(levels)
    assert len({tuple(sorted(trial.params.items())) for trial in study.trials}) == 80
