"""Assembly order: planted curves pass their halves where they were planted to."""

import numpy as np
import pandas as pd
import pytest

from analysis.statistics.assembly import assembly_order

STEPS = np.unique(np.rint(10 ** np.linspace(0, 4, 200)))


def sigmoid(at, width=0.1):
    return 1 / (1 + np.exp(-(np.log10(STEPS) - np.log10(at)) / width))


def test_curves_come_in_the_order_in_which_they_were_planted():
    curves = pd.DataFrame(
        {"step": STEPS, "late": 5 - 3 * sigmoid(2000), "early": sigmoid(30), "middle": 100 * sigmoid(400)}
    )
    order = assembly_order(curves)
    assert order["measure"].tolist() == ["early", "middle", "late"]
    assert np.log10(order["half"]).tolist() == pytest.approx(np.log10([30, 400, 2000]), abs=0.03)
    assert (order["start"] < order["half"]).all()
    assert (order["half"] < order["end"]).all()
    assert np.sign(order["change"]).tolist() == [1, 1, -1]


def test_a_curve_that_turns_back_counts_where_it_passed_for_good():
    there_and_back = sigmoid(10) - sigmoid(100) + sigmoid(1000)
    order = assembly_order(pd.DataFrame({"step": STEPS, "wave": there_and_back}))
    assert np.log10(order["half"][0]) == pytest.approx(3, abs=0.05)


def test_curves_that_do_not_change_or_were_hardly_taken_are_left_out():
    curves = pd.DataFrame({"step": STEPS, "flat": 7.0, "wobble": 7 + 0.1 * sigmoid(50), "rare": np.nan})
    curves.loc[:1, "rare"] = [0.0, 1.0]
    assert assembly_order(curves).empty
