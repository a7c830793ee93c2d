"""What makes no sense is refused with a sentence: what was given, what is allowed, what to do."""

from __future__ import annotations

import numpy as np
import pytest

from grokcore import Outcome, RunConfig, train
from grokcore.engine.cohort import Cohort
from grokcore.errors import ConfigError

BITS = {"name": "parity", "bits": 6, "samples": 60}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"task": {"name": "group_composition", "group": "S8"}}, r"40.?320|limit|at most"),
        ({"task": {"name": "parity", "bits": 4, "relevant": 5}}, r"relevant = 5: is more than the 4 bits"),
        ({"model": {"name": "transformer", "heads": 3}}, r"heads = 3: must divide width = 128"),
        ({"batch": 500}, r"batch = 500"),
        ({"steps": 2**64}, r"steps: a whole number of 65 bits; should be at most 9,223,372,036,854,775,807"),
        ({"seed": 10**5000}, r"seed.* 2\^16609 or more"),
        ({"batch": True}, r"batch = True: should be a number"),
        ({"loss": "stablemax_mse"}, r"unknown loss 'stablemax_mse'. Did you mean 'stablemax'"),
        ({"loss": "mse", "temperature": 2.0}, r'temperature = 2: is for a softmax, not for loss = "mse"'),
        ({"loss": "hinge", "temperature": 2.0}, r"is for a softmax"),
        ({"loss": "cross_entropy_float64", "dtype": "float64"}, r'is for dtype = "float32"'),
        ({"model": {"name": "mlp", "inputs": "real", "combine": "sum"}}, r"side by side"),
        (
            {"model": {"name": "mlp", "combine": "sum"}, "task": {"name": "modular_subtraction", "modulus": 11}},
            r"hides the order of operands, which matters to the task; take \"concat\"",
        ),
        ({"model": {"name": "mlp", "inputs": "real", "combine": "concat"}}, r"reads bits, and the task has 11 symbols"),
        ({"model": {"name": "mlp", "outputs": "templates"}, "loss": "mse"}, r"the task has none"),
        ({"model": {"name": "decoder"}, "task": "toy_addition"}, r'only "mse" does'),
        ({"model": {"name": "mlp", "inputs": "one_hot", "embedding_width": 4}}, r"embedding_width = 4: only with"),
        ({"model": {"name": "quadratic_mlp", "depth": 2}}, r"depth = 2"),
        ({"dropout": 1.0}, r"dropout = 1.0: input should be less than 1"),
        ({"output_scale": 0.0}, r"output_scale = 0.0"),
        ({"gradient_noise": -1.0}, r"gradient_noise = -1.0"),
        ({"initialisation": {"name": "default", "scale": 0}}, r"initialisation.scale = 0"),
        ({"transform": {"name": "grokfast_ema", "keep": 1.0}}, r"transform.keep = 1.0"),
        ({"transform": "grokfast"}, r"Did you mean 'grokfast_(e)?ma'"),
        ({"optimizer": "AdamW"}, r"Did you mean 'adamw'"),
        ({"task": BITS, "model": {"name": "transformer", "positions": "sinusoidal", "width": 3, "heads": 1}}, "even"),
    ],
)
def test_nonsense_is_refused(changes, said):
    base = {"task": {"name": "modular_addition", "modulus": 11}, "model": "mlp", "optimizer": "adamw"}
    with pytest.raises(ConfigError, match=said):
        RunConfig.from_dict({**base, "fraction": 0.6, "steps": 5, **changes})


def exploding(seed=0, rate=1e-3, **changes):
    base = {"task": {"name": "modular_addition", "modulus": 11}, "model": {"name": "mlp", "width": 16}}
    optimizer = {"name": "sgd", "rate": rate, "momentum": 0.9}
    values = {**base, "optimizer": optimizer, "fraction": 0.6, "steps": 300, "loss": "mse", "seed": seed, **changes}
    return RunConfig.from_dict(values)


def lost_step(config):
    """Return the first step at which the plain gradient of a lone run is not finite, found step by step."""
    cohort = Cohort([config])
    while np.isfinite(float(cohort.stack.gradient.abs().max())):
        cohort.train_to(cohort.step + 1)
    return cohort.step - 1


def test_a_run_that_diverges_leaves_at_that_step_and_its_neighbours_go_on_untouched():
    wild, calm = exploding(rate=100.0), exploding(seed=1)
    (alone,) = train([calm])
    cohort = Cohort([wild, calm])
    records = {}
    while not cohort.done:
        records |= {record.config: record for record in cohort.advance()}
    lost = records[wild]
    assert lost.outcome is Outcome.DIVERGED
    assert lost.steps == lost_step(wild)
    assert lost.steps < 300
    assert np.isfinite(lost.columns["train_loss"][:-1]).all()
    assert (np.diff(lost.columns["step"]) > 0).all()
    for name in alone.columns:
        np.testing.assert_array_equal(records[calm].columns[name], alone.columns[name])


def test_the_step_of_divergence_survives_a_pause():
    wild = exploding(rate=100.0)
    (straight,) = train([wild])
    cohort, records = Cohort([wild]), []
    while not cohort.done:
        records += cohort.advance(seconds=0.0)
        cohort = Cohort.from_bytes(cohort.to_bytes(), [wild])
    assert records[0].steps == straight.steps
    assert records[0].outcome is Outcome.DIVERGED


def test_an_optional_section_may_be_left_out_or_given_without_a_name():
    base = {"task": {"name": "modular_addition", "modulus": 11}, "model": "mlp", "optimizer": "adamw"}
    plain = RunConfig.from_dict({**base, "fraction": 0.6, "steps": 5})
    named = RunConfig.from_dict({**base, "fraction": 0.6, "steps": 5, "transform": "none", "initialisation": "default"})
    assert plain == named
    scaled = RunConfig.from_dict({**base, "fraction": 0.6, "steps": 5, "initialisation.scale": 2.0})
    assert scaled.initialisation.scale == 2.0
    assert scaled.run_id != plain.run_id
