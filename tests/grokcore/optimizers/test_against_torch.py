"""Optimizers against torch's own, and schedules and decays against their formulas worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from benchmarks.plain import build
from grokcore import RunConfig, train
from grokcore.config.per_run import stacked
from grokcore.engine.coefficients import HostCoefficients
from grokcore.engine.cohort import Cohort
from grokcore.errors import ConfigError
from grokcore.numerics.flat_parameters import FlatParameters
from grokcore.optimizers.adamw import AdamW
from grokcore.optimizers.base import OPTIMIZERS as OPTIMIZERS_FAMILY
from grokcore.optimizers.base import OptimizerGroup, scheduled_decay, scheduled_rate
from grokcore.optimizers.muon import Muon, orthogonalised

OPTIMIZERS = {
    "adamw": {"name": "adamw", "rate": 0.01, "decay": 0.5, "betas": [0.9, 0.98], "warmup": 7},
    "adam": {"name": "adam", "rate": 0.01, "decay": 0.05, "warmup": 7},
    "sgd": {"name": "sgd", "rate": 0.05, "momentum": 0.9, "decay": 0.01},
    "sgd alone": {"name": "sgd", "rate": 0.1, "warmup": 5},
}
NETWORKS = {
    "mlp": {"model": {"name": "mlp", "width": 16}},
    "minibatches": {"model": {"name": "mlp", "width": 16}, "batch": 30},
    "two layers": {"model": {"name": "transformer", "layers": 2, "width": 16, "mlp_width": 24, "norm": "post"}},
    "squares": {"model": {"name": "mlp", "width": 16, "activation": "tanh"}, "loss": "mse"},
    "squares of softmax": {"model": {"name": "mlp", "width": 16, "depth": 2, "bias": False}, "loss": "mse_softmax"},
    "differences held out": {"model": {"name": "mlp", "width": 16, "combine": "concat"}, "split": "difference"},
    "decoder": {"model": {"name": "decoder", "width": 16}, "loss": "mse", "task": {"name": "toy_addition"}},
    "hinge on bits": {
        "model": {"name": "mlp", "width": 16, "inputs": "real", "combine": "concat"},
        "task": {"name": "parity", "bits": 8, "samples": 80},
        "loss": "hinge",
    },
}


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_curves_are_those_of_torchs_optimizer(optimizer, network):
    changes = NETWORKS[network]
    base = {"task": {"name": "modular_addition", "modulus": 11}, "fraction": 0.6, "steps": 40, "dtype": "float64"}
    config = RunConfig.from_dict({**base, **changes, "optimizer": OPTIMIZERS[optimizer]})
    (record,) = train([config])
    plain, seen = build(config), []
    for step in range(config.steps + 1):
        if step in record.columns["step"]:
            seen.append(plain.look())
        plain.step()
    for curve in ("train_loss", "val_loss"):
        theirs = [look[curve] for look in seen]
        np.testing.assert_allclose(record.columns[curve], theirs, rtol=1e-9, atol=1e-10, err_msg=curve)
    assert record.final["train_loss"] < record.columns["train_loss"][0]


def test_hinge_is_torchs_multi_margin_loss_on_two_classes():
    """Which torch divides by the number of classes."""
    from grokcore.losses.hinge import Hinge

    outputs = torch.randn(1, 50, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    targets = torch.randint(2, (1, 50), generator=torch.Generator().manual_seed(1))
    theirs = torch.nn.functional.multi_margin_loss(outputs[0], targets[0], reduction="none")
    torch.testing.assert_close(Hinge().values(outputs, targets)[0], 2 * theirs)


def steps_of(group, count):
    """Yield a group's coefficients at each of its first steps."""
    coefficients = HostCoefficients([group.dimensions], torch.device("cpu"), torch.float64)
    coefficients.begin([group.coefficients(np.arange(count))], 1)
    for i in range(count):
        yield from coefficients.at(i)


