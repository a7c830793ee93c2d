"""Module: any torch.nn.Module, by the function that builds it.

It is written ``model = {name = "module", factory = "my_nets:build"}``.

The module is built once for its structure and once for each run's initial weights; its forward pass is called as a
function of them (torch.func.functional_call), run after run, so that a run's bits do not depend on others'. Gradients
are torch's. That is the slowest way to train, and right for whatever a module does.

Shapes: K runs, N examples, P positions, C outputs.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import MinLen
from pydantic import BeforeValidator

from grokcore.config.own_code import own_function
from grokcore.errors import ConfigError, unknown_name
from grokcore.lazy_torch import torch
from grokcore.models.base import Model, Parameters, Tap, untouched
from grokcore.numerics.constants import on_device
from grokcore.tasks.base import Task

if TYPE_CHECKING:
    from torch import Tensor, nn

Value = bool | int | float | str

TRIED = 3
"""Examples on which a module is tried before anything is trained."""


def _pairs(value: object) -> object:
    return tuple(sorted(value.items())) if isinstance(value, Mapping) else value


@dataclass(frozen=True, kw_only=True)
class Module(Model):
    """A network of one's own: ``build(task, **arguments)`` returns a torch.nn.Module from tokens to logits.

    The module is called with int64 tokens (N, P) in [0, symbols) and returns logits (N, C), or (N, P, C) of which the
    last position's are taken; of more outputs than classes the first are the classes'. Its weights are drawn by torch's
    generator, which is seeded by the run. It is what it computes from weights and tokens: modules that draw numbers in
    their forward pass (dropout) or remember batches (batch normalisation) are refused.
    """

    factory: Annotated[str, MinLen(1)]
    """Which function builds it, as "module:function": in the folder of components, or where the program was started."""
    arguments: Annotated[tuple[tuple[str, Value], ...], BeforeValidator(_pairs)] = ()
    """What the function is given beside the task: a table of numbers, words and truth values, which a sweep may vary
    (``"model.arguments.width"``)."""
    equals_token: bool = False
    """Whether a token "=", numbered `symbols`, is put behind the operands, where a causal network has read them all."""
    embedding_parameter: str | None = None
    """Name of the parameter with a row for each symbol, the object of spectral measures ("embedding.weight")."""

    def to_section(self) -> dict[str, Any]:
        """Return the fields as plain values; the arguments are a table."""
        return {**super().to_section(), "arguments": dict(self.arguments)}

    def built(self, task: Task) -> nn.Module:
        """Return a module of this structure; its weights are of no account."""
        return _built(self, task)

    def misfits(self, task: Task) -> Iterator[str]:
        """Yield what is wrong with the module on the task, found by trying it."""
        yield from _trouble(self, task)

    def shapes(self, task: Task) -> dict[str, tuple[int, ...]]:
        """Return those of the module's parameters, by its own names; tied ones once."""
        return {name: tuple(value.shape) for name, value in self.built(task).named_parameters()}

    def initial(self, task: Task, generator: torch.Generator) -> dict[str, Tensor]:
        """Build the module anew, with torch's own generator seeded by the run's."""
        drawn = _make(self, task, int(torch.randint(2**62, (), generator=generator)))
        return {name: value.detach().double() for name, value in drawn.named_parameters()}

    def forward(self, task: Task, parameters: Parameters, inputs: Tensor, tap: Tap = untouched) -> Tensor:  # noqa: ARG002
        """Return logits (K, N, C) of tokens (K, N, P), one run after the other; a module names no places."""
        if self.equals_token:
            inputs = torch.cat([inputs, torch.full_like(inputs[..., :1], task.table.symbols)], dim=-1)
        like = next(iter(parameters.values()))
        module = self.built(task)
        constants = _buffers(self, task, like.dtype)
        buffers = {name: on_device(value, like.device) for name, value in constants.items()}
        found = []
        # Of attention's implementations, the one that can be differentiated twice and always adds in the same order.
        with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
            for k, tokens in enumerate(inputs):
                own = {name: value[k] for name, value in parameters.items()}
                outputs = torch.func.functional_call(module, {**buffers, **own}, (tokens,), strict=True)
                found.append(outputs[:, -1] if outputs.dim() == 3 else outputs)
        return torch.stack(found)

    def embedding(self, task: Task, parameters: Parameters) -> Tensor | None:
        """Return the named parameter's rows of the task's symbols, (K, S, D)."""
        name = self.embedding_parameter
        return None if name is None else parameters[name][:, : task.table.symbols]

    @property
    def outputs_first(self) -> bool:
        """torch.nn.Linear's matrices are (outputs, inputs)."""
        return True

    def hidden(self, task: Task) -> tuple[str, ...]:
        """Return all matrices but embeddings and the last, which reads out."""
        module = self.built(task)
        embeddings = {
            id(value)
            for part in module.modules()
            if isinstance(part, torch.nn.Embedding)
            for value in part.parameters()
        }
        matrices = [
            name for name, value in module.named_parameters() if value.dim() == 2 and id(value) not in embeddings
        ]
        return tuple(name for name in matrices[:-1] if name != self.embedding_parameter)


