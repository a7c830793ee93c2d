"""What every sampler must do, whichever files sweeps/samplers/ holds."""

import warnings

import optuna
import pytest
import torch

from grokcore.records.regimes import RegimeRule
from sweeps.samplers.base import SAMPLERS, Problem
from sweeps.spec.space import Choice, Range
from sweeps.study import tell_milestones

RULE = RegimeRule(budget=1000, ratio=5.0)


@pytest.fixture(params=SAMPLERS.names)
def sampler(request):
    return SAMPLERS.member(request.param)()


@pytest.fixture
def problem():
    dimensions = {
        "fraction": Range(low=0.2, high=0.9),
        "optimizer.decay": Range(low=0.01, high=10, log=True),
        "model.width": Range(low=4, high=64, log=True, integer=True),
        "seed": Choice(values=(0, 1, 2)),
    }
    return Problem(dimensions=dimensions, rule=RULE, runs=80, seed=3)


def oracle(params):
    """Memorise at 20; generalise later the smaller decay and fraction are."""
    gen = round(20 + 30 / params["optimizer.decay"] / params["fraction"] ** 3)
    return (20, True), (min(gen, RULE.budget), gen <= RULE.budget)


def run(sampler, problem, waves=3, size=12):
    study = optuna.create_study(sampler=sampler.build(problem))
    asked = []
    with warnings.catch_warnings():
        # Optuna calls its GP and its multivariate TPE experimental.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        for _ in range(waves):
            trials = [study.ask(problem.distributions) for _ in range(size)]
            asked += [trial.params for trial in trials]
            for trial in trials:
                mem, gen = oracle(trial.params)
                tell_milestones(study, trial, t_mem=mem, t_gen=gen)
    return asked


@pytest.fixture(autouse=True)
def one_thread():
    # Small models on several threads wait for each other most of the time.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_every_point_is_in_the_space_and_has_every_parameter(sampler, problem):
    for params in run(sampler, problem):
        assert params.keys() == problem.dimensions.keys()
        assert 0.2 <= params["fraction"] <= 0.9
        assert 0.01 <= params["optimizer.decay"] <= 10
        assert params["model.width"] in range(4, 65)
        assert params["seed"] in (0, 1, 2)


def test_the_same_seed_and_answers_give_the_same_choices(sampler, problem):
    assert run(sampler, problem) == run(sampler, problem)


def test_a_wave_does_not_repeat_itself(sampler, problem):
    asked = run(sampler, problem)
    assert len({tuple(params.values()) for params in asked}) == len(asked)


def test_it_says_no_to_nothing_it_can_do(sampler, problem):
    assert list(sampler.misfits(problem)) == []