@pytest.mark.parametrize("shape", [(6, 9), (9, 6), (8, 8)])
@torch.no_grad()
def test_muon_is_torchs_muon(shape, monkeypatch):
    """Torch's iteration runs in bfloat16; here it is kept from casting down, so that the formulas must agree."""
    monkeypatch.setattr(torch.Tensor, "bfloat16", lambda tensor: tensor.clone())
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(shape, generator=generator, dtype=torch.float64)
    # torch.nn.Linear holds (outputs, inputs), we (inputs, outputs).
    theirs = torch.nn.Parameter(start.T.contiguous())
    torchs = torch.optim.Muon([theirs], lr=0.02, weight_decay=0.3, momentum=0.9)
    layout = FlatParameters.of({"weight_0": shape})
    flat = layout.pack([{"weight_0": start}], torch.float64)
    gradient = torch.zeros_like(flat)
    optimizer = Muon(rate=0.02, decay=0.3, momentum=0.9)
    state = optimizer.state(flat)
    groups = optimizer.parameter_groups(stacked([optimizer]), layout, ["weight_0"])
    moved = OptimizerGroup(groups[0], flat, gradient, state)
    for at in steps_of(moved, 12):
        push = torch.randn(shape, generator=generator, dtype=torch.float64)
        layout.views(gradient)["weight_0"].copy_(push)
        theirs.grad = push.T.contiguous()
        moved.move(at)
        torchs.step()
    torch.testing.assert_close(layout.views(flat)["weight_0"][0], theirs.detach().T, rtol=1e-9, atol=1e-9)


def test_orthogonalised_matrices_have_singular_values_near_one():
    x = torch.randn(3, 20, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonalised(x))
    assert values.min() > 0.5
    assert values.max() < 1.3


def test_muon_leaves_embeddings_and_read_out_to_adamw():
    config = RunConfig.from_dict(
        {
            "task": {"name": "modular_addition", "modulus": 7},
            "model": {"name": "transformer", "width": 8, "heads": 2, "mlp_width": 8},
            "optimizer": {"name": "muon"},
            "fraction": 0.5,
            "steps": 5,
        }
    )
    cohort = Cohort([config])
    by_muon = [m.group.elements.start for m in cohort.stack.updates.groups if m.group.rule is Muon]
    names = {start: name for name, start in cohort.stack.flat_parameters.offsets.items()}
    assert {names[start] for start in by_muon} == {"query", "key", "value", "out", "mlp_in", "mlp_out"}
    covered = sorted(
        (m.group.elements.start, m.group.elements.stop) for m in cohort.stack.updates.groups if m.group.rule is AdamW
    )
    assert covered[0][0] == 0
    assert covered[-1][1] == cohort.stack.flat_parameters.length


def test_schedules_are_their_formulas():
    """Rate 2 with warm-up over 4 updates and a cosine to a quarter over 8; decay 3 cut to a tenth every 5 updates."""
    optimizer = AdamW(
        rate=2.0, warmup=4, schedule="cosine", schedule_steps=8, schedule_factor=0.25,
        decay=3.0, decay_schedule="step", decay_steps=5, decay_factor=0.1,
    )  # fmt: skip
    settings, steps = stacked([optimizer]), np.array([0, 2, 4, 8, 100])
    cosine = [0.25 + 0.75 * (1 + math.cos(math.pi * s / 8)) / 2 for s in (0, 2, 4, 8, 8)]
    expected = [2.0 * warm * shape for warm, shape in zip((0, 0.5, 1, 1, 1), cosine, strict=True)]
    np.testing.assert_allclose(scheduled_rate(settings, steps)[:, 0], expected, atol=1e-15)
    np.testing.assert_allclose(scheduled_decay(settings, np.array([0, 4, 5, 9, 10]))[:, 0], [3, 3, 0.3, 0.3, 0.03])


def test_the_cosine_is_torchs():
    optimizer = AdamW(rate=0.7, schedule="cosine", schedule_steps=9, schedule_factor=0.0)
    torchs = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.7)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(torchs, T_max=9)
    rates = []
    for _ in range(9):
        rates.append(schedule.get_last_lr()[0])
        torchs.step()
        schedule.step()
    np.testing.assert_allclose(scheduled_rate(stacked([optimizer]), np.arange(9))[:, 0], rates, rtol=1e-12)


