"""Random streams: what a run draws depends on its seed, the purpose and a counter, and on nothing else.

Initial weights and splits are drawn by torch's own generator on the host, once. What is drawn at every step is counted
instead: number i of step s is a hash of (seed, purpose, s, i), the same integer on every device, so that there is no
state to carry, to copy or to put into a checkpoint. The hash is the finaliser of SplitMix64 (Steele, Lea & Flood 2014,
"Fast splittable pseudorandom number generators"), which passes BigCrush as a counter-based generator.

Shapes: K runs.
"""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING

from grokcore.lazy_torch import torch

if TYPE_CHECKING:
    from torch import Tensor

GOLDEN = -7046029254386353131
"""2⁶⁴ divided by the golden ratio, odd, as a signed number: neighbouring counters land far apart."""
_FIRST, _SECOND = -4658895280553007687, -7723592293110705685
"""SplitMix64's multipliers 0xbf58476d1ce4e5b9 and 0x94d049bb133111eb, as signed numbers."""


def generator(seed: int, purpose: str) -> torch.Generator:
    """Return torch's generator of a run's `seed` for one purpose ("split", "weights")."""
    return torch.Generator().manual_seed(_digest(seed, purpose) >> 1)


def stream(seed: int, purpose: str) -> int:
    """Return the key, a signed 64-bit number, of what a run of this `seed` draws for one purpose."""
    key = _digest(seed, purpose)
    return key - (1 << 64) if key >= 1 << 63 else key


def _digest(seed: int, purpose: str) -> int:
    digest = hashlib.sha256(f"{purpose}:{seed}".encode()).digest()
    return int.from_bytes(digest[:8], "big")


def hashed(keys: Tensor, counters: Tensor | int) -> Tensor:
    """Return 64 random bits for each of `keys` at each of `counters`, int64 both and broadcast."""
    z = keys + (_wrapped(counters * GOLDEN) if isinstance(counters, int) else counters * GOLDEN)
    z = (z ^ _shifted(z, 30)) * _FIRST
    z = (z ^ _shifted(z, 27)) * _SECOND
    return z ^ _shifted(z, 31)


def _wrapped(number: int) -> int:
    """Return what a signed 64-bit number would be after an overflow: Python's would grow."""
    return (number + (1 << 63)) % (1 << 64) - (1 << 63)


def _shifted(z: Tensor, by: int) -> Tensor:
    """Shift to the right, zeros coming in: torch's own shift of signed numbers copies the sign."""
    return (z >> by) & ((1 << (64 - by)) - 1)


def uniform(bits: Tensor, dtype: torch.dtype) -> Tensor:
    """Return numbers in [0, 1) from random bits: the upper 24 for float32, 53 for float64."""
    digits = 53 if dtype == torch.float64 else 24
    return _shifted(bits, 64 - digits).to(dtype).mul_(2.0**-digits)


def normal(keys: Tensor, counters: Tensor, dtype: torch.dtype) -> Tensor:
    """Return standard normal numbers, one for each counter (Box & Muller 1958)."""
    bits = hashed(keys, counters)
    # 1 − u is never zero. The angle comes from bits that the radius did not use.
    radius = (1 - uniform(bits, torch.float64)).log_().mul_(-2).sqrt_()
    angle = uniform(hashed(bits, 1), torch.float64).mul_(2 * math.pi)
    return radius.mul_(angle.cos_()).to(dtype)
