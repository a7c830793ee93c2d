"""A table that the engine could not look up by number is refused by what is wrong with it."""

from __future__ import annotations

import numpy as np
import pytest

from grokcore.errors import DataError
from grokcore.tasks.base import Table

INPUTS = np.array([[0, 1], [1, 2]])
TARGETS = np.array([0, 3])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"symbols": 2}, "inputs from 0 to 2 and symbols = 2; they must lie between 0 and 1"),
        ({"classes": 3}, "targets from 0 to 3 and classes = 3; they must lie between 0 and 2"),
        ({"inputs": INPUTS - 1}, "inputs from -1 to 1"),
        ({"targets": TARGETS - 1}, "targets from -1 to 2"),
        ({"inputs": INPUTS / 2}, "inputs of type float64"),
        ({"targets": TARGETS.astype(bool)}, "targets of type bool"),
        ({"targets": TARGETS[:1]}, "targets of shape"),
        ({"inputs": INPUTS.ravel()}, "inputs of shape"),
        ({"inputs": INPUTS[:0], "targets": TARGETS[:0]}, "at least one row"),
    ],
)
def test_what_lies_outside_is_refused(change, said):
    with pytest.raises(DataError) as error:
        Table(**{"inputs": INPUTS.copy(), "targets": TARGETS.copy(), "symbols": 3, "classes": 4, **change})
    assert said in str(error.value)


def test_what_fits_is_kept():
    table = Table(inputs=INPUTS.copy(), targets=TARGETS.copy(), symbols=3, classes=4)
    np.testing.assert_array_equal(table.inputs, INPUTS)
    assert not table.inputs.flags.writeable


def test_whole_numbers_of_any_size_are_read_as_those_of_64_bits():
    table = Table(inputs=INPUTS.astype(np.uint8), targets=TARGETS.astype(np.int32), symbols=3, classes=4)
    assert table.inputs.dtype == table.targets.dtype == np.int64
    np.testing.assert_array_equal(table.inputs, INPUTS)
