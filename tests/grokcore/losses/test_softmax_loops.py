"""The loops of the exact cross-entropy do what its torch operations do, to float32's rounding of them in float64."""

from __future__ import annotations

import math

import pytest
import torch

from grokcore.losses import _softmax
from grokcore.losses.cross_entropy import CrossEntropy, cross_entropy_gradient_

SMALLEST = 1.2e-38
"""What float32 has without subnormal numbers, which a loop leaves out."""


def _drawn(runs, classes, examples, scale=3.0):
    drawn = torch.Generator().manual_seed(classes)
    logits = torch.randn(runs, classes, examples, generator=drawn) * scale
    targets = torch.randint(0, classes, (runs, examples), generator=drawn)
    weights = torch.rand(runs, examples, generator=drawn)
    return logits, targets, weights


def _gradients(logits, targets, weights):
    outputs = logits.clone().mT
    assert _softmax.may_loop(outputs)
    exact = cross_entropy_gradient_(logits.double().mT.clone(), targets, weights.double())
    return cross_entropy_gradient_(outputs, targets, weights), exact


@pytest.mark.parametrize("scale", [0.1, 3.0, 30.0])
@pytest.mark.parametrize(("runs", "classes", "examples"), [(3, 5, 32), (2, 31, 384), (1, 97, 224), (2, 2, 200)])
def test_a_gradient_is_that_of_torchs_operations(runs, classes, examples, scale):
    logits, targets, weights = _drawn(runs, classes, examples, scale)
    found, exact = _gradients(logits, targets, weights)
    # A margin of x has a share of exp(x), so its rounding alone is worth |x| · 2⁻²⁴ of it.
    spread = (logits.amax(1) - logits.amin(1)).max().item()
    torch.testing.assert_close(found.double(), exact, rtol=3e-6 + spread * 2**-23, atol=SMALLEST)


@pytest.mark.parametrize("scale", [0.1, 3.0, 30.0])
@pytest.mark.parametrize(("runs", "classes", "examples"), [(3, 5, 32), (2, 31, 384), (1, 97, 224), (2, 2, 200)])
def test_losses_and_right_answers_are_those_of_torchs_operations(runs, classes, examples, scale):
    logits, targets, _ = _drawn(runs, classes, examples, scale)
    before = logits.clone()
    losses, right = CrossEntropy().examine(logits.mT, targets)
    exact, exactly = CrossEntropy().examine(logits.double().mT, targets)
    spread = (logits.amax(1) - logits.amin(1)).max().item()
    torch.testing.assert_close(losses.double(), exact, rtol=3e-6 + spread * 2**-23, atol=SMALLEST)
    assert torch.equal(right, exactly)
    assert 0 < right.sum() < right.numel()
    assert torch.equal(logits, before)


def _of_one(rows, targets):
    """Return logits (1, C, N) of examples' rows of logits, and their targets and weights."""
    logits = torch.tensor(rows).T.contiguous().unsqueeze(0)
    return logits, torch.tensor([targets]), torch.ones(1, len(rows))


def test_certain_answers_keep_all_digits_and_the_target_has_minus_the_others():
    margins = [5.0, 20.0, 60.0, 80.0, 86.0]
    logits, targets, weights = _of_one([[m, 0.0, 0.0] for m in margins], [0] * 5)
    losses, right = CrossEntropy().examine(logits.mT, targets)
    exact = torch.tensor([math.log1p(2 * math.exp(-m)) for m in margins], dtype=torch.float64)
    torch.testing.assert_close(losses[0].double(), exact, rtol=1e-5, atol=0)
    assert right.all()
    found, expected = _gradients(logits, targets, weights)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=0)
    assert torch.equal(found[0, :, 0], -(found[0, :, 1] + found[0, :, 2]))


def test_logits_of_any_size_are_fine():
    rows = [[1e30, 1.0, -1e30], [-1e30, 1e30, 0.0], [3e38, 3e38, -3e38], [0.0, -math.inf, 1.0], [2.0, 2.0, -math.inf]]
    logits, targets, weights = _of_one(rows, [0, 0, 1, 2, 1])
    found, expected = _gradients(logits, targets, weights)
    torch.testing.assert_close(found.double(), expected, rtol=1e-6, atol=SMALLEST)
    losses, right = CrossEntropy().examine(logits.mT, targets)
    exact, exactly = CrossEntropy().examine(logits.double().mT, targets)
    torch.testing.assert_close(losses.double(), exact, rtol=1e-6, atol=SMALLEST)
    # Of equal logits the first is the answer.
    assert right.tolist() == exactly.tolist() == [[True, False, False, True, False]]


