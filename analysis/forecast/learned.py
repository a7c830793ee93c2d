"""Learned: what the forecaster in the package can speak of, known without reading it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

FAMILIES: Final = frozenset({"operations"})
"""Families of the tasks, `Task.family`, that it learned from."""
THRESHOLD: Final = 0.9
"""Accuracy at which a run counts as generalised to it."""


def misfit(learned: Collection[str], family: str) -> str:
    """Return why a forecaster that `learned` from some families says nothing of another; nothing where it may."""
    if not family or not learned or family in learned:
        return ""
    return (
        f"the forecaster learned from {' and '.join(sorted(learned))} and knows nothing of {family}; "
        "teach it by some of their runs: grokmap forecast NAME --save FILE."
    )
