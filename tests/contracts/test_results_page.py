"""docs/reference/results.md has a line for every file of a sweep's folder and every column of its tables."""

import re
from pathlib import Path

import optuna
import pandas as pd
import pytest

import grokcore
from analysis.exports.map import export_map
from grokcore.measures.base import measures
from grokcore.records.regimes import RegimeRule
from sweeps.spec.space import Range
from sweeps.spec.sweep_spec import SweepSpec
from sweeps.store.run_store import Store
from sweeps.store.tables import write_tables

PAGE = (Path(__file__).parents[2] / "docs/reference/results.md").read_text(encoding="utf-8")
WORDS = {word for code in re.findall(r"`([^`\n]+)`", PAGE) for word in re.split(r"[ ,]+", code)}
SPEC = SweepSpec(
    name="described",
    run={
        "task": {"name": "modular_addition", "modulus": 7},
        "model": {"name": "mlp", "width": 16},
        "optimizer": {"name": "adamw", "rate": 0.02},
        "steps": 200,
    },
    space={"fraction": Range(low=0.4, high=0.9), "decay": Range(low=0.01, high=3, log=True)},
    rule=RegimeRule(budget=200, ratio=3.0),
    runs=12,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Make a sweep's folder without Ray: runs, tables and map."""
    study = optuna.create_study(sampler=SPEC.built_sampler.build(SPEC.problem))
    space = SPEC.whole_space
    configs = [space.config(study.ask(space.distributions).params) for _ in range(SPEC.runs)]
    with Store(SPEC, tmp_path_factory.mktemp("results")) as store:
        store.add(grokcore.train(configs))
        write_tables(store.path, SPEC.rule)
        export_map(store.path, store.path)
    return store.path


def known(column):
    """Whether a column is in the page, is a measure, or is a field of a run's configuration."""
    numbers = {number for name, measure in measures().items() for number in (measure.numbers or (name,))}
    fields = SPEC.whole_space.config({"fraction": 0.5, "optimizer.decay": 1.0}).to_flat()
    base = re.sub(r"_event$", "", re.sub(r"\d+(?=$|_sd$)", "N", column) if column not in WORDS else column)
    return bool({column, base, re.sub("_event$", "", column)} & WORDS) or column in numbers or column in fields


@pytest.mark.parametrize(
    "table", ["runs.parquet", "curves.parquet", "map.parquet", "map-runs.csv", "map-boundaries.csv"]
)
def test_every_column_is_described(folder, table):
    path = folder / table
    columns = (pd.read_parquet if path.suffix == ".parquet" else pd.read_csv)(path).columns
    assert len(columns) > 5
    assert [column for column in columns if not known(column)] == []
    assert not known("no_such_column")


def test_every_file_is_described(folder):
    missing = []
    for path in folder.iterdir():
        name = f"{path.name}/" if path.is_dir() else path.name
        if name not in WORDS and not path.name.startswith(("map.", "map-")):
            missing.append(name)
    assert missing == []
    exports = (Path(__file__).parents[2] / "docs/exports.md").read_text(encoding="utf-8")
    for path in folder.glob("map*"):
        assert f"`{path.name}`" in exports or f"`{path.stem}.*`" in exports, path.name
