"""The one-layer transformer's kernel: everything that repeats is computed once, and adjacent matrices are merged.

1. A position's keys and values depend on its token alone: they come from tables of one row per (position, symbol). The
   query comes from "=" alone, so a score is a table entry too. What differs per example is the softmax over P scores
   per head and the mixture of P value rows: an embedding bag with the attention as weights, and bags back.
2. With z the mixture, the MLP's input is z·(O·W_in) + const and the logits are h·(W_out·U) + z·(O·U) + const: the
   residual stream itself is never made for the N examples, which saves a tenth of the operations.
3. A chunk of examples goes through MLP, loss and back while it is in the cache.

In formulas, with e the residual stream at "=" (the same for all examples) and z_n = Σ_j a_nj V x_j the mixture of
values of example n: h_n = relu((e + z_n O) W_in + b_in) and logits_n = (e + z_n O + h_n W_out + b_out) U, so that

    before_n = z_n (O W_in) + (e W_in + b_in)            enter = O W_in, inner = e W_in + b_in
    logits_n = h_n (W_out U) + z_n (O U) + (e + b_out) U   leave = W_out U, past = O U, outer = (e + b_out) U

Backward, the gradients of the merged matrices are sums over examples, and those of their factors follow once a step:
∂O = ∂past Uᵀ + ∂enter W_inᵀ, ∂W_in = Oᵀ ∂enter + eᵀ ∂inner, ∂W_out = ∂leave Uᵀ, ∂U = Oᵀ ∂past + W_outᵀ ∂leave +
(e + b_out)ᵀ ∂outer.

Shapes: K runs, N examples, P positions ("=" included), S symbols, V vocabulary, D width, H heads, B = D/H, M MLP width.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from grokcore.data.batch import Batch
from grokcore.engine.kernels._read_out import add_weight_gradient, read_out
from grokcore.engine.kernels.base import Kernel, Serves
from grokcore.engine.kernels.loops import attention as loops
from grokcore.engine.kernels.loops.relu import cut_back_, cut_off_
from grokcore.lazy_torch import torch
from grokcore.losses.base import Loss
from grokcore.models.base import Parameters
from grokcore.models.transformer import Transformer
from grokcore.numerics.loops import serves
from grokcore.numerics.matmul import matmul, matmul_into
from grokcore.tasks.base import Task

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class _Tables:
    """What depends on tokens and parameters alone."""

    x: Tensor
    """(K, R, D): inputs of the residual stream, one row per (operand position, symbol), the last row "="."""
    query: Tensor
    """(K, H, B): the query at "=", over √B."""
    key: Tensor
    """(K, R, D)."""
    value: Tensor
    """(K, R, D)."""
    scores: Tensor
    """(K, R, H)."""


@dataclass
class _Merged:
    """Adjacent matrices, multiplied once per step instead of once per example."""

    enter: Tensor
    """(K, D, M): O · W_in, what a mixture of values adds to the MLP's input."""
    past: Tensor
    """(K, D, V): O · U, what it adds to the logits past the MLP."""
    leave: Tensor
    """(K, M, V): W_out · U, what the MLP's activations add to the logits."""
    inner: Tensor
    """(K, 1, M): what "=" and the biases add to the MLP's input."""
    outer: Tensor
    """(K, 1, V): what they add to the logits."""


