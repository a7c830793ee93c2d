"""The specification itself, differentiated by torch: right for every model, loss and task, and the slowest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from grokcore.data.batch import Batch
from grokcore.engine.kernels.base import Kernel
from grokcore.lazy_torch import torch
from grokcore.models.base import Parameters, untouched

if TYPE_CHECKING:
    from torch import Tensor


class AutogradKernel(Kernel):
    """The model's forward pass, differentiated; what every other kernel is tested against."""

    def gradients(self, parameters: Parameters, batch: Batch, out: Mapping[str, Tensor]) -> None:
        """Differentiate; see `Kernel.gradients`."""
        with torch.enable_grad():
            leaves = {name: value.detach().requires_grad_() for name, value in parameters.items()}
            outputs = self.outputs(leaves, batch)
        delta = self.output_gradient(outputs.detach().clone(), batch)
        found = torch.autograd.grad(outputs, list(leaves.values()), delta, allow_unused=True)
        for name, gradient in zip(leaves, found, strict=True):
            # A parameter that no output depends on stays where it is, decay apart.
            out[name].zero_() if gradient is None else out[name].copy_(gradient)

    def outputs(self, leaves: Parameters, batch: Batch) -> Tensor:
        """Return the outputs (K, N, C) of a batch that is trained on, to be differentiated."""
        return self.model.forward(self.task, leaves, batch.inputs, batch.drop or untouched)
