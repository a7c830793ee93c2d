"""`grokmap map` on other people's tables: what it says, what it asks for, and that doing as it says helps."""

import json
import re
import shlex

import numpy as np
import pandas as pd
import pytest


@pytest.fixture(autouse=True)
def coarse(monkeypatch):
    monkeypatch.setattr("analysis.maps.grid.GRID_POINTS", 100)


def theirs(n=24):
    """Return runs as another project would write them: the step is empty where it never generalised."""
    rng = np.random.default_rng(0)
    fraction = rng.uniform(0.2, 0.9, n)
    return pd.DataFrame(
        {
            "train_frac": fraction,
            "weight_decay": 10 ** rng.uniform(-2, 1, n),
            "memorised": 80 + np.arange(n),
            "grokked": np.where(fraction > 0.5, 900 + np.arange(n), np.nan),
        }
    )


def asked_for(message):
    """Return the options that a message tells one to give, with values in place of the words for them."""
    columns = {"t_mem": "memorised", "t_gen": "grokked"}
    words = []
    for option, value in re.findall(r"(--[a-z]+) ([A-Za-z_]+=?[A-Za-z.]*)", message):
        if option == "--column":
            words += [part for name, column in columns.items() for part in ("--column", f"{name}={column}")]
        else:
            words += [option, {"STEPS": "3000"}.get(value, value)]
    return words


def test_doing_what_the_messages_say_ends_with_a_map(grokmap, tmp_path):
    theirs().to_csv("runs.csv", sep=";", decimal=",", index=False)
    words = []
    for _ in range(4):
        code, out, err = grokmap("map", "runs.csv", "--out", "maps", *words)
        assert "python" not in err.lower()
        assert "axes={" not in err
        if code == 0:
            break
        more = asked_for(err)
        assert more, err
        words += more
    assert code == 0
    assert words == ["--column", "t_mem=memorised", "--column", "t_gen=grokked", "--budget", "3000"]
    assert "runs.csv: Read as text separated by semicolons, with decimal commas." in out
    assert "taken as not reached within the budget, 3,000 steps" in out
    guess = "Axes guessed from the table: train_frac (linear), weight_decay (log)."
    assert guess in out
    definition = json.loads((tmp_path / "maps" / "definition.json").read_text())
    assert guess in definition["notes"]
    assert guess in (tmp_path / "maps" / "map.html").read_text()
    assert "guessed" in (tmp_path / "maps" / "map.svg").read_text()
    code, _, err = grokmap(*shlex.split(definition["commands"][-1])[1:], "--out", "again")
    assert code == 0, err
    again = json.loads((tmp_path / "again" / "definition.json").read_text())
    assert again["axes"] == definition["axes"]


def test_a_comparison_of_tables_takes_the_same_options_and_says_the_same(grokmap, tmp_path):
    for name, shift in (("a.csv", 0.0), ("b.csv", 0.1)):
        theirs().assign(train_frac=theirs().train_frac + shift).to_csv(name, index=False)
    columns = ["--column", "t_mem=memorised", "--column", "t_gen=grokked"]
    code, _, err = grokmap("compare", "a.csv", "b.csv", *columns)
    assert (code, "give --budget STEPS" in err) == (2, True)
    code, out, err = grokmap("compare", "a.csv", "b.csv", *columns, "--budget", "3000", "--along", "train_frac")
    assert code == 0, err
    assert "b.csv: Axes guessed from the table: train_frac (linear), weight_decay (log)." in out
    assert "Axes guessed from the table" in (tmp_path / "comparison" / "compare.html").read_text()
    assert "guessed" in (tmp_path / "comparison" / "compare.svg").read_text()
    command = json.loads((tmp_path / "comparison" / "compare.json").read_text())["command"]
    assert grokmap(*shlex.split(command)[1:])[0] == 0


@pytest.mark.parametrize(
    "command", [["map"], ["compare", "runs.csv"], ["extend", "--runs", "+4"], ["import"], ["track"]]
)
def test_an_address_is_answered_with_what_to_do_with_one(grokmap, command):
    code, _, err = grokmap(*command, "http://127.0.0.1:5000/#/experiments/1")
    assert code == 2
    said = " ".join(err.split())
    assert "http://127.0.0.1:5000/#/experiments/1: an address; name an experiment there: grokmap import NAME" in said
    assert "--mlflow http://127.0.0.1:5000" in said
    code, _, err = grokmap("map", "s3://bucket/results/mine")
    assert (code, "s3://bucket/results/mine: an address; copy the sweep's folder here" in err) == (2, True)


def test_where_no_axis_can_be_guessed_the_options_named_are_the_remedy(grokmap):
    names = {"train_frac": "a", "weight_decay": "b"}
    frame = theirs().rename(columns=names).assign(c=1.5 * np.arange(24), d=np.arange(24) ** 2, e=np.arange(24)[::-1])
    frame.assign(t_mem=frame.memorised, t_gen=frame.grokked, steps=3000).to_csv("runs.csv", index=False)
    code, _, err = grokmap("map", "runs.csv", "--out", "maps")
    assert code == 2
    assert "which columns are the axes? Found a, b, memorised, grokked, c, d, e; name them, as --axis" in err
    code, out, err = grokmap("map", "runs.csv", "--out", "maps", "--axis", "a=linear", "--axis", "b=log")
    assert code == 0, err
    assert "guessed" not in out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--budget", "0"], "budget = 0: input should be greater than or equal to 1"),
        (["--threshold", "0", "--budget", "3000"], "threshold = 0"),
        (["--gap", "-1", "--budget", "3000"], "gap = -1"),
        (["--axis", "train_frac"], "--axis train_frac: give a column and its scale"),
        (["--column", "=x"], "--column =x: give a name and the column"),
        (["--column", "t_gen=grokkd"], "Did you mean 'grokked'"),
        (["--axis", "train_frac=cubic", "--budget", "3000"], "cubic"),
    ],
)
def test_an_option_that_is_given_is_heeded_or_refused(grokmap, words, says):
    theirs().rename(columns={"memorised": "t_mem"}).assign(t_gen=theirs().grokked).to_csv("runs.csv", index=False)
    code, out, err = grokmap("map", "runs.csv", "--out", "maps", *words)
    assert code == 2, out
    assert says in err
