"""Curves are thinned while they are read: the same points as of the whole, and memory that does not grow."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from analysis.runs import curves
from analysis.runs.curves import points_each, read_curves, thinned
from grokcore.errors import DataError


def long(runs, points):
    steps = np.unique(np.geomspace(1, 1e6, points).astype(int))
    losses = [np.linspace(i, 1, len(steps)) for i in range(runs)]
    parts = [pd.DataFrame({"run_id": f"r{i}", "step": steps, "val_loss": loss}) for i, loss in enumerate(losses)]
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize("batch", [7, 100, 65_536])
def test_what_is_kept_is_what_thinning_the_whole_keeps(tmp_path, monkeypatch, batch):
    table = long(5, 300)
    table.to_parquet(tmp_path / "curves.parquet", index=False)
    monkeypatch.setattr(curves, "BATCH", batch)
    found = read_curves(tmp_path / "curves.parquet", 5)
    wanted = [part.iloc[thinned(part["step"].to_numpy(), 90)] for _, part in table.groupby("run_id")]
    pd.testing.assert_frame_equal(found, pd.concat(wanted, ignore_index=True))


def test_rows_in_any_order_are_read_in_the_order_of_their_steps(tmp_path):
    table = long(4, 60)
    table.sample(frac=1, random_state=0).to_parquet(tmp_path / "curves.parquet", index=False)
    found = read_curves(tmp_path / "curves.parquet", 4).sort_values(["run_id", "step"], ignore_index=True)
    pd.testing.assert_frame_equal(found, table)


def test_all_points_together_are_bounded():
    assert points_each(10) == 90
    assert points_each(5_000) == 40
    assert points_each(1_000_000) == 24


def test_memory_is_that_of_what_is_kept(tmp_path):
    import tracemalloc

    path = tmp_path / "curves.parquet"
    columns = {name: pa.array(np.random.default_rng(0).random(5000)) for name in ("train_loss", "val_loss", "norm")}
    table = pa.table({"step": np.arange(5000)} | columns)
    with parquet.ParquetWriter(path, table.append_column("run_id", pa.array(["x"] * 5000)).schema) as writer:
        for number in range(100):
            writer.write_table(table.append_column("run_id", pa.array([f"r{number:03d}"] * 5000)))
    tracemalloc.start()
    found = read_curves(path, 100)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.groupby("run_id")["step"].count().between(50, 90).all()
    assert peak < 12e6  # the whole takes 16 MB as numbers alone, and more with its names


def test_damaged_curves_are_named(tmp_path):
    (tmp_path / "curves.parquet").write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(DataError, match="without curves"):
        read_curves(tmp_path / "curves.parquet", 3)
