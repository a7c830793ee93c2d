"""From runs to regime maps: probabilities of each regime everywhere, boundaries with bands, laws and comparisons.

The public doors: `RegimeMap`, `RegimeRule`, `read_runs`.
"""

from typing import TYPE_CHECKING

from grokcore.doors import lazily

if TYPE_CHECKING:
    from analysis.frame import read_runs
    from analysis.regime_map import RegimeMap
    from grokcore.regimes import RegimeRule

__all__ = ["RegimeMap", "RegimeRule", "read_runs"]

_HOMES = {"RegimeMap": "analysis.regime_map", "RegimeRule": "grokcore.regimes", "read_runs": "analysis.frame"}

# Fitting needs SciPy; whoever only imports a submodule that does not should not wait for it.
__getattr__ = lazily(__name__, _HOMES)
