"""None: every run takes its whole budget, unless it generalises and retires."""

from __future__ import annotations

from dataclasses import dataclass

from grokcore.records.regimes import RegimeRule
from sweeps.stopping.base import Stopping


@dataclass(frozen=True, kw_only=True)
class Never(Stopping):
    """No run is stopped."""

    def judge(self, rule: RegimeRule) -> None:  # noqa: ARG002
        """Return nobody."""
        return
