"""Any command, any bad path: a sentence and an exit code, and not a file changed; no source is written over.

What stands at a path is made anew for every case, beside the sources that must survive it.
"""

import numpy as np
import pandas as pd
import pytest

SPEC = """name = "small"
runs = 4
[run]
steps = 10
task = { name = "modular_addition", modulus = 5 }
model = { name = "mlp", width = 4 }
optimizer = { name = "adamw" }
[space]
fraction = { low = 0.3, high = 0.9 }
[rule]
budget = 10
ratio = 5.0
"""
_FIELDS = [line for line in SPEC.splitlines() if line.startswith(("steps", "task", "model", "optimizer"))]
RUN = "\n".join(["fraction = 0.5", *_FIELDS])


def runs():
    n = 16
    return pd.DataFrame(
        {
            "fraction": np.linspace(0.2, 0.9, n),
            "t_mem": 60,
            "t_mem_event": True,
            "t_gen": [3000] * 6 + [900] * 10,
            "t_gen_event": [False] * 6 + [True] * 10,
        }
    )


@pytest.fixture
def here(monkeypatch, tmp_path):
    """Stand in a folder with sources: a table, a specification and a run in TOML."""
    monkeypatch.chdir(tmp_path)
    runs().to_csv("runs.csv", index=False)
    (tmp_path / "spec.toml").write_text(SPEC)
    (tmp_path / "run.toml").write_text(RUN)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("mine")
    (tmp_path / "hanging").symlink_to(tmp_path / "nowhere")
    return tmp_path


def state(folder):
    """Return what lies in a folder: contents of files, targets of links, and folders."""
    return {
        path.relative_to(folder): path.readlink()
        if path.is_symlink()
        else path.read_bytes()
        if path.is_file()
        else None
        for path in sorted(folder.rglob("*"))
    }


READ = {
    "map": ["map", "{}", "--out", "maps"],
    "compare, first": ["compare", "{}", "runs.csv", "--out", "maps"],
    "compare, second": ["compare", "runs.csv", "{}", "--out", "maps"],
    "show": ["show", "abc", "--results", "{}"],
    "measure": ["measure", "abc", "--results", "{}"],
    "measure, sweep": ["measure", "{}"],
    "reproduce": ["reproduce", "abc", "--results", "{}"],
    "reproduce, sweep": ["reproduce", "{}"],
    "run": ["run", "{}"],
    "sweep": ["sweep", "{}"],
    "track": ["track", "{}"],
    "cluster check": ["cluster", "check", "{}"],
}
"""Commands with a path that they read."""
UNREADABLE = ["nowhere", "nowhere.csv", "folder", "file", "file/inside", "hanging", "what?#not here.csv", "/proc/1/mem"]

WRITTEN = {
    "map": ["map", "runs.csv", "--out", "{}"],
    "compare": ["compare", "runs.csv", "runs.csv", "--out", "{}"],
    "run": ["run", "run.toml", "steps=5", "--out", "{}"],
    "sweep": ["sweep", "spec.toml", "--no-mlflow", "--results", "{}"],
    "cluster new": ["cluster", "new", "--head", "192.0.2.1", "--out", "{}/cluster.yaml"],
}
"""Commands with a folder that they write to."""
UNWRITABLE = ["file", "file/inside", "hanging", "hanging/inside", "/proc/nothing/here"]


def refused(here, grokmap, words):
    before = state(here)
    code, out, err = grokmap(*words)
    assert code == 2, (code, out, err)
    assert err.strip()
    assert "Traceback" not in out + err
    assert state(here) == before
    return err


@pytest.mark.parametrize("path", UNREADABLE)
@pytest.mark.parametrize("command", READ)
def test_a_path_that_cannot_be_read_is_answered_in_a_sentence(here, grokmap, command, path):
    refused(here, grokmap, [word.format(path) for word in READ[command]])


@pytest.mark.parametrize("path", UNWRITABLE)
@pytest.mark.parametrize("command", WRITTEN)
def test_a_path_that_cannot_be_written_is_answered_in_a_sentence(here, grokmap, command, path):
    err = refused(here, grokmap, [word.format(path) for word in WRITTEN[command]])
    assert path.partition("/")[0] in err


@pytest.mark.parametrize("name", ["map.csv", "map-runs.csv", "map-boundaries.csv", "MAP.csv", "Map-Runs.CSV"])
def test_a_map_is_not_written_over_its_table(here, grokmap, name):
    (here / "folder" / name).write_bytes((here / "runs.csv").read_bytes())
    assert "is read, so it is not written over" in refused(here, grokmap, ["map", f"folder/{name}"])
    (here / "link").symlink_to(here / "folder")
    refused(here, grokmap, ["map", here / "folder" / name, "--out", "link"])
    refused(here, grokmap, ["map", f"link/../link/{name}", "--out", "./folder/../folder"])


def test_neither_is_one_that_a_link_among_the_outputs_leads_to(here, grokmap):
    (here / "folder" / "map.csv").symlink_to(here / "runs.csv")
    refused(here, grokmap, ["map", "runs.csv", "--out", "folder"])
    (here / "folder" / "compare.csv").hardlink_to(here / "runs.csv")
    refused(here, grokmap, ["compare", "runs.csv", "runs.csv", "--out", "folder"])


@pytest.mark.parametrize("place", [0, 1])
def test_a_comparison_is_not_written_over_either_table(here, grokmap, place):
    (here / "folder" / "compare.csv").write_bytes((here / "runs.csv").read_bytes())
    words = ["runs.csv", "runs.csv"]
    words[place] = "folder/compare.csv"
    refused(here, grokmap, ["compare", *words, "--out", "folder"])


def test_a_folder_where_a_file_is_to_be_written_is_said_before_the_map_is_fitted(here, grokmap):
    (here / "folder" / "map.png").mkdir()
    assert "is a folder, where a file is to be written" in refused(
        here, grokmap, ["map", "runs.csv", "--out", "folder"]
    )


def test_a_launch_file_is_not_written_over_unasked(here, grokmap):
    (here / "cluster.yaml").symlink_to(here / "file")
    assert "is there already" in refused(here, grokmap, ["cluster", "new", "--head", "192.0.2.1"])
    (here / "cluster.yaml").unlink()
    (here / "cluster.yaml").symlink_to(here / "nowhere")
    assert "is there already" in refused(here, grokmap, ["cluster", "new", "--head", "192.0.2.1"])


def test_a_specification_in_its_own_folder_keeps_its_authors_words(tmp_path):
    from sweeps.spec.sweep_spec import SweepSpec
    from sweeps.store.run_store import Store

    path = tmp_path / "small" / "spec.toml"
    path.parent.mkdir()
    path.write_text(f"# my first sweep\n{SPEC}")
    Store(SweepSpec.from_toml(path), tmp_path).close()
    assert path.read_text() == f"# my first sweep\n{SPEC}"


def test_signs_that_mean_something_in_addresses_are_letters_in_a_path(here, grokmap, monkeypatch):
    monkeypatch.setattr("analysis.maps.grid.GRID_POINTS", 400)
    (here / "what? #1 & more").mkdir()
    table = here / "what? #1 & more" / "runs?#.csv"
    table.write_bytes((here / "runs.csv").read_bytes())
    code, out, err = grokmap("map", table)
    assert code == 0, err
    assert "map.html" in out
    assert table.read_bytes() == (here / "runs.csv").read_bytes()
    assert (table.parent / "map.csv").stat().st_size > 100
