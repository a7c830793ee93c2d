"""docs/reference/results.md has a line for every file of a sweep's folder and every column of its tables."""

import re
from pathlib import Path

import pandas as pd
import pytest

from analysis.exports.map import export_map
from grokcore.measures.base import measures
from sweeps.cli import listing
from sweeps.publishing.archive import RECORDS
from sweeps.store.run_store import Store
from sweeps.store.tables import write_tables
from sweeps.whole_sweep import MIRRORED
from tests.tiny_sweeps import tiny, trained

PAGE = (Path(__file__).parents[2] / "docs/reference/results.md").read_text(encoding="utf-8")
WORDS = {word for code in re.findall(r"`([^`\n]+)`", PAGE) for word in re.split(r"[ ,]+", code)}
SPEC = tiny("described")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Make a sweep's folder without Ray: runs, tables and map."""
    with Store(SPEC, tmp_path_factory.mktemp("results")) as store:
        store.add([record for _, record in trained(SPEC)])
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


def test_every_field_of_a_run_is_on_the_page_of_parts():
    page, fields = listing.page(), SPEC.whole_space.config({"fraction": 0.5, "optimizer.decay": 1.0}).to_flat()
    missing = [name for name in fields if not name.endswith(".name") and f"| `{name.rpartition('.')[2]}` |" not in page]
    assert missing == []
    own = page.partition("## A run")[2].partition("\n## ")[0]
    assert all(f"| `{name}` |" in own for name in fields if "." not in name)


def test_every_file_is_described(folder):
    missing = [name for name in (MIRRORED, *RECORDS) if name not in WORDS]
    for path in folder.iterdir():
        name = f"{path.name}/" if path.is_dir() else path.name
        if name not in WORDS and not path.name.startswith(("map.", "map-")):
            missing.append(name)
    assert missing == []
    exports = (Path(__file__).parents[2] / "docs/exports.md").read_text(encoding="utf-8")
    for path in folder.glob("map*"):
        assert f"`{path.name}`" in exports or f"`{path.stem}.*`" in exports, path.name
