"""Memo: what was asked lately is not computed again, and what is given out cannot be spoilt."""

import numpy as np
import pytest

from analysis.models.memo import Memo


def test_an_answer_is_made_once_and_the_oldest_is_forgotten():
    made = []
    memo = Memo(2)

    def ask(question, value):
        points = np.full((3, 1), value)
        return memo.answer(question, points, lambda: made.append((question, value)) or points.copy())

    for _ in range(2):
        assert ask("a", 1.0)[0, 0] == 1.0
        assert ask("b", 1.0)[0, 0] == 1.0
    assert made == [("a", 1.0), ("b", 1.0)]
    ask("a", 2.0)
    ask("a", 1.0)
    assert made == [("a", 1.0), ("b", 1.0), ("a", 2.0), ("a", 1.0)]


def test_answers_are_read_only():
    found = Memo(1).answer("", np.zeros((1, 1)), lambda: (np.zeros(2), np.ones(2)))
    for part in found:
        with pytest.raises(ValueError, match="read-only"):
            part[0] = 5.0
