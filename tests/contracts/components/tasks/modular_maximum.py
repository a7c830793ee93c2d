"""Modular maximum: (x, y) ↦ the larger of the two residues."""

from dataclasses import dataclass

import numpy as np

from grokcore.tasks.base import Modulus, Table, Task, pairs


@dataclass(frozen=True, kw_only=True)
class ModularMaximum(Task):
    """All p² pairs of residues with the larger one."""

    modulus: Modulus = 7
    """p."""

    @property
    def examples(self):
        return self.modulus**2

    def build(self):
        inputs = pairs(self.modulus)
        return Table(inputs=inputs, targets=np.max(inputs, axis=1), symbols=self.modulus, classes=self.modulus)
