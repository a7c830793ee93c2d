"""A sweep's specification: written to TOML and back, and every complaint about it in one error."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grokcore.errors import ConfigError, GrokmapError
from sweeps.spec import toml
from sweeps.spec.space import Choice
from sweeps.spec.sweep_spec import SweepSpec


def test_toml_and_back(spec, tmp_path):
    path = tmp_path / "spec.toml"
    path.write_text(spec.to_toml(), encoding="utf-8")
    assert SweepSpec.from_toml(path) == spec


def test_toml_and_back_with_everything_set(spec, changed, tmp_path):
    tasks = ({"name": "modular_addition", "modulus": 7}, {"name": "modular_addition", "modulus": 11})
    rich = changed(
        spec,
        space={**spec.space, "task": Choice(values=tasks), "batch": Choice(values=("full", 8))},
        sampler="boundary",
        sampler_options={"sobol": 0.5},
        map_axes=("fraction", "decay"),
        retire=4.0,
        width=None,
    )
    path = tmp_path / "spec.toml"
    path.write_text(rich.to_toml(), encoding="utf-8")
    assert SweepSpec.from_toml(path) == rich


def test_one_error_names_every_complaint(spec):
    values = spec.to_dict() | {
        "name": "../up",
        "sampler": "sobl",
        "runs": 0,
        "space": {"fraction": [0.5, 1.5], "decay": {"low": -1, "high": 1}, "rate": {"low": 0, "high": 1, "log": True}},
    }
    with pytest.raises(ConfigError) as error:
        SweepSpec.from_dict(values)
    text = str(error.value)
    for part in ("runs = 0", "fraction = 1.5", "decay = -1", "starts above 0"):
        assert part in text, part
    del values["space"]["rate"]
    with pytest.raises(ConfigError) as error:
        SweepSpec.from_dict(values)
    text = str(error.value)
    for part in ("runs = 0", "fraction = 1.5", "decay = -1", "'../up'", "Did you mean 'sobol'"):
        assert part in text, part


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"rnus": 3}, "Did you mean 'runs'"),
        ({"sampler": "gp", "runs": 1000}, "at most 500"),
        ({"sampler": "grid", "sampler_options": {"points": 2}, "runs": 100}, "grid has 24 points"),
        ({"space": {}}, "at least one field to vary"),
        ({"map_axes": ["fractoin"]}, "fractoin"),
        ({"rule": {"budget": 40}}, "exactly one"),
        ({"run": {"task": "modular_addition"}}, "modulus"),
        ({"space": {"fraction": 3}}, "give { low"),
        ({"name": "a/b"}, "letters"),
        ({"name": ""}, "letters"),
    ],
)
def test_bad_input_is_answered(spec, change, says):
    with pytest.raises(ConfigError, match=says):
        SweepSpec.from_dict(spec.to_dict() | change)


def test_division_by_a_composite_modulus_is_found_before_anything_runs(spec):
    values = spec.to_dict()
    values["run"] = values["run"] | {"task": {"name": "modular_division", "modulus": 9}}
    with pytest.raises(ConfigError, match="9"):
        SweepSpec.from_dict(values)


def test_axes_are_the_varied_numbers_with_their_scales(spec, changed):
    assert spec.axes == {"fraction": "linear", "optimizer.decay": "log", "optimizer.rate": "log"}
    assert changed(spec, map_axes=("decay", "fraction")).axes == {"optimizer.decay": "log", "fraction": "linear"}


def test_a_missing_file_and_one_that_is_not_toml(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        SweepSpec.from_toml(tmp_path / "none.toml")
    (tmp_path / "x.toml").write_bytes(b"\xff\x00= [")
    with pytest.raises(ConfigError, match="not a TOML file"):
        SweepSpec.from_toml(tmp_path / "x.toml")


@given(st.binary(max_size=200))
def test_any_bytes_are_a_spec_or_an_error_of_ours(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "fuzz.toml"
    path.write_bytes(content)
    with pytest.raises(GrokmapError):
        SweepSpec.from_toml(path)


plain = st.recursive(
    st.one_of(st.booleans(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False), st.text(max_size=8)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=8), plain, max_size=6))
def test_toml_writes_what_the_standard_library_reads(values):
    assert tomllib.loads(toml.dumps(values)) == values


@given(
    st.sampled_from(["name", "run", "space", "rule", "runs", "sampler", "sampler_options", "map_axes", "wave"]), plain
)
def test_any_value_in_any_field_is_right_or_an_error_of_ours(field, value):
    base = {"name": "x", "run": {}, "space": {"fraction": [0.5]}, "rule": {"budget": 3, "ratio": 2}, "runs": 1}
    try:
        SweepSpec.from_dict(base | {field: value})
    except GrokmapError:
        return
    pytest.fail("a spec without task, model and optimizer should be refused")


def test_differences_name_the_field_and_both_values(spec, changed):
    new = changed(spec, runs=30, space={**spec.space, "seed": Choice(values=(0, 1))})
    assert list(toml.differences(spec.to_dict(), new.to_dict())) == ["space.seed: [0, 1, 2] → [0, 1]", "runs: 24 → 30"]


def test_measures_that_some_runs_cannot_give_are_known_before_any_starts(spec, changed):
    named = changed(spec, measures="light,position_transfer,restricted_loss,weight_norm")
    reasons = named.unmeasured()
    assert set(reasons) == {"position_transfer", "restricted_loss"}, "what a set leaves out is not asked for"
    assert "one embedding" in reasons["position_transfer"]
    assert "weight snapshots" in reasons["restricted_loss"]
    apart = changed(named, space={**spec.space, "model.combine": Choice(values=("concat", "sum"))})
    assert "position_transfer" in apart.unmeasured(), "at any end of the space"
    assert not changed(spec, measures="full").unmeasured()
