"""torch, imported when it is first used: what only reads or checks a configuration does not wait for it.

A sweep that is complete, a list of names, a map: they need the fields of tasks and models, not their arithmetic, and
importing torch takes longer than all the rest of them. So the modules here say
``from grokcore.lazy_torch import torch`` and import names of it, such as ``Tensor``, for type checkers alone.
"""

from __future__ import annotations

import importlib
import sys
import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch as torch  # noqa: PLC0414, the name is for others
else:

    class _Torch(types.ModuleType):
        """Stands for torch until the first look at it, and then hands its place to torch in every module."""

        def __getattr__(self, name: str) -> Any:
            loaded = importlib.import_module("torch")
            for module in list(sys.modules.values()):
                if getattr(module, "__dict__", {}).get("torch") is self:
                    module.torch = loaded
            return getattr(loaded, name)

    torch = _Torch("torch")