class TransformerKernel(Kernel):
    """Stacked losses and gradients of a one-layer transformer."""

    serves = Serves(
        Transformer,
        {
            "layers": (1,),
            "width": None,
            "heads": None,
            "mlp_width": None,
            "norm": ("none",),
            "attention_rate": (1.0,),
            "tied": (False,),
            "positions": ("learned",),
            "operator_token": (False,),
            "bias": (True,),
        },
        layouts=("bucketed",),
    )

    def __init__(self, model: Transformer, task: Task, loss: Loss, chunk_elements: int | None = None) -> None:
        super().__init__(model, task, loss, chunk_elements)
        self.net = model
        self.symbols = task.table.symbols
        self.operands = task.table.inputs.shape[1]
        self.rows = self.operands * self.symbols + 1
        self.head = model.width // model.heads

    # What all examples share ------------------------------------------------------------------------------------

    def _tables(self, w: Parameters) -> _Tables:
        embedding, positions = w["embedding"], w["positions"]
        operands = embedding[:, None, : self.symbols] + positions[:, :-1, None]
        equals = (embedding[:, -1] + positions[:, -1]).unsqueeze(1)
        x = torch.cat([operands.flatten(1, 2), equals], dim=1)
        query = (equals @ w["query"]).view(-1, self.net.heads, self.head) / math.sqrt(self.head)
        key, value = matmul(x, w["key"]), matmul(x, w["value"])
        scores = (key.unflatten(-1, (self.net.heads, -1)) * query.unsqueeze(1)).sum(-1)
        return _Tables(x, query, key, value, scores)

    def _merged(self, w: Parameters, t: _Tables) -> _Merged:
        equals, unembedding = t.x[:, -1:], w["unembedding"]
        return _Merged(
            enter=matmul(w["out"], w["mlp_in"]),
            past=matmul(w["out"], unembedding),
            leave=matmul(w["mlp_out"], unembedding),
            inner=equals @ w["mlp_in"] + w["mlp_in_bias"].unsqueeze(1),
            outer=(equals + w["mlp_out_bias"].unsqueeze(1)) @ unembedding,
        )

    def _merged_buffers(self, m: _Merged) -> _Merged:
        """Return memory for the gradients of merged matrices; those of the logits' lie as their products make them."""
        buffers = {name: self.buffer(f"merged {name}", value, *value.shape) for name, value in vars(m).items()}
        turned = {
            name: self.buffer(f"merged {name}", value, *value.mT.shape).mT
            for name, value in (("past", m.past), ("leave", m.leave))
        }
        return _Merged(**{**buffers, **turned})

    # Attention --------------------------------------------------------------------------------------------------

    def _places(self, batch: Batch) -> Tensor:
        """Return the table row of every position of every example, (K, N, P)."""
        if "places" not in batch.prepared:
            shift = torch.arange(self.operands, device=batch.inputs.device) * self.symbols
            equals = torch.full_like(batch.inputs[..., :1], self.rows - 1)
            batch.prepared["places"] = torch.cat([batch.inputs + shift, equals], dim=-1)
        return cast("Tensor", batch.prepared["places"])

    def _attend(self, batch: Batch, t: _Tables) -> tuple[Tensor | loops.Seen, Tensor]:
        """Return attention, (K, N, H, P) or what loops keep of it, and mixtures of values (K, N, D)."""
        if serves(t.value):
            if "index" not in batch.prepared:
                batch.prepared["index"] = self._places(batch).transpose(1, 2).contiguous()
            return loops.attend_to_tables(t.scores, t.value, batch.prepared["index"])
        places = self._places(batch)
        runs, examples, _ = places.shape
        heads = self.net.heads
        base = torch.arange(runs, device=places.device)[:, None, None] * self.rows
        scores = t.scores.reshape(-1, heads)[places + base]
        attention = scores.transpose(2, 3).softmax(-1)
        if "bags" not in batch.prepared:
            batch.prepared["bags"] = self._bags(places)
        rows, starts = batch.prepared["bags"]
        mixed = torch.embedding_bag(
            t.value.reshape(-1, self.head), rows, starts, per_sample_weights=attention.reshape(-1)
        )[0]
        return attention, mixed.view(runs, examples, heads * self.head)

    def _bags(self, places: Tensor) -> tuple[Tensor, Tensor]:
        """Return, for each (run, example, head), the head's rows of the value table it mixes, and the bags' starts."""
        runs, examples, positions = places.shape
        heads = self.net.heads
        device = places.device
        base = torch.arange(runs, device=device)[:, None, None] * self.rows
        rows = ((places + base) * heads).unsqueeze(2) + torch.arange(heads, device=device)[:, None]
        return rows.reshape(-1), torch.arange(0, runs * examples * heads * positions, positions, device=device)

    def _reverse(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Return, for each head's row of the value table, the uses it has: their order, what they belong to, starts."""
        if "reverse" not in batch.prepared:
            rows, _ = batch.prepared["bags"]
            positions = self.operands + 1
            kept = (batch.weights != 0).reshape(-1).repeat_interleave(self.net.heads * positions)
            order = torch.argsort(rows, stable=True)
            order = order[kept[order]]
            every = torch.arange(len(batch.targets) * self.rows * self.net.heads, device=rows.device)
            batch.prepared["reverse"] = order, order // positions, torch.searchsorted(rows[order], every)
        return cast("tuple[Tensor, Tensor, Tensor]", batch.prepared["reverse"])

    def _attention_gradient(
        self, batch: Batch, t: _Tables, attention: Tensor | loops.Seen, delta: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the gradients of the value table (K, R, D) and the score table (K, R, H); `delta` (K, N, D) is z's."""
        if isinstance(attention, loops.Seen):
            return loops.attend_to_tables_back(attention, t.scores, t.value, delta)
        runs, _, heads, positions = attention.shape
        order, owner, starts = self._reverse(batch)
        flat = delta.reshape(-1, self.head)
        value = torch.embedding_bag(flat, owner, starts, per_sample_weights=attention.reshape(-1)[order])[0]
        # ∂/∂attention: products of an example's gradient with the value rows it mixed.
        rows, _ = batch.prepared["bags"]
        at_attention = torch.empty_like(attention)
        by_use, uses = at_attention.view(-1, positions, 1), rows.view(-1, positions)
        values = t.value.reshape(-1, self.head)
        size = len(uses) if self.chunk_elements is None else max(1, self.chunk_elements // (positions * self.head))
        for start in range(0, len(uses), size):
            part = slice(start, start + size)
            chosen = values.index_select(0, uses[part].reshape(-1)).view(-1, positions, self.head)
            torch.bmm(chosen, flat[part].unsqueeze(-1), out=by_use[part])
        # Back through the softmax: ∂/∂s_j = a_j (g_j − Σ_i a_i g_i).
        at_scores = attention * (at_attention - (attention * at_attention).sum(-1, keepdim=True))
        score = torch.embedding_bag(at_scores.reshape(-1, 1), order, starts)[0]
        shape = (runs, self.rows, heads)
        return value.view(runs, self.rows, heads * self.head), score.view(shape)

    # Forward and backward ---------------------------------------------------------------------------------------------

    def gradients(self, parameters: Parameters, batch: Batch, out: Mapping[str, Tensor]) -> None:
        """Go forward and back, chunk by chunk; see `Kernel.gradients`."""
        t = self._tables(parameters)
        m = self._merged(parameters, t)
        attention, mixed = self._attend(batch, t)
        back, delta = self._merged_buffers(m), self.buffer("delta", mixed, *mixed.shape)
        for part in self.chunks(mixed.shape[1], self.net.mlp_width):
            z = mixed[:, part]
            hidden = self._hidden(m, z, self.buffer(f"hidden {z.shape[1]}", z, *z.shape[:2], self.net.mlp_width))
            at_logits = self.output_gradient(self._outputs(m, z, hidden), batch.chunk(part.start, part.stop))
            self._back(m, back, (z, hidden, at_logits), first=part.start == 0, delta=delta[:, part])
        self._merged_gradient(parameters, t, back, out)
        at_tables = self._attention_gradient(batch, t, attention, delta)
        last = back.inner @ parameters["mlp_in"].mT + back.outer @ parameters["unembedding"].mT
        self._tables_gradient(parameters, t, at_tables, last, out)

    def _hidden(self, m: _Merged, z: Tensor, buffer: Tensor | None = None) -> Tensor:
        """Return the MLP's activations (K, n, M) of mixtures of values z (K, n, D)."""
        if serves(z):
            return cut_off_(matmul(z, m.enter, out=buffer), m.inner[:, 0])
        return matmul(z, m.enter, m.inner, buffer).relu_()

    def _outputs(self, m: _Merged, z: Tensor, hidden: Tensor) -> Tensor:
        """Return the logits (K, n, V), classes outermost in memory."""
        buffer = self.buffer(f"outputs {z.shape[1]}", z, len(z), m.outer.shape[-1], z.shape[1])
        outputs = read_out(hidden, m.leave, m.outer[:, 0], buffer)
        return matmul(m.past.mT, z.mT, outputs.mT, buffer).mT

    def _back(
        self, m: _Merged, back: _Merged, seen: tuple[Tensor, Tensor, Tensor], *, first: bool, delta: Tensor
    ) -> None:
        """Add a chunk's gradients to `back`, and write that at its mixtures to `delta`.

        `seen` are its mixtures, the MLP's activations and the gradient at its logits.
        """
        z, hidden, at_logits = seen
        back.leave = add_weight_gradient(back.leave.mT, hidden, at_logits, first=first).mT
        back.past = add_weight_gradient(back.past.mT, z, at_logits, first=first).mT
        inner = matmul(at_logits, m.leave.mT, out=self.buffer(f"inner {z.shape[1]}", z, *hidden.shape))
        summed = [(back.outer, at_logits)]
        if serves(inner):
            cut_back_(inner, hidden, back.inner[:, 0], first=first)
        else:
            torch.ops.aten.threshold_backward.grad_input(inner, hidden, 0, grad_input=inner)
            summed.append((back.inner, inner))
        back.enter = matmul(z.mT, inner, None if first else back.enter, back.enter)
        for total, gradient in summed:
            added = gradient.sum(1, keepdim=True)
            total.copy_(added) if first else total.add_(added)
        matmul_into(delta, inner, m.enter.mT, matmul(at_logits, m.past.mT, out=delta))

    def _merged_gradient(self, w: Parameters, t: _Tables, back: _Merged, out: Mapping[str, Tensor]) -> None:
        """Turn gradients of merged matrices into those of their factors."""
        equals, unembedding = t.x[:, -1:], w["unembedding"]
        matmul_into(out["out"], back.past, unembedding.mT, matmul(back.enter, w["mlp_in"].mT, out=out["out"]))
        matmul_into(out["mlp_out"], back.leave, unembedding.mT)
        matmul_into(out["mlp_in"], w["out"].mT, back.enter)
        out["mlp_in"].baddbmm_(equals.mT, back.inner)
        past = matmul(w["out"].mT, back.past, out=out["unembedding"])
        matmul_into(out["unembedding"], w["mlp_out"].mT, back.leave, past)
        out["unembedding"].baddbmm_((equals + w["mlp_out_bias"].unsqueeze(1)).mT, back.outer)
        out["mlp_in_bias"].copy_(back.inner[:, 0])
        out["mlp_out_bias"].copy_((back.outer @ unembedding.mT)[:, 0])

    def _tables_gradient(
        self, w: Parameters, t: _Tables, at_tables: tuple[Tensor, Tensor], last: Tensor, out: Mapping[str, Tensor]
    ) -> None:
        """Turn gradients of the value and score tables, and of the read-out position, into those of the parameters."""
        value, score = at_tables
        heads = self.net.heads
        key = (score.unsqueeze(-1) * t.query.unsqueeze(1)).flatten(2)
        by_head = torch.unflatten(t.key, -1, (heads, -1)).transpose(1, 2).flatten(0, 1)
        query = torch.bmm(score.mT.reshape(-1, 1, self.rows), by_head).view(-1, 1, self.net.width)
        query = query / math.sqrt(self.head)
        matmul_into(out["value"], t.x.mT, value)
        matmul_into(out["key"], t.x.mT, key)
        torch.bmm(t.x[:, -1:].mT, query, out=out["query"])
        x = matmul(value, w["value"].mT, matmul(key, w["key"].mT))
        x[:, -1:] += last + query @ w["query"].mT
        operands = torch.unflatten(x[:, :-1], 1, (self.operands, self.symbols))
        out["embedding"].zero_()
        out["embedding"][:, : self.symbols] = operands.sum(1)
        out["embedding"][:, -1] = x[:, -1]
        out["positions"][:, :-1] = operands.sum(2)
        out["positions"][:, -1] = x[:, -1]

    def logits(self, parameters: Parameters, batch: Batch) -> Tensor:
        """Return the logits (K, N, V) of a batch."""
        t = self._tables(parameters)
        m = self._merged(parameters, t)
        _, mixed = self._attend(batch, t)
        outputs = read_out(self._hidden(m, mixed), m.leave, m.outer[:, 0])
        return matmul(m.past.mT, mixed.mT, outputs.mT, outputs.mT).mT
