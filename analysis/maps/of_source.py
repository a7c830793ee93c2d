"""The map of a source: its runs completed under a rule, on its axes, in its own box, with all that is to be said."""

from __future__ import annotations

import dataclasses

from analysis.maps.regime_map import RegimeMap
from analysis.runs.sources import Source
from grokcore.records.regimes import RegimeRule


def map_of(source: Source, rule: RegimeRule | None = None) -> RegimeMap:
    """Return the map of a source's runs under `rule`, or its own; raises `DataError`.

    Its notes say how the table was read and which axes were guessed, its warnings which axes one would look for are
    none because all runs agree.
    """
    rule = rule or source.default_rule
    source = source.completed(rule.budget)
    fitted = RegimeMap.fit(source.frame, source.scales, rule=rule, seed=0, box=source.box)
    guess = [source.guess] if source.guess else []
    same = [] if source.axes else source.warnings
    return dataclasses.replace(fitted, notes=(*source.notes, *guess, *fitted.notes), warnings=(*fitted.warnings, *same))
