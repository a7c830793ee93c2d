"""None: the optimizer alone."""

from __future__ import annotations

from dataclasses import dataclass

from grokcore.transforms.base import Transform


@dataclass(frozen=True, kw_only=True)
class NoTransform(Transform):
    """Changes neither gradient nor weights."""
