"""Columns of anyone's table: indices, trackers' exports, names that stand twice, and columns asked for by name."""

import numpy as np
import pandas as pd
import pytest

from analysis.runs.columns import mangled, tidied
from analysis.runs.sources import read_source
from grokcore.errors import DataError

N = 12
MILESTONES = {
    "t_mem": np.arange(N) + 50,
    "t_mem_event": [True] * N,
    "t_gen": [900] * 6 + [3000] * 6,
    "t_gen_event": [True] * 6 + [False] * 6,
}
SETTINGS = {"train_frac": np.linspace(0.2, 0.9, N), "weight_decay": np.geomspace(0.01, 10, N), "seed": np.arange(N)}
AXES = {"train_frac": "linear", "weight_decay": "log"}


def usual():
    return pd.DataFrame(SETTINGS | MILESTONES)


def test_an_index_that_was_saved_along_is_no_axis(tmp_path):
    usual().to_csv(tmp_path / "runs.csv")
    source = read_source(tmp_path / "runs.csv")
    assert source.scales == AXES
    assert source.notes == ("A column without a name is left out, as a row index is.",)
    assert source.guess == "Axes guessed from the table: train_frac (linear), weight_decay (log)."


@pytest.mark.parametrize("name", ["index", "Unnamed: 0", "level_0", "id", "run", "number", "epoch", "config.seed"])
def test_counters_and_seeds_are_no_axes_by_any_name(name):
    assert read_source(usual().assign(**{name: np.arange(N) * 7.5})).scales == AXES


def test_levels_of_an_index_are_columns(tmp_path):
    usual().set_index(["train_frac", "weight_decay"]).to_parquet(tmp_path / "runs.parquet")
    source = read_source(tmp_path / "runs.parquet")
    assert source.scales == AXES
    assert "index is read as columns train_frac, weight_decay" in source.notes[0]
    pd.testing.assert_frame_equal(source.frame[list(usual())], usual())


def test_names_that_are_no_text_are_read_as_text():
    frame = usual().rename(columns={"train_frac": 7, "weight_decay": ("optimizer", "decay"), "seed": None})
    assert list(tidied(frame).frame.columns[:2]) == ["7", "optimizer.decay"]
    assert read_source(frame).scales == {"optimizer.decay": "log"}


TRACKERS = {
    "Weights & Biases": ("config.", "summary.", {"Name": "lively", "State": "finished", "Runtime": np.arange(N)}),
    "MLflow": ("params.", "metrics.", {"run_id": [f"{i:032d}" for i in range(N)], "status": "FINISHED"}),
    "Optuna": ("params_", "user_attrs_", {"number": np.arange(N), "value": np.arange(N) / 7, "state": "COMPLETE"}),
    "Ray Tune": ("config/", "", {"trial_id": "x", "training_iteration": 3000, "time_total_s": np.arange(N) / 3}),
}


@pytest.mark.parametrize("name", TRACKERS)
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_exports_of_trackers_are_read_and_it_is_said_how(tmp_path, name, suffix):
    setting, result, own = TRACKERS[name]
    columns = own | {setting + key: values for key, values in SETTINGS.items()}
    columns |= {result + key: values for key, values in MILESTONES.items()}
    frame = pd.DataFrame(columns | {f"{result}val_loss": np.linspace(0.1, 3, N), f"{setting}note": "a"})
    path = tmp_path / f"runs{suffix}"
    frame.to_csv(path, index=False) if suffix == ".csv" else frame.to_parquet(path)
    source = read_source(path)
    assert source.scales == AXES
    assert source.notes[0].startswith(f"Read as an export of {name}: {setting}NAME")
    assert source.default_rule.budget == 3000
    assert source.frame["t_gen_event"].tolist() == MILESTONES["t_gen_event"]


def test_a_trackers_parameters_as_text_are_numbers():
    frame = pd.DataFrame({f"params.{k}": [str(v) for v in values] for k, values in SETTINGS.items()} | {"run_id": "1"})
    frame = frame.assign(status="FINISHED", **{f"metrics.{k}": values for k, values in MILESTONES.items()})
    assert read_source(frame).scales == AXES


def test_runs_that_a_tracker_says_were_cut_short_are_not_taken_for_finished_ones():
    frame = pd.DataFrame({f"config.{k}": values for k, values in SETTINGS.items()} | {"Name": "x"})
    frame = frame.assign(**{"summary.t_mem": 60, "summary.t_gen": [900] * 6 + [None] * 6})
    frame["State"] = ["finished"] * 9 + ["crashed", "failed", "running"]
    done = read_source(frame).completed(3000)
    assert len(done.frame) == 9
    assert "3 runs that were cut short and do not say at which step are left out." in done.notes
    assert done.frame["t_gen"].tolist() == [900] * 6 + [3000] * 3
    followed = read_source(frame.assign(**{"summary._step": 1200})).completed(3000)
    assert followed.frame["t_gen"].tolist() == [900] * 6 + [1200] * 6
    assert followed.frame["outcome"].tolist()[-3:] == ["failed", "failed", "running"]


@pytest.mark.parametrize("columns", [["decay", "decay"], ["decay", " decay "], ["decay", "decay\n"]])
def test_a_column_that_stands_twice_is_refused_by_name(tmp_path, columns):
    rows = "\n".join(f"{0.1 + i / 20},{i},5,True,9,True" for i in range(N))
    header = ",".join(f'"{name}"' for name in [*columns, "t_mem", "t_mem_event", "t_gen", "t_gen_event"])
    (tmp_path / "runs.csv").write_text(f"{header}\n{rows}\n")
    with pytest.raises(DataError, match=r"column decay appears twice with different values \(columns 1 and 2\)"):
        read_source(tmp_path / "runs.csv")


def test_a_column_that_stands_twice_alike_is_read_once():
    frame = pd.concat([usual(), usual()[["weight_decay"]]], axis=1)
    source = read_source(frame)
    assert source.scales == AXES
    assert source.notes == ("weight_decay twice, with equal values: read once.",)


def test_what_pandas_made_of_a_name_that_stood_twice_is_no_axis():
    frame = usual().assign(**{"weight_decay.1": np.geomspace(0.3, 40, N)})
    assert mangled(frame.columns) == {"weight_decay.1"}
    assert read_source(frame).scales == AXES


def test_a_column_is_read_under_the_name_that_is_asked_for():
    frame = usual().rename(columns={"t_gen": "summary.grokked_at", "train_frac": "f"}).assign(t_gen=-1)
    source = read_source(frame, {"t_gen": "summary.grokked_at", "fraction": "f"})
    assert source.frame["t_gen"].tolist() == MILESTONES["t_gen"]
    assert source.scales == {"fraction": "linear", "weight_decay": "log"}
    with pytest.raises(DataError, match=r"unknown column 'sumary.grokked_at'. Did you mean 'summary.grokked_at'"):
        read_source(frame, {"t_gen": "sumary.grokked_at"})


@pytest.mark.parametrize("cells", [[[1, 2]] * N, [{"a": 1}] * N, [np.arange(2)] * N, [{1}] * N])
def test_cells_that_are_containers_are_words(cells):
    source = read_source(usual().assign(betas=pd.Series(cells)))
    assert source.scales == AXES
    assert source.frame["betas"].map(type).eq(str).all()
