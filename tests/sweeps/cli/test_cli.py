"""The command line: quick help, one clear sentence for each mistake, and the same results as the packages give."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import grokcore
from grokcore.config import folders
from grokcore.errors import ConfigError
from sweeps.cli import runs, sweep
from sweeps.store.run_store import Asked, Store
from sweeps.store.tables import write_tables


def test_help_imports_nothing_heavy():
    code = """
import sys
from sweeps.cli import main
sys.argv = ["grokmap", "--help"]
try:
    main()
except SystemExit:
    pass
heavy = {"torch", "ray", "mlflow", "optuna", "pandas", "numpy", "matplotlib"} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for command in ("run", "sweep", "map", "show", "track"):
        assert command in done.stdout


def test_run_trains_one_network_and_draws_it(grokmap, tmp_path):
    words = ["task.modulus=7", "model.width=8", "steps=60", "seed=3", "fraction=0.6", "optimizer.decay=0.5"]
    code, out, err = grokmap("run", *words)
    assert code == 0, err
    (folder,) = (tmp_path / "results" / "runs").iterdir()
    record = grokcore.RunRecord.from_json((folder / "record.json").read_text())
    assert record.config.optimizer.decay == 0.5
    assert record.config.seed == 3
    (alone,) = grokcore.train([record.config])
    assert alone.columns["val_loss"].tolist() == record.columns["val_loss"].tolist()
    assert (folder / "curves.png").stat().st_size > 10_000
    assert record.run_id in out
    code, out, err = grokmap("show", record.run_id[:6])
    assert code == 0, err
    assert "optimizer.decay 0.5" in out


def test_another_member_of_a_family_leaves_the_fields_of_the_first_behind():
    config, _ = runs._config_of(["model.heads=2", "model=transformer", "model.width=16", "model.mlp_width=32"])
    assert config.model.heads == 2
    config, _ = runs._config_of(["model.name=transformer", "model.width=16", "model.heads=2", "model.mlp_width=32"])
    assert config.to_dict()["model"]["name"] == "transformer"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["run", "task.name=modular_additon"], "Did you mean 'modular_addition'"),
        (["run", "optimizer.decya=1"], "Did you mean 'decay'"),
        (["run", "fraction=1.5", "optimizer.decay=-1", "steps=0"], "fraction = 1.5"),
        (["run", "nothing.toml"], "neither a change"),
        (["sweep", "nothing.toml"], "no such file"),
        (["track", "."], "not the folder of a sweep"),
        (["show", "abc"], "there is none"),
        (["show", "../x"], "not the identity"),
        (["map", "nowhere"], "does not exist"),
    ],
)
def test_mistakes_are_answered_without_a_traceback(grokmap, words, says):
    code, out, err = grokmap(*words)
    assert code == 2
    assert says in err
    assert "Traceback" not in out + err


def test_all_complaints_about_a_run_come_at_once(grokmap):
    _, _, err = grokmap("run", "fraction=1.5", "optimizer.decay=-1", "steps=0", "task.modulus=1")
    for part in ("fraction = 1.5", "decay = -1", "steps = 0", "modulus = 1"):
        assert part in err, part


def test_a_sweep_that_exists_with_another_spec_is_refused_before_anything_starts(grokmap, spec, changed, tmp_path):
    with Store(spec, tmp_path / "results") as store:
        store.ask([Asked(number=0, params={"fraction": 0.5, "seed": 0}, run_id=f"{0:016x}")])
    (tmp_path / "other.toml").write_text(changed(spec, seed=99).to_toml())
    code, _, err = grokmap("sweep", "other.toml")
    assert code == 2
    assert "seed: 0 → 99" in err
    assert "--name small-2" in err
    assert "--continue" in err


def test_continue_takes_the_spec_that_is_there_with_what_was_asked_for_changed(spec, changed, tmp_path):
    Store(spec, tmp_path).close()
    assert sweep._chosen(changed(spec, seed=99), tmp_path, {"within": None}, resume=True) == spec
    grown = sweep._chosen(changed(spec, seed=99), tmp_path, {"within": None, "runs": 48}, resume=True)
    assert grown == changed(spec, runs=48)
    with pytest.raises(ConfigError, match="there is no sweep 'new'"):
        sweep._chosen(spec, tmp_path, {"name": "new", "within": None}, resume=True)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["extend", "small", "--runs", "1"], "has 3 runs chosen already, so runs = 1 cannot be; give at least 3"),
        (["extend", "nothing", "--runs", "9"], "there is no sweep 'nothing' in results"),
        (["sweep", "results/small", "--continue", "--runs", "2"], "has 3 runs chosen already"),
    ],
)
def test_a_sweep_that_cannot_be_extended_says_why(grokmap, spec, tmp_path, words, says):
    params = {"fraction": 0.5, "optimizer.decay": 0.1, "optimizer.rate": 0.01, "seed": 0}
    with Store(spec, tmp_path / "results") as store:
        store.ask([Asked(number=n, params=params, run_id=f"{n:016x}") for n in range(3)])
    code, out, err = grokmap(*words)
    assert code == 2
    assert says in err
    assert "Traceback" not in out + err


