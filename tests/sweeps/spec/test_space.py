"""A search space turns sampled parameters into configurations, by names short or dotted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grokcore.errors import ConfigError
from sweeps.spec.space import Choice, Range, Space

RUN = {
    "task": {"name": "modular_addition", "modulus": 7},
    "model": {"name": "mlp", "width": 8},
    "optimizer": {"name": "adamw"},
    "fraction": 0.5,
    "steps": 10,
}


def test_short_names_become_dotted_ones():
    space = Space.of(
        RUN, {"decay": Range(low=0.0, high=1.0), "modulus": Choice(values=(5, 7)), "seed": Choice(values=(0,))}
    )
    assert list(space.dimensions) == ["optimizer.decay", "task.modulus", "seed"]


def test_the_point_overrides_what_runs_share():
    space = Space.of(RUN, {"decay": Range(low=0.0, high=1.0), "fraction": Range(low=0.2, high=0.8)})
    config = space.config({"optimizer.decay": 0.25, "fraction": 0.3})
    assert (config.optimizer.decay, config.fraction, config.steps) == (0.25, 0.3, 10)


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(ConfigError, match=r"'decya'.*Did you mean '(optimizer\.)?decay'"):
        Space.of(RUN, {"decya": Range(low=0.0, high=1.0)})


def test_whole_tables_can_be_chosen():
    tasks = ({"name": "modular_addition", "modulus": 7}, {"name": "modular_division", "modulus": 5})
    space = Space.of(RUN, {"task": Choice(values=tasks)})
    params = space.distributions["task"].choices
    assert [space.config({"task": param}).task.examples for param in params] == [49, 20]


def test_every_end_of_the_space_is_checked_and_every_complaint_told():
    space = Space.of(RUN, {"fraction": Choice(values=(0.5, 1.5)), "decay": Choice(values=(0.0, -1.0))})
    found = "\n".join(space.complaints())
    assert "fraction = 1.5" in found
    assert "optimizer.decay = -1.0" in found


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"low": 1.0, "high": 1.0}, "low must be below high"),
        ({"low": 0.0, "high": 1.0, "log": True}, "starts above 0"),
        ({"low": 0.5, "high": 3.0, "integer": True}, "whole ends"),
    ],
)
def test_ranges_that_cannot_be_are_refused(fields, says):
    with pytest.raises(ConfigError, match=says):
        Range(**fields)


def test_choices_are_neither_empty_nor_doubled():
    with pytest.raises(ConfigError, match="at least one"):
        Choice(values=())
    with pytest.raises(ConfigError, match="once"):
        Choice(values=(1, 2, 1))


@given(st.floats(0.01, 10))
def test_rounding_keeps_six_digits(value):
    assert Range(low=0.01, high=10.0).value(value) == pytest.approx(value, rel=5e-6)


def test_a_grid_reaches_both_ends():
    assert Range(low=0.01, high=100.0, log=True).grid(5) == pytest.approx([0.01, 0.1, 1, 10, 100])
    assert Range(low=1, high=3, integer=True).grid(8) == [1, 2, 3]


def test_a_range_of_whole_numbers_is_said_to_be_one():
    run = {"task": {"name": "modular_addition", "modulus": 7}, "model": {"name": "mlp"}, "optimizer": {"name": "adamw"}}
    run["steps"] = 100
    space = Space.of(run, {"width": Range(low=8, high=64), "fraction": Range(low=0.3, high=0.9)})
    (said,) = space.complaints()
    assert said.startswith("space.model.width: takes whole numbers only; say integer = true beside low = 8 and high")
    assert not list(Space.of(run | {"fraction": 0.5}, {"width": Range(low=8, high=64, integer=True)}).complaints())
