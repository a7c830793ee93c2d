"""A part of a sweep's space: what is cut, what stays, and what is refused."""

import pytest

from grokcore.errors import ConfigError
from grokcore.records.regimes import RegimeRule
from sweeps.spec.box import within
from sweeps.spec.space import Choice, Range
from sweeps.spec.sweep_spec import SweepSpec


@pytest.fixture
def spec():
    return SweepSpec(
        name="whole",
        run={
            "task": {"name": "modular_addition", "modulus": 31},
            "model": {"name": "mlp", "width": 32},
            "optimizer": {"name": "adamw", "betas": [0.9, 0.98]},
            "steps": 100,
        },
        space={
            "fraction": Range(low=0.2, high=0.9),
            "optimizer.decay": Range(low=0.01, high=10, log=True),
            "model.width": Choice(values=(16, 32, 64)),
            "seed": Choice(values=(0, 1)),
            "transform": Choice(values=("none", {"name": "grokfast_ema", "keep": 0.9})),
            "task.modulus": Range(low=23, high=41, integer=True),
        },
        rule=RegimeRule(budget=100, ratio=5.0),
        runs=8,
    )


def test_ranges_are_cut_and_lists_keep_what_lies_between(spec):
    part = within(spec, ["fraction=0.3:0.5", "decay=0.1:100", "width=20:64", "task.modulus=24.5:30.2"])
    assert part.space["fraction"] == Range(low=0.3, high=0.5)
    assert part.space["optimizer.decay"] == Range(low=0.1, high=10, log=True)
    assert part.space["model.width"] == Choice(values=(32, 64))
    assert part.space["task.modulus"] == Range(low=25, high=30, integer=True)
    assert part.space["seed"] == spec.space["seed"]
    assert part.run == spec.run


def test_the_whole_space_is_a_part_of_itself(spec):
    assert within(spec, []) == spec
    assert within(spec, ["fraction=0:1", "decay=0:1e9", "width=0:1000"]) == spec


def test_one_value_of_a_list_is_named_as_a_map_names_its_levels(spec):
    assert within(spec, ["transform=none"]).space["transform"] == Choice(values=("none",))
    part = within(spec, ["transform=grokfast_ema", "width=32"])
    assert part.space["transform"].values == ({"name": "grokfast_ema", "keep": 0.9},)
    assert part.space["model.width"] == Choice(values=(32,))


def test_one_whole_number_is_a_choice_of_one(spec):
    assert within(spec, ["modulus=30.5:31.5"]).space["task.modulus"] == Choice(values=(31,))


@pytest.mark.parametrize(
    ("side", "words"),
    [
        ("fraction", "NAME=LOW:HIGH"),
        ("fraction=0.5", "NAME=LOW:HIGH"),
        ("fraction=0.5:0.3", "the lower first"),
        ("fraction=nan:0.3", "NAME=LOW:HIGH"),
        ("fraction=0.3:0.4:0.5", "NAME=LOW:HIGH"),
        ("fracton=0.3:0.5", "fraction"),
        ("fraction=2:3", "0.2:0.9"),
        ("width=17:20", "16, 32, 64"),
        ("width=17", "16, 32, 64"),
        ("transform=grokfast", "grokfast_ema"),
        ("transform=0:1", "no number"),
    ],
)
def test_what_is_no_part_is_refused_with_what_would_be(spec, side, words):
    with pytest.raises(ConfigError, match="--within") as refused:
        within(spec, [side, "decay=0.1:1"])
    assert words in str(refused.value)
