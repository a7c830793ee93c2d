"""Dropout: so many activations are zero and the others scaled up, by the run's own masks, in training alone."""

from __future__ import annotations

import torch

from grokcore.engine.cohort import Cohort
from grokcore.engine.dropout import Dropout


def thinning(rates, seeds, step):
    """Return what a step does to a tensor at one of dropout's places."""
    drop = Dropout(rates, seeds, ("neurons_",))
    drop.begin(step)
    return lambda x: drop.on(torch.arange(x.shape[1]).unsqueeze(0))("neurons_0", x)


def test_other_places_are_left_alone():
    x = torch.ones(1, 8, 8)
    drop = Dropout([0.5], [0], ("neurons_",)).on(torch.arange(8).unsqueeze(0))
    assert drop("before_0", x) is x
    assert not torch.equal(drop("neurons_3", x), x)


def test_what_is_left_is_scaled_so_that_the_mean_stays():
    x = torch.full((2, 400, 500), 3.0)
    thinned = thinning([0.3, 0.8], [0, 1], step=5)(x)
    for run, rate in zip(thinned, (0.3, 0.8), strict=True):
        dropped = run == 0
        # 200,000 draws: the share's standard deviation is at most .0011.
        assert abs(dropped.float().mean() - rate) < 0.005
        torch.testing.assert_close(run[~dropped], torch.full_like(run[~dropped], 3.0 / (1 - rate)))
        assert abs(run.mean() - 3.0) < 0.05


def test_masks_are_the_runs_own_and_new_at_every_step_and_tensor():
    x = torch.ones(1, 64, 64)
    first = thinning([0.5], [0], step=1)
    once, again = first(x), first(x)
    assert not torch.equal(once, again)
    assert torch.equal(thinning([0.5], [0], step=1)(x), once)
    assert not torch.equal(thinning([0.5], [0], step=2)(x), once)
    assert not torch.equal(thinning([0.5], [1], step=1)(x), once)
    assert torch.equal(thinning([0.1, 0.5], [7, 0], step=1)(x.expand(2, -1, -1))[1], once[0])


def test_a_rate_of_zero_drops_nothing_and_looking_never_does(make_config):
    x = torch.randn(1, 8, 8)
    assert torch.equal(thinning([0.0], [0], step=1)(x), x)
    quiet, thinned = (Cohort([make_config(model__combine="concat", dropout=rate)]) for rate in (0.0, 0.5))
    seen = [c.kernel.examine(c.parameters, c.everything)[0].mean() for c in (quiet, thinned)]
    torch.testing.assert_close(seen[0], seen[1])
    quiet.train_to(1)
    thinned.train_to(1)
    assert not torch.equal(quiet.flat, thinned.flat)


def test_a_mask_belongs_to_the_example_and_not_to_its_place():
    x, rows = torch.ones(1, 16, 8), torch.randperm(16).unsqueeze(0)
    masks = []
    for order in (torch.arange(16).unsqueeze(0), rows):
        drop = Dropout([0.5], [0], ("neurons_",)).on(order)
        masks.append(drop("neurons_0", x))
    assert torch.equal(masks[0][:, rows[0]], masks[1])
