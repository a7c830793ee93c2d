"""Choose which runs come next, run them by the cohort on Ray, and keep every record.

The public doors: `SweepSpec`, `Range`, `Choice`, `run_sweep`, `BoundarySampler`, `tell_milestones`. They are imported
when first used, so that ``grokmap --help`` stays quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from grokcore.doors import lazily

if TYPE_CHECKING:
    from grokcore.regimes import RegimeRule
    from sweeps.cli import main
    from sweeps.run import SweepResult, run_sweep
    from sweeps.samplers.boundary import BoundarySampler
    from sweeps.space import Choice, Range
    from sweeps.spec import SweepSpec
    from sweeps.study import tell_milestones

__all__ = [
    "BoundarySampler",
    "Choice",
    "Range",
    "RegimeRule",
    "SweepResult",
    "SweepSpec",
    "main",
    "run_sweep",
    "tell_milestones",
]

_HOMES = {
    "BoundarySampler": "sweeps.samplers.boundary",
    "Choice": "sweeps.space",
    "Range": "sweeps.space",
    "RegimeRule": "grokcore.regimes",
    "SweepResult": "sweeps.run",
    "SweepSpec": "sweeps.spec",
    "main": "sweeps.cli",
    "run_sweep": "sweeps.run",
    "tell_milestones": "sweeps.study",
}

__getattr__ = lazily(__name__, _HOMES)
