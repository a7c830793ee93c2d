"""Linear probe: whether the answer can be read off the last hidden layer by a linear map."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grokcore.algebra.fourier import Characters
from grokcore.lazy_torch import torch
from grokcore.measures.base import Measure
from grokcore.models.base import Model
from grokcore.numerics.statistics import weighted_means
from grokcore.tasks.base import Task
from grokcore.views.circuit import no_circuit
from grokcore.views.view import View

if TYPE_CHECKING:
    from torch import Tensor

RIDGE = 1e-4
"""Ridge penalty as a share of the mean eigenvalue of the activations' covariance."""


class LinearProbe(Measure):
    """Accuracy on validation rows of a ridge regression from the last hidden layer to one-hot targets; and its best R².

    Fitted on the training rows in closed form. A one-hot target is an orthogonal transform of cos and sin(ω_k c), so
    the same fit gives the R² of every ground-truth feature, cos and sin of one frequency together; the largest over
    frequencies is the second number, for targets that follow an abelian group.
    """

    cost = "full"
    needs = frozenset({"activations"})

    def columns(self, task: Task, model: Model) -> tuple[str, ...]:
        """Leave out the second where targets have no frequencies."""
        both = ("probe_accuracy", "probe_best_r2")
        return both if no_circuit(task, model) is None else both[:1]

    def compute(self, view: View) -> Tensor:
        """Return the numbers per run, (K, 1 or 2)."""
        train, targets, val = view.training, view.everything.targets, view.val_counts.double()
        wanted = torch.nn.functional.one_hot(train.targets, view.task.table.classes)
        guess = Ridge(view.training_activations, wanted, train.weights)(view.activations)
        right = (guess.argmax(2) == targets).double()
        found = [(right * val).sum(1) / val.sum(1)]
        if no_circuit(view.task, view.model) is None:
            waves = view.characters
            features = guess.new_zeros(view.task.table.classes, len(waves.tokens))
            features[waves.tokens] = waves.basis.T.to(features)
            guessed = torch.bmm(guess, features.expand(len(guess), -1, -1))
            found.append(explained(waves, guessed, features[targets], val.to(guess)).amax(1).double())
        return torch.stack(found, dim=1)


class Ridge:
    """Ridge regressions of `targets` (K, n, t) on `features` (K, n, m) with weights (K, n); called on features.

    Products and predictions are of the type of the features, whose rounding is far below the penalty; the systems are
    solved in float64.
    """

    def __init__(self, features: Tensor, targets: Tensor, weights: Tensor) -> None:
        targets, weights = targets.to(features), weights.to(features)
        centre = weighted_means(features, weights).unsqueeze(1)
        centred = features - centre
        weighed = centred * (weights / weights.sum(1, keepdim=True)).unsqueeze(2)
        covariance = torch.bmm(weighed.mT, centred).double()
        diagonal = covariance.diagonal(dim1=1, dim2=2)
        diagonal.add_(RIDGE * diagonal.mean(1, keepdim=True).clamp_min(1e-300))
        self.slope: Tensor = torch.linalg.solve(covariance, torch.bmm(weighed.mT, targets).double())
        self.level = weighted_means(targets, weights).unsqueeze(1).double() - torch.bmm(centre.double(), self.slope)

    def __call__(self, features: Tensor) -> Tensor:
        """Return the predicted targets."""
        return torch.baddbmm(self.level.to(features), features, self.slope.to(features))


def explained(waves: Characters, guess: Tensor, wanted: Tensor, weights: Tensor) -> Tensor:
    """Return R² per frequency of predicted features (K, n, n), at least 0: (K, F)."""
    spread = wanted - weighted_means(wanted, weights).unsqueeze(1)
    missed, there = (weighted_means(values.square(), weights) for values in (wanted - guess, spread))
    missed, there = (waves.by_frequency(part)[:, 1:] for part in (missed, there))
    return torch.relu(1 - missed / there)
