"""A specification's choices are read as they were meant: lists, and None among them, whichever way they are written."""

import pandas as pd

from analysis.runs.sources import read_source
from sweeps import Choice, Range, RegimeRule, SweepSpec


def test_a_choice_with_none_is_one_among_names_and_a_choice_of_numbers_keeps_its_ends(tmp_path):
    spec = SweepSpec(
        name="s",
        run={"task": {"name": "modular_addition", "modulus": 7}, "model": "mlp", "optimizer": "adamw", "steps": 40},
        space={
            "embedding_decay": Choice(values=(None, 0.0, 1.0)),
            "fraction": Choice(values=(0.3, 0.5, 0.8)),
            "decay": Range(low=0.1, high=1),
            "model": Choice(values=("mlp", "transformer")),
        },
        rule=RegimeRule(budget=40, ratio=5),
        runs=6,
    )
    (tmp_path / "spec.toml").write_text(spec.to_toml())
    facts = {"t_mem": 3, "t_mem_event": True, "t_gen": 9, "t_gen_event": True}
    rows = [
        {"fraction": f, "optimizer.decay": 0.1 + f, "optimizer.embedding_decay": e, "model.name": m, **facts}
        for f, e, m in zip(
            (0.3, 0.5, 0.8) * 2, (None, 0.0, 1.0, 1.0, None, 0.0), ("mlp", "transformer") * 3, strict=True
        )
    ]
    pd.DataFrame(rows).to_parquet(tmp_path / "runs.parquet")
    source = read_source(tmp_path)
    assert source.spec["space"]["embedding_decay"] == [None, 0.0, 1.0]
    assert source.scales["optimizer.embedding_decay"] == "categorical"
    assert source.scales["model.name"] == "categorical"
    assert source.scales["fraction"] == "linear"
    assert source.box["fraction"] == (0.3, 0.8)
