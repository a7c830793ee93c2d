"""From runs to regime maps: probabilities of each regime everywhere, boundaries with bands, laws and comparisons.

The public doors: `RegimeMap`, `RegimeRule`, `read_runs`, `compare`, `Forecast`.
"""

from typing import TYPE_CHECKING

from grokcore.lazy_imports import lazy_imports

if TYPE_CHECKING:
    from analysis.forecast.callback import Forecast
    from analysis.maps.comparison import compare
    from analysis.maps.regime_map import RegimeMap
    from analysis.runs.run_table import read_runs
    from grokcore.records.regimes import RegimeRule

__all__ = ["Forecast", "RegimeMap", "RegimeRule", "compare", "read_runs"]

_HOMES = {
    "Forecast": "analysis.forecast.callback",
    "RegimeMap": "analysis.maps.regime_map",
    "RegimeRule": "grokcore.records.regimes",
    "compare": "analysis.maps.comparison",
    "read_runs": "analysis.runs.run_table",
}

# Fitting needs SciPy; whoever only imports a submodule that does not should not wait for it.
__getattr__, __dir__ = lazy_imports(__name__, _HOMES)
