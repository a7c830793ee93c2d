"""Excluded loss: what is left without the circuit."""

import math

import pytest
import torch


def test_nothing_is_left_of_the_circuit_and_all_of_a_memory(planted, value):
    assert value("excluded_loss", planted({1: 9.0, 4: 9.0}))["excluded_loss"] == pytest.approx(math.log(13), abs=1e-9)
    memory = torch.zeros(13, 13, 13, dtype=torch.float64)
    residues = torch.arange(13)
    memory[residues[:, None], residues, (residues[:, None] + residues) % 13] = 20.0
    # Frequency 6 of the memory is excluded, the other five are enough.
    kept = value("excluded_loss", planted({1: 0.0}, more=memory, keys=[6]))
    assert kept["excluded_accuracy"] == 1


def test_it_looks_at_training_examples_only(planted, value):
    view = planted({1: 0.0})
    val = view.val_counts[0, view.rows].bool() & ~view.train_counts[0, view.rows].bool()
    view.logits[0, view.rows[val], 0] = 1e3
    before = value("excluded_loss", planted({1: 0.0}))["excluded_loss"]
    assert before == pytest.approx(math.log(13))
    shifted = value("excluded_loss", view)["excluded_loss"]
    assert shifted != before, "the projection is of the whole table"
