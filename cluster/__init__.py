"""Where sweeps run: launch files, head services, resource plan, doctor, and a rehearsal of all of it on one machine.

The public doors: `make_plan`, `parse_nodes`, `Plan`.
"""

from typing import TYPE_CHECKING

from grokcore.lazy_imports import lazy_imports

if TYPE_CHECKING:
    from cluster.plan import Plan, make_plan, parse_nodes

__all__ = ["Plan", "make_plan", "parse_nodes"]

_HOMES = dict.fromkeys(__all__, "cluster.plan")

__getattr__, __dir__ = lazy_imports(__name__, _HOMES)
