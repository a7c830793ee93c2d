"""Transformers of every shape: the kernel that shares prefixes is the plain form, and the plain form is torch.nn's."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from grokcore import RunConfig
from grokcore.engine.cohort import Cohort
from grokcore.engine.kernels.autograd import AutogradKernel
from grokcore.engine.kernels.prefix_transformer import PrefixKernel
from grokcore.engine.kernels.selection import kernel_for
from grokcore.engine.kernels.transformer import TransformerKernel
from grokcore.errors import ConfigError
from grokcore.losses.cross_entropy import CrossEntropy
from grokcore.models.transformer import Transformer
from grokcore.tasks.modular_addition import ModularAddition

SHAPES = {
    "nanda": {},
    "power": {"layers": 2, "norm": "post", "operator_token": True, "bias": False, "positions": "sinusoidal"},
    "two": {"layers": 2},
    "three": {"layers": 3, "norm": "post"},
    "pizza": {"attention_rate": 0.0},
    "between": {"attention_rate": 0.4, "layers": 2},
    "tied": {"tied": True},
    "unplaced": {"positions": "none"},
    "operator": {"operator_token": True},
    "unbiased": {"bias": False},
}
TASKS = {
    "addition": {"name": "modular_addition", "modulus": 13},
    "division": {"name": "modular_division", "modulus": 11},
    "bits": {"name": "parity", "bits": 7, "samples": 100},
}


def make(shape, task="addition", **changes):
    return RunConfig.from_dict(
        {
            "task": TASKS[task],
            "model": {"name": "transformer", "width": 16, "heads": 4, "mlp_width": 24, **SHAPES[shape]},
            "optimizer": "adamw",
            "fraction": 0.6,
            "steps": 10,
            "dtype": "float64",
            **changes,
        }
    )


def stirred(config):
    """Return a cohort of two runs whose every parameter has moved, biases and gains included."""
    cohort = Cohort([config, RunConfig.from_dict({**config.to_dict(), "seed": 1})])
    noise = torch.randn(cohort.flat.shape, dtype=cohort.flat.dtype, generator=torch.Generator().manual_seed(0))
    cohort.flat.add_(noise, alpha=0.3)
    return cohort


@pytest.mark.parametrize("batch", ["full", 24])
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("shape", SHAPES)
@torch.no_grad()
def test_loss_and_every_gradient_equal_the_plain_form(shape, task, batch):
    cohort = stirred(make(shape, task, batch=batch))
    cohort.stack.examples.begin([0])
    examples = cohort.stack.examples.batch(0)
    plain = AutogradKernel(cohort.model, cohort.task, cohort.kernel.loss)
    for kernel in (cohort.kernel, PrefixKernel(cohort.model, cohort.task, cohort.kernel.loss)):
        kernel.gradients(cohort.parameters, examples, cohort.stack.gradients)
        found = {name: value.clone() for name, value in cohort.stack.gradients.items()}
        plain.gradients(cohort.parameters, examples, cohort.stack.gradients)
        assert max(value.abs().max() for value in found.values()) > 1e-3
        for name, value in found.items():
            torch.testing.assert_close(value, cohort.stack.gradients[name], rtol=1e-10, atol=1e-12, msg=name)
        losses, right = kernel.examine(cohort.parameters, cohort.everything)
        plain_losses, plain_right = AutogradKernel(cohort.model, cohort.task, cohort.kernel.loss).examine(
            cohort.parameters, cohort.everything
        )
        torch.testing.assert_close(losses, plain_losses, rtol=1e-10, atol=1e-12)
        assert torch.equal(right, plain_right)


def test_nandas_shape_has_the_hand_written_kernel_and_others_share_prefixes():
    task = ModularAddition(modulus=13)
    assert isinstance(kernel_for(Transformer(), task, CrossEntropy()), TransformerKernel)
    for shape in set(SHAPES) - {"nanda"}:
        assert isinstance(kernel_for(make(shape).model, task, CrossEntropy()), PrefixKernel), shape


def test_nandas_network_has_226_816_parameters():
    shapes = Transformer().shapes(ModularAddition(modulus=113))
    assert sum(math.prod(shape) for shape in shapes.values()) == 226_816


def test_the_two_layer_network_is_torch_nns_encoder():
    """Power et al.'s shape against nn.TransformerEncoderLayer, post-norm, ReLU, with the same weights."""
    config = make("power", **{"model.positions": "learned", "model.bias": True})
    model, task = config.model, config.task
    drawn = model.initial(task, torch.Generator().manual_seed(3))
    drawn = {name: value + 0.1 * torch.randn(value.shape, dtype=torch.float64) for name, value in drawn.items()}
    layers = []
    for i in range(model.layers):
        w = {kind: drawn[name] for kind, name in model.layer(i).items()}
        layer = nn.TransformerEncoderLayer(16, 4, 24, dropout=0.0, batch_first=True, dtype=torch.float64)
        layer.self_attn.in_proj_weight.data = torch.cat([w["query"].T, w["key"].T, w["value"].T])
        layer.self_attn.in_proj_bias.data.zero_()
        layer.self_attn.out_proj.weight.data = w["out"].T.contiguous()
        layer.self_attn.out_proj.bias.data.zero_()
        layer.linear1.weight.data, layer.linear1.bias.data = w["mlp_in"].T.contiguous(), w["mlp_in_bias"]
        layer.linear2.weight.data, layer.linear2.bias.data = w["mlp_out"].T.contiguous(), w["mlp_out_bias"]
        layer.norm1.weight.data, layer.norm1.bias.data = w["attention_gain"], w["attention_shift"]
        layer.norm2.weight.data, layer.norm2.bias.data = w["mlp_gain"], w["mlp_shift"]
        layers.append(layer.train())
    inputs = torch.tensor(task.table.inputs[:20])
    tokens = torch.stack([inputs[:, 0], torch.full((20,), 13), inputs[:, 1], torch.full((20,), 14)], dim=1)
    x = drawn["embedding"][tokens] + drawn["positions"]
    mask = nn.Transformer.generate_square_subsequent_mask(4, dtype=torch.float64)
    for layer in layers:
        x = layer(x, src_mask=mask, is_causal=True)
    ours = model.forward(task, {name: value.unsqueeze(0) for name, value in drawn.items()}, inputs.unsqueeze(0))
    torch.testing.assert_close(ours[0], x[:, -1] @ drawn["unembedding"], rtol=1e-10, atol=1e-12)


