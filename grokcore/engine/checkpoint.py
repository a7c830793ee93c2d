"""Checkpoints of cohorts: everything that decides the rest of its runs, in one file, written whole or not at all."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grokcore.errors import CheckpointError
from grokcore.lazy_torch import torch

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = 1
"""Version of what is written; another one is refused."""


def to_bytes(tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> bytes:
    """Return tensors and JSON-able facts as bytes."""
    note = json.dumps({"format": FORMAT, **facts})
    buffer = io.BytesIO()
    torch.save({**tensors, "facts": torch.frombuffer(bytearray(note.encode()), dtype=torch.uint8)}, buffer)
    return buffer.getvalue()


def from_bytes(data: bytes) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `to_bytes` returned; never runs code. Raises `CheckpointError` for anything else."""
    try:
        tensors = torch.load(io.BytesIO(data), weights_only=True, map_location="cpu")
        facts = json.loads(bytes(tensors.pop("facts").tolist()))
        given = facts["format"]
        everything_is_a_tensor = all(isinstance(value, torch.Tensor) for value in tensors.values())
    except Exception as error:  # torch's reader may raise anything about bytes that are not its own
        raise CheckpointError(
            f"the checkpoint cannot be read ({error}); delete it to start the cohort again."
        ) from error
    if given != FORMAT or not everything_is_a_tensor:
        raise CheckpointError(f"the checkpoint has format {given!r}, expected {FORMAT}; delete it to start again.")
    return tensors, facts


def read(path: Path) -> bytes:
    """Return a checkpoint's bytes."""
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise CheckpointError(f"there is no checkpoint at {path}; start the cohort anew.") from error
