"""Softmax collapse: none at the start, all examples once logits are huge and right."""

import torch


def test_huge_right_logits_collapse_and_small_ones_do_not(planted, value):
    everything = {k: 1.0 for k in range(1, 7)}
    assert value("softmax_collapse", planted({k: 0.1 for k in everything})) == 0
    assert value("softmax_collapse", planted({k: 1e3 for k in everything})) == 1


def test_only_training_examples_count_and_only_at_their_target(planted, value):
    view = planted({1: 0.0})
    chosen = view.train_counts[0].nonzero().flatten()[:10]
    view.logits[0, chosen] += 1e3 * torch.nn.functional.one_hot(view.everything.targets[0, chosen], 13)
    others = view.val_counts[0].nonzero().flatten()
    view.logits[0, others] += 1e3 * torch.nn.functional.one_hot(view.everything.targets[0, others], 13)
    mixed = view.train_counts[0, others].nonzero().flatten()
    view.logits[0, others[mixed]] = 0
    view.logits[0, chosen] += 1e3 * torch.nn.functional.one_hot(view.everything.targets[0, chosen], 13)
    expected = int(view.train_counts[0, chosen].sum()) / int(view.train_counts[0].sum())
    assert value("softmax_collapse", view) == expected