def _make(model: Module, task: Task, seed: int) -> nn.Module:
    """Return what the factory builds with torch's generator at `seed`; the generator is left as it was."""
    build = own_function(model.factory)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            built = build(task, **dict(model.arguments))
        except Exception as error:
            raise ConfigError([f"model.factory = {model.factory!r}: raised {type(error).__name__}: {error}"]) from error
    if not isinstance(built, torch.nn.Module):
        raise ConfigError([f"model.factory = {model.factory!r}: returned {type(built).__name__}, no torch.nn.Module."])
    return built


@functools.lru_cache(maxsize=32)
def _built(model: Module, task: Task) -> nn.Module:
    return _make(model, task, 0)


@functools.lru_cache(maxsize=32)
def _buffers(model: Module, task: Task, dtype: torch.dtype) -> dict[str, Tensor]:
    """Return the module's constants; numbers in the precision of its weights."""
    return {
        name: value.to(dtype if value.is_floating_point() else value.dtype)
        for name, value in _built(model, task).named_buffers()
    }


@functools.lru_cache(maxsize=32)
def _trouble(model: Module, task: Task) -> tuple[str, ...]:
    """Return what is wrong with a module on a task."""
    try:
        module = model.built(task)
    except ConfigError as error:
        return error.complaints
    named = dict(module.named_parameters())
    if not named or not all(value.is_floating_point() for value in named.values()):
        return (f"model.factory = {model.factory!r}: its module needs parameters, all of them real numbers.",)
    complaints = []
    name = model.embedding_parameter
    if name is not None and (name not in named or named[name].dim() != 2 or len(named[name]) < task.table.symbols):
        complaints.append(f"model.embedding_parameter = {name!r}: {unknown_name('parameter', name, named)}")
        complaints[-1] += f" It needs a row for each of the task's {task.table.symbols} symbols."
    buffers = _buffers(model, task, next(iter(named.values())).dtype)
    kept = {name: value.clone() for name, value in buffers.items()}
    try:
        once, again = (_tried(model, task, seed) for seed in range(2))
    except Exception as error:
        shape = (TRIED, task.table.inputs.shape[1] + model.equals_token)
        raised = f"{type(error).__name__}: {error}".partition("\n")[0]
        return (f"model.factory = {model.factory!r}: its module does not take tokens {shape}: {raised}",)
    if once.shape[:2] != (1, TRIED) or once.dim() != 3 or once.shape[2] < task.table.classes:
        complaints.append(
            f"model.factory = {model.factory!r}: returned outputs {tuple(once.shape[1:])} for {TRIED} examples; should "
            f"be ({TRIED}, C) or ({TRIED}, positions, C) with at least C = {task.table.classes}, one for each class."
        )
    elif not torch.equal(once, again):
        complaints.append(f"model.factory = {model.factory!r}: two looks differ; take its dropout or noise out.")
    if any(not torch.equal(value, kept[name]) for name, value in buffers.items()):
        complaints.append(f"model.factory = {model.factory!r}: remembers batches; take layer_norm, not batch norm.")
    return tuple(complaints)


def _tried(model: Module, task: Task, seed: int) -> Tensor:
    """Return the outputs (1, n, C) for the first few examples, as in training."""
    module = model.built(task).train()
    parameters = {name: value.detach().unsqueeze(0) for name, value in module.named_parameters()}
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        return model.forward(task, parameters, torch.from_numpy(task.table.inputs[:TRIED].copy()).unsqueeze(0))
