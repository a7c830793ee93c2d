"""Halved: the model's own initial weights, half as large."""

from dataclasses import dataclass

from grokcore.initialisations.base import Initialisation


@dataclass(frozen=True, kw_only=True)
class Halved(Initialisation):
    """θ₀ / 2."""

    def draw(self, model, task, generator):
        return {name: value / 2 for name, value in model.initial(task, generator).items()}
