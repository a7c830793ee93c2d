"""Transferred: the embedding of another run, and the model's own random weights beside it."""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import TYPE_CHECKING, Annotated
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
from annotated_types import MinLen

from grokcore.errors import ConfigError
from grokcore.initialisations.base import Initialisation
from grokcore.lazy_torch import torch
from grokcore.models.base import Model
from grokcore.tasks.base import Task

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Transferred(Initialisation):
    """Starts from a learned embedding (Xu et al. 2025, arXiv 2504.13292).

    The file is a NumPy array (symbols, width), as `grokcore.transfer.save_embedding` writes. A narrower one than the
    model's is multiplied by a normal matrix over the root of its width, drawn by the run's own generator.
    """

    path: Annotated[str, MinLen(1)]
    """The file that holds the embedding (.npy)."""
    sha256: str = ""
    """What the file holds, so that the configuration says it; worked out from the file if not given."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.sha256:
            object.__setattr__(self, "sha256", hashlib.sha256(self._bytes(where="")).hexdigest())

    def misfits(self, model: Model, task: Task) -> Iterator[str]:
        """Yield that there is nothing to transfer to, or that the shapes differ."""
        shape = model.shapes(task).get("embedding")
        if shape is None:
            yield 'initialisation = transferred: the model has no embedding; take inputs = "embedding".'
        elif Path(self.path).exists() and hashlib.sha256(self._bytes()).hexdigest() == self.sha256:
            rows, width = self.array().shape
            if rows != task.table.symbols or width > shape[1]:
                yield (
                    f"initialisation.path = {self.path!r}: holds an embedding of {rows} symbols × {width}; the task "
                    f"has {task.table.symbols} symbols and the model takes a width of at most {shape[1]}."
                )

    def array(self) -> npt.NDArray[np.float64]:
        """Read the embedding; raises `ConfigError` if the file is missing, damaged or another one than was meant."""
        data = self._bytes()
        if (found := hashlib.sha256(data).hexdigest()) != self.sha256:
            raise ConfigError(
                [f"initialisation.path = {self.path!r}: has sha256 {found[:12]}…, not {self.sha256[:12]}…"]
            )
        try:
            array = np.load(io.BytesIO(data), allow_pickle=False)
            array = array if np.iscomplexobj(array) else array.astype(np.float64)
        except (ValueError, EOFError, AttributeError, BadZipFile, TokenError, MemoryError) as error:
            raise ConfigError([f"initialisation.path = {self.path!r}: is no NumPy array ({error})."]) from error
        if array.ndim != 2 or not array.size or np.iscomplexobj(array) or not np.isfinite(array).all():
            raise ConfigError([f"initialisation.path = {self.path!r}: should hold finite numbers, symbols × width."])
        return np.asarray(array)

    def draw(self, model: Model, task: Task, generator: torch.Generator) -> dict[str, Tensor]:
        """Draw as the model does, then put the embedding in its place."""
        drawn = model.initial(task, generator)
        learned = torch.from_numpy(self.array())
        width = drawn["embedding"].shape[1]
        if learned.shape[1] < width:
            mix = torch.randn(learned.shape[1], width, generator=generator, dtype=torch.float64)
            learned = learned @ mix / math.sqrt(learned.shape[1])
        drawn["embedding"][: len(learned)] = learned
        return drawn

    def _bytes(self, where: str = "initialisation.") -> bytes:
        try:
            return Path(self.path).read_bytes()
        except OSError as error:
            raise ConfigError([f"{where}path = {self.path!r}: cannot be read ({error.strerror})."]) from error
