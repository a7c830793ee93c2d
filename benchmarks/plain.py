"""The plain way: one run at a time with torch.nn modules and torch's optimizers, as a careful researcher writes it.

It is what the engine is compared with, for its numbers in tests and for its speed in benchmarks. `build` copies a
configuration's own initial weights and split, so that both ways train the same run.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from grokcore.data.deduplication import distinct_examples
from grokcore.data.run_examples import RunExamples
from grokcore.data.split import split
from grokcore.losses.base import LOSSES
from grokcore.models.mlp import MLP
from grokcore.models.transformer import Transformer
from grokcore.numerics.random_streams import generator
from grokcore.optimizers.adam import Adam
from grokcore.optimizers.adamw import AdamW
from grokcore.optimizers.base import Optimizer
from grokcore.optimizers.sgd import SGD
from grokcore.run_config import RunConfig


class PlainMLP(nn.Module):
    """Embeddings (or one-hot rows), summed or concatenated, then fully connected layers."""

    def __init__(self, model: MLP, symbols: int, shapes: dict[str, tuple[int, ...]]) -> None:
        super().__init__()
        self.model, self.symbols = model, symbols
        if model.inputs == "embedding":
            rows, width = shapes["embedding"]
            self.embedding = nn.Embedding(rows, width)
        sizes = [shapes[f"weight_{i}"] for i in range(model.depth + 1)]
        self.layers: list[nn.Linear] = []
        for i, (n, m) in enumerate(sizes):
            self.layers.append(nn.Linear(n, m, bias=model.bias))
            self.add_module(f"layer_{i}", self.layers[-1])
        forms: dict[str, Callable[[Tensor], Tensor]] = {
            "relu": nn.ReLU(),
            "gelu": nn.GELU(),
            "quadratic": torch.square,
            "tanh": nn.Tanh(),
        }
        self.activation = forms[model.activation]

    def encode(self, inputs: Tensor) -> Tensor:
        """Turn tokens into what `forward` takes: themselves, or one-hot rows made once."""
        if self.model.inputs == "embedding":
            return inputs
        if self.model.inputs == "real":
            return 2 * inputs.to(self.layers[0].weight.dtype) - 1
        hot = functional.one_hot(inputs, self.symbols).to(self.layers[0].weight.dtype)
        return hot.sum(1) if self.model.combine == "sum" else hot.flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, C)."""
        if self.model.inputs == "embedding":
            x = self.embedding(x)
            x = x.sum(1) if self.model.combine == "sum" else x.flatten(1)
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        return cast("Tensor", self.layers[-1](x))

    def load(self, drawn: dict[str, Tensor]) -> None:
        """Take over initial weights."""
        if "embedding" in drawn:
            self.embedding.weight.data.copy_(drawn["embedding"])
        for i, layer in enumerate(self.layers):
            layer.weight.data.copy_(drawn[f"weight_{i}"].T)
            if self.model.bias:
                layer.bias.data.copy_(drawn[f"bias_{i}"])


