"""The last few answers about sets of points: a map asks many things of the same grid, and each is computed once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable
from typing import Any, TypeVar, cast

from analysis.models.kernels import Array

T = TypeVar("T")


class Memo:
    """Remembers the answers to a number of questions, the latest ones; arrays in them become read-only."""

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._answers: dict[Hashable, Any] = {}

    def answer(self, question: Hashable, points: Array, make: Callable[[], T]) -> T:
        """Return the answer to `question` about `points`, made unless it is remembered."""
        key = (question, points.shape, hashlib.sha256(points.tobytes()).digest())
        if key not in self._answers:
            while len(self._answers) >= self._kept:
                del self._answers[next(iter(self._answers))]
            answer: Any = make()
            for part in answer if isinstance(answer, tuple) else (answer,):
                part.flags.writeable = False
            self._answers[key] = answer
        return cast("T", self._answers[key])
