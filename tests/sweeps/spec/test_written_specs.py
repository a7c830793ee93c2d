"""Any specification that can be made is written and read back equal; what cannot be written is refused when made."""

import datetime
import decimal
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grokcore.errors import ConfigError
from grokcore.records.regimes import RegimeRule
from grokcore.tasks.base import TASKS
from sweeps.recipes.find import specification
from sweeps.spec.space import Choice, Range
from sweeps.spec.sweep_spec import SweepSpec

ROOT = Path(__file__).parents[3]
RUN = {
    "task": {"name": "modular_addition", "modulus": 7},
    "model": {"name": "mlp", "width": 8},
    "optimizer": {"name": "adamw"},
    "fraction": 0.5,
    "steps": 40,
}


def made(**changes):
    fields = {"name": "s", "run": RUN, "space": {"decay": Range(low=0.1, high=1)}, "runs": 4}
    return SweepSpec(**{**fields, "rule": RegimeRule(budget=40, ratio=5), **changes})


def read_back(spec, tmp_path):
    path = tmp_path / "spec.toml"
    path.write_text(spec.to_toml(), encoding="utf-8")
    return SweepSpec.from_toml(path)


numpys = st.sampled_from([np.float64, np.float32, float])
fractions = st.floats(0.2, 0.9)
decays = st.none() | st.floats(0, 10, allow_subnormal=False) | st.integers(0, 5)
dimensions = {
    "fraction": st.lists(fractions, min_size=1, max_size=4, unique=True).flatmap(
        lambda v: st.sampled_from([tuple(v), v, np.array(v), tuple(np.array(v)), pd.Series(v)])
    ).map(lambda values: Choice(values=values)) | st.just(Range(low=0.2, high=0.9)),
    "embedding_decay": st.lists(decays, min_size=1, max_size=4, unique_by=repr).map(lambda v: Choice(values=tuple(v))),
    "decay": st.tuples(st.floats(0.01, 1), st.floats(1.5, 9), st.booleans(), numpys).map(
        lambda r: Range(low=r[3](r[0]), high=r[3](r[1]), log=np.bool_(r[2]))
    ),
    "seed": st.lists(st.integers(0, 2**53 - 1), min_size=1, max_size=4, unique=True).flatmap(
        lambda values: st.sampled_from([tuple(values), tuple(np.array(values, dtype=np.int64))])
    ).map(lambda values: Choice(values=values)) | st.just(Choice(values=range(3))),
    "model": st.just(Choice(values=("mlp", {"name": "mlp", "width": np.int32(16)}, {"name": "transformer"}))),
    "task": st.sampled_from([5, 7, 11]).map(lambda p: Choice(values=(TASKS.member("modular_addition")(modulus=p),))),
    "batch": st.just(Choice(values=("full", np.int16(4)))),
    "betas": st.just(Choice(values=((0.9, 0.98), np.array([0.9, 0.999])))),
}  # fmt: skip


@settings(max_examples=150, deadline=None, derandomize=True)
@given(data=st.data())
def test_a_spec_reads_back_equal(tmp_path_factory, data):
    names = data.draw(st.lists(st.sampled_from(sorted(dimensions)), min_size=1, unique=True))
    run = {**RUN, "task": TASKS.member("modular_addition")(modulus=np.int64(7)), "optimizer.embedding_decay": None}
    spec = made(
        run={key: value for key, value in run.items() if key not in names},
        space={name: data.draw(dimensions[name]) for name in names},
        runs=np.int64(data.draw(st.integers(1, 500))),
        width=data.draw(st.none() | st.integers(1, 64)),
        checkpoint_seconds=data.draw(st.floats(0.1, 1e6)),
        seed=data.draw(st.integers(0, 2**40)),
        sampler="sobol",
        map_axes=("decay",) if "decay" in names else (),
    )
    again = read_back(spec, tmp_path_factory.getbasetemp())
    assert again == spec
    assert again.to_toml() == spec.to_toml()
    assert [run.run_id for run in again.whole_space.ends()] == [run.run_id for run in spec.whole_space.ends()]
    assert tomllib.loads(spec.to_toml())["runs"] == spec.runs


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"run": {**RUN, "steps": decimal.Decimal(5)}}, "run.steps = Decimal"),
        ({"run": {**RUN, "when": datetime.date(2020, 1, 1)}}, "run.when"),
        ({"run": {**RUN, "optimizer": {"name": "adamw", "decay": float("nan")}}}, "finite"),
        ({"run": {**RUN, 3: 4}}, "3 should be a text"),
        ({"run": {**RUN, "seed": 2**70}}, "below 2.63"),
        ({"run": {**RUN, "task": {"name": "\ud800"}}}, "half a character"),
        ({"sampler_options": {"points": {1, 2}}}, "sampler_options.points"),
        ({"space": {1: Range(low=0.1, high=1)}}, "should be a text"),
        ({"space": {"decay": object()}}, "Range or a Choice"),
    ],
)
def test_what_no_file_can_hold_is_refused_when_the_spec_is_made(changes, says):
    with pytest.raises(ConfigError, match=says):
        made(**changes)


@pytest.mark.parametrize(
    "values",
    [(0.1, float("inf")), (object(),), ({1: 2},), (b"x",), (np.datetime64("2020-01-01"),), (1j,), "abc", 3, None],
)
def test_a_choice_of_what_no_file_can_hold_is_refused(values):
    with pytest.raises(ConfigError, match="values"):
        Choice(values=values)


def test_a_choice_listed_twice_in_two_types_is_refused():
    with pytest.raises(ConfigError, match="listed once"):
        Choice(values=(0.5, np.float64(0.5)))


def test_a_script_is_a_specification_as_its_own_file_is(tmp_path):
    assert specification(ROOT / "sweep.py").name == "default"
    script = tmp_path / "other.py"
    script.write_text("spec = 3\n")
    with pytest.raises(ConfigError, match="has no spec that is a SweepSpec"):
        specification(script)
