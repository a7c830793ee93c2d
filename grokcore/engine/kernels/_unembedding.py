"""The way out of a transformer that is gone back through by hand: logits by an unembedding, or by the embedding itself.

Shapes: K runs, N positions read out, D width of the residual stream, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from grokcore.engine.kernels._read_out import read_out
from grokcore.models.base import Parameters
from grokcore.numerics.loops import serves
from grokcore.numerics.matmul import matmul, matmul_into

if TYPE_CHECKING:
    from torch import Tensor


def unembed(w: Parameters, x: Tensor, *, tied: bool) -> Tensor:
    """Return the logits (K, N, C) of x (K, N, D); `tied`: the embedding is the unembedding too.

    Loops of the loss want the classes outermost in memory.
    """
    weight = w["embedding"].mT if tied else w["unembedding"]
    return read_out(x, weight) if serves(x) else matmul(x, weight)


def unembed_back(w: Parameters, x: Tensor, at_logits: Tensor, out: Mapping[str, Tensor], *, tied: bool) -> Tensor:
    """Return the gradient at x, (K, N, D), of that at the logits (K, N, C).

    That of the weights is written into `out`; the embedding's is ready for what comes by the way in.
    """
    if tied:
        matmul_into(out["embedding"], at_logits.mT, x)
        return matmul(at_logits, w["embedding"])
    out["embedding"].zero_()
    matmul_into(out["unembedding"], x.mT, at_logits)
    return matmul(at_logits, w["unembedding"].mT)
