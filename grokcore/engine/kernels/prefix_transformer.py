"""The kernel of transformers of any depth: what depends on a common beginning of the input is computed once.

A layer's states are computed for the rows of each position's prefix (_prefixes.py), all positions side by
side in one product, and looked up where later positions attend to them. In the first layer queries, keys and values
depend on a position's token alone and come from tables of one row per symbol; in the last layer only the position that
is read out has a query, an MLP and logits. The backward pass is written by hand.

Shapes: K runs, N examples, S symbols, D width, V vocabulary, R rows of all positions' prefixes together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from grokcore.data.batch import Batch
from grokcore.engine.kernels._attention import Mix, mix, mix_back
from grokcore.engine.kernels._norms import Norm, normalise, normalise_back
from grokcore.engine.kernels._prefixes import Places, Prefixes, hand_back, look_up
from grokcore.engine.kernels._unembedding import unembed, unembed_back
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


@dataclass(frozen=True)
class _Layer:
    """What the backward pass through a layer needs."""

    entered: Tensor
    """(K, R, D): the states before."""
    memory: Tensor
    """(K, R, 2 D): keys and values of all rows."""
    asked: list[int]
    """The positions that attend."""
    query: Tensor
    """(K, R'', D): their queries, as rows of what entered."""
    mixes: Sequence[Mix | loops.Seen]
    """Their attention."""
    mixed: Tensor
    """(K, R', D): mixtures of values, of the positions that attend."""
    middle: Tensor
    """(K, R', D): what enters the MLP."""
    hidden: Tensor
    """(K, R', M): the MLP's activations."""
    norms: tuple[Norm | None, Norm | None]
    """After attention, and after the MLP."""


class PrefixKernel(Kernel):
    """Stacked losses and gradients of a transformer, each distinct beginning computed once."""

    serves = Serves(
        Transformer,
        {
            "layers": None,
            "width": None,
            "heads": None,
            "mlp_width": None,
            "norm": ("none", "post"),
            "attention_rate": None,
            "tied": (True, False),
            "positions": ("learned", "sinusoidal", "none"),
            "operator_token": (True, False),
            "bias": (True, False),
        },
    )

    def __init__(self, model: Transformer, task: Task, loss: Loss, chunk_elements: int | None = None) -> None:
        super().__init__(model, task, loss, chunk_elements)
        self.net = model
        self.prefixes = Prefixes(model, task)
        blank = torch.zeros(self.prefixes.operands, dtype=torch.long)
        self.tokens: list[int] = model.tokens(blank, model.vocabulary(task)).tolist()
        """The token of each position; operands have 0."""

    def logits(self, parameters: Parameters, batch: Batch) -> Tensor:
        """Return the logits (K, N, V) of a batch."""
        x = self._enter(parameters)
        for i in range(self.net.layers):
            x = self._forward(parameters, i, batch, x)[0]
        return unembed(parameters, x, tied=self.net.tied)

    def gradients(self, parameters: Parameters, batch: Batch, out: Mapping[str, Tensor]) -> None:
        """Go forward and back, layer by layer; see `Kernel.gradients`."""
        w, net = parameters, self.net
        x, layers = self._enter(w), []
        for i in range(net.layers):
            x, layer = self._forward(w, i, batch, x)
            layers.append(layer)
        at_logits = self.output_gradient(unembed(w, x, tied=net.tied), batch)
        delta = unembed_back(w, x, at_logits, out, tied=net.tied)
        for i in reversed(range(net.layers)):
            delta = self._backward(w, i, batch, layers[i], delta, out)
        self._enter_gradient(delta, out)

    # What enters ------------------------------------------------------------------------------------------------------

    def _enter(self, w: Parameters) -> Tensor:
        """Return what enters the first layer: S rows for each operand, one for "op" and for "=", in order."""
        embedding, order = w["embedding"], self.prefixes.order
        places = self.net.places(w, len(order)).unsqueeze(2)
        rows = [
            (embedding[:, token : token + 1] if operand is None else embedding[:, : self.prefixes.symbols])
            + places[:, i]
            for i, (token, (_, operand)) in enumerate(zip(self.tokens, order, strict=True))
        ]
        return torch.cat(rows, dim=1)

    def _enter_gradient(self, delta: Tensor, out: Mapping[str, Tensor]) -> None:
        embedding = out["embedding"]
        parts = delta.split(self.prefixes.entries(), 1)
        for i, (token, part) in enumerate(zip(self.tokens, parts, strict=True)):
            rows = slice(token, token + part.shape[1])
            embedding[:, rows] += part
            if "positions" in out:
                torch.sum(part, 1, out=out["positions"][:, i])

    # A layer ----------------------------------------------------------------------------------------------------------

    def _sizes(self, i: int, batch: Batch) -> list[int]:
        """Return how many rows enter layer i at each position."""
        return self.prefixes.states(batch) if i else self.prefixes.entries()

    def _asked(self, i: int) -> list[int]:
        """Return the positions whose state after layer i is wanted."""
        positions = len(self.prefixes.order)
        return [positions - 1] if i == self.net.layers - 1 else list(range(positions))

    def _where(self, i: int, batch: Batch, read: int, position: int) -> Places | None:
        """Return where the rows of prefix `read` find what enters layer i at a position."""
        return self.prefixes.state(batch, read, position) if i else self.prefixes.entry(batch, read, position)

    def _forward(self, w: Parameters, i: int, batch: Batch, x: Tensor) -> tuple[Tensor, _Layer]:
        """Return the states after layer i of the positions that are wanted, and what the backward pass needs."""
        net, names, asked = self.net, self.net.layer(i), self._asked(i)
        memory = matmul(x, torch.cat([w[names["key"]], w[names["value"]]], dim=2))
        sizes, states = self._sizes(i, batch), self.prefixes.states(batch)
        query = matmul(x[:, sum(sizes[: asked[0]]) :], w[names["query"]])
        mixed = x.new_empty(len(x), sum(states[p] for p in asked), net.width)
        attended = torch.empty_like(mixed)
        attend = self._attend_by_loops if batch.collects and serves(x, query) else self._attend
        mixes = attend(i, batch, x, query, memory, mixed, attended)
        attended = matmul(mixed, w[names["out"]], attended)
        middle, first = normalise(self.net, w, names, "attention", attended)
        after, hidden = self._mlp(w, i, middle)
        after, second = normalise(self.net, w, names, "mlp", after)
        return after, _Layer(x, memory, asked, query, mixes, mixed, middle, hidden, (first, second))

    def _attend(
        self, i: int, batch: Batch, x: Tensor, query: Tensor, memory: Tensor, mixed: Tensor, attended: Tensor
    ) -> list[Mix]:
        """Write the mixtures of values into `mixed` (K, R', D), and what they are to be added to into `attended`."""
        net, asked, sizes, states = self.net, self._asked(i), self._sizes(i, batch), self.prefixes.states(batch)
        begin = sum(sizes[: asked[0]])
        rows = x[:, begin:].split(sizes[asked[0] :], 1)
        queries = self._scaled(query, batch).split(sizes[asked[0] :], 1)
        memories = memory.split(sizes, 1)
        found: dict[tuple[int, int], Tensor] = {}
        mixes, start = [], 0
        for position, row, own in zip(asked, rows, queries, strict=True):
            read = self.prefixes.order[position][0]
            for earlier in range(position + 1):
                if (earlier, read) not in found:
                    found[earlier, read] = look_up(
                        memories[earlier], self._where(i, batch, read, earlier), collects=batch.collects
                    )
            where, index = slice(start, start + states[position]), self._where(i, batch, read, position)
            seen = [found[earlier, read] for earlier in range(position + 1)]
            asking = look_up(own, index, collects=batch.collects)
            at_once = not batch.collects
            mixes.append(mix(net.heads, net.attention_rate, asking, seen, mixed[:, where], at_once=at_once))
            attended[:, where] = look_up(row, index, collects=batch.collects)
            start = where.stop
        return mixes

    def _attend_by_loops(
        self, i: int, batch: Batch, x: Tensor, query: Tensor, memory: Tensor, mixed: Tensor, attended: Tensor
    ) -> list[loops.Seen]:
        """Do what `_attend` does."""
        states, start, mixes = self.prefixes.states(batch), 0, []
        begin = x.shape[1] - query.shape[1]
        for position in self._asked(i):
            where, read = slice(start, start + states[position]), self.prefixes.order[position][0]
            index = self.prefixes.index(batch, read, position, entering=i == 0)
            own, rate = index[:, -1] - begin, self.net.attention_rate
            mixes.append(loops.attend(self.net.heads, rate, query, memory, own, index, mixed[:, where]))
            loops.take(x, index[:, -1], attended[:, where])
            start = where.stop
        return mixes

    def _backward(
        self, w: Parameters, i: int, batch: Batch, layer: _Layer, delta: Tensor, out: Mapping[str, Tensor]
    ) -> Tensor:
        """Turn the gradient after layer i into that before it; write those of its parameters into `out`."""
        names = self.net.layer(i)
        delta = normalise_back(self.net, w, names, "mlp", layer.norms[1], delta, out)
        delta = self._mlp_back(w, names, layer, delta, out)
        delta = normalise_back(self.net, w, names, "attention", layer.norms[0], delta, out)
        matmul_into(out[names["out"]], layer.mixed.mT, delta)
        entered, query, memory = self._attention_back(i, batch, layer, delta, matmul(delta, w[names["out"]].mT))
        begin = layer.entered.shape[1] - query.shape[1]
        matmul_into(out[names["query"]], layer.entered[:, begin:].mT, query)
        at_key_and_value = matmul(layer.entered.mT, memory)
        out[names["key"]].copy_(at_key_and_value[..., : self.net.width])
        out[names["value"]].copy_(at_key_and_value[..., self.net.width :])
        remembered = torch.cat([w[names["key"]], w[names["value"]]], dim=2)
        entered = matmul(memory, remembered.mT, entered, entered)
        matmul_into(entered[:, begin:], query, w[names["query"]].mT, entered[:, begin:])
        return entered

    def _attention_back(
        self, i: int, batch: Batch, layer: _Layer, added: Tensor, at_mixed: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the gradients at the states that entered, past the residual stream, at their queries and memories.

        `added` (K, R', D) is the gradient after attention was added, `at_mixed` that at the mixtures.
        """
        sizes, states = self._sizes(i, batch), self.prefixes.states(batch)
        memory, entered = torch.zeros_like(layer.memory), torch.zeros_like(layer.entered)
        begin = sum(sizes[: layer.asked[0]])
        query = torch.zeros_like(entered[:, begin:])
        if looped := [seen for seen in layer.mixes if isinstance(seen, loops.Seen)]:
            start = 0
            for seen in looped:
                where = slice(start, start + seen.own.shape[1])
                loops.attend_back(seen, layer.query, layer.memory, at_mixed[:, where], query, memory)
                loops.give(added[:, where], seen.index[:, -1], entered)
                start = where.stop
            return entered, query, memory
        mixes = [seen for seen in layer.mixes if isinstance(seen, Mix)]
        memories, rows = memory.split(sizes, 1), entered[:, begin:].split(sizes[layer.asked[0] :], 1)
        queries = query.split(sizes[layer.asked[0] :], 1)
        totals: dict[tuple[int, int], Tensor] = {}
        start = 0
        for k, (position, mixed) in enumerate(zip(layer.asked, mixes, strict=True)):
            read, where = self.prefixes.order[position][0], slice(start, start + states[position])
            own = [(earlier, read) for earlier in range(position + 1)]
            if not mixed.at_once:
                for earlier, _ in own:
                    if (earlier, read) not in totals:
                        index = self._where(i, batch, read, earlier)
                        totals[earlier, read] = self._total(memories[earlier], index, states[position])
            index = self._where(i, batch, read, position)
            at_query = mix_back(mixed, at_mixed[:, where], totals, own)
            hand_back(queries[k], at_query, index, collects=batch.collects)
            hand_back(rows[k], added[:, where], index, collects=batch.collects)
            start = where.stop
        for (earlier, read), total in totals.items():
            if total is not memories[earlier]:
                hand_back(memories[earlier], total, self._where(i, batch, read, earlier), collects=batch.collects)
        return entered, self._scaled(query, batch), memory

    def _scaled(self, query: Tensor, batch: Batch) -> Tensor:
        """Divide queries, or gradients at them, by √B, where attention to all memories at once has not done so."""
        return query if batch.collects else query.div_(math.sqrt(self.net.width // self.net.heads))

    def _total(self, memory: Tensor, index: Places | None, rows: int) -> Tensor:
        """Return where to add up the gradients of a looked-up memory: in place, if nothing needed to be looked up."""
        if index is None and memory.shape[1] == rows:
            return memory
        return memory.new_zeros(len(memory), rows, memory.shape[-1])

    # MLP and normalisation ------------------------------------------------------------------------------------------

    def _mlp(self, w: Parameters, i: int, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return x (K, R', D) with what layer i's MLP adds, and its activations."""
        names = self.net.layer(i)
        after, hidden = torch.empty_like(x), self.buffer(f"hidden {i}", x, *x.shape[:2], self.net.mlp_width)
        for part in self.chunks(x.shape[1], self.net.mlp_width):
            some = hidden[:, part]
            if self.net.bias and serves(x):
                matmul_into(some, x[:, part], w[names["mlp_in"]])
                cut_off_(some, w[names["mlp_in_bias"]])
            else:
                bias = w[names["mlp_in_bias"]].unsqueeze(1) if self.net.bias else None
                matmul_into(some, x[:, part], w[names["mlp_in"]], bias)
                some.relu_()
            matmul_into(after[:, part], some, w[names["mlp_out"]], x[:, part])
        if self.net.bias:
            after += w[names["mlp_out_bias"]].unsqueeze(1)
        return after, hidden

    def _mlp_back(
        self, w: Parameters, names: Mapping[str, str], layer: _Layer, delta: Tensor, out: Mapping[str, Tensor]
    ) -> Tensor:
        """Turn the gradient after the MLP was added into that before it, residual stream included."""
        enter, leave, before = out[names["mlp_in"]], out[names["mlp_out"]], torch.empty_like(delta)
        if self.net.bias:
            torch.sum(delta, 1, out=out[names["mlp_out_bias"]])
            out[names["mlp_in_bias"]].zero_()
        for part in self.chunks(delta.shape[1], self.net.mlp_width):
            beta, rows, hidden = 0 if part.start == 0 else 1, delta[:, part], layer.hidden[:, part]
            buffer = self.buffer(f"inner {rows.shape[1]}", delta, *rows.shape[:2], self.net.mlp_width)
            leave = matmul(hidden.mT, rows, leave if beta else None, leave)
            inner = matmul(rows, w[names["mlp_out"]].mT, out=buffer)
            if self.net.bias and serves(inner):
                cut_back_(inner, hidden, out[names["mlp_in_bias"]], first=beta == 0)
            else:
                torch.ops.aten.threshold_backward.grad_input(inner, hidden, 0, grad_input=inner)
                if self.net.bias:
                    out[names["mlp_in_bias"]] += inner.sum(1)
            enter = matmul(layer.middle[:, part].mT, inner, enter if beta else None, enter)
            matmul_into(before[:, part], inner, w[names["mlp_in"]].mT, rows)
        for name, total in (("mlp_in", enter), ("mlp_out", leave)):
            if total is not out[names[name]]:
                out[names[name]].copy_(total)
        return before
