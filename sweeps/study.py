"""The Optuna study of a sweep: asked in waves, told every run, rebuilt from the store when a sweep goes on."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
from optuna.study._tell import _tell_with_warning
from optuna.trial import FrozenTrial, TrialState, create_trial

from grokcore.records.milestones import Milestone
from grokcore.records.run_record import Outcome, RunRecord
from sweeps.new_points import SpaceExhaustedError, anywhere
from sweeps.store.reported_run import ReportedRun
from sweeps.store.run_store import Asked

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.study import Study

ASKED_AGAIN = 10
"""How often a sampler that chose what is known is asked for another point."""
CENSORED = 1.0
"""Added to log10 of the last step of a run that never generalised: to a sampler it is ten times as late."""

optuna.logging.set_verbosity(optuna.logging.WARNING)


def objective(t_gen: Milestone, budget: int = 0) -> float:
    """Return what samplers minimise: log10 of the step of generalisation, or of the last step plus `CENSORED`.

    A run that was ended before `budget` counts as one that took it: it is no earlier a bloomer for being stopped early.
    """
    if t_gen.event:
        return math.log10(max(t_gen.step, 1))
    return math.log10(max(t_gen.step, budget, 1)) + CENSORED


def ask(
    study: Study,
    distributions: Mapping[str, BaseDistribution],
    known: Callable[[Mapping[str, Any]], bool] | None = None,
) -> tuple[int, dict[str, Any]]:
    """Return the number and the parameters of a new trial, those that ``study.ask(distributions)`` would have.

    Where these are `known`, the sampler is asked again; if it knows no others, they are drawn from all of the space;
    raises `SpaceExhaustedError` if that has none.
    Optuna copies all parameters deeply whenever it looks at one, which was a third of the driver's work.
    """
    trial = study.ask()
    chosen, space = trial.relative_params, trial.relative_search_space or {}
    params: dict[str, Any] = {}
    for name, distribution in distributions.items():
        if name in chosen and _same(space.get(name), distribution) and not distribution.single():
            internal = distribution.to_internal_repr(chosen[name])
            if distribution._contains(internal):
                study._storage.set_trial_param(trial._trial_id, name, internal, distribution)
                params[name] = distribution.to_external_repr(internal)
                continue
        params[name] = distribution.to_external_repr(distribution.to_internal_repr(trial._suggest(name, distribution)))
    if known is not None and known(params):
        params = _unknown(study, trial, distributions, known)
        for name, distribution in distributions.items():
            internal = distribution.to_internal_repr(params[name])
            study._storage.set_trial_param(trial._trial_id, name, internal, distribution)
    return trial.number, params


def _same(one: BaseDistribution | None, other: BaseDistribution) -> bool:
    """Say whether two distributions are one or alike; Optuna compares even a choice with itself value by value."""
    return one is other or one == other


def _unknown(
    study: Study,
    trial: optuna.Trial,
    distributions: Mapping[str, BaseDistribution],
    known: Callable[[Mapping[str, Any]], bool],
) -> dict[str, Any]:
    """Return parameters that are not known: the sampler's if it has others, else any."""
    sampler, frozen = study.sampler, study._storage.get_trial(trial._trial_id)
    for _ in range(ASKED_AGAIN):
        chosen = sampler.sample_relative(study, frozen, sampler.infer_relative_search_space(study, frozen))
        params = {
            name: chosen[name] if name in chosen else sampler.sample_independent(study, frozen, name, distribution)
            for name, distribution in distributions.items()
        }
        within = all(each._contains(each.to_internal_repr(params[name])) for name, each in distributions.items())
        if within and not known(params):
            return params
    for params in anywhere(distributions, np.random.default_rng(trial.number)):
        if not known(params):
            return params
    raise SpaceExhaustedError("the space has no other points; widen it, or add values to its lists, for more runs.")


def tell_milestones(
    study: Study, trial: optuna.Trial | int, *, t_mem: tuple[int, bool], t_gen: tuple[int, bool], budget: int = 0
) -> FrozenTrial:
    """Tell `study` when a run memorised and when it generalised, each as (step, event).

    With event False the step is the last at which it had not happened yet (right-censored). A censored run is told as
    complete, never as pruned: it is a result, and samplers rank pruned runs wrongly.

    >>> import optuna
    >>> optuna.logging.set_verbosity(optuna.logging.WARNING)
    >>> study = optuna.create_study()
    >>> told = tell_milestones(study, study.ask(), t_mem=(50, True), t_gen=(1000, False), budget=1000)
    >>> told.state.name, milestones_of(told)[1]
    ('COMPLETE', Milestone(event=False, step=1000))
    """
    number = trial if isinstance(trial, int) else trial.number
    mem = Milestone(event=bool(t_mem[1]), step=int(t_mem[0]))
    gen = Milestone(event=bool(t_gen[1]), step=int(t_gen[0]))
    _tell(study, number, mem, gen, budget)
    return copy.deepcopy(study._storage.get_trial(_trial_id(study, number)))


