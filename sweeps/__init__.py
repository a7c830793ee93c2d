"""Choose which runs come next, run them by the cohort on Ray, and keep every record.

The public doors: `SweepSpec`, `Range`, `Choice`, `run_sweep`, `BoundarySampler`, `tell_milestones`. They are imported
when first used, so that ``grokmap --help`` stays quick.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from grokcore.lazy_imports import lazy_imports
from grokcore.siblings import require_siblings

if TYPE_CHECKING:
    from grokcore.records.regimes import RegimeRule
    from sweeps.cli import main
    from sweeps.samplers.boundary import BoundarySampler
    from sweeps.spec.space import Choice, Range
    from sweeps.spec.sweep_spec import SweepSpec
    from sweeps.study import tell_milestones
    from sweeps.whole_sweep import SweepResult, run_sweep

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
    "Choice": "sweeps.spec.space",
    "Range": "sweeps.spec.space",
    "RegimeRule": "grokcore.records.regimes",
    "SweepResult": "sweeps.whole_sweep",
    "SweepSpec": "sweeps.spec.sweep_spec",
    "main": "sweeps.cli",
    "run_sweep": "sweeps.whole_sweep",
    "tell_milestones": "sweeps.study",
}

# Optuna's progress bars, which are not used, ask for widgets when it is imported in a notebook.
warnings.filterwarnings("ignore", message="IProgress not found")

require_siblings("analysis")
__getattr__, __dir__ = lazy_imports(__name__, _HOMES)
