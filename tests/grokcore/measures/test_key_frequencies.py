"""Key frequencies: planted ones are found, in number and by name."""

import pytest
import torch

from grokcore.algebra.fourier import keys


@pytest.mark.parametrize("symbols", [13, 30])
def test_planted_frequencies_are_the_key_ones_in_spite_of_noise(embedded, cosines, value, symbols):
    planted = cosines(symbols, [1, 4, 5])
    planted += 0.02 * torch.randn(planted.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    view = embedded(planted, task={"name": "modular_addition", "modulus": symbols})
    assert value("key_frequencies", view) == 3
    found = keys(view.energies)[0]
    assert (found.nonzero().flatten() + 1).tolist() == [1, 4, 5]


def test_a_random_embedding_has_nearly_all_of_them(embedded, value):
    noise = torch.randn(53, 128, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    view = embedded(noise, task={"name": "modular_addition", "modulus": 53})
    assert 20 <= value("key_frequencies", view) <= 26