class PlainTransformer(nn.Module):
    """Transformers of any depth, with torch's fused attention; by default Nanda et al.'s, on [a, b, =]."""

    def __init__(self, model: Transformer, shapes: dict[str, tuple[int, ...]]) -> None:
        super().__init__()
        if model.attention_rate != 1:
            raise TypeError("torch's fused attention knows no attention rate")
        self.model, self.heads = model, model.heads
        self.names = [model.layer(i) for i in range(model.layers)]
        self.weights = nn.ParameterDict({name: nn.Parameter(torch.empty(shape)) for name, shape in shapes.items()})

    def encode(self, inputs: Tensor) -> Tensor:
        """Add the tokens that are no operands."""
        return self.model.tokens(inputs, len(self.weights["embedding"]))

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the logits at the last position, (N, C)."""
        w = self.weights
        x = w["embedding"][tokens] + self._places(tokens.shape[1])
        for names in self.names:
            q, k, v = (
                (x @ w[names[kind]]).unflatten(-1, (self.heads, -1)).transpose(1, 2)
                for kind in ("query", "key", "value")
            )
            mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = self._normalised(names, "attention", x + mixed.transpose(1, 2).flatten(2) @ w[names["out"]])
            x = self._normalised(names, "mlp", x + self._mlp(names, x))
        return cast("Tensor", x[:, -1] @ (w["embedding"].T if self.model.tied else w["unembedding"]))

    def _mlp(self, names: dict[str, str], x: Tensor) -> Tensor:
        w = self.weights
        if not self.model.bias:
            return cast("Tensor", torch.relu(x @ w[names["mlp_in"]]) @ w[names["mlp_out"]])
        hidden = torch.relu(x @ w[names["mlp_in"]] + w[names["mlp_in_bias"]])
        return cast("Tensor", hidden @ w[names["mlp_out"]] + w[names["mlp_out_bias"]])

    def _normalised(self, names: dict[str, str], which: str, x: Tensor) -> Tensor:
        if self.model.norm == "none":
            return x
        gain, shift = (self.weights[names[f"{which}_{kind}"]] for kind in ("gain", "shift"))
        return functional.layer_norm(x, x.shape[-1:], gain, shift)

    def _places(self, length: int) -> Tensor | float:
        if self.model.positions == "learned":
            return cast("Tensor", self.weights["positions"])
        if self.model.positions == "none":
            return 0.0
        return self.model.places({"embedding": self.weights["embedding"]}, length)[0]

    def load(self, drawn: dict[str, Tensor]) -> None:
        """Take over initial weights."""
        for name, value in drawn.items():
            self.weights[name].data.copy_(value)


@dataclass
class Plain:
    """A run in the plain form."""

    network: Any
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    train: tuple[Tensor, Tensor]
    val: tuple[Tensor, Tensor]
    loss: Callable[[Tensor, Tensor], Tensor]
    examples: RunExamples
    taken: int = 0

    def _next_batch(self) -> tuple[Tensor, Tensor]:
        x, y = self.train
        if self.examples.config.batch == "full":
            return x, y
        rows = torch.from_numpy(np.searchsorted(self.examples.train_rows, self.examples.minibatch(self.taken)))
        self.taken += 1
        return x[rows], y[rows]

    def step(self) -> None:
        """Take one optimizer step."""
        x, y = self._next_batch()
        self.optimizer.zero_grad()
        loss = self.loss(self.network(x), y)
        loss.backward()
        self.optimizer.step()
        self.schedule.step()

    @torch.no_grad()
    def look(self) -> dict[str, float]:
        """Return losses and accuracies on both splits."""
        seen = {}
        for name, (x, y) in (("train", self.train), ("val", self.val)):
            logits = self.network(x)
            seen[f"{name}_loss"] = float(self.loss(logits, y))
            seen[f"{name}_accuracy"] = float((logits.argmax(-1) == y).double().mean())
        return seen


def build(config: RunConfig, device: torch.device | str = "cpu") -> Plain:
    """Return the plain form of a run, with the configuration's own initial weights, split and order of batches."""
    table, model = config.task.table, config.model
    shapes = model.shapes(config.task)
    network: PlainMLP | PlainTransformer
    if isinstance(model, MLP):
        network = PlainMLP(model, table.symbols, shapes)
    elif isinstance(model, Transformer):
        network = PlainTransformer(model, shapes)
    else:
        raise TypeError(f"no plain form of {type(model).__name__}")
    network = network.to(torch.float64 if config.dtype == "float64" else torch.float32)
    network.load(config.initialisation.initial(model, config.task, generator(config.seed, "weights")))
    network = network.to(device)
    optimizer = _optimizer(config.optimizer, network)
    warmup = config.optimizer.warmup
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: min(s / warmup, 1.0) if warmup else 1.0)
    parts = []
    for rows in split(config):
        x, y = torch.tensor(table.inputs[rows]), torch.tensor(table.targets[rows])
        parts.append((network.encode(x).to(device), y.to(device)))
    return Plain(
        network=network,
        optimizer=optimizer,
        schedule=schedule,
        train=parts[0],
        val=parts[1],
        loss=_loss(config),
        examples=RunExamples(config, distinct_examples(model, config.task, apart=True)),
    )


def _optimizer(chosen: Optimizer, network: nn.Module) -> torch.optim.Optimizer:
    parameters = network.parameters()
    if isinstance(chosen, AdamW | Adam):
        kind = torch.optim.AdamW if isinstance(chosen, AdamW) else torch.optim.Adam
        return kind(parameters, lr=chosen.rate, betas=chosen.betas, eps=chosen.eps, weight_decay=chosen.decay)
    if isinstance(chosen, SGD):
        return torch.optim.SGD(parameters, lr=chosen.rate, momentum=chosen.momentum, weight_decay=chosen.decay)
    raise TypeError(f"no plain form of {type(chosen).__name__}")


def _loss(config: RunConfig) -> Callable[[Tensor, Tensor], Tensor]:
    name = LOSSES.name_of(config.loss)
    if name.startswith("cross_entropy"):
        return functional.cross_entropy
    if name == "mse":
        templates = config.task.table.templates if config.model.regresses else None
        vectors = torch.eye(config.task.table.classes) if templates is None else torch.from_numpy(templates.copy())
        return lambda outputs, y: functional.mse_loss(outputs, vectors.to(outputs)[y])
    if name == "hinge":
        # torch divides by the number of classes.
        return lambda outputs, y: outputs.shape[1] * functional.multi_margin_loss(outputs, y)
    if name == "mse_softmax":
        return lambda outputs, y: functional.mse_loss(
            outputs.softmax(-1), functional.one_hot(y, outputs.shape[1]).to(outputs)
        )
    raise TypeError(f"no plain form of {name}")


def parameter_count(config: RunConfig) -> int:
    """Return the number of parameters of a run."""
    return sum(math.prod(shape) for shape in config.model.shapes(config.task).values())
