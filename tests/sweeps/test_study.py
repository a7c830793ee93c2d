"""The study is told milestones, with censoring, and can be rebuilt from what the store knows."""

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from grokcore.records.milestones import Milestone
from grokcore.records.run_record import Outcome
from sweeps.store.run_store import Asked
from sweeps.study import CENSORED, ask, milestones_of, objective, rebuild, tell_milestones, tell_outcome

SPACE = {"fraction": FloatDistribution(0.1, 0.9)}


def test_a_run_that_never_generalised_ranks_behind_one_that_did_at_the_same_step():
    assert objective(Milestone(event=False, step=100)) == objective(Milestone(event=True, step=100)) + CENSORED
    assert objective(Milestone(event=True, step=10)) < objective(Milestone(event=True, step=20))


def test_a_run_that_was_stopped_early_ranks_as_one_that_took_its_whole_budget_in_vain():
    asked = [Asked(number=i, params={"fraction": 0.2 + 0.1 * i}, run_id=f"{i:016x}") for i in range(3)]
    mem, stopped, whole = (Milestone(event=i == 0, step=step) for i, step in enumerate((3, 40, 5000)))
    outcomes = {asked[0].run_id: (Outcome.STOPPED, mem, stopped), asked[1].run_id: (Outcome.FINISHED, mem, whole)}
    study = rebuild(optuna.samplers.RandomSampler(seed=0), SPACE, asked, outcomes, 5000)
    tell_outcome(study, 2, Outcome.STOPPED, mem, stopped, 5000)
    assert len({trial.value for trial in study.trials}) == 1
    assert [milestones_of(study.trials[i]) for i in (0, 2)] == [(mem, stopped)] * 2


class Corners(optuna.samplers.RandomSampler):
    """Chooses an end of a range at random, and so the same again and again."""

    def sample_independent(self, study, trial, param_name, param_distribution):
        ends = param_distribution.low, param_distribution.high
        return ends[int(super().sample_independent(study, trial, param_name, FloatDistribution(0, 1)) > 0.5)]


def test_a_sampler_that_chose_what_is_known_is_asked_again_before_anything_else_is_taken():
    space = {"fraction": FloatDistribution(0.1, 0.9), "decay": FloatDistribution(0.0, 1.0)}
    study, seen = optuna.create_study(sampler=Corners(seed=0)), []
    for _ in range(3):
        seen.append(ask(study, space, known=seen.__contains__)[1])
    assert len({tuple(params.values()) for params in seen}) == 3
    assert all(params["fraction"] in {0.1, 0.9} and params["decay"] in {0.0, 1.0} for params in seen)
    # Of four corners a fifth point is elsewhere.
    seen += [ask(study, space, known=seen.__contains__)[1] for _ in range(2)]
    assert any(params["fraction"] not in {0.1, 0.9} for params in seen)


@pytest.mark.parametrize("by_number", [True, False])
def test_told_milestones_are_read_back(by_number):
    study = optuna.create_study()
    trial = study.ask(SPACE)
    tell_milestones(study, trial.number if by_number else trial, t_mem=(30, True), t_gen=(100, False))
    (told,) = study.trials
    assert told.state is TrialState.COMPLETE
    assert milestones_of(told) == (Milestone(event=True, step=30), Milestone(event=False, step=100))


def test_a_trial_told_otherwise_has_no_milestones():
    study = optuna.create_study()
    study.tell(study.ask(SPACE), 1.0)
    assert milestones_of(study.trials[0]) is None


def test_a_rebuilt_study_has_the_same_trials_under_the_same_numbers():
    asked = [Asked(number=i, params={"fraction": 0.2 + 0.1 * i}, run_id=f"{i:016x}") for i in range(3)]
    mem, gen = Milestone(event=True, step=3), Milestone(event=True, step=9)
    told = {asked[0].run_id: (Outcome.FINISHED, mem, gen), asked[1].run_id: (Outcome.FAILED, mem, gen)}
    study = rebuild(optuna.samplers.RandomSampler(seed=0), SPACE, asked, told)
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE, TrialState.FAIL, TrialState.RUNNING]
    assert [trial.params for trial in study.trials] == [item.params for item in asked]
    tell_milestones(study, 2, t_mem=(3, True), t_gen=(9, True))
    assert study.trials[2].value == study.trials[0].value
    assert study.ask(SPACE).number == 3


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("sampler", ["QMCSampler", "RandomSampler", "TPESampler"])
def test_a_trial_is_asked_for_as_optuna_itself_would(sampler):
    space = {
        "fraction": FloatDistribution(0.2, 0.9),
        "decay": FloatDistribution(0.01, 10, log=True),
        "seed": CategoricalDistribution((0, 1, 2)),
        "width": IntDistribution(8, 64, log=True),
        "single": FloatDistribution(1.0, 1.0),
    }
    ours, theirs = (optuna.create_study(sampler=getattr(optuna.samplers, sampler)(seed=0)) for _ in range(2))
    for number in range(30):
        trial = theirs.ask(space)
        assert ask(ours, space) == (trial.number, trial.params)
        for study in (ours, theirs):
            study.tell(number, float(number % 7))
    assert [trial.params for trial in ours.trials] == [trial.params for trial in theirs.trials]
    assert ours.trials[-1].distributions == theirs.trials[-1].distributions
