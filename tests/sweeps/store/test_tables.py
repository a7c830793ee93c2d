"""Tables are written in batches: what they hold does not depend on how many runs fit into one."""

import dataclasses

import pandas as pd
import pytest

from grokcore import RunConfig, train
from sweeps.store import tables
from sweeps.store.run_store import Store
from sweeps.store.tables import write_tables


@pytest.mark.parametrize("batch", [1, 3, 100])
def test_tables_are_the_same_however_many_runs_are_held_at_once(spec, tmp_path, monkeypatch, batch):
    space = spec.whole_space
    middle = {"fraction": 0.5, "optimizer.decay": 0.1, "optimizer.rate": 0.01}
    configs = [RunConfig.from_dict({**space.run, **middle, "seed": seed}) for seed in range(7)]
    records = train(configs)
    # A run of another kind has other measures: its column is there for it alone.
    odd = dataclasses.replace(records[4], columns={**records[4].columns, "extra": records[4].columns["val_loss"]})
    with Store(spec, tmp_path) as store:
        store.add([*records[:4], odd, *records[5:]])
        monkeypatch.setattr(tables, "TABLE_RUNS", batch)
        runs = write_tables(store.path, spec.rule)
        curves = pd.read_parquet(store.path / "curves.parquet")
        assert not list(store.path.glob(".tables-*"))
    assert list(runs["run_id"]) == [record.run_id for record in records]
    assert curves["run_id"].nunique() == 7
    for record in records:
        mine = curves[curves["run_id"] == record.run_id].reset_index(drop=True)
        pd.testing.assert_frame_equal(mine[list(record.curves)], record.curves)
        assert mine["extra"].notna().all() == (record.run_id == odd.run_id)
