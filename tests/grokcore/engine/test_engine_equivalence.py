"""The engine against plain torch.nn modules and torch.optim, one run at a time: same weights and split, same curves."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.plain import build
from grokcore import train
from grokcore.engine.cohort import Cohort
from grokcore.engine.kernels.autograd import AutogradKernel

MODELS = [
    {"name": "transformer", "width": 16, "heads": 4, "mlp_width": 24},
    *(
        {"name": "mlp", "width": 16, "inputs": i, "combine": c, "bias": b, "depth": d, "activation": a}
        for i in ("one_hot", "embedding")
        for c in ("sum", "concat")
        for b, d, a in ((True, 1, "relu"), (False, 2, "gelu"), (True, 1, "quadratic"), (True, 3, "relu"))
    ),
]


def name(model):
    return "-".join(str(value) for value in model.values())


def worst_difference(config):
    (record,) = train([config])
    plain, seen = build(config), []
    for step in range(config.steps + 1):
        if step in record.columns["step"]:
            seen.append(plain.look())
        plain.step()
    return {
        curve: np.abs(np.array([look[curve] for look in seen]) - record.columns[curve]).max()
        for curve in ("train_loss", "train_accuracy", "val_loss", "val_accuracy")
    }


@pytest.mark.parametrize("model", MODELS, ids=name)
def test_curves_equal_the_plain_loop_in_float64(make_config, model):
    config = make_config(model=model, dtype="float64", steps=50, optimizer__warmup=10, optimizer__betas=[0.9, 0.98])
    worst = worst_difference(config)
    assert max(worst.values()) < 1e-10, worst


@pytest.mark.parametrize("model", MODELS, ids=name)
def test_curves_equal_the_plain_loop_to_float32_rounding(make_config, model):
    worst = worst_difference(make_config(model=model, steps=50, optimizer__warmup=10))
    assert worst["train_loss"] < 2e-4, worst
    assert worst["val_loss"] < 2e-4, worst
    # An accuracy may differ by an example whose two best logits agree to rounding.
    assert max(worst["train_accuracy"], worst["val_accuracy"]) <= 1.01 / 84, worst


@pytest.mark.parametrize("model", MODELS, ids=name)
@pytest.mark.parametrize("task", ["modular_addition", "modular_subtraction", "modular_division"])
def test_hand_written_gradients_equal_automatic_ones(make_config, model, task):
    changes = {"task__name": task}
    if model.get("combine") == "sum" and task != "modular_addition":
        # Sums cannot tell x − y from y − x; with labels that are noise no two of their examples are the same either.
        changes = {"task__name": task.replace("subtraction", "addition").replace("division", "multiplication")}
        changes["task__label_noise"] = 0.3
    configs = [make_config(model=model, dtype="float64", seed=seed, **changes) for seed in (0, 1)]
    cohort = Cohort([c for c in configs if c is configs[0]] * 2)
    with torch.no_grad():
        cohort.flat.add_(
            torch.randn(cohort.flat.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)), alpha=0.1
        )
    with torch.no_grad():
        cohort.kernel.gradients(cohort.parameters, cohort.stack.examples.training_set(), cohort.stack.gradients)
    by_hand = cohort.stack.gradient.clone()
    cohort.stack.gradient.zero_()
    AutogradKernel(cohort.model, cohort.task, cohort.kernel.loss).gradients(
        cohort.parameters, cohort.stack.examples.training_set(), cohort.stack.gradients
    )
    torch.testing.assert_close(by_hand, cohort.stack.gradient, rtol=1e-10, atol=1e-12)
    assert by_hand.abs().max() > 1e-3


@pytest.mark.parametrize("model", MODELS, ids=name)
def test_examined_logits_are_those_of_the_plain_forward_pass(make_config, model):
    cohort = Cohort([make_config(model=model, dtype="float64")])
    every = cohort.everything
    torch.testing.assert_close(
        cohort.kernel.logits(cohort.parameters, every),
        cohort.model.forward(cohort.task, cohort.parameters, every.inputs),
        rtol=1e-11,
        atol=1e-12,
    )
