"""Loss: what is minimised, as a weighted sum over examples, and which class an output answers.

Shapes: K runs, N examples, C outputs.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from grokcore.config.component import Component
from grokcore.config.registry import ComponentRegistry
from grokcore.models.base import Model
from grokcore.tasks.base import Task

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Loss(Component, abc.ABC):
    """What is minimised, example by example. A member says its value and its gradient at the outputs."""

    SOFTMAX: ClassVar[bool] = False
    """Whether outputs are logits of a softmax, so that they may be divided by a temperature."""

    @abc.abstractmethod
    def values(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return each example's loss: outputs (K, N, C), targets (K, N) to (K, N). Differentiable."""

    @abc.abstractmethod
    def gradient_(self, outputs: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """Return the gradient of Σ_n weights · loss at the outputs, (K, N, C); `outputs` may be overwritten."""

    def gradient_at_hot_(self, outputs: Tensor, targets: Tensor, hot: Tensor, weights: Tensor) -> Tensor:  # noqa: ARG002
        """Return the same, where `hot` (K or 1, N, C) says which outputs are the targets'; a member may use it."""
        return self.gradient_(outputs, targets, weights)

    def adds_bias(self, outputs: Tensor) -> bool:  # noqa: ARG002
        """Say whether `biased_gradient_` serves outputs (K, N, C)."""
        return False

    def biased_gradient_(
        self, outputs: Tensor, bias: Tensor, targets: Tensor, weights: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the gradients at outputs that lack a bias (K, C), and at the bias; `outputs` may be overwritten."""
        gradient = self.gradient_(outputs.add_(bias.unsqueeze(1)), targets, weights)
        return gradient, gradient.sum(1)

    def answers(self, outputs: Tensor) -> Tensor:
        """Return the class that each output answers: the largest."""
        return outputs.argmax(-1)

    def examine(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return each example's loss and whether it is answered rightly, (K, N) both."""
        return self.values(outputs, targets), self.answers(outputs) == targets

    def on(self, task: Task, model: Model) -> Self:  # noqa: ARG002
        """Return the loss with what it takes from the task; itself, if it takes nothing."""
        return self

    def misfits(self, model: Model, dtype: str) -> Iterator[str]:  # noqa: ARG002
        """Yield why it makes no sense with the model or the precision; nothing if it does."""
        if model.regresses:
            yield f'loss = "{LOSSES.name_of(self)}": the model regresses to vectors, which only "mse" does.'


LOSSES: ComponentRegistry[Loss] = ComponentRegistry("grokcore.losses", Loss, "loss")  # type: ignore[type-abstract]
