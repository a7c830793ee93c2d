"""What is predicted of a card's memory is what its steps hold, seen by following every tensor on a fake card."""

from __future__ import annotations

import gc

import pytest

from grokcore.engine.memory import predicted_bytes
from grokcore.engine.on_paper import Bytes
from tests.contracts.test_ways import WAYS, expand
from tests.gpu.paper import OnCpu
from tests.gpu.test_fake import on_card

RUNS = 6


@pytest.mark.parametrize("way", WAYS)
def test_predicted_memory_is_within_fifteen_percent(way):
    configs = [expand(way, seed=seed) for seed in range(RUNS)]
    gc.collect()
    with Bytes("card") as held, on_card(configs) as stack:
        stack.train(0, 2)
        stack.examine()
    predicted = predicted_bytes(configs[0], RUNS, OnCpu(), stack.layout)
    assert abs(predicted / held.most - 1) < 0.15, f"held {held.most / 2**20:.2f} MiB, predicted {predicted / 2**20:.2f}"
