"""Characters of abelian groups: the waves that embeddings and outputs are made of.

Residues under addition have cosines and sines of 2πkx/p. Multiplication and division mod a prime are addition of
discrete logarithms, and have the same waves along powers of a primitive root; any other abelian group has its own.

Shapes: K runs, n elements of the group, F frequencies, S symbols, D width.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from grokcore.algebra.groups import Group
from grokcore.lazy_torch import torch
from grokcore.numerics.constants import on_device

if TYPE_CHECKING:
    from torch import Tensor

KEY_SHARE = 0.9
"""Share of the energy that key frequencies carry together."""


@dataclass(frozen=True, eq=False)
class Characters:
    """The real characters of an abelian group, by frequency: each has two functions, or one that is only ±1."""

    tokens: Tensor
    """(n,): the token that stands for each element, in the order of the functions' arguments."""
    basis: Tensor
    """(n, n) orthonormal functions: the constant, a first one of each frequency, and the second ones there are."""
    paired: Tensor
    """Which frequencies, counted from 0, the second functions belong to."""
    ordered: bool
    """Whether a frequency counts waves along the symbols as they are numbered, so that there are high and low ones."""
    grouped: bool
    """Whether the task's targets follow the group."""

    @property
    def frequencies(self) -> int:
        """Number of frequencies F, without the constant."""
        return len(self.basis) - 1 - len(self.paired)

    def on(self, device: torch.device) -> Characters:
        """Return the same where a network is, to be used there."""
        tokens, basis, paired = (on_device(value, device) for value in (self.tokens, self.basis, self.paired))
        return replace(self, tokens=tokens, basis=basis, paired=paired)

    def norms(self, embedding: Tensor) -> Tensor:
        """Return the norms of the n components of (K, S, D) along the elements: (K, n)."""
        rows = embedding[:, self.tokens]
        return torch.bmm(self.basis.expand(len(rows), -1, -1), rows).square().sum(2).sqrt()

    def by_frequency(self, values: Tensor) -> Tensor:
        """Add up what belongs to one frequency along the last axis, (…, n) to (…, F + 1), the constant's first."""
        top = self.frequencies + 1
        found = values[..., :top].clone()
        found[..., self.paired + 1] += values[..., top:]
        return found

    def energies(self, components: Tensor) -> Tensor:
        """Return the energy of each frequency but the constant from norms (K, n): (K, F)."""
        return self.by_frequency(components.square())[:, 1:]

    def members(self, frequencies: Tensor, *, constant: bool) -> Tensor:
        """Return which functions belong to the given frequencies, (K, F) bool to (K, n) bool."""
        first = torch.full_like(frequencies[:, :1], fill_value=constant)
        return torch.cat([first, frequencies, frequencies[:, self.paired]], dim=1)

    def part(self, functions: Tensor, frequencies: Tensor, *, constant: bool) -> Tensor:
        """Return the part of functions (K, n, C) in frequencies (K, F) bool, and the constant if asked: (K, n, C)."""
        basis = self.basis.expand(len(functions), -1, -1)
        kept = torch.bmm(basis, functions) * self.members(frequencies, constant=constant).unsqueeze(2)
        return torch.bmm(basis.mT, kept)

    def pair_energies(self, functions: Tensor) -> Tensor:
        """Return the energy of functions on pairs, (K, n, n, M), at pairs of frequencies: (K, F + 1, F + 1, M)."""
        runs, n, _, several = functions.shape
        transform = self.basis.expand(runs, -1, -1)
        for _ in range(2):
            turned = torch.bmm(transform, functions.reshape(runs, n, n * several))
            functions = turned.view(runs, n, n, several).transpose(1, 2)
        folded = self.by_frequency(functions.square().movedim(1, -1))
        return self.by_frequency(folded.movedim(1, -1)).permute(0, 3, 2, 1)


def waves_of_residues(modulus: int) -> Characters:
    """Return the waves along residues that no operation of a task follows."""
    return _waves(np.arange(modulus), ordered=True, grouped=False)


def characters_of(group: Group, tokens: np.ndarray) -> Characters:
    """Return the characters of an abelian group whose elements the `tokens` (n,) stand for."""
    powers = _powers(group)
    if powers is None:
        return _others(group, tokens)
    along = tokens[powers]
    return _waves(along, ordered=bool(np.array_equal(along, np.arange(len(along)))), grouped=True)


def _powers(group: Group) -> np.ndarray | None:
    """Return the elements as powers 0, 1, 2, … of the first that generates them all, or None if none does."""
    for g in range(group.order):
        powers = [0]
        while (following := int(group.product[powers[-1], g])) != 0:
            powers.append(following)
        if len(powers) == group.order:
            return np.array(powers, dtype=np.int64)
    return None


def _waves(tokens: np.ndarray, *, ordered: bool, grouped: bool) -> Characters:
    """Return cosines and sines along the tokens in this order."""
    n = len(tokens)
    paired = torch.arange((n - 1) // 2)
    return Characters(torch.from_numpy(tokens.copy()), basis(n), paired, ordered, grouped)


def _others(group: Group, tokens: np.ndarray) -> Characters:
    """Return the characters of an abelian group that no element generates."""
    spaces = [torch.from_numpy(group.isotypic_basis(irreps).copy()).mT for irreps in group.real_irreps]
    twice = [i for i, space in enumerate(spaces) if len(space) == 2]
    rows = torch.stack([*(space[0] for space in spaces), *(spaces[i][1] for i in twice)])
    return Characters(torch.from_numpy(tokens.copy()), rows, torch.tensor(twice, dtype=torch.long) - 1, False, True)


@functools.lru_cache(maxsize=32)
def basis(symbols: int) -> Tensor:
    """Return the orthonormal real Fourier basis, (S, S): constant, cosines of frequency 1 … F, sines."""
    angles = 2 * torch.pi * torch.arange(symbols, dtype=torch.float64) / symbols
    frequencies = torch.arange(symbols // 2 + 1, dtype=torch.float64)[:, None]
    cosines, sines = (frequencies * angles).cos(), (frequencies[1 : (symbols + 1) // 2] * angles).sin()
    rows = torch.cat([cosines, sines])
    found: Tensor = rows / rows.norm(dim=1, keepdim=True)
    return found


def keys(frequency_energies: Tensor) -> Tensor:
    """Return which frequencies are key: the fewest that carry `KEY_SHARE` of the energy; (K, F) to (K, F) bool."""
    ordered, order = frequency_energies.sort(dim=1, descending=True, stable=True)
    before = ordered.cumsum(1) - ordered
    wanted = before < KEY_SHARE * ordered.cumsum(1)[:, -1:]
    return torch.zeros_like(wanted).scatter_(1, order, wanted)
