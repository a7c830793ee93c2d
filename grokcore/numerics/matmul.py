"""Products of stacked matrices, by the library that is fastest for them on this processor.

torch multiplies float32 matrices with MKL, which uses AVX-512 on Intel's processors alone. oneDNN, which torch brings
along for its own layers, uses it wherever it is, and then takes half of MKL's time. Small products stay with MKL: it
takes a whole stack of them in one call. Which library a product goes to depends on the processor and the matrices'
sizes, never on how many are stacked.

Shapes: K runs, N rows, W inner width, M columns.
"""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, cast

from grokcore.errors import ConfigError
from grokcore.lazy_torch import torch
from grokcore.numerics.processor import vendor

if TYPE_CHECKING:
    from torch import Tensor

SMALLEST = 1 << 21
"""Multiplications from which on a product is worth a call of its own: some 15 µs."""

CHOICE = "GROKMAP_MATMUL"
"""The environment variable that overrules the choice: "mkl" or "onednn"."""


@functools.cache
def matmul_library() -> str:
    """Return "onednn" where large float32 products on the CPU go to oneDNN, else "mkl": what torch itself takes.

    Raises `ConfigError` if the environment asks for what is not there.
    """
    usable = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    able = ("mkl", "onednn") if usable else ("mkl",)
    asked = os.environ.get(CHOICE, "")
    if asked:
        if asked not in able:
            raise ConfigError([f"{CHOICE} = {asked!r}: this torch has {' and '.join(able)}; take one, or unset it."])
        return asked
    foreign = torch.backends.cpu.get_cpu_capability() == "AVX512" and vendor() != "GenuineIntel"
    return "onednn" if usable and foreign else "mkl"


def matmul(a: Tensor, b: Tensor, plus: Tensor | None = None, out: Tensor | None = None) -> Tensor:
    """Return a · b + `plus`, (K, N, M), of a (K, N, W) and b (K, W, M); `plus` is broadcast.

    The result may be in `out` (K, N, M), which may be `plus` too, or in new memory.
    """
    return _BY_DEVICE.get(a.device.type, _by_torch)(a, b, plus, out)


def _by_torch(a: Tensor, b: Tensor, plus: Tensor | None, out: Tensor | None) -> Tensor:
    return torch.bmm(a, b, out=out) if plus is None else torch.baddbmm(plus, a, b, out=out)


def _on_cpu(a: Tensor, b: Tensor, plus: Tensor | None, out: Tensor | None) -> Tensor:
    large = a.shape[1] * a.shape[2] * b.shape[2] >= SMALLEST
    if large and a.dtype == torch.float32 and matmul_library() == "onednn":
        return _by_onednn(a, b, plus, out)
    return _by_torch(a, b, plus, out)


_BY_DEVICE = {"cpu": _on_cpu}
"""Who multiplies where it is not torch alone that decides."""


def matmul_into(out: Tensor, a: Tensor, b: Tensor, plus: Tensor | None = None) -> None:
    """Write a · b + `plus` into `out`; see `matmul`."""
    result = matmul(a, b, plus, out)
    if result is not out:
        out.copy_(result)


def _by_onednn(a: Tensor, b: Tensor, plus: Tensor | None, out: Tensor | None) -> Tensor:
    runs = len(a)
    if runs == 1:
        return _linear(a[0], b[0], None if plus is None else plus[0]).contiguous().unsqueeze(0)
    out = a.new_empty(runs, a.shape[1], b.shape[2]) if out is None else out
    for k in range(runs):
        out[k] = _linear(a[k], b[k], None if plus is None else plus[k])
    return out


def _linear(a: Tensor, b: Tensor, plus: Tensor | None) -> Tensor:
    """Return a · b + `plus`, (N, M), as the layer of torch's own that oneDNN computes.

    Its first matrix must lie row by row; where a copy that does is larger than bᵀ and the result, (bᵀ · aᵀ)ᵀ is taken.
    """
    linear = torch.ops.mkldnn._linear_pointwise
    (rows, inner), columns = a.shape, b.shape[1]
    straight = 0 if a.is_contiguous() else rows * inner
    turned = (0 if b.mT.is_contiguous() else inner * columns) + rows * columns
    result: Tensor
    if turned < straight:
        result = linear(b.mT, a, None, "none", [], "").mT
    elif plus is not None and plus.shape == (rows, columns):
        return cast("Tensor", linear.binary(a, plus, b.mT, None, "add"))
    elif plus is not None and plus.shape[0] == 1:
        return cast("Tensor", linear(a, b.mT, plus[0], "none", [], ""))
    else:
        result = linear(a, b.mT, None, "none", [], "")
    return result if plus is None else result.add_(plus)
