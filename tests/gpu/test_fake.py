"""The card's side where there is none: devices never mix, a step never waits for the card, kernels do not multiply.

torch's FakeTensorMode follows shapes and devices of tensors on a card and computes nothing. It raises where tensors of
two devices meet, and where a number would have to be read back.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensor, FakeTensorMode

from grokcore import RunConfig
from grokcore.engine.cohort import Cohort
from grokcore.engine.grouping import default_layout
from grokcore.engine.on_paper import Launches, kernels_per_step
from grokcore.engine.stack import Stack
from grokcore.measures import local_learning_coefficient
from grokcore.measures.base import defined_measures
from grokcore.numerics import constants
from grokcore.views.characters import characters, no_spectrum
from tests.contracts.test_measures import CASES
from tests.contracts.test_ways import WAYS, expand
from tests.gpu.paper import Fake, OnCpu


@contextlib.contextmanager
def on_card(configs):
    """Give the stack of some runs on a fake card."""
    cohort = Cohort(configs, OnCpu(), measures="none")
    card = Fake()
    alone = torch.autograd.set_multithreading_enabled(False)  # torch has no thread for this device
    with alone, torch.no_grad(), FakeTensorMode(allow_non_fake_inputs=True) as mode, copies_by(mode):
        flat, *state = (mode.from_tensor(v).to(card.torch) for v in (cohort.flat, *cohort.stack.state.values()))
        named = dict(zip(cohort.stack.state, state, strict=True))
        yield Stack(cohort.kernel, cohort.layout, cohort.stack.examples.runs, flat, named, card)


@contextlib.contextmanager
def copies_by(mode):
    """Copy what is kept on the host as a fake, which the card's `to` cannot do with what is real."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "_copies", {})
        patch.setattr(constants, "_copy", lambda value, device: mode.from_tensor(value).to(device))
        yield


def take_step(stack, number):
    """Set everything up for one step, and return what takes it."""
    stack.train(0, 2)  # what is set up once is set up
    stack.examples.begin([number])
    stack.updates.begin(np.array([number]))
    stack._counter.zero_()
    return lambda: stack._step(0)


def runs(way, count=2):
    return [expand(way, seed=seed, fraction=0.6 + 0.1 * seed) for seed in range(count)]


def test_the_fake_card_notices_what_it_is_there_for():
    with on_card(runs("adamw")) as stack:
        assert isinstance(stack.flat, FakeTensor)
        assert stack.flat.device.type == "card"
        with pytest.raises(RuntimeError, match=r"(?i)device"):
            stack.flat + torch.zeros(stack.flat.shape)
        with pytest.raises(DataDependentOutputException):
            stack.flat.sum().item()


@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_training_stays_on_the_card_and_never_waits(way):
    with on_card(runs(way)) as stack:
        step = take_step(stack, 7)
        step()
        losses, right = stack.examine()
        assert losses.device == right.device == stack.flat.device


@pytest.mark.parametrize("way", sorted(set(WAYS) - {"module", "qwen"}))
def test_a_step_has_as_many_kernels_for_nine_runs_as_for_two(way):
    counts = []
    for count in (2, 9):
        configs = [expand(way, seed=seed) for seed in range(count)]
        with on_card(configs) as stack:
            step = take_step(stack, 7)
            with Launches() as kernels:
                step()
            counts.append(kernels.counts.total())
    assert counts[0] == counts[1]


SHAPES = {
    "mlp": (45, {"task": {"name": "modular_addition", "modulus": 31}, "model": {"name": "mlp", "width": 64}}),
    "nanda": (120, {"task": {"name": "modular_addition", "modulus": 113}, "model": "transformer"}),
    "power": (
        250,
        {
            "task": {"name": "modular_division", "modulus": 97},
            "model": {
                "name": "transformer",
                "layers": 2,
                "norm": "post",
                "operator_token": True,
                "bias": False,
                "positions": "sinusoidal",
            },
        },
    ),
}
SHAPES["power in minibatches"] = (250, {**SHAPES["power"][1], "batch": 512})
"""Kernels of a step at most, and the run: Liu-sized, Nanda et al.'s, Power et al.'s."""


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("transform", ["none", "grokfast_ema"])
def test_a_step_is_few_kernels_whatever_the_width(shape, transform):
    most, sections = SHAPES[shape]
    base = {**sections, "optimizer": {"name": "adamw", "decay": 1.0}, "transform": transform, "fraction": 0.4}
    config, card, counts = RunConfig.from_dict({**base, "steps": 1000}), OnCpu(), {}
    for count in (1, 64, 1024):
        kernels = kernels_per_step(config, count, card, default_layout(config, card))
        counts[count] = kernels.total()
    assert max(counts.values()) <= most, counts
    assert counts[64] == counts[1024]
    unordered = {"embedding_bag", "scatter_", "index_add_", "sort", "index_put_", "nonzero"}
    assert unordered.isdisjoint(kernels)
    assert shape == "power in minibatches" or "gather" not in kernels


@pytest.fixture
def made_up(monkeypatch):
    """Make up what is read back from the card, so that everything after it is looked at too."""
    few = {torch.bool: True, torch.int64: 3}

    def numbers(tensor):
        return np.full(tensor.shape, few.get(tensor.dtype, 1.0))

    monkeypatch.setattr(FakeTensor, "tolist", lambda tensor: numbers(tensor).tolist())
    monkeypatch.setattr(FakeTensor, "numpy", numbers)
    monkeypatch.setattr(torch, "equal", lambda one, other: one.device != other.device)
    monkeypatch.setattr(local_learning_coefficient, "STEPS", 5)
    monkeypatch.setattr(torch, "unique", lambda values, dim: values)  # noqa: ARG005


@pytest.mark.parametrize("case", CASES)
@pytest.mark.usefixtures("made_up")
def test_every_measure_stays_on_the_card(case):
    task, model = CASES[case]
    base = {"task": task, "model": model, "fraction": 0.5, "steps": 50, "optimizer": {"name": "adamw"}}
    configs = [RunConfig.from_dict({**base, "seed": seed}) for seed in range(2)]
    measures = defined_measures(configs[0].task, configs[0].model, "circuit", frozenset())
    view = Cohort(configs, OnCpu(), measures="none").view()
    with torch.no_grad():  # what is worked out once for a task is kept, and must be real
        for measure in measures.values():
            measure.compute(view)
    with on_card(configs) as stack:
        view = stack.view(3)
        if no_spectrum(view.task, view.model) is None:
            count = characters(view.task).frequencies
            view = replace(view, keys=torch.ones(2, count, dtype=torch.bool, device=stack.flat.device))
        for name, measure in measures.items():
            values = measure.compute(view)
            on_host = name in READ_BACK
            assert values.device == (torch.device("cpu") if on_host else stack.flat.device), name
            assert len(values) == 2


READ_BACK = {"irreducible_shares"}
"""Measures whose values are worked out on the host."""
