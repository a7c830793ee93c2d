"""The tutorials work as they are written: their files are put where they say, their commands typed as they stand."""

import os
import re
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

TUTORIALS = Path(__file__).parents[2] / "docs/tutorials"
FILE = re.compile(r'^```\w+ title="([^"]+)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)
TYPED = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def follow(page, folder):
    """Do what a page says in a folder of one's own: first its files, then its commands; return what they said."""
    text = (TUTORIALS / page).read_text(encoding="utf-8")
    for name, content in FILE.findall(text):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW")}
    said = []
    for line in "".join(TYPED.findall(text)).splitlines():
        done = subprocess.run(
            line,
            shell=True,
            cwd=folder,
            env=environment | {"PATH": path, "COLUMNS": "120"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout[-1500:]}\n{done.stderr[-3000:]}"
        said.append(done.stdout)
    return said


@pytest.mark.slow
def test_your_runs_from_elsewhere(tmp_path):
    said = follow("own-runs.md", tmp_path)
    for name in ("map.png", "map.html", "map.csv"):
        assert (tmp_path / "figures" / name).stat().st_size > 10_000
    # What the page says of the script's own rule: little data and decay memorise, much of both comprehend.
    rows = [[float(word) for word in line.split()[1:]] for line in said[-1].splitlines()[1:]]
    assert rows[0][1] > 0.8
    assert rows[1][3] > 0.8


def written(name):
    """Return the file of that name that the page on runs from elsewhere shows."""
    return dict(FILE.findall((TUTORIALS / "own-runs.md").read_text(encoding="utf-8")))[name]


def callback(name, package, base, monkeypatch):
    """Return the callback that the page shows, over a base class that stands for the package's own."""
    stand_in = types.ModuleType(package)
    setattr(stand_in, base, type(base, (), {}))
    monkeypatch.setitem(sys.modules, package, stand_in)
    space = {}
    exec(compile(written(name), name, "exec"), space)
    return space["RecordMilestones"]


# What the two trainers call, in their order: seen with lightning 2.6 and transformers 5.24.
EVALUATED = [(1, 0.1, 0.1), (10, 0.95, 0.2), (20, 1.0, 0.3), (80, 1.0, 0.97)]


def check_row(path):
    (row,) = pd.read_csv(path).to_dict("records")
    assert (row["fraction"], row["t_mem"], row["t_mem_lower"], row["t_gen"], row["t_gen_lower"]) == (0.5, 10, 1, 80, 20)
    assert row["last_step"] == 80


def test_the_callback_for_lightning(tmp_path, monkeypatch):
    made = callback("lightning_milestones.py", "lightning", "Callback", monkeypatch)(
        tmp_path / "runs.csv", fraction=0.5
    )
    made.on_validation_end(types.SimpleNamespace(sanity_checking=True), None)
    # An epoch without a validation has no val_accuracy at first, and later the one of the last validation.
    made.on_train_epoch_end(types.SimpleNamespace(global_step=0, callback_metrics={"train_accuracy": 0.1}), None)
    for step, train, val in EVALUATED:
        metrics = {"train_accuracy": np.float32(train), "val_accuracy": np.float32(val), "train_loss": 1.0}
        trainer = types.SimpleNamespace(sanity_checking=False, global_step=step, callback_metrics=metrics)
        made.on_validation_end(trainer, None)
        made.on_train_epoch_end(trainer, None)
        made.on_train_epoch_end(types.SimpleNamespace(global_step=step + 1, callback_metrics=metrics), None)
    made.on_fit_end(types.SimpleNamespace(is_global_zero=False), None)
    made.on_fit_end(types.SimpleNamespace(is_global_zero=True), None)
    check_row(tmp_path / "runs.csv")


def test_the_callback_for_hugging_face_s_trainer(tmp_path, monkeypatch):
    kind = callback("trainer_milestones.py", "transformers", "TrainerCallback", monkeypatch)
    made = kind(tmp_path / "runs.csv", fraction=0.5)
    for step, train, val in EVALUATED:
        state = types.SimpleNamespace(global_step=step, is_world_process_zero=True)
        made.on_evaluate(None, state, None, metrics={"eval_train_accuracy": train, "eval_train_loss": 1.0}, model=None)
        made.on_evaluate(None, state, None, metrics={"eval_val_accuracy": val, "epoch": 1.0}, model=None)
    made.on_train_end(None, types.SimpleNamespace(is_world_process_zero=False), None, model=None)
    made.on_train_end(None, state, None, model=None)
    check_row(tmp_path / "runs.csv")
    # An evaluation of one's own afterwards is at the last step again.
    made.on_evaluate(None, state, None, metrics={"eval_train_accuracy": 1.0, "eval_val_accuracy": 0.97})


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "name", "runs"),
    [("own-task.md", "circle", 48), ("own-network.md", "residual", 32)],
    ids=["task", "network"],
)
def test_your_own_part_in_a_sweep_and_on_a_map(page, name, runs, tmp_path):
    follow(page, tmp_path)
    table = pd.read_parquet(tmp_path / "results" / name / "runs.parquet")
    assert len(table) == runs
    assert {"memorization", "grokking", "comprehension"} <= set(table["regime"])
    assert (tmp_path / "results" / name / "map.png").stat().st_size > 10_000


@pytest.mark.parametrize("page", sorted(path.name for path in TUTORIALS.glob("*.md")))
def test_every_picture_has_a_caption_that_says_what_to_see(page):
    text = (TUTORIALS / page).read_text(encoding="utf-8")
    pictures = re.findall(r"^!\[.*\]\(.*\)\n\n(.*)$", text, re.MULTILINE)
    assert len(pictures) == len(re.findall(r"^!\[", text, re.MULTILINE))
    assert all(caption.startswith("*") for caption in pictures)
