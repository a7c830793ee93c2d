"""Cross-entropy stays exact where float32 softmax rounds it away."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from grokcore.losses.base import LOSSES
from grokcore.losses.cross_entropy import cross_entropy, cross_entropy_gradient_
from grokcore.losses.hinge import Hinge
from grokcore.losses.stablemax import StableMax


def test_small_losses_keep_their_relative_precision_in_float32():
    margins = torch.tensor([5.0, 20.0, 60.0, 80.0])
    logits = torch.stack([margins, torch.zeros(4), torch.zeros(4)], dim=1).unsqueeze(0)
    exact = torch.tensor([math.log1p(2 * math.exp(-m)) for m in margins.tolist()])
    losses = cross_entropy(logits, torch.zeros(1, 4, dtype=torch.long))[0]
    torch.testing.assert_close(losses, exact.float(), rtol=1e-5, atol=0)
    # What the plain form makes of it:
    plain = torch.nn.functional.cross_entropy(logits[0], torch.zeros(4, dtype=torch.long), reduction="none")
    assert (plain[1:] == 0).all()


def test_the_gradient_at_the_target_is_minus_the_sum_of_the_others():
    logits = torch.tensor([[[30.0, 0.0, -1.0], [1.0, 2.0, 3.0]]])
    targets, weights = torch.tensor([[0, 1]]), torch.tensor([[1.0, 0.5]])
    gradient = cross_entropy_gradient_(logits.clone(), targets, weights)
    assert gradient[0, 0, 0] == -(gradient[0, 0, 1] + gradient[0, 0, 2])
    assert gradient[0, 0, 0] < 0
    shares = logits.double().softmax(-1)
    expected = torch.tensor(
        [
            [
                [-(shares[0, 0, 1] + shares[0, 0, 2]), shares[0, 0, 1], shares[0, 0, 2]],
                [shares[0, 1, 0], -(shares[0, 1, 0] + shares[0, 1, 2]), shares[0, 1, 2]],
            ]
        ]
    )
    # A margin of x has a share of exp(x), so its rounding alone is worth |x| · 2⁻²⁴ of it.
    margins = logits.double() - logits.double().amax(-1, keepdim=True)
    allowed = (4 + margins.abs().amax(-1, keepdim=True)) * 2.0**-24
    wanted = expected * weights.double().unsqueeze(-1)
    assert ((gradient.double() - wanted).abs() <= allowed * wanted.abs()).all()
    # Where the plain form does not lose it, the gradient is the plain form's.
    wide = logits.double().requires_grad_()
    loss = torch.nn.functional.cross_entropy(wide[0], targets[0], reduction="none") @ weights[0].double()
    (plain,) = torch.autograd.grad(loss, wide)
    torch.testing.assert_close(gradient[0, 1].double(), plain[0, 1], rtol=1e-6, atol=0)


def test_huge_logits_neither_overflow_nor_lose_the_loss():
    logits = torch.tensor([[[500.0, 0.0, -300.0], [0.0, 500.0, 500.0]]])
    losses = cross_entropy(logits, torch.tensor([[0, 0]]))
    torch.testing.assert_close(losses, torch.tensor([[0.0, 500.0 + math.log(2)]]))


TEMPLATES = np.random.default_rng(0).standard_normal((4, 3))


class Templated:
    """As much of a task as a loss looks at."""

    table = type("Table", (), {"templates": TEMPLATES})


class Outputs:
    """As much of a model as a loss looks at."""

    def __init__(self, *, regresses):
        self.regresses = regresses


def make_loss(name, *, regresses=False):
    return LOSSES.member(name)().on(Templated(), Outputs(regresses=regresses))


@pytest.mark.parametrize(("name", "regresses"), [*((name, False) for name in LOSSES.names), ("mse", True)])
def test_every_gradient_is_the_derivative_of_its_values(name, regresses):
    loss = make_loss(name, regresses=regresses)
    generator = torch.Generator().manual_seed(1)
    outputs = 3 * torch.randn(2, 32, 3 if regresses else 4, dtype=torch.float64, generator=generator)
    targets = torch.randint(4, (2, 32), generator=generator)
    weights = torch.rand(2, 32, dtype=torch.float64, generator=generator)
    wide = outputs.clone().requires_grad_()
    (slope,) = torch.autograd.grad((loss.values(wide, targets) * weights).sum(), wide)
    by_hand = loss.gradient_(outputs.clone(), targets, weights)
    rounding = 1e-6 if name == "cross_entropy_float32" else 1e-12
    torch.testing.assert_close(by_hand, slope, rtol=rounding, atol=rounding)
    assert by_hand.abs().max() > 0.1


def test_stablemax_is_the_authors_formula():
    # s(2) = 3, s(0) = 1, s(-1) = 1/2, s(-3) = 1/4: the target's share is 3 / 4.75.
    outputs = torch.tensor([[[2.0, 0.0, -1.0, -3.0]]])
    assert StableMax().values(outputs, torch.tensor([[0]])).item() == pytest.approx(-math.log(3 / 4.75))
    assert StableMax().values(outputs, torch.tensor([[3]])).item() == pytest.approx(-math.log(0.25 / 4.75))


def test_stablemax_keeps_small_losses():
    outputs = torch.tensor([[[1e9, -1e9]]])
    loss = StableMax().values(outputs, torch.tensor([[0]])).item()
    assert loss == pytest.approx(1e-18, rel=1e-5)


def test_mse_is_the_mean_over_outputs_and_answers_the_nearest_template():
    loss = make_loss("mse", regresses=True)
    outputs = torch.tensor(TEMPLATES[None] + 0.1)
    targets = torch.arange(4)[None]
    torch.testing.assert_close(loss.values(outputs, targets), torch.full((1, 4), 0.01, dtype=torch.float64))
    assert loss.answers(outputs).tolist() == [[0, 1, 2, 3]]
    one_hot = make_loss("mse")
    assert one_hot.values(torch.tensor([[[0.5, 0.0]]]), torch.tensor([[0]])).item() == pytest.approx(0.125)


def test_squares_of_softmax_are_torchs_and_keep_the_gradient_of_a_nearly_certain_example():
    outputs = torch.randn(1, 20, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    targets = torch.arange(20)[None] % 5
    hot = torch.nn.functional.one_hot(targets, 5).double()
    theirs = torch.nn.functional.mse_loss(outputs.softmax(-1), hot, reduction="none").mean(-1)
    torch.testing.assert_close(make_loss("mse_softmax").values(outputs, targets), theirs)
    push = make_loss("mse_softmax").gradient_(torch.tensor([[[20.0, 0.0]]]), torch.tensor([[0]]), torch.ones(1, 1))
    assert push[0, 0, 0].item() == pytest.approx(-2 * math.exp(-40), rel=1e-4)


def test_hinge_of_two_classes_is_one_minus_the_signed_margin():
    outputs = torch.tensor([[[0.25, 0.5], [2.0, 0.0]]])
    assert Hinge().values(outputs, torch.tensor([[1, 0]])).tolist() == [[0.75, 0.0]]
    push = Hinge().gradient_(outputs.clone(), torch.tensor([[1, 0]]), torch.ones(1, 2))
    assert push.tolist() == [[[1.0, -1.0], [0.0, 0.0]]]


@pytest.mark.parametrize("name", LOSSES.names)
def test_an_infinite_or_missing_output_never_looks_like_a_small_loss(name):
    outputs = torch.tensor([[[math.nan, 0.0, 1.0]]])
    loss = make_loss(name)
    assert not torch.isfinite(loss.values(outputs, torch.tensor([[1]]))).any()
    assert not torch.isfinite(loss.gradient_(outputs.clone(), torch.tensor([[1]]), torch.ones(1, 1))).all()


@pytest.mark.parametrize(
    ("name", "kept"), [("cross_entropy", True), ("cross_entropy_float32", False), ("cross_entropy_float64", True)]
)
def test_only_the_plain_float32_softmax_loses_the_gradient_of_a_certain_example(name, kept):
    push = make_loss(name).gradient_(torch.tensor([[[25.0, 0.0]]]), torch.tensor([[0]]), torch.ones(1, 1))
    assert (push[0, 0, 0].item() == pytest.approx(-math.exp(-25), rel=1e-5)) is kept
    assert (push[0, 0, 0].item() == 0) is not kept
