"""Train small networks on algorithmic tasks, many at once, and say when each memorised and when it generalised.

The public doors: `RunConfig`, `train`, `RunRecord`, `RegimeRule`. They are imported when first used: what needs the
errors alone, as the supervisor of a cluster's services does, does not wait for torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

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
    "REGIMES": "regimes",
    "THRESHOLDS": "milestones",
    "ConfigError": "errors",
    "GrokmapError": "errors",
    "Milestone": "milestones",
    "Outcome": "record",
    "Regime": "regimes",
    "RegimeRule": "regimes",
    "Retirement": "retirement",
    "RunConfig": "config",
    "RunRecord": "record",
    "train": "training",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'grokcore' has no attribute {name!r}")
    found = getattr(importlib.import_module(f"grokcore.{_HOMES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
