"""What trackers leave is read as their own packages wrote it: Weights & Biases offline and charts, Optuna's trials."""

import contextlib
import shutil
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest

from analysis.importing.folders import import_curves
from analysis.importing.wandb_offline import read_offline_run
from grokcore.errors import DataError
from sweeps.study import tell_milestones
from tests.analysis.importing.make_files import CURVES

FILES = Path(__file__).parent / "files"


def test_offline_runs_are_read_as_the_package_wrote_them():
    found = import_curves(FILES / "wandb", {})
    runs = found.frame.set_index("run_id")
    assert set(runs.index) == set(CURVES)
    for name, (config, curve) in CURVES.items():
        row = runs.loc[name]
        assert {key: row[key] for key in config} == config
        assert (row["model.width"], row["outcome"]) == (32, "finished")
        for milestone, column in (("t_mem", 1), ("t_gen", 2)):
            reached = [step for step, *values in curve if values[column - 1] >= 0.9]
            assert row[f"{milestone}_event"] == bool(reached)
            assert row[milestone] == (reached[0] if reached else 1000)
            if reached:
                assert row[f"{milestone}_lower"] == max(step for step, *_ in curve if step < reached[0])
    assert any("kept offline" in note for note in found.notes)


def test_one_offline_file_is_a_run_and_its_columns_can_be_named():
    found = import_curves(
        FILES / "wandb" / "run-slow.wandb", {"train_accuracy": "train/acc", "val_accuracy": "val.acc"}
    )
    assert list(found.frame["t_gen"]) == [1000]
    with pytest.raises(DataError, match=r"has no run with a metric.*There are: .*val\.acc"):
        import_curves(FILES / "wandb", {"train_accuracy": "acc", "val_accuracy": "val.acc"})


def test_an_offline_file_may_end_anywhere_and_be_anything(tmp_path):
    """A run that was killed leaves a torn file, which is read up to there; bytes of another kind are refused."""
    whole = (FILES / "wandb" / "run-slow.wandb").read_bytes()
    path = tmp_path / "run-slow.wandb"
    lengths = set()
    rng = np.random.default_rng(0)
    for end in range(4, len(whole), 37):
        path.write_bytes(whole[:end])
        curves, settings = read_offline_run(path)
        lengths.add(len(curves))
        assert settings["outcome"] == "stopped"
        damaged = bytearray(whole)
        damaged[int(rng.integers(7, len(whole)))] ^= int(rng.integers(1, 255))
        path.write_bytes(bytes(damaged))
        with contextlib.suppress(DataError):
            read_offline_run(path)
    assert lengths == {0, 1, 2, 3, 4}
    path.write_bytes(b"step,acc\n1,0.5\n")
    with pytest.raises(DataError, match="is not a file of Weights & Biases"):
        read_offline_run(path)


def test_a_chart_with_a_column_a_run_is_made_long(tmp_path):
    steps = [step for step, *_ in CURVES["slow"][1]]
    chart = {"Step": steps}
    for name, (_, curve) in CURVES.items():
        for metric, column in (("train/acc", 1), ("val/acc", 2)):
            values = [values[column - 1] for _, *values in curve]
            chart |= {f"{name} - {metric}{end}": values for end in ("", "__MIN", "__MAX")}
    pd.DataFrame(chart).to_csv(tmp_path / "chart.csv", index=False)
    runs = import_curves(tmp_path / "chart.csv", {}).frame.set_index("run_id")
    offline = import_curves(FILES / "wandb", {}).frame.set_index("run_id").loc[runs.index]
    names = [name for name in runs if name.startswith("t_")]
    pd.testing.assert_frame_equal(runs[names], offline[names], check_dtype=False)
    alone = pd.DataFrame({name: values for name, values in chart.items() if "train" not in name})
    alone.to_csv(tmp_path / "alone.csv", index=False)
    with pytest.raises(DataError, match=r"alone\.csv: the chart holds val/acc alone; give a folder with the charts"):
        import_curves(tmp_path / "alone.csv", {})


