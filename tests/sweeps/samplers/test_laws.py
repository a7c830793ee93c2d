"""The laws of choosing, which every sampler keeps, whichever files sweeps/samplers/ holds."""

import gc
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import psutil
import pytest
import torch

from analysis.maps.regime_map import RegimeMap
from grokcore.records.milestones import Milestone
from grokcore.records.regimes import RegimeRule
from grokcore.records.run_record import Outcome
from sweeps.new_points import SpaceExhaustedError
from sweeps.samplers.base import SAMPLERS, Problem
from sweeps.search_map import SearchMap, learned_from
from sweeps.spec.space import Choice, Range
from sweeps.store.run_store import Asked
from sweeps.study import ask, rebuild, tell_milestones

RULE = RegimeRule(budget=1000, ratio=5.0)
SPACE = {
    "fraction": Range(low=0.2, high=0.9),
    "decay": Range(low=0.01, high=10, log=True),
    "seed": Choice(values=(0, 1, 2)),
}
WAVE = 8
FEW = 3


@pytest.fixture(autouse=True)
def quiet():
    # Small models on several threads wait for each other most of the time.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        # Optuna calls its GP and its multivariate TPE experimental.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield
    torch.set_num_threads(threads)


def problem(space=SPACE, runs=80):
    return Problem(dimensions=space, rule=RULE, runs=runs, seed=3)


def built(name, space=SPACE):
    """Return a sampler that learns from its second wave on, if it learns."""
    member = SAMPLERS.member(name)
    options = {"startup": WAVE} if "startup" in member.__dataclass_fields__ else {}
    return member(**options).build(problem(space))


def oracle(params, space=SPACE):
    """Memorise at 20, generalise the later the smaller fraction and decay are, by their shares of the axes."""
    fraction = (params["fraction"] - space["fraction"].low) / (space["fraction"].high - space["fraction"].low)
    decay = np.log(params["decay"] / space["decay"].low) / np.log(space["decay"].high / space["decay"].low)
    gen = round(25 * 10 ** (2.5 * (1.2 - fraction - 0.5 * decay)))
    return (20, True), (min(gen, RULE.budget), gen <= RULE.budget)


def tell(study, wave, space=SPACE):
    for number, params in wave:
        mem, gen = oracle(params, space)
        tell_milestones(study, number, t_mem=mem, t_gen=gen)


def choose(study, size=WAVE, space=SPACE):
    return [ask(study, problem(space).distributions) for _ in range(size)]


def searched(name, space=SPACE):
    """Return what a sampler chose at first, and once it was told what became of that."""
    study = optuna.create_study(sampler=built(name, space))
    wave = choose(study, 2 * WAVE if name == "boundary" else WAVE, space)
    tell(study, wave, space)
    return [params for _, params in [*wave, *choose(study, 2 * FEW, space)]]


def rows(found):
    return [[params[name] for name in SPACE] for params in found]


@pytest.mark.parametrize("name", SAMPLERS.names)
def test_the_order_in_which_runs_are_told_changes_nothing(name):
    chosen = []
    for order in (1, -1):
        study = optuna.create_study(sampler=built(name))
        tell(study, choose(study, 2 * WAVE if name == "boundary" else WAVE)[::order])
        chosen.append(choose(study, FEW))
    assert chosen[0] == chosen[1]


@pytest.mark.parametrize("name", SAMPLERS.names)
def test_a_run_told_twice_is_an_error_and_changes_nothing(name):
    chosen = []
    for again in (False, True):
        study = optuna.create_study(sampler=built(name))
        wave = choose(study)
        tell(study, wave)
        if again:
            with pytest.raises((ValueError, optuna.exceptions.UpdateFinishedTrialError)):
                tell_milestones(study, wave[0][0], t_mem=(999, False), t_gen=(999, False))
        chosen.append(choose(study, FEW))
    assert chosen[0] == chosen[1]


@pytest.mark.parametrize("name", SAMPLERS.names)
def test_without_results_points_are_spread_over_the_whole_space(name):
    """The largest distance from the uniform distribution that 96 of its draws exceed once in a thousand is .196."""
    study = optuna.create_study(sampler=built(name))
    found = choose(study, 96)
    levels = np.array([params["seed"] for _, params in found])
    assert np.bincount(levels).min() > 16
    for axis in ("fraction", "decay"):
        shares = np.sort([share(SPACE[axis], params[axis]) for _, params in found])
        gap = np.abs(shares - (np.arange(96) + 0.5) / 96).max() + 0.5 / 96
        assert gap < 0.196


def share(axis, value):
    if axis.log:
        return np.log(value / axis.low) / np.log(axis.high / axis.low)
    return (value - axis.low) / (axis.high - axis.low)


@pytest.mark.parametrize("name", SAMPLERS.names)
def test_choices_follow_an_axis_that_is_rescaled(name):
    scaled = {**SPACE, "fraction": Range(low=20, high=90), "decay": Range(low=1e-5, high=1e-2, log=True)}
    plain, other = (np.array(rows(searched(name, space))) for space in (SPACE, scaled))
    assert np.allclose(other, plain * [100, 1e-3, 1], rtol=1e-4)