@pytest.mark.parametrize("rows", [[[math.nan, 0.0, 1.0]], [[0.0, math.nan, 1.0]], [[0.0, 1.0, math.nan]]])
@pytest.mark.parametrize("target", [0, 1, 2])
def test_what_is_no_number_spoils_its_example_and_no_other(rows, target):
    logits, targets, weights = _of_one([*rows, [9.0, 0.0, 0.0]], [target, 0])
    found, _ = _gradients(logits, targets, weights)
    assert found[0, 0].isnan().all()
    assert found[0, 1].isfinite().all()
    losses, right = CrossEntropy().examine(logits.mT, targets)
    assert losses[0].isnan().tolist() == [True, False]
    assert right.tolist() == [[False, True]]


def test_infinite_logits_are_no_answers():
    logits, targets, weights = _of_one([[math.inf, 0.0, 1.0], [-math.inf] * 3], [1, 0])
    found, exact = _gradients(logits, targets, weights)
    assert torch.equal(found.isnan(), exact.isnan())
    losses, right = CrossEntropy().examine(logits.mT, targets)
    assert not losses[0].isfinite().any()
    assert not right.any()


def test_a_runs_bits_do_not_depend_on_who_is_beside_it_nor_on_how_many_examples_are_cut_out():
    logits, targets, weights = _drawn(4, 31, 416)
    found = cross_entropy_gradient_(logits.clone().mT, targets, weights)
    losses, right = CrossEntropy().examine(logits.mT, targets)
    for k in range(4):
        own = logits[k : k + 1].clone()
        seen = CrossEntropy().examine(own.mT, targets[k : k + 1])
        assert torch.equal(seen[0][0], losses[k])
        assert torch.equal(seen[1][0], right[k])
        assert torch.equal(cross_entropy_gradient_(own.mT, targets[k : k + 1], weights[k : k + 1])[0], found[k])
    part = slice(96, 320)
    cut = cross_entropy_gradient_(logits[:, :, part].clone().mT, targets[:, part], weights[:, part])
    assert torch.equal(cut, found[:, part])
    shared = cross_entropy_gradient_(logits.clone().mT, targets[:1].expand(4, -1), weights[:1].expand(4, -1))
    assert torch.equal(shared[0], found[0])


def test_a_bias_is_added_and_its_gradient_summed():
    logits, targets, weights = _drawn(3, 31, 352)
    bias = torch.randn(3, 40, generator=torch.Generator().manual_seed(1))[:, 4:35]
    loss = CrossEntropy()
    assert loss.adds_bias(logits.mT)
    assert not loss.adds_bias(logits.double().mT)
    found, at_bias = loss.biased_gradient_(logits.clone().mT, bias, targets, weights)
    exact, exactly = loss.biased_gradient_(logits.double().mT, bias.double(), targets, weights.double())
    torch.testing.assert_close(found.double(), exact, rtol=1e-5, atol=SMALLEST)
    torch.testing.assert_close(at_bias.double(), exactly, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(at_bias, found.sum(1), rtol=1e-5, atol=1e-6)
    for k in range(3):
        own = logits[k : k + 1].clone().mT
        alone, at_own = loss.biased_gradient_(own, bias[k : k + 1], targets[k : k + 1], weights[k : k + 1])
        assert torch.equal(alone[0], found[k])
        assert torch.equal(at_own[0], at_bias[k])


def test_outputs_that_lie_otherwise_are_left_to_torch():
    logits, targets, weights = _drawn(2, 5, 32)
    assert not _softmax.may_loop(logits.mT.contiguous())
    assert not _softmax.may_loop(logits[:, :1].mT)
    assert not _softmax.may_loop(logits.double().mT)
    assert not _softmax.may_loop(logits[0].mT)
    straight = cross_entropy_gradient_(logits.mT.contiguous(), targets, weights)
    torch.testing.assert_close(straight, cross_entropy_gradient_(logits.clone().mT, targets, weights))
