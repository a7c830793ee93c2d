"""Constants: what is worked out once on the host and used on a device again and again, copied there once."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from grokcore.lazy_torch import torch

if TYPE_CHECKING:
    from torch import Tensor

_copies: dict[tuple[int, torch.device], Tensor] = {}


def on_device(value: Tensor, device: torch.device) -> Tensor:
    """Return a tensor of the host on a device; the same copy at every call, for as long as the tensor lives."""
    if value.device == device:
        return value
    place = (id(value), device)
    if place not in _copies:
        _copies[place] = _copy(value, device)
        weakref.finalize(value, _copies.pop, place, None)
    return _copies[place]


def _copy(value: Tensor, device: torch.device) -> Tensor:
    return value.to(device)
