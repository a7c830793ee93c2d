"""A sweep says what its runs cannot show, before and after."""

import pytest

from grokcore.records.regimes import Regime
from sweeps.whole_sweep import SweepResult, few_generalised


@pytest.mark.parametrize(("late", "said"), [(8, True), (7, False), (0, False)])
def test_that_most_runs_did_not_generalise_is_said(late, said):
    half = late // 2
    counts = {
        Regime.CONFUSION: half,
        Regime.MEMORIZATION: late - half,
        Regime.GROKKING: 1,
        Regime.COMPREHENSION: 9 - late,
    }
    sentence = few_generalised(counts)
    assert bool(sentence) == said
    if said:
        assert sentence.startswith("8 of 10 runs had not generalised")


def test_no_time_is_negative(tmp_path):
    facts = {"slots": 2, "startup_seconds": 1.0, "train_seconds": 10.0, "cpu_seconds": 1.0, "run_steps": 1}
    result = SweepResult(path=tmp_path, complete=True, busy_seconds=22.0, **facts)
    assert result.overhead == 0
