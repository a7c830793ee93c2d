"""Any torch.nn.Module: trained as torch alone would, bit for bit in any company, and refused with a sentence."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from grokcore import ConfigError, RunConfig, train
from grokcore.config.folders import use_folder
from grokcore.engine.cohort import Cohort
from grokcore.engine.kernels.autograd import AutogradKernel
from grokcore.engine.memory import predicted_bytes
from grokcore.losses.base import LOSSES
from grokcore.measures.base import skipped_measures
from grokcore.optimizers.base import OPTIMIZERS
from grokcore.transforms.base import TRANSFORMS

use_folder(Path(__file__).parent / "components")

MLP = {"name": "module", "factory": "my_nets:mlp", "arguments": {"width": 16}, "embedding_parameter": "0.weight"}
QWEN = {"name": "module", "factory": "my_nets:qwen", "equals_token": True, "embedding_parameter": "embedding.weight"}


def make(model=QWEN, **changes):
    base = {
        "task": {"name": "modular_subtraction", "modulus": 7},
        "model": model,
        "optimizer": {"name": "adamw", "rate": 3e-3, "decay": 0.5},
        "fraction": 0.6,
        "steps": 20,
    }
    return RunConfig.from_dict({**base, **changes})


@pytest.mark.parametrize("model", [MLP, QWEN], ids=["mlp", "qwen"])
@pytest.mark.parametrize("kind", ["adamw", "adam", "sgd"])
def test_a_run_is_what_torch_alone_makes_of_the_module(model, kind):
    config = make(model, dtype="float64", **{"optimizer": {"name": kind, "rate": 3e-3, "decay": 0.1}})
    cohort = Cohort([config], measures="none")
    theirs = copy.deepcopy(config.model.built(config.task)).double()
    with torch.no_grad():
        for name, value in theirs.named_parameters():
            value.copy_(cohort.parameters[name][0])
    kinds = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam, "sgd": torch.optim.SGD}
    own = config.optimizer
    more = {} if kind == "sgd" else {"betas": own.betas, "eps": own.eps}
    optimizer = kinds[kind](theirs.parameters(), lr=3e-3, weight_decay=0.1, **more)
    rows = np.flatnonzero(cohort.runs[0].examples.train_counts)
    tokens = torch.from_numpy(config.task.table.inputs[rows])
    if config.model.equals_token:
        tokens = torch.cat([tokens, torch.full_like(tokens[:, :1], 7)], dim=1)
    targets = torch.from_numpy(config.task.table.targets[rows])
    for _ in range(15):
        optimizer.zero_grad()
        outputs = theirs(tokens)
        functional.cross_entropy(outputs[:, -1] if outputs.dim() == 3 else outputs, targets).backward()
        optimizer.step()
    cohort.train_to(15)
    for name, value in theirs.named_parameters():
        torch.testing.assert_close(cohort.parameters[name][0], value.detach(), rtol=1e-8, atol=1e-9)


WAYS = [
    *({"optimizer": {"name": name, "rate": 3e-3}} for name in OPTIMIZERS.names),
    *({"loss": name} for name in LOSSES.names),
    *({"transform": name, "optimizer.decay": 0} for name in TRANSFORMS.names if name != "pair"),
    {"batch": 10},
    {"gradient_noise": 0.01},
    {"task.label_noise": 0.2},
]


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("model", [MLP, QWEN], ids=["mlp", "qwen"])
def test_its_bits_do_not_depend_on_its_company_nor_on_a_pause(model, way):
    runs = [make(model, **way, seed=seed, fraction=0.6 + 0.02 * seed) for seed in range(3)]
    runs = [run for run in runs if run.train_examples <= 30]
    alone = {run.run_id: train([run], measures="none")[0] for run in runs}
    cohort = Cohort(runs, measures="none")
    cohort.advance(seconds=0)
    cohort = Cohort.from_bytes(cohort.to_bytes(), runs, measures="none")
    for record in cohort.advance():
        for name, values in record.columns.items():
            np.testing.assert_array_equal(values, alone[record.run_id].columns[name], err_msg=name)


def test_muon_orthogonalises_its_hidden_matrices_and_leaves_embedding_and_head_to_adamw(monkeypatch):
    # torch's iteration runs in bfloat16; here it is kept from casting down, so that the formulas must agree.
    monkeypatch.setattr(torch.Tensor, "bfloat16", lambda tensor: tensor.clone())
    config = make(optimizer={"name": "muon", "rate": 0.02}, dtype="float64")
    hidden = config.model.hidden(config.task)
    assert "embedding.weight" not in hidden
    assert "head.weight" not in hidden
    assert "blocks.0.attention.query.weight" in hidden
    cohort = Cohort([config], measures="none")
    # (32 outputs, 16 inputs) and the other way round: the rule's factor depends on which is which.
    for name in ("blocks.0.gate.weight", "blocks.0.down.weight"):
        matrix = cohort.parameters[name][0].double().clone().requires_grad_()
        matrix.grad = cohort.view().gradients[name][0].double()
        torch.optim.Muon([matrix], lr=0.02, weight_decay=0, momentum=config.optimizer.momentum).step()
        theirs = matrix.detach() - cohort.parameters[name][0]
        ours = cohort.view().next_update[name][0]
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


def test_a_module_learns_and_has_the_measures_that_need_no_places():
    config = make(MLP, **{"task": {"name": "modular_addition", "modulus": 7}, "optimizer.rate": 0.03, "steps": 150})
    (record,) = train([config], measures="circuit")
    assert record.final["train_accuracy"] == 1
    for name in ("weight_norm", "effective_rank", "fourier_concentration", "gradient_norm", "sharpness"):
        assert np.isfinite(record.final[name]), name
    assert {name for name in record.columns if name.startswith("norm_")} == {
        "norm_0_weight", "norm_2_weight", "norm_2_bias", "norm_4_weight", "norm_4_bias",
    }  # fmt: skip
    assert "activation_rank" not in record.columns
    reasons = skipped_measures("circuit", config.task, config.model)
    assert reasons["activation_rank"] == "the model names no places inside"


def test_without_a_named_embedding_spectra_say_why_they_are_missing():
    config = make({**QWEN, "embedding_parameter": None}, steps=3)
    (record,) = train([config], measures=["fourier_concentration", "weight_norm"])
    assert "fourier_concentration" not in record.columns


def test_tied_weights_are_one_parameter_and_train():
    config = make({"name": "module", "factory": "my_nets:tied", "equals_token": True})
    assert "head.weight" not in config.model.shapes(config.task)
    (record,) = train([config], measures="none")
    assert record.columns["train_loss"][-1] < record.columns["train_loss"][0]


def test_initial_weights_are_the_runs_own_and_torchs_generator_is_left_alone():
    state = torch.random.get_rng_state()
    first, second, again = (Cohort([make(seed=seed)], measures="none") for seed in (0, 1, 0))
    assert torch.equal(first.flat, again.flat)
    assert not torch.equal(first.flat, second.flat)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert isinstance(first.kernel, AutogradKernel)


def test_its_arguments_are_part_of_the_run_and_can_vary():
    small, large = (make({**QWEN, "arguments": {"width": width}}) for width in (16, 32))
    assert small.run_id != large.run_id
    assert small.to_flat()["model.arguments.width"] == 16
    assert RunConfig.from_dict(small.to_flat()) == small
    assert RunConfig.from_dict({**small.to_flat(), "model.arguments.width": 32}) == large
    assert predicted_bytes(large) > predicted_bytes(small)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"factory": "my_nets:quen"}, "has no function 'quen'"),
        ({"factory": "my_nest:qwen"}, "there is no my_nest.py in"),
        ({"factory": "my_nets"}, 'should be "module:function"'),
        ({"factory": "my_nets:failing"}, "raised RuntimeError: out of ideas"),
        ({"factory": "my_nets:nothing"}, "returned dict, no torch.nn.Module"),
        ({"factory": "my_nets:narrow"}, r"returned outputs \(3, 2\) for 3 examples"),
        ({"factory": "my_nets:dropping"}, "two looks differ"),
        ({"factory": "my_nets:remembering"}, "remembers batches"),
        ({"factory": "my_nets:qwen"}, "does not take tokens"),
        ({"factory": "my_nets:mlp", "embedding_parameter": "1.weight"}, "Known: 0.weight"),
        ({"factory": "my_nets:mlp", "embedding_parameter": "4.bias"}, "needs a row for each"),
        ({"factory": "my_nets:mlp", "arguments": {"breadth": 3}}, "unexpected keyword argument 'breadth'"),
        ({"factory": "os:system"}, "neither in a folder of components"),
        ({"factory": "subprocess:getoutput"}, "neither in a folder of components"),
        ({"factory": "torch.hub:load"}, "neither in a folder of components"),
    ],
)
def test_what_cannot_be_trained_is_refused_with_a_sentence(model, said):
    with pytest.raises(ConfigError, match=said):
        make({"name": "module", **model})


def test_dropout_of_the_engine_has_nowhere_to_go():
    with pytest.raises(ConfigError, match="names no place where activations could be dropped"):
        make(dropout=0.1)
