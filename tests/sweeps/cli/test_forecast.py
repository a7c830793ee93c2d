"""A forecast of anyone's table of curves: what is in it is understood or refused in a sentence."""

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from sweeps.cli import app

STEPS = np.unique(np.rint(10 ** np.arange(0, 3.5, 0.1)).astype(int))
CURVES = pd.DataFrame(
    {"step": STEPS, "train_accuracy": np.minimum(STEPS / 100, 1.0), "val_accuracy": np.full(len(STEPS), 0.05)}
)


def said(table, tmp_path, *options, **form):
    table.to_csv(tmp_path / "curves.csv", index=False, **form)
    found = CliRunner().invoke(app, ["forecast", str(tmp_path / "curves.csv"), "--budget", "20000", *options])
    return found.output if found.exception is None or isinstance(found.exception, SystemExit) else str(found.exception)


def forecasts(text):
    return [line for line in text.splitlines() if "at step" in line]


def test_percents_decimal_commas_and_other_names_are_understood(tmp_path):
    plain = forecasts(said(CURVES, tmp_path))
    assert len(plain) == 10
    accuracies = ["train_accuracy", "val_accuracy"]
    assert forecasts(said(CURVES.assign(**{a: 100 * CURVES[a] for a in accuracies}), tmp_path)) == plain
    assert forecasts(said(CURVES, tmp_path, sep=";", decimal=",")) == plain
    named = CURVES.rename(columns={"val_accuracy": "score"})
    assert forecasts(said(named, tmp_path, "--column", "val_accuracy=score")) == plain


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        (CURVES.drop(columns="val_accuracy"), "no column is val_accuracy"),
        (CURVES.assign(val_accuracy=np.nan), "column val_accuracy is empty"),
        (CURVES.assign(val_accuracy=-1.0), "is no accuracy from 0 to 1"),
        (CURVES.iloc[[-2]], "no landmark lies between its first evaluation and its last"),
        (CURVES.head(1), "nothing can be said before step 40"),
        (pd.concat([CURVES, CURVES]), "has a step twice"),
        (CURVES.head(0), "no rows"),
    ],
)
def test_what_says_nothing_of_a_run_is_refused_in_a_sentence(table, sentence, tmp_path):
    assert sentence in " ".join(said(table, tmp_path).split())
