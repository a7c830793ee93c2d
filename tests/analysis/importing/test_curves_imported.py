"""Others' curves become runs with our milestones: a round trip of our own, Hydra's folders, and every bad input."""

import json
import shlex

import numpy as np
import pandas as pd
import pytest
import yaml

from analysis.importing.curve_tables import runs_of_curves
from analysis.importing.folders import import_curves
from analysis.runs.sources import read_source
from grokcore import RunConfig, train
from grokcore.errors import DataError
from grokcore.records.regimes import RegimeRule

STEPS = np.unique(np.geomspace(1, 3000, 200).astype(int))


def curve(fraction, decay=0.1, last=3000):
    """Return a run that memorises at 100 and groks later the less data it has; below .4 never."""
    steps = STEPS[: np.searchsorted(STEPS, last, side="right")]
    rises = 100 / max(fraction - 0.3, 1e-9) if fraction > 0.4 else np.inf
    return pd.DataFrame(
        {"step": steps, "train_accuracy": 1.0 * (steps >= 100), "val_accuracy": np.where(steps >= rises, 0.97, 0.1)}
    ).assign(fraction=fraction, decay=decay)


FRACTIONS = [0.2, 0.3, 0.35, 0.45, 0.55, 0.65, 0.7, 0.75, 0.8, 0.9]


def long():
    parts = [curve(f, 0.01 * 2**i).assign(run_id=f"r{i}") for i, f in enumerate(FRACTIONS)]
    return pd.concat(parts, ignore_index=True)


def test_our_own_curves_give_our_own_milestones():
    configs = [
        RunConfig.from_dict(
            {"task": {"name": "modular_addition", "modulus": 7}, "model": {"name": "mlp", "width": 16},
             "optimizer": {"name": "adamw", "rate": rate}, "fraction": 0.7, "steps": 120, "seed": seed}
        )
        for seed, rate in enumerate((1e-4, 3e-2, 5e-2))
    ]  # fmt: skip
    records = train(configs)
    curves = pd.concat([record.curves.assign(run_id=record.run_id) for record in records], ignore_index=True)
    found = runs_of_curves(curves).frame.set_index("run_id")
    rule = RegimeRule(budget=120, ratio=5.0)
    for record in records:
        row = record.row(rule)
        names = [name for name in found.columns if name.startswith("t_") and not name.endswith("_lower")]
        assert len(names) == 20
        assert {name: found.at[record.run_id, name] for name in names} == {name: row[name] for name in names}


def test_settings_are_what_does_not_change_within_a_run_and_names_are_said():
    curves = long().rename(
        columns={"val_accuracy": "test/acc", "train_accuracy": "Train Accuracy", "step": "global_step"}
    )
    found = runs_of_curves(curves.assign(loss=np.arange(len(curves))))
    assert read_source(found.frame).scales == {"fraction": "linear", "decay": "log"}
    assert "global_step is step, Train Accuracy is train_accuracy, test/acc is val_accuracy" in found.notes[0]
    assert "loss" not in found.frame


def test_histories_that_log_each_curve_at_its_own_rows_are_read():
    curves = long()
    parts = [curves.drop(columns=name) for name in ("train_accuracy", "val_accuracy")]
    apart = pd.concat(parts, ignore_index=True).sort_values(["run_id", "step"], kind="stable", ignore_index=True)
    pd.testing.assert_frame_equal(runs_of_curves(apart).frame, runs_of_curves(curves).frame, check_like=True)


def test_percents_are_accuracies_and_that_is_said():
    percents = long().assign(
        train_accuracy=lambda f: 100 * f.train_accuracy, val_accuracy=lambda f: 100 * f.val_accuracy
    )
    found = runs_of_curves(percents)
    assert found.notes[:2] == ("train_accuracy is read as percents.", "val_accuracy is read as percents.")
    pd.testing.assert_frame_equal(found.frame, runs_of_curves(long()).frame)


def test_a_censored_milestone_stands_where_both_curves_were_last_seen():
    curves = curve(0.2).assign(run_id="x")
    curves.loc[curves.step > 500, "val_accuracy"] = np.nan
    (row,) = runs_of_curves(curves).frame.to_dict("records")
    assert (row["t_mem"], row["t_mem_event"], row["t_gen_event"]) == (
        curves.step[curves.step >= 100].min(),
        True,
        False,
    )
    assert row["t_gen"] == row["last_step"] == curves.step[curves.step <= 500].max()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda f: f.drop(columns="val_accuracy"),
            r"no column is val_accuracy; name it, as --column val_accuracy=NAME",
        ),
        (lambda f: f.assign(test_acc=0.1).drop(columns="val_accuracy").assign(val_acc=0.2), "could be val_accuracy"),
        (lambda f: f.assign(val_accuracy=f.step * 1.0), "is no accuracy from 0 to 1"),
        (lambda f: f.assign(val_accuracy=np.nan), "val_accuracy is empty"),
        (lambda f: f.assign(val_accuracy="high"), r"'high' \(row 0\) is no accuracy"),
        (lambda f: f.assign(step=f.step.to_numpy()[::-1]), "comes after step"),
        (lambda f: f.assign(run_id="one"), "run one: step 1 .* comes after step 3,000; two runs of one run_id"),
        (lambda f: f.assign(step="x"), "is not a step"),
        (lambda f: f.head(0), "no rows with a step"),
    ],
)
def test_bad_curves_are_refused_with_the_remedy(change, says):
    with pytest.raises(DataError, match=says):
        runs_of_curves(change(long()))


