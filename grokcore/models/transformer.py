"""Transformer: from the one-layer network of Nanda et al. 2023 (arXiv 2301.05217), its defaults, to deeper ones.

Tokens [a, b, …, =], or [a, op, b, …, =]; causal attention, ReLU, logits read at the last position. The vocabulary is
the task's symbols or classes, whichever are more, then "op" if there is one, then "=".

Shapes: K runs, N examples, P positions ("op" and "=" included), V vocabulary, D width, H heads, M MLP width.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Le

from grokcore.lazy_torch import torch
from grokcore.models.base import Model, Parameters, Tap, untouched
from grokcore.tasks.base import Task

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Transformer(Model):
    """x = E + P; x += attention(x); x += MLP(x); …; logits = x U, at the last position.

    Power et al. 2022 (arXiv 2201.02177) have layers = 2, norm = "post", operator_token, bias = False and sinusoidal
    positions. Dropout comes after attention and after the MLP, before they are added to the residual stream.
    """

    layers: Annotated[int, Ge(1)] = 1
    """Blocks of attention and MLP."""
    width: Annotated[int, Ge(1)] = 128
    """Width of the residual stream."""
    heads: Annotated[int, Ge(1)] = 4
    """Attention heads; must divide the width."""
    mlp_width: Annotated[int, Ge(1)] = 512
    """Neurons of each MLP."""
    norm: Literal["none", "post"] = "none"
    """Whether the residual stream is normalised (with gain and bias) after each attention and each MLP is added."""
    attention_rate: Annotated[float, Ge(0), Le(1)] = 1.0
    """α of Zhong et al. 2023 (arXiv 2306.17844): attention is α · softmax + (1 − α); 0 is constant attention."""
    tied: bool = False
    """Whether the unembedding is the embedding, transposed."""
    positions: Literal["learned", "sinusoidal", "none"] = "learned"
    """What is added to a token's embedding to say where it stands."""
    operator_token: bool = False
    """Whether a token "op" stands between neighbouring operands."""
    bias: bool = True
    """Whether MLPs have biases; attention never has."""

    def complaints(self) -> Iterator[str]:
        """Yield that the heads do not divide the width, or that sines need pairs."""
        if self.width % self.heads:
            yield f"heads = {self.heads}: must divide width = {self.width}."
        if self.positions == "sinusoidal" and self.width % 2:
            yield f'width = {self.width}: must be even with positions = "sinusoidal", a sine and a cosine each.'

    def vocabulary(self, task: Task) -> int:
        """Return the number of tokens, which is also the number of logits: symbols or classes, "op" if any, and "="."""
        return max(task.table.symbols, task.table.classes) + (2 if self.operator_token else 1)

    def length(self, task: Task) -> int:
        """Return the number of positions."""
        operands = int(task.table.inputs.shape[1])
        return 2 * operands if self.operator_token else operands + 1

    def layer(self, i: int) -> dict[str, str]:
        """Return the names of layer i's parameters: those of the first layer are bare, others end in _1, _2, …."""
        names = ["query", "key", "value", "out"]
        names += ["attention_gain", "attention_shift"] if self.norm == "post" else []
        names += ["mlp_in", "mlp_in_bias", "mlp_out", "mlp_out_bias"] if self.bias else ["mlp_in", "mlp_out"]
        names += ["mlp_gain", "mlp_shift"] if self.norm == "post" else []
        return {name: f"{name}_{i}" if i else name for name in names}

    def shapes(self, task: Task) -> dict[str, tuple[int, ...]]:
        """Return the parameters' shapes; matrices are (inputs, outputs), heads side by side."""
        d, m, v = self.width, self.mlp_width, self.vocabulary(task)
        shapes: dict[str, tuple[int, ...]] = {"embedding": (v, d)}
        if self.positions == "learned":
            shapes["positions"] = (self.length(task), d)
        kinds = {"mlp_in": (d, m), "mlp_in_bias": (m,), "mlp_out": (m, d)}
        for i in range(self.layers):
            for kind, name in self.layer(i).items():
                square = kind in ("query", "key", "value", "out")
                shapes[name] = (d, d) if square else kinds.get(kind, (d,))
        return shapes if self.tied else {**shapes, "unembedding": (d, v)}

    def initial(self, task: Task, generator: torch.Generator) -> dict[str, Tensor]:
        """Draw normal weights over √width (the unembedding's over √vocabulary); biases are zero, gains one."""
        drawn = {}
        for name, shape in self.shapes(task).items():
            if len(shape) == 1:
                drawn[name] = torch.full(shape, 1.0 if "gain" in name else 0.0, dtype=torch.float64)
            else:
                scale = math.sqrt(self.vocabulary(task) if name == "unembedding" else self.width)
                drawn[name] = torch.randn(shape, generator=generator, dtype=torch.float64) / scale
        return drawn

    def forward(self, task: Task, parameters: Parameters, inputs: Tensor, tap: Tap = untouched) -> Tensor:
        """Return logits (K, N, V) of operands (K, N, P'): every layer at every position."""
        w = parameters
        tokens = self.tokens(inputs, self.vocabulary(task))
        runs = torch.arange(len(inputs), device=inputs.device)[:, None, None]
        x = tap("operands", w["embedding"][runs, tokens]) + self.places(w, tokens.shape[-1]).unsqueeze(1)
        return self.blocks(w, x, tap)

    # The parts, which the kernels use too ---------------------------------------------------------------------------

    def blocks(self, w: Parameters, x: Tensor, tap: Tap) -> Tensor:
        """Return the logits (K, N, V) that a residual stream x (K, N, P, D) ends in."""
        for i in range(self.layers):
            names = self.layer(i)
            mixed = tap(f"heads_{i}", self._mixed(w, names, x))
            added = tap(f"attention_{i}", torch.einsum("knpd,kde->knpe", mixed.flatten(-2), w[names["out"]]))
            x = self.normalised(w, names, "attention", x + added)
            added = tap(f"mlp_{i}", self._mlp(w, i, x, tap))
            x = self.normalised(w, names, "mlp", x + added)
        return self.read_out(w, x[:, :, -1])

    def tokens(self, inputs: Tensor, vocabulary: int) -> Tensor:
        """Put "op" between the operands (…, P'), if there is one, and "=" behind them: (…, P)."""
        equals = torch.full_like(inputs[..., :1], vocabulary - 1)
        if self.operator_token:
            inputs = torch.stack([inputs, torch.full_like(inputs, vocabulary - 2)], dim=-1).flatten(-2)[..., :-1]
        return torch.cat([inputs, equals], dim=-1)

    def places(self, parameters: Parameters, length: int) -> Tensor:
        """Return what says where a token stands: (K, P, D), or (1, P, D) where it is not learned."""
        if self.positions == "learned":
            return parameters["positions"]
        like = parameters["embedding"]
        if self.positions == "none":
            return torch.zeros(1, length, self.width, dtype=like.dtype, device=like.device)
        # Vaswani et al. 2017: sin and cos of position / 10000^(2 i / width), side by side.
        at = torch.arange(length, dtype=torch.float64)[:, None]
        angles = at * 10_000.0 ** -(torch.arange(0, self.width, 2, dtype=torch.float64) / self.width)
        waves = torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)
        return waves.to(like).unsqueeze(0)

    def weighed(self, scores: Tensor) -> Tensor:
        """Turn scores over the last axis into attention."""
        attention = scores.softmax(-1)
        return attention if self.attention_rate == 1 else attention * self.attention_rate + (1 - self.attention_rate)

    def _mlp(self, w: Parameters, i: int, x: Tensor, tap: Tap) -> Tensor:
        """Return what layer i's MLP adds to the residual stream x (K, N, P, D)."""
        names, rows = self.layer(i), x.flatten(1, 2)
        enter, leave = w[names["mlp_in"]], w[names["mlp_out"]]
        if self.bias:
            before = torch.baddbmm(w[names["mlp_in_bias"]].unsqueeze(1), rows, enter)
        else:
            before = torch.bmm(rows, enter)
        before = tap(f"before_{i}", before.view(*x.shape[:3], -1))
        neurons = tap(f"neurons_{i}", torch.relu(before)).flatten(1, 2)
        added = torch.baddbmm(w[names["mlp_out_bias"]].unsqueeze(1), neurons, leave) if self.bias else neurons @ leave
        return added.view_as(x)

    def normalised(self, w: Parameters, names: dict[str, str], which: str, x: Tensor) -> Tensor:
        """Normalise x (K, …, D), if the network does: mean 0 and variance 1 over D, then gain and shift."""
        if self.norm == "none":
            return x
        shape = (-1, *[1] * (x.dim() - 2), self.width)
        gain, shift = (w[names[f"{which}_{kind}"]].view(shape) for kind in ("gain", "shift"))
        return torch.addcmul(shift, torch.nn.functional.layer_norm(x, (self.width,)), gain)

    def read_out(self, w: Parameters, x: Tensor) -> Tensor:
        """Return the logits (K, N, V) of the last position's residual stream (K, N, D)."""
        return x @ (w["embedding"].mT if self.tied else w["unembedding"])

    def _mixed(self, w: Parameters, names: dict[str, str], x: Tensor) -> Tensor:
        """Return what each head mixes of the values at x (K, N, P, D): (K, N, P, H, D/H)."""
        query, key, value = (
            torch.einsum("knpd,kde->knpe", x, w[names[kind]]).unflatten(-1, (self.heads, -1))
            for kind in ("query", "key", "value")
        )
        scores = torch.einsum("knphc,knqhc->knhpq", query, key) / math.sqrt(self.width // self.heads)
        length = x.shape[2]
        later = torch.ones(length, length, dtype=torch.bool, device=x.device).triu(1)
        attention = self.weighed(scores.masked_fill(later, -torch.inf)).masked_fill(later, 0.0)
        return torch.einsum("knhpq,knqhc->knphc", attention, value)

    def embedding(self, task: Task, parameters: Parameters) -> Tensor:
        """Return the embedding of the task's symbols, (K, S, D)."""
        return parameters["embedding"][:, : task.table.symbols]

    @property
    def hidden_layers(self) -> int:
        """Every block's MLP is one."""
        return self.layers

    @property
    def attention_heads(self) -> int:
        """Those of each block."""
        return self.heads

    @property
    def dropped(self) -> tuple[str, ...]:
        """What attention and MLP add to the residual stream."""
        return ("attention_", "mlp_")

    @property
    def shares_embedding(self) -> bool:
        """Always."""
        return True

    def operand_positions(self, task: Task) -> tuple[int, ...]:
        """Return every position, or every second one where "op" stands between operands; "=" is none."""
        return tuple(range(0, self.length(task) - 1, 2 if self.operator_token else 1))
