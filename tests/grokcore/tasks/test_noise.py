"""Label noise: how much, of which kind, and for whom."""

import numpy as np
import pandas as pd
import pytest

from grokcore import RunConfig, train
from grokcore.data.split import split
from grokcore.engine.grouping import cohort_key
from grokcore.tasks.base import TASKS

TASK = TASKS.member("modular_addition")(modulus=53, label_noise=0.3)
ROWS = np.arange(TASK.examples)


def test_about_the_asked_share_is_spoilt_and_spread_over_the_wrong_classes():
    shift = (TASK.train_targets(ROWS, seed=0) - TASK.table.targets) % 53
    spoilt = np.mean(shift != 0)  # 2,809 draws at .3: sd .0086, five of them, P < 1e-6
    assert abs(spoilt - 0.3) < 5 * 0.0086
    counts = np.bincount(shift, minlength=53)[1:]
    expected = counts.sum() / 52
    chi_square = np.sum((counts - expected) ** 2 / expected)  # mean 51, standard deviation 10.1
    assert 51 - 5 * 10.1 < chi_square < 51 + 5 * 10.1


def test_each_seed_has_a_noise_of_its_own():
    first, again, second = (TASK.train_targets(ROWS, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert np.mean(first != second) > 0.3


def test_two_classes_have_one_wrong_one():
    parity = TASKS.member("parity")(bits=40, label_noise=0.5)
    rows = np.arange(parity.examples)
    targets = parity.train_targets(rows, seed=0)
    assert set(targets.tolist()) == {0, 1}
    assert 0.4 < np.mean(targets != parity.table.targets) < 0.6


def noisy(noise, batch="full", seed=0, steps=400, combine="sum"):
    return RunConfig.from_dict(
        {
            "task": {"name": "modular_addition", "modulus": 11, "label_noise": noise},
            "model": {"name": "mlp", "width": 64, "inputs": "embedding", "combine": combine},
            "optimizer": {"name": "adamw", "rate": 1e-2, "decay": 0.0},
            "fraction": 0.6,
            "batch": batch,
            "steps": steps,
            "seed": seed,
        }
    )


@pytest.mark.parametrize("batch", ["full", 32])
def test_a_network_that_sees_the_order_fits_its_noise(batch):
    (record,) = train([noisy(0.5, batch=batch, combine="concat", steps=1000)])
    assert record.curves["train_accuracy"].iloc[-1] == 1
    assert record.curves["val_accuracy"].iloc[-1] < 0.5


@pytest.mark.parametrize("batch", ["full", 32])
def test_a_network_that_cannot_tell_the_order_is_judged_by_each_label_alone(batch):
    config = noisy(0.5, batch=batch, steps=1000)
    (record,) = train([config])
    rows, _ = split(config)
    targets = config.task.train_targets(rows, config.seed)
    seen = {}
    for row, target in zip(np.sort(config.task.table.inputs[rows], axis=1).tolist(), targets.tolist(), strict=True):
        seen.setdefault(tuple(row), []).append(target)
    best = sum(max(map(classes.count, classes)) for classes in seen.values()) / len(rows)
    assert best < 1, "some pair has two labels, and no function of the pair gives both"
    assert record.curves["train_accuracy"].iloc[-1] == pytest.approx(best)


def test_amounts_of_noise_share_a_cohort_and_none_has_its_own():
    assert cohort_key(noisy(0.1)) == cohort_key(noisy(0.5)) != cohort_key(noisy(0.0))


@pytest.mark.parametrize("batch", ["full", 32])
def test_a_noisy_run_is_the_same_in_company(batch):
    company = train([noisy(noise, batch=batch, seed=seed) for noise in (0.1, 0.3) for seed in (0, 1)])
    (alone,) = train([noisy(0.3, batch=batch, seed=0)])
    pd.testing.assert_frame_equal(company[2].curves, alone.curves)
    assert not company[0].curves.equals(alone.curves)
