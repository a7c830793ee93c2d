"""Train small networks on algorithmic tasks, many at once, and say when each memorised and when it generalised.

The public doors: `RunConfig`, `train`, `RunRecord`, `RegimeRule`. They are imported when first used: what needs the
errors alone, as the supervisor of a cluster's services does, does not wait for torch.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from grokcore.lazy_imports import lazy_imports

# MKL reads it at its first product. Without it, on some processors (AMD's among them) a product's last bits depend on
# where in memory its matrices lie, so on a run's place in its cohort; "AUTO" takes the same instructions and no longer.
os.environ.setdefault("MKL_CBWR", "AUTO")

if TYPE_CHECKING:
    from grokcore.engine.early_stopping import EarlyStopping
    from grokcore.errors import ConfigError, GrokmapError
    from grokcore.records.milestone_callback import Milestones
    from grokcore.records.milestones import THRESHOLDS, Milestone
    from grokcore.records.regimes import REGIMES, Regime, RegimeRule
    from grokcore.records.run_record import Outcome, RunRecord
    from grokcore.run_config import RunConfig
    from grokcore.training import train

__all__ = [
    "REGIMES",
    "THRESHOLDS",
    "ConfigError",
    "EarlyStopping",
    "GrokmapError",
    "Milestone",
    "Milestones",
    "Outcome",
    "Regime",
    "RegimeRule",
    "RunConfig",
    "RunRecord",
    "train",
]

_HOMES = {
    "REGIMES": "grokcore.records.regimes",
    "THRESHOLDS": "grokcore.records.milestones",
    "ConfigError": "grokcore.errors",
    "GrokmapError": "grokcore.errors",
    "Milestone": "grokcore.records.milestones",
    "Milestones": "grokcore.records.milestone_callback",
    "Outcome": "grokcore.records.run_record",
    "Regime": "grokcore.records.regimes",
    "RegimeRule": "grokcore.records.regimes",
    "EarlyStopping": "grokcore.engine.early_stopping",
    "RunConfig": "grokcore.run_config",
    "RunRecord": "grokcore.records.run_record",
    "train": "grokcore.training",
}

__getattr__, __dir__ = lazy_imports(__name__, _HOMES)