def test_what_makes_a_map_doubtful_is_said():
    notes = " ".join(
        runs_of_curves(pd.concat([curve(0.2).assign(run_id="a"), curve(0.3, last=1000).assign(run_id="b")])).notes
    )
    assert "No run's val_accuracy reaches 0.9 (the highest is 0.1)" in notes
    assert f"--budget {STEPS[STEPS <= 1000].max()}" in notes
    coarse = long()
    notes = " ".join(runs_of_curves(coarse[coarse.step.isin([1, 11, 100, 313, 990, 3000])]).notes)
    assert "evaluated up to a factor of" in notes


@pytest.fixture(name="multirun")
def _multirun(tmp_path):
    """Write runs as Hydra's multirun leaves them: a folder a job, its settings in .hydra."""
    for i, fraction in enumerate(FRACTIONS):
        job = tmp_path / "multirun" / str(i)
        (job / ".hydra").mkdir(parents=True)
        curves = curve(fraction).drop(columns=["fraction", "decay"])
        curves.rename(columns={"val_accuracy": "val/acc"}).to_csv(job / "metrics.csv", index=False)
        config = {"data": {"train_frac": fraction}, "optimizer": {"weight_decay": 0.01 * 2**i, "betas": [0.9, 0.98]}}
        (job / ".hydra" / "config.yaml").write_text(yaml.safe_dump(config))
    return tmp_path / "multirun"


def test_hydras_folders_become_runs_with_their_settings(multirun):
    found = import_curves(multirun, {})
    assert found.frame["run_id"].tolist() == [f"{i}/metrics.csv" for i in range(10)]
    assert read_source(found.frame).scales == {"data.train_frac": "linear", "optimizer.weight_decay": "log"}
    assert found.frame["t_gen_event"].tolist() == [f > 0.4 for f in FRACTIONS]
    assert found.notes[0] == "Read as curves: val/acc is val_accuracy."


def test_settings_may_stand_in_names_or_in_a_table_of_their_own(tmp_path):
    for i, fraction in enumerate(FRACTIONS):
        (tmp_path / "runs").mkdir(exist_ok=True)
        curves = curve(fraction).drop(columns=["fraction", "decay"])
        curves.to_csv(tmp_path / "runs" / f"fraction={fraction},wd={0.01 * 2**i}.csv", index=False)
    assert read_source(import_curves(tmp_path / "runs", {}).frame).scales == {"fraction": "linear", "wd": "log"}
    curves = long()
    curves[["run_id", "step", "train_accuracy", "val_accuracy"]].to_csv(tmp_path / "curves.csv", index=False)
    curves[["run_id", "fraction", "decay"]].drop_duplicates().to_csv(tmp_path / "settings.csv", index=False)
    found = import_curves(tmp_path / "curves.csv", {}, tmp_path / "settings.csv")
    assert read_source(found.frame).scales == {"fraction": "linear", "decay": "log"}
    curves[["run_id", "fraction"]].drop_duplicates().head(4).to_csv(tmp_path / "settings.csv", index=False)
    with pytest.raises(DataError, match="lacks 6 runs that have curves, as r4"):
        import_curves(tmp_path / "curves.csv", {}, tmp_path / "settings.csv")


@pytest.mark.parametrize("text", ["a: [", "!!python/object/apply:os.system ['true']", "[" * 4000])
def test_settings_that_cannot_be_read_are_named(multirun, text):
    (multirun / "3" / ".hydra" / "config.yaml").write_text(text)
    with pytest.raises(DataError, match=r"3/\.hydra/config\.yaml cannot be read"):
        import_curves(multirun, {})


def test_runs_without_settings_are_said_with_what_to_give(tmp_path, grokmap):
    (tmp_path / "curves").mkdir()
    for name in "ab":
        table = pd.DataFrame({"step": [1, 10, 100], "train_acc": [0.1, 0.95, 1.0], "val_acc": [0.1, 0.2, 0.95]})
        table.to_csv(tmp_path / "curves" / f"{name}.csv", index=False)
    _, out, _ = grokmap("import", "curves", "--out", "runs.csv")
    assert "2 runs written to runs.csv. For a map a setting must vary" in out
    pd.DataFrame({"run_id": ["a.csv", "b.csv"], "fraction": [0.3, 0.6]}).to_csv(tmp_path / "s.csv", index=False)
    _, out, _ = grokmap("import", "curves", "--settings", "s.csv", "--out", "my runs.csv")
    assert "their map: grokmap map 'my runs.csv' --out maps" in out


@pytest.mark.usefixtures("multirun")
def test_the_command_writes_a_table_that_map_reads_and_nothing_over_another(monkeypatch, tmp_path, grokmap):
    code, out, err = grokmap("import", "multirun", "--out", "runs.csv")
    assert (code, err) == (0, "")
    assert "10 runs written to runs.csv; their map: grokmap map runs.csv --out maps" in out
    assert grokmap("import", "multirun", "--out", "runs.csv")[0] == 2
    monkeypatch.setattr("analysis.maps.grid.GRID_POINTS", 100)
    code, _, err = grokmap(*shlex.split("map runs.csv --out maps"))
    assert code == 0, err
    assert json.loads((tmp_path / "maps" / "definition.json").read_text())["runs"] == 10
    code, _, err = grokmap("import", "runs.csv", "--out", "runs.csv", "--force")
    assert code == 2
    assert "is read, so it is not written over" in err


@pytest.mark.parametrize(
    ("address", "root"),
    [
        ("http://127.0.0.1:5000/#/experiments/1/runs", "http://127.0.0.1:5000"),
        ("sqlite:///results/mlflow.db", "sqlite:///results/mlflow.db"),
    ],
)
def test_an_address_is_answered_with_the_command_that_reads_an_experiment(grokmap, address, root):
    code, _, err = grokmap("import", address, "--out", "runs.csv")
    assert (code, f"grokmap import NAME --mlflow {root}" in " ".join(err.split())) == (2, True)
