"""Splits by difference: whole classes of a − b mod p are on one side, and a random split is what it was."""

import numpy as np
import pytest

from grokcore import ConfigError, RunConfig
from grokcore.data.split import split

BASE = {"task": {"name": "modular_addition", "modulus": 11}, "model": "mlp", "optimizer": "adamw", "steps": 5}


def make(**changes):
    return RunConfig.from_dict({**BASE, "fraction": 0.6, **changes})


def differences(config, rows):
    inputs = config.task.table.inputs[rows]
    return set(((inputs[:, 0] - inputs[:, 1]) % 11).tolist())


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("fraction", [0.1, 0.4, 0.9])
def test_each_difference_is_wholly_on_one_side(seed, fraction):
    config = make(split="difference", fraction=fraction, seed=seed)
    train, val = split(config)
    assert len(train) == config.train_examples == 11 * round(11 * fraction)
    assert sorted([*train, *val]) == list(range(121))
    assert not differences(config, train) & differences(config, val)


def test_seeds_draw_other_differences_and_larger_fractions_add_to_them():
    held = [frozenset(differences(c, split(c)[1])) for c in (make(split="difference", seed=s) for s in range(8))]
    assert len(set(held)) > 4
    small, large = (split(make(split="difference", fraction=f))[0] for f in (0.3, 0.7))
    assert set(small) < set(large)


def test_a_random_split_is_not_written_down_so_that_runs_keep_their_names():
    plain, named = make(), make(split="random")
    assert plain.run_id == named.run_id
    assert "split" not in plain.to_dict()
    other = make(split="difference")
    assert other.run_id != plain.run_id
    assert RunConfig.from_dict(other.to_flat()) == other
    assert not np.array_equal(split(plain)[0], split(other)[0])


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"split": "differences"}, "split = 'differences'"),
        (
            {"split": "difference", "task": {"name": "parity", "bits": 6, "samples": 60}},
            "is for all pairs of p numbers",
        ),
        ({"split": "difference", "task": {"name": "modular_division", "modulus": 11}}, "is for all pairs of p numbers"),
        ({"split": "difference", "fraction": 0.01}, "leaves no whole difference on one of the sides"),
        ({"split": "difference", "fraction": 0.99}, "leaves no whole difference on one of the sides"),
    ],
)
def test_what_cannot_be_split_so_is_said(changes, sentence):
    with pytest.raises(ConfigError, match=sentence):
        make(**changes)
