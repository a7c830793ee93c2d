"""Settings: a part's numbers, which may differ between the runs of a cohort, and its form, in which they agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from grokcore.config.component import Component

Settings = Mapping[str, npt.NDArray[Any]]
"""Name of a part's per-run field to its value in every run, (K,)."""


@dataclass(frozen=True, kw_only=True)
class PerRun(Component):
    """A part whose fields may differ between the runs of a cohort, but for those of its `form`."""

    SHARED: ClassVar[frozenset[str]] = frozenset()
    """Fields in which all runs of a cohort agree, beside those that are true or false."""

    def form(self) -> dict[str, object]:
        """Return the fields in which all runs of a cohort agree."""
        values = self.to_section()
        return {name: value for name, value in values.items() if isinstance(value, bool) or name in self.SHARED}

    def settings(self) -> dict[str, Any]:
        """Return the other fields of one run: pairs as name_0 and name_1, what is not given as NaN."""
        settings: dict[str, Any] = {}
        form = self.form()
        for name, value in self.to_section().items():
            if isinstance(value, list):
                settings |= {f"{name}_{i}": float(number) for i, number in enumerate(value)}
            elif name not in form:
                settings[name] = value if isinstance(value, str) else float("nan" if value is None else value)
        return settings


def stacked(parts: Sequence[PerRun]) -> dict[str, npt.NDArray[Any]]:
    """Return the settings of several runs side by side: name to (K,)."""
    each = [part.settings() for part in parts]
    return {name: np.array([settings[name] for settings in each]) for name in each[0]}
