"""Products of stacked matrices, by the library that is fastest for them on this processor.

torch multiplies float32 matrices with MKL, which uses AVX-512 on Intel's processors alone. Wherever else it is, loops
that keep tiles in registers (grokcore/numerics/tiled_matmul.py) take half of MKL's time. Which of them multiplies
depends on the processor alone.

Shapes: K runs, N rows, W inner width, M columns.
"""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING

from grokcore.errors import ConfigError
from grokcore.lazy_torch import torch
from grokcore.numerics import loops
from grokcore.numerics.processor import vendor
from grokcore.numerics.tiled_matmul import tiled_matmul

if TYPE_CHECKING:
    from torch import Tensor

CHOICE = "GROKMAP_MATMUL"
"""The environment variable that overrules the choice: "mkl" or "tiles"."""


@functools.cache
def matmul_library() -> str:
    """Return "tiles" where float32 products on the CPU go to loops, else "mkl": what torch itself takes.

    Raises `ConfigError` if the environment asks for what is not there.
    """
    able = ("mkl", "tiles") if loops.loops_by() == "compiled" else ("mkl",)
    asked = os.environ.get(CHOICE, "")
    if asked:
        if asked not in able:
            raise ConfigError([f"{CHOICE} = {asked!r}: here products are by {' or '.join(able)}; or unset it."])
        return asked
    foreign = torch.backends.cpu.get_cpu_capability() == "AVX512" and vendor() != "GenuineIntel"
    return "tiles" if foreign and "tiles" in able else "mkl"


def matmul(a: Tensor, b: Tensor, plus: Tensor | None = None, out: Tensor | None = None) -> Tensor:
    """Return a · b + `plus`, (K, N, M), of a (K, N, W) and b (K, W, M); `plus` is broadcast.

    The result may be in `out` (K, N, M), which may be `plus` too, or in new memory.
    """
    return _BY_DEVICE.get(a.device.type, _by_torch)(a, b, plus, out)


def _by_torch(a: Tensor, b: Tensor, plus: Tensor | None, out: Tensor | None) -> Tensor:
    return torch.bmm(a, b, out=out) if plus is None else torch.baddbmm(plus, a, b, out=out)


def _on_cpu(a: Tensor, b: Tensor, plus: Tensor | None, out: Tensor | None) -> Tensor:
    if matmul_library() == "tiles" and loops.serves(a, b):
        return tiled_matmul(a, b, plus, out)
    if out is not None and not out.is_contiguous():
        # Not into matrices that lie apart: torch would multiply them one by one.
        return out.copy_(_by_torch(a, b, plus, None))
    return _by_torch(a, b, plus, out)


_BY_DEVICE = {"cpu": _on_cpu}
"""Who multiplies where it is not torch alone that decides."""


def matmul_into(out: Tensor, a: Tensor, b: Tensor, plus: Tensor | None = None) -> None:
    """Write a · b + `plus` into `out`; see `matmul`."""
    result = matmul(a, b, plus, out)
    if result is not out:
        out.copy_(result)
