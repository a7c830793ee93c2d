"""A claim's picture: it shows the runs that are asked, the region that agrees and the interval, and says the number."""

import math

import pytest
from matplotlib.colors import to_hex

from analysis.figures import base, claim, claim_edge
from analysis.statistics.claims import CurveRun, Finding
from analysis.statistics.edge import Edge
from analysis.statistics.questions import Beside, Difference, Order, Ratio, Slope, Time, Value

STYLE = base.style_named("screen")


@pytest.fixture
def runs():
    import numpy as np
    import pandas as pd

    steps = np.array([0, 1, 10, 100, 1000])
    return [
        CurveRun(
            {"seed": seed, "optimizer.decay": decay, "transform.name": "none"},
            pd.DataFrame(
                {
                    "step": steps,
                    "train_accuracy": np.where(steps >= 10, 1.0, 0.0),
                    "val_accuracy": np.where(steps >= 100 / decay / 10, 1.0, 0.0),
                    "norm": steps * decay,
                }
            ),
        )
        for decay in (0.1, 1.0)
        for seed in range(2)
    ]


@pytest.mark.parametrize(
    ("question", "lines"),
    [
        (Time(low=10, high=300), 4),
        (Time(low=10, where={"optimizer.decay": 1.0}), 2),
        (Value(column="norm", low=1), 4),
        (Order(first="train_accuracy", then="val_accuracy", low=1), 8),
        (Ratio(slow={"optimizer.decay": 0.1}, fast={"optimizer.decay": 1.0}, low=1), 4),
        (Difference(column="norm", one={"optimizer.decay": 1.0}, other={"optimizer.decay": 0.1}, low=0), 4),
        (Slope(field="optimizer.decay", low=-1.2, high=-0.8), 4),
        (Value(column="absent", low=1), 0),
        # A line for every run, and a dot on the plateau of those that have one.
        (Beside(column="norm", beside="train_accuracy", low=1), 6),
    ],
)
def test_a_picture_has_a_line_for_every_run_that_is_asked(question, lines, runs, tmp_path):
    figure = claim.draw(question, runs, question.find(runs), STYLE)
    above, below = figure.axes
    drawn = [line for line in above.lines if len(line.get_xdata()) and line.get_linestyle() != ":"]
    assert len(drawn) == lines
    (band,) = below.patches
    assert to_hex(band.get_facecolor()) == "#4a9a5b"
    (path,) = base.save(figure, [tmp_path / "a.png"], STYLE)
    assert path.stat().st_size > 1000


def test_settings_that_differ_have_names_and_colours(runs):
    question = Time(low=10)
    above = claim.draw(question, runs, question.find(runs), STYLE).axes[0]
    assert [text.get_text() for text in above.get_legend().get_texts()] == ["weight decay 0.1", "weight decay 1"]


@pytest.mark.parametrize(
    ("finding", "words"),
    [
        (Finding(1234.0, 900.0, 2000.0, 3), "1,234 (900 to 2,000)"),
        (Finding(11.3, 6.5, math.inf, 3), "> 11.3 (at least 6.5)"),
        (Finding(0.2, -math.inf, 0.3, 3), "< 0.2 (at most 0.3)"),
        (Finding(1.0, -math.inf, math.inf, 3), "1 (unbounded)"),
        (Finding(0.5, math.nan, math.nan, 1), "0.5 (no interval)"),
        (Finding(math.nan, math.nan, math.nan, 0), "–"),
    ],
)
def test_a_number_is_said_with_what_bounds_it(finding, words):
    assert claim.said(finding) == words


def test_a_plane_shows_what_became_of_every_run():
    import numpy as np
    import pandas as pd

    steps = np.array([0, 1, 10, 100, 1000, 10_000])

    def cell(rate, decay, fate):
        val = {"kept": [0, 0, 0, 1, 1, 1], "lost": [0, 0, 1, 1, 0, 0]}.get(fate, [0] * 6)
        train = [0] * 6 if fate == "unfitted" else [0, 1, 1, 1, 1, 1]
        curves = pd.DataFrame({"step": steps, "train_accuracy": train, "val_accuracy": val}).astype(float)
        return CurveRun({"seed": 0, "rate": rate, "decay": decay}, curves)

    fates = {0.01: "fitted", 0.1: "fitted", 1.0: "kept", 10.0: "lost", 100.0: "unfitted"}
    plane = [cell(rate, decay, fate) for rate, fate in fates.items() for decay in (1e-3, 1e-2, 1e-1)]
    question = Edge(field="rate", along="decay", low=-0.5, high=0.5)
    figure = claim.draw(question, plane, question.find(plane), STYLE)
    above, _ = figure.axes
    shown = {line.get_label(): len(line.get_xdata()) for line in above.lines}
    assert shown == {**dict.fromkeys(claim_edge.MARKS, 3), "fitted alone": 6, "edge, fitted": 3}
