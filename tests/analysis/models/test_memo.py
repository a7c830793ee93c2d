"""Memo: what was asked lately is not computed again, and what is given out cannot be spoilt."""

import numpy as np
import pytest

from analysis.models.memo import Memo


def test_an_answer_is_made_once_and_the_one_asked_for_longest_ago_is_forgotten():
    made = []
    memo = Memo(2 * 3 * 8)

    def ask(question, value):
        points = np.full((3, 1), value)
        return memo.answer(question, points, lambda: made.append((question, value)) or points.copy())

    for _ in range(2):
        assert ask("a", 1.0)[0, 0] == 1.0
        assert ask("b", 1.0)[0, 0] == 1.0
    assert made == [("a", 1.0), ("b", 1.0)]
    ask("a", 1.0)
    ask("a", 2.0)
    ask("a", 1.0)
    assert made == [("a", 1.0), ("b", 1.0), ("a", 2.0)]
    ask("b", 1.0)
    assert made[3:] == [("b", 1.0)]


def test_many_small_answers_do_not_drive_out_a_large_one():
    memo, made = Memo(2**16), []
    grid = np.zeros((4096, 1))
    for number in range(200):
        memo.answer("", np.full((2, 1), float(number)), lambda: np.zeros(2))
        memo.answer("", grid, lambda: made.append(1) or np.zeros(4096))
    assert len(made) == 1


def test_an_answer_larger_than_all_the_room_is_the_only_one_kept():
    memo, made = Memo(8), []
    for _ in range(2):
        memo.answer("", np.zeros((9, 1)), lambda: made.append(1) or (np.zeros(9), np.zeros(9)))
    assert len(made) == 1
    memo.answer("", np.ones((9, 1)), lambda: np.zeros(9))
    memo.answer("", np.zeros((9, 1)), lambda: made.append(1) or np.zeros(9))
    assert len(made) == 2


def test_answers_are_read_only():
    found = Memo(1).answer("", np.zeros((1, 1)), lambda: (np.zeros(2), np.ones(2)))
    for part in found:
        with pytest.raises(ValueError, match="read-only"):
            part[0] = 5.0
