"""Boosted trees: they say what scikit-learn's say, of a row whatever stands beside it, and need not be grown again."""

import numpy as np
import pytest
import sklearn.ensemble
from scipy.special import logit

from analysis.forecast.boosted_trees import BoostedTrees
from analysis.forecast.forecaster import MEMORISING, Forecaster
from grokcore.errors import DataError

COLUMNS = (0, 1, 3)


def some_rows(count, seed):
    """Return rows of four columns with missing values in the second, and events that hang on the first three."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((count, 4)).astype(np.float32)
    rows[rng.random(count) < 0.3, 1] = np.nan
    events = rows[:, 0] + np.nan_to_num(rows[:, 1], nan=1.0) * rows[:, 3] + rng.standard_normal(count) > 0.5
    return rows, events


@pytest.fixture(scope="module")
def grown():
    """Return trees and scikit-learn's model that they are of."""
    models = []

    class Remembered(sklearn.ensemble.HistGradientBoostingClassifier):
        def fit(self, *given):
            models.append(self)
            return super().fit(*given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sklearn.ensemble, "HistGradientBoostingClassifier", Remembered)
        return BoostedTrees.grown(*some_rows(2000, 0), COLUMNS), models[0]


def test_they_say_what_scikit_learn_says_of_new_rows_with_missing_values(grown):
    trees, model = grown
    rows, _ = some_rows(1000, 1)
    # On the very bounds too, where a row goes left.
    inner = np.flatnonzero(np.isfinite(trees.bound))[:500]
    rows[np.arange(500), trees.column[inner]] = trees.bound[inner]
    assert trees.log_odds(rows) == pytest.approx(logit(model.predict_proba(rows[:, COLUMNS])[:, 1]), abs=1e-9)


def test_what_is_said_of_a_row_does_not_depend_on_those_beside_it(grown):
    trees, _ = grown
    rows, _ = some_rows(600, 2)
    together = trees.log_odds(rows)
    assert together.tolist() == [float(trees.log_odds(rows[i : i + 1])[0]) for i in range(len(rows))]
    assert trees.log_odds(rows[:0]).shape == (0,)


def test_rows_that_nothing_can_be_learned_from_give_trees_of_one_leaf_and_the_share_of_events():
    rows, events = some_rows(40, 3)
    assert BoostedTrees.grown(rows, events, COLUMNS).log_odds(rows) == pytest.approx(logit(events.mean()), abs=1e-9)


def test_arrays_that_do_not_belong_together_are_refused(grown):
    arrays = grown[0].arrays
    assert BoostedTrees.of_arrays(arrays).log_odds(np.zeros((1, 4))) == grown[0].log_odds(np.zeros((1, 4)))
    with pytest.raises(DataError, match="without leaf"):
        BoostedTrees.of_arrays({name: array for name, array in arrays.items() if name != "leaf"})
    wrong = {
        "kept": arrays["kept"][1:],
        "column": arrays["column"] + np.int16(17),
        "first": arrays["first"][::-1],
        "leaf": arrays["leaf"] * np.nan,
        "bound": arrays["bound"].astype(object),
        "baseline": np.zeros(2),
    }
    for name, array in wrong.items():
        with pytest.raises(DataError, match="belong together"):
            BoostedTrees.of_arrays({**arrays, name: array})


def test_the_shipped_trees_are_those_of_the_shipped_rows():
    shipped = Forecaster.load()
    again = Forecaster(shipped.table, threshold=shipped.threshold)
    rows = shipped.table.loc[:, "log_step":"log_length"].to_numpy()[::50]
    assert rows.shape[1] == 17
    assert shipped._odds(rows, MEMORISING) == pytest.approx(again._odds(rows, MEMORISING), abs=1e-6)
