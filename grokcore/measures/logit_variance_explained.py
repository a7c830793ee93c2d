"""Logit variance explained: how much of the logits is a sum of cosines of the key frequencies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grokcore.lazy_torch import torch
from grokcore.measures.base import Measure
from grokcore.numerics.statistics import total, weighted_means
from grokcore.views.circuit import final_keys, no_circuit, pair_rows, target_means
from grokcore.views.view import View

if TYPE_CHECKING:
    from torch import Tensor


class LogitVarianceExplained(Measure):
    """Share of the logits' variance that Σ_k α_k cos(ω_k(a + b − c)) over key frequencies explains (Nanda et al. 2023).

    Logits are centred over classes, which changes no answer. The cosines of different frequencies are orthogonal over
    the whole table, so that every α_k is one inner product (arXiv 2301.05217; published: 95 %). On other groups see
    `restricted_loss`.
    """

    cost = "circuit"
    needs = frozenset({"logits", "keys"})
    limits = (no_circuit,)

    def compute(self, view: View) -> Tensor:
        """Return the share per run, (K,)."""
        chosen = final_keys(view)
        return torch.where(chosen, cosine_energies(view), 0).sum(1) / variance(view)


def variance(view: View) -> Tensor:
    """Return the sum of squares of the logits of pairs of elements, centred over classes, minus that of their mean."""
    logits = view.logits[:, view.examples(pair_rows(view.task)).flatten()].double()
    logits = logits - logits.mean(2, keepdim=True)
    means = weighted_means(logits, torch.ones_like(logits[..., 0]))
    return total((logits - means.unsqueeze(1)).square())


def cosine_energies(view: View) -> Tensor:
    """Return the energy of the logits in cos(ω_k(u − c)), u the target, for every frequency k but 0: (K, F)."""
    waves = view.characters
    means = target_means(view)[:, :, waves.tokens]
    basis = waves.basis.expand(len(means), -1, -1)
    # φ(u) φ(c), summed over a frequency's functions φ, is its cosine times 2 / n; the inner product with it is a part
    # of the transform's trace, its square norm the number of functions. Every target occurs n times.
    traces = waves.by_frequency((torch.bmm(basis, means) * basis).sum(2))
    dimensions = waves.by_frequency(torch.ones_like(waves.basis[0]))
    return (traces.square() / dimensions)[:, 1:] * len(waves.tokens)
