"""Reproducing: the same bits from a record, and what is said where they are not the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from grokcore import Outcome, RunConfig, train
from grokcore.engine.early_stopping import EarlyStopping
from grokcore.errors import DataError
from sweeps.cli import app
from sweeps.finished_runs.reproduce import Reproduction, reproduce

RUN = {
    "task": {"name": "modular_addition", "modulus": 7},
    "model": {"name": "mlp", "width": 8},
    "optimizer": {"name": "adamw", "rate": 1e-2},
    "fraction": 0.6,
    "steps": 40,
}


def write(record, results):
    folder = results / "runs" / record.run_id
    folder.mkdir(parents=True)
    (folder / "record.json").write_text(record.to_json())


def nudged(record, place):
    """Return the record with one number's last bit changed."""
    losses = record.columns["val_loss"].copy()
    losses[place] = np.nextafter(losses[place], np.inf)
    return replace(record, columns={**record.columns, "val_loss": losses})


@pytest.fixture
def records():
    return train([RunConfig.from_dict({**RUN, "seed": seed}) for seed in range(3)])


def test_a_run_of_a_cohort_is_itself_again_alone(records, tmp_path):
    write(records[1], tmp_path)
    steps = []
    (found,) = reproduce(records[1].run_id[:8], tmp_path, 8, lambda _, step: steps.append(step))
    assert found.apart is None
    assert found.environment == {}
    assert steps[-1] == 40


def test_the_first_bit_that_differs_is_named(records):
    first, second = records[:2]
    assert Reproduction(was=first, now=first).apart is None
    place = len(first.columns["step"]) // 2
    step = int(first.columns["step"][place])
    assert Reproduction(was=nudged(first, place), now=first).apart == (step, "val_loss")
    assert Reproduction(was=first, now=second).apart[0] == 0
    cut = replace(first, columns={name: values[:place] for name, values in first.columns.items()})
    assert Reproduction(was=first, now=cut).apart == (step, "step")


def test_a_run_that_left_early_is_followed_to_its_own_end(tmp_path):
    config = RunConfig.from_dict({**RUN, "fraction": 0.9, "steps": 3000, "optimizer": {"name": "adamw", "rate": 2e-2}})
    (retired,) = train([config], retire=EarlyStopping())
    assert retired.outcome is Outcome.RETIRED
    write(retired, tmp_path)
    (found,) = reproduce(retired.run_id, tmp_path, 1)
    assert found.apart is None
    assert found.now.steps == retired.steps


def test_the_command_says_which_differ_since_what_and_fails(records, tmp_path):
    good, bad = records[0], replace(nudged(records[1], 3), environment={"torch": "1.0", "dtype": "float32"})
    for record in (good, bad):
        write(record, tmp_path)
    runner = CliRunner()
    result = runner.invoke(app, ["reproduce", good.run_id, "--results", str(tmp_path)])
    assert result.exit_code == 0
    assert "1 of 1 runs reproduced bit for bit" in result.output
    result = runner.invoke(app, ["reproduce", bad.run_id, "--results", str(tmp_path)])
    assert result.exit_code == 1
    assert f"differs from step {bad.columns['step'][3]} on (val_loss)" in result.output
    assert "torch was 1.0, is " in result.output


def test_what_cannot_be_reproduced_is_refused(records, tmp_path):
    failed = replace(records[0], outcome=Outcome.FAILED, reason="out of memory")
    write(failed, tmp_path)
    with pytest.raises(DataError, match="no run of it has curves"):
        list(reproduce(failed.run_id, tmp_path, 1))
    with pytest.raises(DataError, match="there is none"):
        list(reproduce("0123456789abcdef", tmp_path, 1))
