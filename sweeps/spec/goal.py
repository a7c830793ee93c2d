"""Goal: when a sweep has done enough, as `until` says it: boundary:0.02 or steps:1e9."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Self, cast

from grokcore.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What is to be reached."""

    kind: Literal["boundary", "steps"]
    """boundary: width of the 90 % bands; steps: optimizer steps spent."""
    value: float
    """Share of an axis, or number of steps."""

    @classmethod
    def of(cls, text: str) -> Self:
        """Read a goal; raises `ConfigError` for a text that is none."""
        if complaints := list(cls.complaints_of(text)):
            raise ConfigError(complaints)
        kind, _, value = text.partition(":")
        return cls(kind=cast("Literal['boundary', 'steps']", kind), value=float(value))

    @classmethod
    def complaints_of(cls, text: str) -> Iterator[str]:
        """Yield why a text is no goal."""
        kind, _, given = text.partition(":")
        try:
            value = float(given)
        except ValueError:
            value = math.nan
        allowed = {"boundary": 0 < value < 1, "steps": 0 < value < math.inf}
        if not allowed.get(kind, False):
            yield (
                f"until = {text!r}: give boundary:SHARE with a share of an axis between 0 and 1, as boundary:0.02, "
                "or steps:NUMBER, as steps:1e9."
            )
