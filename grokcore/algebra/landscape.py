"""Landscapes of losses around points: Hessian-vector products, Lanczos, and a local sampler, all runs at once.

Runs have no parameter in common, so the gradient of the sum of their losses holds each one's own, and so does its
derivative along one direction for each run.

Shapes: K runs, L elements of a run's flat vector of parameters, here without gaps, R training examples.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from grokcore.lazy_torch import torch

if TYPE_CHECKING:
    from torch import Tensor

Loss = Callable[["Tensor"], "Tensor"]
"""From flat vectors (K, L) to a number for each run, (K,), differentiable."""


def hessian_product(loss: Loss, at: Tensor) -> Callable[[Tensor], Tensor]:
    """Return the map v ↦ H v of each run's Hessian of `loss` at a point: (K, L) to (K, L)."""
    with torch.enable_grad():
        point = at.detach().clone().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(point).sum(), point, create_graph=True)

    def product(v: Tensor) -> Tensor:
        (found,) = torch.autograd.grad(gradient, point, v, retain_graph=True)
        return found.detach()

    return product


def lanczos(product: Callable[[Tensor], Tensor], at: Tensor, iterations: int) -> list[Tensor]:
    """Return the Ritz values of each run's symmetric operator on (K, L), at least one for each: (…,).

    In ascending order, of at most so many iterations. Vectors are like `at` (K, L). Starts at a fixed random one and
    orthogonalises against all vectors before, twice. The largest converge first.
    A run whose vectors span a space that its operator keeps is done; its further vectors are zero.
    """
    size = at.shape[1]
    v = _noise(size, torch.Generator().manual_seed(0), at)
    known = [(v / v.norm()).expand(len(at), -1)]
    diagonal, beside = at.new_zeros(2, len(at), iterations).unbind()
    lengths = torch.full_like(diagonal[:, 0], min(iterations, size), dtype=torch.long)
    for i in range(min(iterations, size)):
        w = product(known[-1])
        diagonal[:, i] = (w * known[-1]).sum(1)
        for u in [*known, *known]:
            # One after another: a product with a stack of vectors rounds in a way that depends on the number of runs.
            w = w - (w * u).sum(1, keepdim=True) * u
        norm = w.square().sum(1).sqrt()
        done = norm < 1e-10 * diagonal.abs().amax(1).clamp_min(1e-300)
        lengths = torch.where(done, lengths.clamp_max(i + 1), lengths)
        beside[:, i] = norm
        known.append(torch.where(done, 0.0, 1 / norm).unsqueeze(1) * w)
    found = []
    for middle, side, length in zip(diagonal, beside, lengths.tolist(), strict=True):
        off = side[: length - 1]
        found.append(torch.linalg.eigvalsh(middle[:length].diag() + off.diag(1) + off.diag(-1)))
    return found


def learning_coefficient(
    loss: Loss, at: Tensor, examples: Tensor, *, localisation: float, step: float, steps: int
) -> Tensor:
    """Estimate each run's local learning coefficient at a point (Lau et al. 2023, arXiv 2308.12108): (K,).

    λ̂ = nβ (E[L(w)] − L(w*)) with β = 1 / log n, over Langevin samples of exp(−nβ L(w) − γ/2 ‖w − w*‖²) from w*; n are
    the `examples` (K,) of each run. The first fifth of the steps is left out. All runs have the same noise.
    """
    heat = torch.tensor([n / math.log(n) for n in examples.tolist()], dtype=at.dtype).to(at.device).unsqueeze(1)
    noise = torch.Generator().manual_seed(0)
    w, kept = at.detach().clone(), []
    with torch.no_grad():
        start = loss(at)
    for i in range(steps):
        with torch.enable_grad():
            point = w.requires_grad_()
            value = loss(point)
            (slope,) = torch.autograd.grad(value.sum(), point)
        if i >= steps // 5:
            kept.append(value.detach())
        drift = heat * slope + localisation * (w.detach() - at)
        w = w.detach() - step / 2 * drift + math.sqrt(step) * _noise(w.shape[1], noise, w)
    mean = torch.stack(kept, dim=1).sum(1) / len(kept)
    return heat.squeeze(1) * (mean - start)


def _noise(count: int, generator: torch.Generator, like: Tensor) -> Tensor:
    # Drawn on the host: every device has generators of its own, whose numbers are other ones.
    return torch.randn(count, generator=generator, dtype=like.dtype).to(like.device)
