"""The norm penalty: plain torch with a decay that is switched on once the training set is memorised."""

import numpy as np
import pytest

from benchmarks.plain import build
from grokcore import ConfigError, RunConfig, train

BASE = {
    "task": {"name": "modular_addition", "modulus": 11},
    "model": {"name": "mlp", "width": 32},
    "optimizer": {"name": "sgd", "rate": 0.3, "momentum": 0.9},
    "fraction": 0.6,
    "steps": 300,
    "dtype": "float64",
}
PENALTY = {"name": "norm_penalty", "strength": 0.02, "memorised": 0.9}


def test_its_curves_are_those_of_torch_with_a_decay_from_memorising_on():
    (record,) = train([RunConfig.from_dict({**BASE, "transform": PENALTY})])
    plain, seen, begun = build(RunConfig.from_dict(BASE)), [], None
    for step in range(BASE["steps"] + 1):
        if step in record.columns["step"]:
            seen.append(plain.look())
            if begun is None and seen[-1]["train_accuracy"] >= 0.9:
                begun = step
                for group in plain.optimizer.param_groups:
                    group["weight_decay"] = 0.02
        plain.step()
    assert 0 < begun < 200
    assert begun == record.milestone("train", 0.9).step
    for curve in ("train_loss", "val_loss"):
        theirs = [look[curve] for look in seen]
        np.testing.assert_allclose(record.columns[curve], theirs, rtol=1e-8, atol=1e-10, err_msg=curve)


def test_nothing_changes_before_and_the_norm_falls_after():
    with_it, without = (train([RunConfig.from_dict({**BASE, **more})])[0] for more in ({"transform": PENALTY}, {}))
    begun = with_it.milestone("train", 0.9).step
    before = with_it.columns["step"] <= begun
    assert np.array_equal(with_it.columns["train_loss"][before], without.columns["train_loss"][before])
    assert with_it.final["weight_norm"] < 0.9 * without.final["weight_norm"]


@pytest.mark.parametrize("wrong", [{"strength": 0.0}, {"memorised": 1.1}])
def test_a_penalty_needs_a_strength_and_a_share(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        RunConfig.from_dict({**BASE, "transform": {**PENALTY, **wrong}})