def test_attention_is_rate_times_softmax_and_the_rest_of_one():
    """Zhong et al.'s formula on two scores: α = .25, softmax (.2, .8)."""
    scores = torch.tensor([0.0, math.log(4.0)])
    assert Transformer(attention_rate=0.25).weighed(scores).tolist() == pytest.approx([0.8, 0.95])
    assert Transformer(attention_rate=0.0).weighed(scores).tolist() == [1.0, 1.0]


def test_a_constant_attention_sees_no_query():
    config = make("pizza")
    cohort = stirred(config)
    with torch.no_grad():
        cohort.kernel.gradients(cohort.parameters, cohort.stack.examples.training_set(), cohort.stack.gradients)
    assert cohort.stack.gradients["query"].abs().max() == 0
    assert cohort.stack.gradients["value"].abs().max() > 0


def test_without_positions_the_order_of_operands_does_not_matter():
    config = make("unplaced")
    weights = {name: value.unsqueeze(0) for name, value in config.model.initial(config.task, torch.Generator()).items()}
    a, b = (config.model.forward(config.task, weights, torch.tensor([[pair]])) for pair in ([3, 5], [5, 3]))
    torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_a_tied_network_has_no_matrix_of_its_own_to_read_out_with():
    assert "unembedding" not in make("tied").model.shapes(ModularAddition(modulus=13))


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ConfigError, match=r"heads = 3: must divide width = 16"):
        Transformer(width=16, heads=3)