@pytest.mark.parametrize("name", SAMPLERS.names)
def test_neither_known_nor_running_points_are_chosen_again_while_there_are_others(name):
    space = {"fraction": Range(low=1, high=6, integer=True), "decay": Choice(values=(0.1, 1.0, 10.0))}
    study = optuna.create_study(sampler=built(name, space))
    known = set()

    def is_known(params):
        return tuple(params.items()) in known

    for number in range(18):
        trial, params = ask(study, problem(space).distributions, is_known)
        assert not is_known(params)
        known.add(tuple(params.items()))
        if number % 2:
            late = params["fraction"] < 4
            tell_milestones(study, trial, t_mem=(20, True), t_gen=(1000 if late else 30, not late))
    with pytest.raises(SpaceExhaustedError, match=r"(space has no other|grid are chosen)"):
        ask(study, problem(space).distributions, is_known)


@pytest.mark.parametrize("name", SAMPLERS.names)
def test_a_restored_sampler_goes_on_as_it_would_have(name):
    study = optuna.create_study(sampler=built(name))
    asked, told = [], {}
    for _ in range(2):
        wave = choose(study)
        tell(study, wave)
        for number, params in wave:
            run_id = f"{number:016x}"
            asked.append(Asked(number=number, params=params, run_id=run_id))
            mem, gen = (Milestone(event=event, step=step) for step, event in oracle(params))
            told[run_id] = (Outcome.FINISHED, mem, gen)
    restored = rebuild(built(name), problem().distributions, asked, told)
    # Killed in the middle of a wave: the first half is running.
    half = choose(study, FEW)
    assert choose(restored, FEW) == half
    running = [Asked(number=number, params=params, run_id=f"{number:016x}") for number, params in half]
    again = rebuild(built(name), problem().distributions, asked + running, told)
    assert choose(again, FEW) == choose(study, FEW)


SCRIPT = """
import json, sys, warnings
warnings.simplefilter("ignore")
import torch
torch.set_num_threads(1)
from tests.sweeps.samplers.test_laws import rows, searched
print(json.dumps({name: rows(searched(name)) for name in sys.argv[1:]}))
"""


def test_a_fresh_process_chooses_the_same():
    environment = os.environ | {"PYTHONHASHSEED": "17"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *SAMPLERS.names],
        capture_output=True,
        text=True,
        env=environment,
        cwd=Path(__file__).parents[3],
        check=True,
        timeout=300,
    )
    assert json.loads(done.stdout) == {name: rows(searched(name)) for name in SAMPLERS.names}


def test_a_search_keeps_no_map_but_those_it_needs():
    space = {name: axis.distribution for name, axis in SPACE.items()}
    rng = np.random.default_rng(0)
    runs = []
    search = SearchMap(RULE, space, 0)
    alive = []
    for _ in range(8):
        runs += [({"fraction": rng.uniform(0.2, 0.9), "decay": 10 ** rng.uniform(-2, 1), "seed": 0}) for _ in range(6)]
        told = [(params, *(Milestone(event=event, step=step) for step, event in oracle(params))) for params in runs]
        search.tell(told)
        gc.collect()
        alive.append(sum(type(thing) is RegimeMap for thing in gc.get_objects()))
    assert max(alive) <= 2


def test_who_asks_for_the_map_of_the_same_runs_gets_the_same_one(monkeypatch):
    space = {name: axis.distribution for name, axis in SPACE.items()}
    rng, sizes, fit = np.random.default_rng(1), [], RegimeMap.fit.__func__

    def counted(cls, frame, *args, **options):
        sizes.append(len(frame))
        return fit(cls, frame, *args, **options)

    monkeypatch.setattr(RegimeMap, "fit", classmethod(counted))
    runs = [{"fraction": rng.uniform(0.2, 0.9), "decay": 10 ** rng.uniform(-2, 1), "seed": 0} for _ in range(80)]
    told = [(run, *(Milestone(event=e, step=s) for s, e in oracle(run))) for run in runs]
    sampler, expected = SearchMap(RULE, space, 0), SearchMap(RULE, dict(space), 0)
    assert sampler.tell(told) is expected.tell(list(told))
    assert sizes == [64]
    assert SearchMap(RULE, space, 1).tell(told) is not sampler.map
    assert sampler.tell(told[:72]) is not expected.map
    assert sizes == [64, 64, 64]


def test_two_hundred_refits_take_no_more_memory_than_forty():
    space = {name: axis.distribution for name, axis in SPACE.items()}
    rng, search, used = np.random.default_rng(0), SearchMap(RULE, space, 0), []
    points = pd.DataFrame({"fraction": rng.uniform(0.2, 0.9, 2000), "decay": 10 ** rng.uniform(-2, 1, 2000)})
    for _ in range(200):
        runs = [{"fraction": rng.uniform(0.2, 0.9), "decay": 10 ** rng.uniform(-2, 1), "seed": 0} for _ in range(12)]
        found = search.tell([(run, *(Milestone(event=e, step=s) for s, e in oracle(run))) for run in runs])
        found.probabilities(points)
        used.append(psutil.Process().memory_info().rss / 2**20)
    assert max(used[-40:]) - max(used[:40]) < 16


def test_what_is_learned_grows_with_the_runs_and_never_exceeds_them():
    sizes = [learned_from(runs) for runs in range(1, 3000)]
    assert all(size <= runs for runs, size in enumerate(sizes, start=1))
    assert all(size * 2 > runs for runs, size in enumerate(sizes, start=1))
    assert sizes == sorted(sizes)
    assert sorted(set(sizes[63:])) == [64 * 2**i for i in range(6)]
