"""A fixed set of runs has the bits it had: on the processor that the table names exactly, elsewhere to rounding.

Do not simply regenerate (tests/golden/__main__.py says how and when).
"""

from __future__ import annotations

import json

import pytest

from tests.golden.bits import TABLE, bits_of, here

GOLDEN = json.loads(TABLE.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", GOLDEN["runs"])
def test_a_run_is_still_the_run_it_was(name):
    expected = GOLDEN["runs"][name]
    found = bits_of(expected["config"])
    if here() == GOLDEN["environment"]:
        assert found == {"bits": expected["bits"], "train_loss": expected["train_loss"]}
    else:
        # Some 200 steps of float32 on another processor: rounding, but no other run.
        assert found["train_loss"] == pytest.approx(expected["train_loss"], rel=2e-3)
