"""What is accepted and never works is said before it is tried."""

import re

import pytest

from grokcore import RunConfig
from grokcore.cautions import cautions
from grokcore.errors import ConfigError

RUN = {
    "task": {"name": "modular_addition", "modulus": 7},
    "model": {"name": "mlp", "width": 8},
    "optimizer": {"name": "adamw"},
    "fraction": 0.5,
    "steps": 40,
}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"optimizer.warmup": 40}, "warmup = 40, steps = 40: the rate never reaches its value"),
        ({"optimizer.schedule": "cosine", "optimizer.schedule_steps": 41}, "schedule_steps = 41"),
        ({"transform": {"name": "grokfast_ma", "window": 40}}, "window = 40, steps = 40"),
        ({"transform": {"name": "pair", "first": "grokfast_ma", "second": "fixed_norm"}}, "window = 100, steps = 40"),
        ({"transform": "orthograd", "optimizer.decay": 0.5}, "orthograd with decay = 0.5"),
        ({"model": {"name": "transformer", "width": 32}}, "mlp_width = 512 does not follow model.width = 32.*: 128"),
    ],
)
def test_what_has_no_effect_or_another_is_said(changes, says):
    (said,) = cautions(RunConfig.from_dict({**RUN, **changes}))
    assert re.search(says, said)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"optimizer.warmup": 39},
        {"transform": "orthograd", "optimizer.decay": 0.0},
        {"transform": "grokfast_ema"},
        {"transform": {"name": "grokfast_ma", "window": 39}},
        {"model": "transformer"},
    ],
)
def test_what_works_is_not_cautioned_against(changes):
    assert list(cautions(RunConfig.from_dict({**RUN, **changes}))) == []


@pytest.mark.parametrize(("modulus", "fraction"), [(7, 0.999), (97, 0.99999), (23, 0.9999)])
def test_the_largest_fraction_that_is_named_is_one_that_is_taken(modulus, fraction):
    task = {"name": "modular_addition", "modulus": modulus}
    with pytest.raises(ConfigError) as caught:
        RunConfig.from_dict({**RUN, "task": task, "fraction": fraction})
    named = float(str(caught.value).rpartition("take at most ")[2].rstrip("."))
    config = RunConfig.from_dict({**RUN, "task": task, "fraction": named})
    assert config.task.examples - config.train_examples >= 1
