"""Where a notebook shows what changes while a cell runs: in Jupyter a display that is updated, in marimo the output."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Callable
from typing import Any


def notebook_output() -> Callable[[str], None] | None:
    """Return what replaces the HTML that the running cell shows; None outside of notebooks."""
    marimo: Any = sys.modules.get("marimo")
    if marimo is not None and marimo.running_in_notebook():
        return lambda html: marimo.output.replace(marimo.Html(html))
    ipython: Any = sys.modules.get("IPython")
    if ipython is None or not hasattr(ipython.get_ipython(), "kernel"):
        return None
    # Ray would advise to install the widgets that its own displays need.
    logging.getLogger("ray.widgets.util").setLevel(logging.WARNING)
    shown: Any = importlib.import_module("IPython.display")
    handle = shown.display(shown.HTML(""), display_id=True)
    return lambda html: handle.update(shown.HTML(html))
