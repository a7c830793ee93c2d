"""The MLP's kernel: table look-ups instead of one-hot products, chunks that stay in cache, backward by hand.

The first layer's output is a sum of table rows, one per operand (`MLP.tables`): an embedding bag. Its gradient is a
bag too: each symbol collects the rows of the examples it occurs in. Between them, a chunk of examples goes forward and
back through the remaining layers before the next one starts, so that its activations never leave the cache.

Shapes: K runs, N examples, P positions, S symbols, W width, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from grokcore.data.batch import Batch
from grokcore.engine.kernels._first_layer import LoopedTables, first_layer_for
from grokcore.engine.kernels._read_out import add_weight_gradient, read_out
from grokcore.engine.kernels.base import Kernel, Serves
from grokcore.lazy_torch import torch
from grokcore.losses.base import Loss
from grokcore.models.base import Parameters
from grokcore.models.mlp import MLP
from grokcore.numerics.loops import serves
from grokcore.numerics.matmul import matmul, matmul_into
from grokcore.numerics.transposing import copy_transposed_
from grokcore.tasks.base import Task

if TYPE_CHECKING:
    from torch import Tensor


class MLPKernel(Kernel):
    """Stacked losses and gradients of an MLP."""

    serves = Serves(
        MLP,
        {
            "width": None,
            "depth": None,
            "activation": ("relu", "gelu", "quadratic", "tanh"),
            "inputs": ("one_hot", "embedding", "real"),
            "embedding_width": None,
            "combine": ("sum", "concat"),
            "bias": (True, False),
            "outputs": ("classes", "templates"),
        },
    )

    def __init__(self, model: MLP, task: Task, loss: Loss, chunk_elements: int | None = None) -> None:
        super().__init__(model, task, loss, chunk_elements)
        self.mlp = model
        self.positions = task.table.inputs.shape[1]
        self.symbols = task.table.symbols
        self.shared = model.combine == "sum"

    # The first layer ------------------------------------------------------------------------------------------------

    def _tables(self, parameters: Parameters) -> Tensor | None:
        """Return what each symbol at each position adds to the first hidden layer, (K, tables · S, W)."""
        if self.mlp.inputs == "real":
            return None
        if self.mlp.inputs == "one_hot":
            return parameters["weight_0"]
        if self.shared:
            return matmul(parameters["embedding"], parameters["weight_0"])
        blocks = self.mlp.tables(parameters, self.positions)
        return torch.cat(blocks, dim=1)

    def _looped(self, tables: Tensor | None, batch: Batch) -> LoopedTables | None:
        """Return the loops of a batch's first layer, if they serve it."""
        if tables is None or batch.grid is not None or not batch.collects or not serves(tables, batch.weights):
            return None
        if "loops" not in batch.prepared:
            batch.prepared["loops"] = LoopedTables(batch, self.symbols, self.mlp.width, shared=self.shared)
        found: LoopedTables = batch.prepared["loops"]
        return found

    def _enter(
        self, parameters: Parameters, tables: Tensor | None, batch: Batch, part: slice, looped: LoopedTables | None
    ) -> tuple[Tensor, Tensor]:
        """Return the first layer's output before and after the activation, (K, n, W), of some of a batch's examples."""
        if tables is None or looped is None:
            pre = self._first(parameters, tables, batch, part)
            return pre, self._activate(pre)
        examples, relu = part.stop - part.start, self.mlp.activation == "relu"
        buffer = self.buffer(f"first {examples}", tables, len(tables), examples, self.mlp.width)
        pre = looped.forward(tables, parameters["bias_0"] if self.mlp.bias else None, part, buffer, relu=relu)
        return pre, pre if relu else self._activate(pre)

    def _first(self, parameters: Parameters, tables: Tensor | None, batch: Batch, part: slice) -> Tensor:
        """Return the first layer's output (K, n, W) of some of a batch's examples; there is no table of numbers."""
        if tables is None:
            return self._affine(parameters, 0, self._numbers(parameters, batch)[:, part])
        layer = first_layer_for(batch, self.positions, self.symbols, shared=self.shared)
        return layer.forward(tables, parameters["bias_0"] if self.mlp.bias else None, batch, part)

    def _numbers(self, parameters: Parameters, batch: Batch) -> Tensor:
        if "numbers" not in batch.prepared:
            batch.prepared["numbers"] = self.mlp.numbers(batch.inputs, parameters["weight_0"])
        numbers: Tensor = batch.prepared["numbers"]
        return numbers

    def _first_gradient(self, parameters: Parameters, batch: Batch, delta: Tensor, out: Mapping[str, Tensor]) -> None:
        """Turn the gradient at the first layer's output, `delta` (K, N, W), into those of its parameters."""
        if self.mlp.inputs == "real":
            matmul_into(out["weight_0"], self._numbers(parameters, batch).mT, delta)
            if self.mlp.bias:
                out["bias_0"].copy_(delta.sum(1))
            return
        layer = first_layer_for(batch, self.positions, self.symbols, shared=self.shared)
        self._table_gradient(parameters, layer.backward(delta, batch), out)

    def _table_gradient(self, parameters: Parameters, table: Tensor, out: Mapping[str, Tensor]) -> None:
        """Turn the gradient of the tables, (K, tables, S, W), into those of the first layer's parameters."""
        if self.mlp.bias:
            # Every example occurs once at the first position, or `positions` times in a shared table.
            total = table[:, 0].sum(1)
            out["bias_0"].copy_(total.div_(self.positions) if self.shared else total)
        if self.mlp.inputs == "one_hot":
            out["weight_0"].copy_(table.flatten(1, 2))
            return
        embedding = parameters["embedding"]
        # The embedding's is taken transposed: a product with a single column (embeddings of width 1) rounds otherwise
        # in a lone run.
        if table.shape[1] == 1 and embedding.shape[-1] > 1:
            matmul_into(out["weight_0"], embedding.mT, table[:, 0])
            matmul_into(out["embedding"].mT, parameters["weight_0"], table[:, 0].mT)
            return
        weight = torch.unflatten(parameters["weight_0"], 1, (table.shape[1], -1))
        torch.matmul(embedding.mT.unsqueeze(1), table, out=torch.unflatten(out["weight_0"], 1, (table.shape[1], -1)))
        out["embedding"].copy_((weight @ table.mT).sum(1).mT)

    # The rest -------------------------------------------------------------------------------------------------------

    def gradients(self, parameters: Parameters, batch: Batch, out: Mapping[str, Tensor]) -> None:
        """Go forward and back, chunk by chunk; see `Kernel.gradients`."""
        tables = self._tables(parameters)
        looped = self._looped(tables, batch)
        gathered = (
            self.buffer("deltas", parameters["weight_0"], *batch.targets.shape, self.mlp.width)
            if tables is None or looped is None
            else self.buffer("tables", tables, *tables.shape).zero_()
        )
        last = out[f"weight_{self.mlp.depth}"]
        totals = {**out, "leave": self.buffer("leave", last, *last.mT.shape)}
        widest = max(outputs for _, outputs in self.mlp.layers(self.task))
        for part in self.chunks(batch.targets.shape[1], widest):
            pre, hidden = self._enter(parameters, tables, batch, part, looped)
            delta = self._forward_and_backward(parameters, batch, part, pre, hidden, totals)
            if looped is None:
                self._activation_gradient(delta, pre, hidden, gathered[:, part])
            else:
                self._collect(looped, delta, pre, hidden, part, gathered)
        copy_transposed_(last, totals["leave"])
        for i in range(1, self.mlp.depth):
            if totals[f"weight_{i}"] is not out[f"weight_{i}"]:
                out[f"weight_{i}"].copy_(totals[f"weight_{i}"])
        if looped is None:
            self._first_gradient(parameters, batch, gathered, out)
        else:
            self._table_gradient(parameters, gathered.unflatten(1, (-1, self.symbols)), out)

    def _forward_and_backward(
        self,
        parameters: Parameters,
        batch: Batch,
        part: slice,
        pre: Tensor,
        first: Tensor,
        totals: dict[str, Tensor],
    ) -> Tensor:
        """Add a chunk's gradients to `totals`; return that after its first layer's activation.

        `pre` and `first` are the layer's output before and after the activation.
        """
        beta = 1 if part.start else 0
        depth, examples = self.mlp.depth, pre.shape[1]
        inputs, hidden = [pre], [first]
        for i in range(1, depth):
            before = self.buffer(f"before {i} {examples}", pre, *pre.shape[:2], parameters[f"weight_{i}"].shape[-1])
            inputs.append(self._affine(parameters, i, hidden[-1], before))
            hidden.append(self._activate(inputs[-1]))
        classes = parameters[f"weight_{depth}"].shape[-1]
        buffer = self.buffer(f"out {examples}", pre, len(pre), classes, examples)
        delta, at_bias = self._at_outputs(parameters, hidden[-1], batch.chunk(part.start, part.stop), buffer)
        for i in range(depth, 0, -1):
            if i == depth:
                totals["leave"] = add_weight_gradient(totals["leave"], hidden[-1], delta, first=beta == 0)
            else:
                weight = totals[f"weight_{i}"]
                totals[f"weight_{i}"] = matmul(hidden[i - 1].mT, delta, weight if beta else None, weight)
            if self.mlp.bias:
                bias, at_bias = totals[f"bias_{i}"], delta.sum(1) if i < depth or at_bias is None else at_bias
                torch.add(at_bias, bias, alpha=beta, out=bias) if beta else bias.copy_(at_bias)
            back = self.buffer(f"back {i} {examples}", delta, *hidden[i - 1].shape)
            delta = matmul(delta, parameters[f"weight_{i}"].mT, out=back)
            if i > 1:
                self._activation_gradient(delta, inputs[i - 1], hidden[i - 1], delta)
        return delta

    def _at_outputs(
        self, parameters: Parameters, x: Tensor, batch: Batch, buffer: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """Return the loss's gradient at the outputs of hidden activations `x`, and at their bias if it is known."""
        late = batch.watched is None and self.loss.adds_bias(buffer.mT)
        if not (self.mlp.bias and late):
            return self.output_gradient(self._outputs(parameters, x, buffer), batch), None
        weight, bias = (parameters[f"{name}_{self.mlp.depth}"] for name in ("weight", "bias"))
        outputs = read_out(x, weight, None, buffer)
        return self.loss.biased_gradient_(outputs, bias, batch.targets, batch.weights, batch.scale)

    def _collect(
        self, looped: LoopedTables, delta: Tensor, pre: Tensor, hidden: Tensor, part: slice, total: Tensor
    ) -> None:
        """Add a chunk's gradient after the first layer's activation to that of the tables."""
        relu = self.mlp.activation == "relu"
        if not relu:
            self._activation_gradient(delta, pre, hidden, delta)
        looped.collect(delta, hidden, part, total, relu=relu)

    def _outputs(self, parameters: Parameters, x: Tensor, buffer: Tensor | None = None) -> Tensor:
        """Return the last layer's outputs (K, N, C), classes outermost in memory."""
        i = self.mlp.depth
        return read_out(x, parameters[f"weight_{i}"], parameters[f"bias_{i}"] if self.mlp.bias else None, buffer)

    def _affine(self, parameters: Parameters, i: int, x: Tensor, buffer: Tensor | None = None) -> Tensor:
        bias = parameters[f"bias_{i}"].unsqueeze(1) if self.mlp.bias else None
        return matmul(x, parameters[f"weight_{i}"], bias, buffer)

    def _activate(self, x: Tensor) -> Tensor:
        if self.mlp.activation == "relu":
            return x.clamp_min_(0.0)
        if self.mlp.activation == "tanh":
            return torch.tanh(x)
        return torch.nn.functional.gelu(x) if self.mlp.activation == "gelu" else x * x

    def _activation_gradient(self, delta: Tensor, before: Tensor, after: Tensor, out: Tensor) -> None:
        """Write `delta` times the activation's slope into `out`, which may be `delta`."""
        if self.mlp.activation == "relu":
            torch.ops.aten.threshold_backward.grad_input(delta, after, 0, grad_input=out)
        elif self.mlp.activation == "gelu":
            torch.ops.aten.gelu_backward.grad_input(delta, before, grad_input=out)
        elif self.mlp.activation == "tanh":
            torch.ops.aten.tanh_backward.grad_input(delta, after, grad_input=out)
        else:
            torch.mul(delta, before, out=out).mul_(2.0)

    def logits(self, parameters: Parameters, batch: Batch) -> Tensor:
        """Return the logits (K, N, C) of a batch."""
        tables = self._tables(parameters)
        _, x = self._enter(parameters, tables, batch, slice(0, batch.targets.shape[1]), self._looped(tables, batch))
        for i in range(1, self.mlp.depth):
            x = self._activate(self._affine(parameters, i, x))
        return self._outputs(parameters, x)
