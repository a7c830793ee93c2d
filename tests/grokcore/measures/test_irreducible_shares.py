"""Irreducible shares: functions of one irreducible are recognised as such."""

import pytest
import torch

from grokcore.algebra.groups import permutation_group


@pytest.mark.parametrize("name", ["S4", "D5"])
def test_matrix_elements_of_an_irreducible_have_their_whole_share_in_it(embedded, value, name):
    group = permutation_group(name)
    for irreps in group.real_irreps[1:]:
        functions = torch.from_numpy(group.isotypic_basis(irreps).copy())
        view = embedded(functions + 2.0, task={"name": "group_composition", "group": name})
        shares = value("irreducible_shares", view)
        assert len(shares) == len(group.real_irreps) - 1
        assert shares[f"irreducible_{irreps[0]}_share"] == pytest.approx(1, abs=1e-6)
        assert sum(shares.values()) == pytest.approx(1, abs=1e-6)


def test_orthogonal_symbols_share_by_the_squares_of_the_degrees(embedded, value):
    group = permutation_group("S4")
    view = embedded(torch.eye(24, dtype=torch.float64), task={"name": "group_composition", "group": "S4"})
    shares = list(value("irreducible_shares", view).values())
    squares = [int(group.degrees[irreps[0]]) ** 2 for irreps in group.real_irreps[1:]]
    assert shares == pytest.approx([square / 23 for square in squares], abs=1e-6)
