"""Fourier concentration: 0 where all components are alike, near 1 where there is one."""

import math

import pytest
import torch

from grokcore.algebra.fourier import basis
from grokcore.tasks.base import TASKS
from grokcore.views.characters import characters


@pytest.mark.parametrize("symbols", [13, 12])
def test_the_basis_is_orthonormal_and_the_norms_are_those_of_its_coefficients(symbols):
    transform = basis(symbols)
    torch.testing.assert_close(transform @ transform.T, torch.eye(symbols, dtype=torch.float64))
    embedding = torch.randn(2, symbols, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    spectrum = torch.fft.rfft(embedding, dim=1, norm="ortho").abs().square().sum(2)
    waves = characters(TASKS.member("modular_addition")(modulus=symbols))
    assert torch.equal(waves.basis, transform)
    energy = waves.norms(embedding).square()
    assert energy[:, 0].tolist() == pytest.approx(spectrum[:, 0].tolist())
    for k in range(1, (symbols + 1) // 2):
        together = energy[:, k] + energy[:, symbols // 2 + k]
        assert together.tolist() == pytest.approx((2 * spectrum[:, k]).tolist())


def test_equal_components_have_none_and_a_single_one_all_there_can_be(embedded, value):
    assert value("fourier_concentration", embedded(torch.eye(13, dtype=torch.float64))) == pytest.approx(0, abs=1e-12)
    wave = torch.cos(2 * math.pi * 3 * torch.arange(13, dtype=torch.float64) / 13)[:, None]
    assert value("fourier_concentration", embedded(wave)) == pytest.approx(12 / 13, abs=1e-9)
