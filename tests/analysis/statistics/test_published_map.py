"""A published map against ours: planted agreement, shift and seeds are found; kappa is the one that everybody has."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score

from analysis.figures import base, claim
from analysis.statistics.claims import CurveRun, Verdict
from analysis.statistics.published_map import PublishedMap, kappa
from grokcore.errors import ConfigError
from sweeps.gallery.page import PLAIN

RATES = [1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2]
DECAYS = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
TIMES = {"x": (10**9, 10**9), "m": (100, 10**9), "g": (100, 5000), "c": (100, 150)}
STEPS = np.unique(np.round(np.logspace(0, 4, 91)).astype(int))
ROWS = ["cccccggg", "cccccggg", "mmmmmggg", "mmmmmmmm", "mmmmmxxx", "xxxxxxxx"]


def run(letter, **settings):
    mem, gen = TIMES[letter]
    curves = {"step": STEPS, "train_accuracy": np.where(mem <= STEPS, 1.0, 0.1)}
    return CurveRun(settings, pd.DataFrame({**curves, "val_accuracy": np.where(gen <= STEPS, 1.0, 0.1)}))


def runs_of(rows, seed, rates=RATES):
    """Return the runs of a map written in letters."""
    cells = itertools.product(zip(rates, rows, strict=True), enumerate(DECAYS))
    return [run(row[i], **{"optimizer.rate": r, "optimizer.decay": d, "seed": seed}) for (r, row), (i, d) in cells]


def question(rows=ROWS, **changes):
    values = {"axes": {"optimizer.rate": RATES, "optimizer.decay": DECAYS}, "rows": rows, "budget": 10_000, "gap": 1000}
    return PublishedMap(**(values | {"high": 0.2} | changes))


def with_noise(rows, share, seed):
    draw = np.random.default_rng(seed)
    return ["".join(draw.choice(list("cgmx")) if draw.random() < share else letter for letter in row) for row in rows]


def test_kappa_is_that_of_scikit_learn():
    draw = np.random.default_rng(0)
    a, b = draw.integers(4, size=(2, 5, 40))
    assert kappa(a, b) == pytest.approx([cohen_kappa_score(one, other) for one, other in zip(a, b, strict=True)])
    assert math.isnan(kappa(np.zeros(5, dtype=int), np.zeros(5, dtype=int)))


def test_letters_are_read_back_from_the_runs_they_stand_for():
    ours = question().maps(runs_of(ROWS, 0))
    assert (ours[0] == question().published).all()


def test_a_map_like_one_more_seed_agrees_and_another_one_differs():
    ours = [one for seed in range(3) for one in runs_of(with_noise(ROWS, 0.05, seed), seed)]
    same = question(with_noise(ROWS, 0.05, 9))
    assert same.verdict(same.find(ours)) is Verdict.AGREES
    other = question(["x" * 8] * 3 + ["c" * 8] * 3)
    assert other.verdict(other.find(ours)) is Verdict.DIFFERS
    assert "κ 1.00" not in same.find(ours).note


def test_an_edge_that_moved_is_found_in_units_of_the_axis():
    """Ours generalises one row further: a factor of about 3 in the rate, in every column."""
    further = ["c" * 8] * 3 + ["m" * 8] * 3
    found = question(["c" * 8] * 2 + ["m" * 8] * 4).find([*runs_of(further, 0), *runs_of(further, 1)])
    assert "lies at 3.16 times (3.16 to 3.16) the published optimizer.rate" in found.note
    assert "our seeds with one another 100% (κ 1.00)" in found.note


def test_an_edge_below_what_is_learned_moves_down_where_more_is_learned():
    higher = ["m" * 8] * 3 + ["c" * 8] * 3
    found = question(["m" * 8] * 4 + ["c" * 8] * 2).find([*runs_of(higher, 0), *runs_of(higher, 1)])
    assert "lies at 0.32 times (0.32 to 0.32) the published optimizer.rate" in found.note


def test_what_is_beyond_the_published_cells_is_counted_apart():
    wider = runs_of([*ROWS, "x" * 8], 0, [*RATES, 1e-1]) + runs_of([*ROWS, "c" * 8], 1, [*RATES, 1e-1])
    found = question().find(wider)
    assert found.estimate == 0
    assert "beyond the published cells: 8 confusion, 8 comprehension" in found.note


def test_one_seed_has_nothing_to_agree_with():
    assert question().verdict(question().find(runs_of(ROWS, 0))) is Verdict.OPEN


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"rows": ROWS[:-1]}, "should be 6 of 8 letters each"),
        ({"rows": ["ccccczzz", *ROWS[1:]]}, "z is no regime"),
        ({"gap": None}, "give exactly one"),
        ({"axes": {"optimizer.rate": RATES}}, "give two"),
    ],
)
def test_a_map_that_is_written_wrong_says_how(changes, sentence):
    with pytest.raises(ConfigError, match=sentence):
        question(**changes)


def test_a_map_has_a_picture():
    ours = [*runs_of(ROWS, 0), *runs_of(ROWS, 1)]
    asked = question()
    figure = claim.draw(asked, ours, asked.find(ours), base.style_named("screen"))
    above = figure.axes[0]
    assert len(above.patches) == 2 * len(RATES) * len(DECAYS)
    assert above.get_xlabel() == "learning rate"


def test_the_names_of_many_cells_do_not_run_into_one_another():
    rates = [float(rate) for rate in np.geomspace(1.6e-5, 0.012, 15)]
    rows = [ROWS[i % len(ROWS)] for i in range(len(rates))]
    asked = question(rows, axes={"optimizer.rate": rates, "optimizer.decay": DECAYS})
    ours = runs_of(rows, 0, rates)
    figure = claim.draw(asked, ours, asked.find(ours), PLAIN)
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[0].get_xticklabels() if text.get_text()]
    assert len(boxes) > 3
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))
