"""Train small networks on algorithmic tasks, many at once, and say when each memorised and when it generalised.

The public doors: `RunConfig`, `train`, `RunRecord`, `RegimeRule`. They are imported when first used: what needs the
errors alone, as the supervisor of a cluster's services does, does not wait for torch.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from grokcore.doors import lazily

# MKL reads it at its first product. Without it, on some processors (AMD's among them) a product's last bits depend on
# where in memory its matrices lie, so on a run's place in its cohort; "AUTO" takes the same instructions and no longer.
os.environ.setdefault("MKL_CBWR", "AUTO")

if TYPE_CHECKING:
    from grokcore.config import RunConfig
    from grokcore.errors import ConfigError, GrokmapError
    from grokcore.milestones import THRESHOLDS, Milestone
    from grokcore.record import Outcome, RunRecord
    from grokcore.regimes import REGIMES, Regime, RegimeRule
    from grokcore.retirement import Retirement
    from grokcore.training import train

__all__ = [
    "REGIMES",
    "THRESHOLDS",
    "ConfigError",
    "GrokmapError",
    "Milestone",
    "Outcome",
    "Regime",
    "RegimeRule",
    "Retirement",
    "RunConfig",
    "RunRecord",
    "train",
]

_HOMES = {
    "REGIMES": "grokcore.regimes",
    "THRESHOLDS": "grokcore.milestones",
    "ConfigError": "grokcore.errors",
    "GrokmapError": "grokcore.errors",
    "Milestone": "grokcore.milestones",
    "Outcome": "grokcore.record",
    "Regime": "grokcore.regimes",
    "RegimeRule": "grokcore.regimes",
    "Retirement": "grokcore.retirement",
    "RunConfig": "grokcore.config",
    "RunRecord": "grokcore.record",
    "train": "grokcore.training",
}

__getattr__ = lazily(__name__, _HOMES)