def test_a_folder_of_two_charts_is_one_table_and_the_names_of_runs_are_settings(tmp_path):
    # Two metrics, logged at steps of their own; a chart's rows are all steps of its metric, of any run.
    shown = {"train/acc": ([0, 10, 20, 40], {1: [0.1, 0.95, 1, 1], 0.1: [0.1, 0.2, 0.95, 1]})}
    shown["val/acc"] = ([0, 15, 40], {1: [0.1, 0.3, 0.92], 0.1: [0.1, 0.1, 0.2]})
    for metric, (steps, curves) in shown.items():
        chart = {"Step": steps} | {f"lr=0.01,wd={decay} - {metric}": values for decay, values in curves.items()}
        pd.DataFrame(chart).to_csv(tmp_path / f"{metric.replace('/', ' ')}.csv", index=False)
    found = import_curves(tmp_path, {})
    assert "Read as 2 charts of Weights & Biases: a column is RUN - METRIC, 2 runs." in found.notes
    runs = found.frame.set_index("run_id")
    assert runs["wd"].to_dict() == {"lr=0.01,wd=0.1": 0.1, "lr=0.01,wd=1": 1}
    fast, slow = runs.loc["lr=0.01,wd=1"], runs.loc["lr=0.01,wd=0.1"]
    assert (fast.t_mem, fast.t_mem_lower, fast.t_gen, fast.t_gen_lower) == (10, 0, 40, 15)
    assert (slow.t_mem, slow.t_gen, slow.t_gen_event) == (20, 40, False)
    (tmp_path / "again.csv").write_bytes((tmp_path / "val acc.csv").read_bytes())
    with pytest.raises(DataError, match="val/acc is in two charts; leave one of them out"):
        import_curves(tmp_path, {})


def test_the_names_of_runs_in_a_long_table_are_settings_unless_it_has_them(tmp_path):
    long = pd.DataFrame({"run": np.repeat(["a/wd=1,seed=3", "a/wd=2"], 2), "step": [0, 9] * 2, "seed": [7] * 4})
    long.assign(train_acc=[0, 1] * 2, val_acc=[0, 1] * 2).to_csv(tmp_path / "long.csv", index=False)
    runs = import_curves(tmp_path / "long.csv", {}).frame
    assert runs[["wd", "seed"]].to_numpy().tolist() == [[1, 7], [2, 7]]


def test_trials_of_our_own_studies_come_back_from_optunas_data_frame(tmp_path):
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study()
    for fraction in (0.3, 0.5, 0.7):
        trial = study.ask({"fraction": optuna.distributions.FloatDistribution(fraction, fraction)})
        tell_milestones(study, trial, t_mem=(100, True), t_gen=(900, fraction > 0.4))
    study.ask()
    frame = study.trials_dataframe()
    frame.to_csv(tmp_path / "trials.csv", index=False)
    found = import_curves(tmp_path / "trials.csv", {})
    assert list(found.frame["t_gen"]) == [900, 900, 900]
    assert list(found.frame["t_gen_event"]) == [False, True, True]
    assert list(found.frame["fraction"]) == [0.3, 0.5, 0.7]
    assert any("1 runs without milestones that did not finish are left out" in note for note in found.notes)


def test_our_own_run_comes_back_from_an_offline_file_that_lies_anywhere(tmp_path):
    """Folders with blanks, a link to the latest run as the package leaves it, and copies of one file."""
    folder = tmp_path / "my runs" / "wandb" / "offline-run-1"
    folder.mkdir(parents=True)
    shutil.copy(FILES / "wandb" / "run-slow.wandb", folder)
    (folder.parent / "latest-run").symlink_to(folder)
    assert len(import_curves(tmp_path / "my runs", {}).frame) == 1
