"""The bounded sphere: logits are cosines, times one number, whatever the weights' lengths."""

import pytest
import torch

from grokcore import RunConfig, train
from grokcore.errors import ConfigError
from grokcore.models.bounded_sphere import BoundedSphere
from grokcore.tasks.modular_addition import ModularAddition

TASK = ModularAddition(modulus=7)
MODEL = BoundedSphere(width=8, heads=2, mlp_width=16, sharpness=5.0)


def weights(scale=1.0):
    generator = torch.Generator().manual_seed(0)
    return {name: value[None] * scale for name, value in MODEL.initial(TASK, generator).items()}


def test_logits_are_bounded():
    inputs = torch.tensor(TASK.table.inputs)[None]
    logits = MODEL.forward(TASK, weights(100.0), inputs)
    assert logits.shape == (1, 49, 8)
    assert logits.abs().max() <= 5.0 * (1 + 1e-12)


def test_the_stream_has_length_one_and_the_unembeddings_length_does_not_matter():
    seen = {}
    inputs = torch.tensor(TASK.table.inputs)[None]

    def tap(name, value):
        seen[name] = value
        return value

    w = weights()
    one = MODEL.forward(TASK, w, inputs, tap)
    other = MODEL.forward(TASK, {**w, "unembedding": 3 * w["unembedding"]}, inputs)
    torch.testing.assert_close(one, other)
    before = torch.nn.functional.normalize(seen["operands"] + w["positions"].unsqueeze(1), dim=-1)
    stream = torch.nn.functional.normalize(before + seen["attention_0"], dim=-1)
    entered = torch.einsum("knpd,kde->knpe", stream, w["mlp_in"])
    torch.testing.assert_close(seen["before_0"], entered)


def test_it_learns_and_refuses_a_second_norm():
    config = {
        "task": {"name": "modular_addition", "modulus": 7},
        "model": {"name": "bounded_sphere", "width": 16, "mlp_width": 32},
        "optimizer": {"name": "adamw", "rate": 0.02},
        "fraction": 0.8,
        "steps": 150,
    }
    (record,) = train([RunConfig.from_dict(config)])
    assert record.final["train_accuracy"] == 1
    with pytest.raises(ConfigError, match="stays on the unit sphere"):
        RunConfig.from_dict(config | {"model.norm": "post"})
