"""median and asha: what they stop is what Optuna's pruners prune, and it is written down like any verdict."""

import numpy as np
import optuna
import pandas as pd
import pytest
from optuna.pruners import MedianPruner
from optuna.pruners._successive_halving import _is_trial_promotable_to_next_rung
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

from grokcore.engine.cohort import Cohort
from grokcore.engine.evaluation_schedule import evaluation_steps
from grokcore.records.regimes import RegimeRule
from grokcore.records.run_record import UNDECIDED, Outcome
from grokcore.run_config import RunConfig
from grokcore.training import train_again
from sweeps.finished_runs.stopped import stopping_report
from sweeps.stopping.asha import Asha
from sweeps.stopping.median import Median

RULE = RegimeRule(budget=200, ratio=5)
STEPS = np.array([10, 20, 40])


def config(seed=0, steps=200):
    return RunConfig.from_dict(
        {
            "task": {"name": "modular_addition", "modulus": 7},
            "model": {"name": "mlp", "width": 16},
            "optimizer": {"name": "adamw", "rate": 0.003 * 4**seed, "decay": 1.0},
            "fraction": 0.6,
            "steps": steps,
            "seed": seed,
        }
    )


def curves(seed, runs=9):
    rng = np.random.default_rng(seed)
    # Coarse values, so that some are equal.
    return [np.round(rng.random(3), 1) for _ in range(runs)]


def verdicts(stopping, accuracies):
    judge = stopping.judge(RULE)
    runs = [(config(), {"step": STEPS, "val_accuracy": np.append(np.nan, own)}) for own in accuracies]
    return [bool(why) for why in judge.verdicts(runs, 40)]


def test_median_stops_what_optunas_pruner_prunes():
    ours, theirs = [], []
    for seed in range(8):
        accuracies = curves(seed)
        ours += verdicts(Median(), accuracies)
        for own, mine in enumerate(accuracies):
            study = optuna.create_study(direction="maximize")
            for other, accuracy in enumerate(accuracies):
                if other != own:
                    values = dict(zip(STEPS.tolist(), accuracy.tolist(), strict=True))
                    study.add_trial(create_trial(value=1.0, intermediate_values=values))
            values = dict(zip(STEPS.tolist(), mine.tolist(), strict=True))
            trial = create_trial(state=TrialState.RUNNING, intermediate_values=values)
            theirs.append(MedianPruner(n_startup_trials=5).prune(study, trial))
    assert ours == theirs
    assert 0 < sum(ours) < len(ours)


@pytest.mark.parametrize("runs", [1, 3, 4, 9, 16])
def test_asha_lets_those_go_on_that_optunas_pruner_promotes(runs):
    accuracies = curves(runs, runs)
    last = [float(own[-1]) for own in accuracies]
    promoted = [_is_trial_promotable_to_next_rung(own, list(last), 4, StudyDirection.MAXIMIZE) for own in last]
    assert verdicts(Asha(), accuracies) == [not goes_on for goes_on in promoted]


def test_few_peers_stop_nothing():
    falling = [np.array([0.1, 0.1, 0.1 * (5 - place)]) for place in range(5)]
    assert verdicts(Median(startup=5), falling) == [False] * 5
    assert verdicts(Median(startup=4), falling) == [False, False, False, True, True]
    assert verdicts(Asha(), curves(0, 1)) == [False]


def test_rungs_are_evaluations_before_the_end_each_later_by_the_same_factor():
    rungs = sorted(Asha(reduction=4, first=1 / 64).judge(RegimeRule(budget=5000, ratio=5)).looks(config(steps=5000)))
    assert len(rungs) == 3
    assert set(rungs) < set(evaluation_steps(5000))
    assert [step / 5000 for step in rungs] == pytest.approx([1 / 64, 1 / 16, 1 / 4], rel=0.03)
    assert min(Median(warmup=0.5).judge(RULE).looks(config())) >= 100


@pytest.mark.parametrize("stopping", [Median(startup=2), Asha()])
def test_a_run_that_is_stopped_is_censored_says_why_and_is_reproduced(stopping):
    cohort, records = Cohort([config(seed) for seed in range(4)], judge=stopping.judge(RULE)), []
    while not cohort.done:
        records += cohort.advance(seconds=0)
    stopped = [record for record in records if record.outcome is Outcome.STOPPED]
    assert 0 < len(stopped) < 4
    for record in stopped:
        row = record.row(RULE)
        assert row["regime"] == UNDECIDED
        assert not row["t_gen_event"]
        assert "validation accuracy" in record.reason
        assert row["ruled_out"] == 0
        assert row["t_gen"] == record.steps < 200
    said = stopping_report(pd.DataFrame([record.row(RULE) for record in records]), RULE.budget)
    assert "behind runs beside them" in said
    assert "audited run" not in said
    again = train_again(stopped[0])
    assert (again.outcome, again.reason) == (stopped[0].outcome, stopped[0].reason)
    assert again.columns["val_loss"].tolist() == stopped[0].columns["val_loss"].tolist()
