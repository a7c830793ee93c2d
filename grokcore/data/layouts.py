"""How examples may be laid out, by name."""

from __future__ import annotations

from grokcore.data.bucketed import Bucketed
from grokcore.data.examples import Examples
from grokcore.data.full_table import FullTable

LAYOUTS: dict[str, type[Examples]] = {layout.name: layout for layout in (Bucketed, FullTable)}
"""Name to layout."""
