"""The latest answers about sets of points: a map asks many things of the same grid, and each is computed once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable
from typing import Any, TypeVar, cast

from analysis.models.kernels import Array

T = TypeVar("T")


class Memo:
    """Remembers answers of arrays, those asked for last, up to `room` bytes; the arrays become read-only.

    Room is counted, not answers: the many small sets of points on a boundary must not drive out a grid.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._held = 0
        self._answers: dict[Hashable, Any] = {}

    def answer(self, question: Hashable, points: Array, make: Callable[[], T]) -> T:
        """Return the answer to `question` about `points`, made unless it is remembered."""
        key = (question, points.shape, hashlib.sha256(points.tobytes()).digest())
        # What is asked for again moves to the end: the first is the one not asked for longest.
        found = self._answers.pop(key, None)
        if found is None:
            found = make()
            for part in _parts(found):
                part.flags.writeable = False
            self._held += _bytes(found)
        self._answers[key] = found
        while self._held > self._room and len(self._answers) > 1:
            self._held -= _bytes(self._answers.pop(next(iter(self._answers))))
        return cast("T", found)


def _parts(answer: Any) -> tuple[Array, ...]:
    return answer if isinstance(answer, tuple) else (answer,)


def _bytes(answer: Any) -> int:
    return sum(part.nbytes for part in _parts(answer))
