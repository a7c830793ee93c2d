"""All public doors of Grokmap in one namespace: ``import grokmap``.

    import grokmap

    sweep = grokmap.load("default")          # results/default, once `make sweep` has run
    sweep.map().boundary("memorization", "grokking", x="fraction", y="decay", at={"rate": 1e-2})

Each name is described where it lives: `RunConfig` and `train` (one run), `SweepSpec`, `Range`, `Choice` and `run_sweep`
(many), `load` (a sweep that ran), `RegimeRule`, `RegimeMap`, `read_runs` and `compare` (maps), `BoundarySampler` and
`tell_milestones` (choosing runs with any oracle), `Milestones` (your own training loop), `use_folder`
(your own tasks and networks).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from grokcore.lazy_imports import lazy_imports
from grokcore.siblings import require_siblings

if TYPE_CHECKING:
    from analysis.maps.comparison import compare
    from analysis.maps.regime_map import RegimeMap
    from analysis.runs.run_table import read_runs
    from grokcore.config.folders import use_folder
    from grokcore.records.milestone_callback import Milestones
    from grokcore.records.regimes import RegimeRule
    from grokcore.run_config import RunConfig
    from grokcore.training import train
    from sweeps.finished_runs.load import load
    from sweeps.samplers.boundary import BoundarySampler
    from sweeps.spec.space import Choice, Range
    from sweeps.spec.sweep_spec import SweepSpec
    from sweeps.study import tell_milestones
    from sweeps.whole_sweep import run_sweep

__all__ = [
    "BoundarySampler",
    "Choice",
    "Milestones",
    "Range",
    "RegimeMap",
    "RegimeRule",
    "RunConfig",
    "SweepSpec",
    "compare",
    "load",
    "read_runs",
    "run_sweep",
    "tell_milestones",
    "train",
    "use_folder",
]

_HOMES = {
    "BoundarySampler": "sweeps.samplers.boundary",
    "Choice": "sweeps.spec.space",
    "Milestones": "grokcore.records.milestone_callback",
    "Range": "sweeps.spec.space",
    "RegimeMap": "analysis.maps.regime_map",
    "RegimeRule": "grokcore.records.regimes",
    "RunConfig": "grokcore.run_config",
    "SweepSpec": "sweeps.spec.sweep_spec",
    "compare": "analysis.maps.comparison",
    "load": "sweeps.finished_runs.load",
    "read_runs": "analysis.runs.run_table",
    "run_sweep": "sweeps.whole_sweep",
    "tell_milestones": "sweeps.study",
    "train": "grokcore.training",
    "use_folder": "grokcore.config.folders",
}

require_siblings("analysis", "sweeps", "cluster")
__getattr__, __dir__ = lazy_imports(__name__, _HOMES)