def _tell(study: Study, number: int, mem: Milestone, gen: Milestone, budget: int) -> None:
    """Tell milestones as ``study.tell`` would, which copies the whole trial deeply to return it."""
    note(study, number, t_mem=[mem.step, mem.event], t_gen=[gen.step, gen.event])
    _tell_with_warning(study, number, objective(gen, budget))


def milestones_of(trial: FrozenTrial) -> tuple[Milestone, Milestone] | None:
    """Return (t_mem, t_gen) of a trial that `tell_milestones` told, or None."""
    try:
        (mem, mem_event), (gen, gen_event) = trial.user_attrs["t_mem"], trial.user_attrs["t_gen"]
    except KeyError:
        return None
    return Milestone(event=bool(mem_event), step=int(mem)), Milestone(event=bool(gen_event), step=int(gen))


def tell_outcome(study: Study, number: int, outcome: Outcome, mem: Milestone, gen: Milestone, budget: int = 0) -> None:
    """Tell `study` a finished run; one that raised an error is told as failed."""
    if outcome is Outcome.FAILED:
        study.tell(number, state=TrialState.FAIL)
    else:
        _tell(study, number, mem, gen, _counted(outcome, budget))


def told_of(run: RunRecord | ReportedRun, threshold: float) -> tuple[Outcome, Milestone, Milestone]:
    """Return what a study is told of a finished run: its outcome, t_mem and t_gen.

    One that a forecast stopped is censored at the step by which that ruled out that it generalises, as maps have it
    (`analysis.runs.ruled_out`).
    """
    mem, gen = run.milestone("train", threshold), run.milestone("val", threshold)
    if run.outcome is Outcome.STOPPED and run.word.step and threshold >= run.word.accuracy:
        gen = gen if gen.event else Milestone(event=False, step=max(gen.step, run.word.step))
        if not run.milestone("train", run.word.accuracy).event:
            mem = Milestone(event=False, step=max(mem.step, run.word.step))
    return run.outcome, mem, gen


def rebuild(
    sampler: BaseSampler,
    distributions: Mapping[str, Any],
    asked: Iterable[Asked],
    told: Mapping[str, tuple[Outcome, Milestone, Milestone]],
    budget: int = 0,
) -> Study:
    """Return a study that knows all runs asked for, those in `told` (by run_id) with their result, the rest running.

    A run elsewhere than in `distributions` has its number, but is told as failed: samplers pass over it.
    """
    study = optuna.create_study(sampler=sampler)
    trials = []
    for item in asked:
        common: dict[str, Any] = {"user_attrs": {"run_id": item.run_id}}
        if not inside(distributions, item.params):
            trials.append(create_trial(state=TrialState.FAIL, **common))
            continue
        common |= {"params": dict(item.params), "distributions": dict(distributions)}
        if item.run_id not in told:
            trials.append(create_trial(state=TrialState.RUNNING, **common))
            continue
        outcome, mem, gen = told[item.run_id]
        if outcome is Outcome.FAILED:
            # Its point is known all the same, and not to be chosen again.
            trials.append(create_trial(state=TrialState.FAIL, **common))
        else:
            common["user_attrs"] |= {"t_mem": [mem.step, mem.event], "t_gen": [gen.step, gen.event]}
            trials.append(create_trial(value=objective(gen, _counted(outcome, budget)), **common))
    study.add_trials(trials)
    return study


def inside(distributions: Mapping[str, BaseDistribution], params: Mapping[str, Any]) -> bool:
    """Say whether parameters are all among those that distributions give."""
    try:
        return all(d._contains(d.to_internal_repr(params[name])) for name, d in distributions.items())
    except (ValueError, KeyError):
        return False


def note(study: Study, number: int, **attributes: Any) -> None:
    """Note attributes of a trial by its number, since a rebuilt study has no handle of it."""
    trial_id = _trial_id(study, number)
    for name, value in attributes.items():
        study._storage.set_trial_user_attr(trial_id, name, value)


def params_of(study: Study, number: int) -> dict[str, Any]:
    """Return the parameters of a trial; all trials, as Optuna gives them, are a list that is made anew."""
    return dict(study._storage.get_trial(_trial_id(study, number)).params)


def _trial_id(study: Study, number: int) -> int:
    return study._storage.get_trial_id_from_study_id_trial_number(study._study_id, number)


def _counted(outcome: Outcome, budget: int) -> int:
    return budget if outcome is Outcome.STOPPED else 0