@pytest.fixture
def mirrored(spec, changed, pretend, tmp_path, monkeypatch):
    """Return a function that makes a sweep's folder with its mirror in MLflow, without training."""
    from sweeps.tracking.mlflow_mirror import track

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    space = spec.whole_space

    def make(name, fractions=(0.3, 0.4, 0.5, 0.6, 0.7, 0.8)):
        with Store(changed(spec, name=name), tmp_path / "results") as store:
            configs = [
                space.config({"fraction": f, "optimizer.decay": 0.02 * 5**j, "optimizer.rate": r, "seed": 0})
                for f in fractions
                for j in range(4)
                for r in (0.002, 0.05)
            ]
            store.add([pretend(config) for config in configs])
            write_tables(store.path, spec.rule)
            track(store.path)
        return store.path

    return make


def logged(path, place):
    """Return the names of the files that the sweep's run in MLflow has in a folder of its artifacts."""
    from sweeps.tracking.mlflow_mirror import Mirror

    mirror = Mirror(path)
    return {Path(item.path).name for item in mirror._client.list_artifacts(mirror.find(None), place)}


NOLOAD = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")


@NOLOAD
def test_map_takes_another_rule_trains_nothing_and_shows_in_mlflow(grokmap, mirrored, tmp_path):
    path = mirrored("small")
    code, out, err = grokmap(
        "map", "small", "--out", "maps", "--budget", "30", "--gap", "10", "--x", "decay", "--y", "fraction"
    )
    assert code == 0, err
    definition = json.loads((tmp_path / "maps" / "definition.json").read_text())
    assert definition["rule"]["budget"] == 30
    assert definition["rule"]["gap"] == 10
    for suffix in ("png", "svg", "csv", "parquet"):
        assert (tmp_path / "maps" / f"map.{suffix}").stat().st_size > 500
        assert f"map.{suffix}" in out
    assert {"map.png", "map.html", "map.csv", "definition.json"} <= logged(path, "maps/maps")


@NOLOAD
def test_compare_says_what_moved_and_shows_in_the_mlflow_of_both(grokmap, mirrored):
    paths = [mirrored("one"), mirrored("two", fractions=(0.35, 0.45, 0.55, 0.65, 0.75, 0.85))]
    code, out, err = grokmap("compare", "one", "two", "--along", "decay", "--out", "between")
    assert (code, err) == (0, "")
    assert out.startswith("from A to B the edge between memorization and grokking")
    for path in paths:
        assert logged(path, "compare/one and two") == {
            f"compare.{suffix}" for suffix in ("png", "svg", "pdf", "html", "csv", "json")
        }


def test_run_on_a_device_that_is_not_there_is_refused_before_any_folder_is_made(grokmap, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    code, out, err = grokmap("run", "steps=20", "task.modulus=7", "--device", "cuda")
    assert code == 2
    assert 'device = "cuda"' in err
    assert "Traceback" not in out + err
    assert list(tmp_path.iterdir()) == []


COMPONENTS = Path(__file__).parents[2] / "contracts" / "components"


@pytest.mark.parametrize("by_file", [False, True])
def test_run_takes_components_of_ones_own_and_keeps_them_beside_its_record(grokmap, tmp_path, by_file):
    shutil.copytree(COMPONENTS, tmp_path / "my_parts", ignore=shutil.ignore_patterns("__pycache__"))
    words = ["task.name=modular_maximum", "task.modulus=5", "steps=20", f"seed={int(by_file)}"]
    if by_file:
        text = (
            'components = "my_parts"\nfraction = 0.5\nsteps = 3\ntask = "parity"\nmodel = "mlp"\noptimizer = "signed"\n'
        )
        (tmp_path / "run.toml").write_text(text)
        words.insert(0, "run.toml")
    else:
        words += ["--components", "my_parts"]
    with folders.folders_kept():
        folders._use([])
        code, _, err = grokmap("run", *words)
        assert code == 0, err
    (folder,) = (tmp_path / "results" / "runs").iterdir()
    assert (folder / "components" / "tasks" / "modular_maximum.py").is_file()
    shutil.rmtree(tmp_path / "my_parts")
    with folders.folders_kept():
        folders._use([])
        code, out, err = grokmap("reproduce", folder.name)
        assert code == 0, out + err
        assert "1 of 1 runs reproduced bit for bit" in out
