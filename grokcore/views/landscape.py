"""The training loss as a function of runs' weights, to be differentiated twice.

Shapes: K runs, L elements of a run's flat vector of parameters, here without gaps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from grokcore.algebra.landscape import Loss
from grokcore.lazy_torch import torch
from grokcore.numerics.statistics import spread
from grokcore.views.view import View

if TYPE_CHECKING:
    from torch import Tensor

EXAMPLES = 1024
"""Training examples that Hessian-vector products are taken on, at most, evenly spread."""


def flat_weights(view: View) -> Tensor:
    """Return the parameters of each run, one after another, in float64: (K, L)."""
    return torch.cat([value.reshape(len(value), -1).double() for value in view.parameters.values()], dim=1)


def training_loss(view: View, examples: int = EXAMPLES) -> Loss:
    """Return the training losses of runs, in float64, on at most `examples` of the training examples of each."""
    batch = view.training
    rows = torch.stack([_spread(weights, examples) for weights in batch.weights])
    inputs = batch.inputs.gather(1, rows.unsqueeze(2).expand(-1, -1, batch.inputs.shape[2]))
    targets = batch.targets.gather(1, rows)
    counts = batch.weights.gather(1, rows).double()
    weights = counts / counts.sum(1, keepdim=True)
    scale = 1.0 if batch.scale is None else batch.scale.double()
    shapes = {name: value.shape[1:] for name, value in view.parameters.items()}

    def loss(flat: Tensor) -> Tensor:
        parts = torch.split(flat, [shape.numel() for shape in shapes.values()], dim=1)
        named = {name: part.unflatten(1, shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}
        outputs = view.model.forward(view.task, named, inputs) * scale
        return (view.kernel.loss.values(outputs, targets) * weights).sum(1)

    return loss


def _spread(weights: Tensor, examples: int) -> Tensor:
    """Return the rows of a padded batch to look at: all of a small one; of a large one some with a weight, evenly."""
    if len(weights) <= examples:
        return torch.arange(len(weights), device=weights.device)
    rows = weights.nonzero().flatten()
    if len(rows) > examples:
        return rows[spread(len(rows), examples, rows.device)]
    # As many as for every other run: some without weight fill up.
    return torch.cat([rows, (weights == 0).nonzero().flatten()[: examples - len(rows)]])