@pytest.mark.parametrize("kind", ["adamw", "adam", "sgd"])
def test_decay_pulls_to_where_it_is_told(kind):
    """Without a gradient (rate for AdamW only scales it) weights go to zero, or stay where they began."""
    flat = torch.full((1, 32), 2.0, dtype=torch.float64)
    for target, expected in (("zero", 2.0), ("initialisation", 2.0)):
        section = {"name": kind, "rate": 0.1, "decay": 0.5, "decay_to": target}
        optimizer, weights, gradient = OPTIMIZERS_FAMILY.from_section(section, "optimizer", []), flat.clone(), flat * 0
        state = optimizer.state(weights)
        (group,) = optimizer.parameter_groups(stacked([optimizer]), FlatParameters.of({"w": (32,)}), [])
        moved = OptimizerGroup(group, weights, gradient, state)
        weights.add_(1.0)
        for at in steps_of(moved, 3):
            gradient.zero_()
            moved.move(at)
        distance = (weights - (0.0 if target == "zero" else expected)).abs().max().item()
        start = 3.0 if target == "zero" else 1.0
        assert distance < start
        if kind != "adam":
            assert distance == pytest.approx(start * 0.95**3)


def test_an_embedding_may_have_settings_of_its_own():
    """Liu et al.'s toy: rate 0 elsewhere leaves the rest where it is, and the embedding moves as under AdamW alone."""
    base = {"task": "toy_addition", "model": "decoder", "loss": "mse", "fraction": 0.5, "steps": 10}
    still = RunConfig.from_dict({**base, "optimizer": {"name": "adamw", "rate": 0.0, "embedding_rate": 0.01}})
    plain = RunConfig.from_dict({**base, "optimizer": {"name": "adamw", "rate": 0.01}})
    cohorts = [Cohort([config]) for config in (still, plain)]
    begun = [cohort.flat.clone() for cohort in cohorts]
    for cohort in cohorts:
        cohort.train_to(1)
    part = cohorts[0].stack.flat_parameters.part("embedding")
    assert torch.equal(cohorts[0].flat[:, part], cohorts[1].flat[:, part])
    assert not torch.equal(cohorts[0].flat[:, part], begun[0][:, part])
    assert torch.equal(cohorts[0].flat[:, part.stop :], begun[0][:, part.stop :])
    assert not torch.equal(cohorts[1].flat[:, part.stop :], begun[1][:, part.stop :])


@pytest.mark.parametrize(
    ("optimizer", "said"),
    [
        ({"name": "adamw", "schedule": "cosine"}, "schedule_steps = 0"),
        ({"name": "adamw", "decay_steps": 5}, "decay_steps = 5"),
        ({"name": "muon", "embedding_rate": 0.1}, "adam_rate"),
        ({"name": "sgd", "momentum": 1.0}, "momentum"),
    ],
)
def test_settings_that_mean_nothing_are_refused(optimizer, said):
    with pytest.raises(ConfigError, match=said):
        RunConfig.from_dict({"task": "modular_addition", "task.modulus": 5, "model": "mlp", "optimizer": optimizer,
                             "fraction": 0.5, "steps": 5})  # fmt: skip


@pytest.mark.parametrize(
    ("model", "optimizer", "said"),
    [
        ({"name": "mlp", "inputs": "one_hot"}, {"name": "muon"}, "no matrix between"),
        ({"name": "mlp", "inputs": "one_hot"}, {"name": "adamw", "embedding_rate": 0.1}, "no embedding"),
    ],
)
def test_optimizers_that_do_not_suit_the_network_are_refused(model, optimizer, said):
    with pytest.raises(ConfigError, match=said):
        RunConfig.from_dict({"task": "modular_addition", "task.modulus": 5, "model": model, "optimizer": optimizer,
                             "fraction": 0.5, "steps": 5})  # fmt: skip
