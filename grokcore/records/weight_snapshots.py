"""Weight snapshots: a run's networks at log-spaced steps, on disk.

``FOLDER/weights/RUN_ID/STEP.safetensors`` holds the tensors by name; its metadata say run, step and configuration, so
that a file explains itself. Measured later or while training, a number is the same to the last bit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from grokcore.atomic_files import write_bytes
from grokcore.errors import CheckpointError
from grokcore.run_config import RunConfig

if TYPE_CHECKING:
    from torch import Tensor


def pack_snapshot(config: RunConfig, step: int, weights: Mapping[str, Tensor]) -> bytes:
    """Return a run's weights at a step as the content of a safetensors file."""
    facts = {"run_id": config.run_id, "step": str(step), "config": json.dumps(config.to_dict(), sort_keys=True)}
    return save({name: value.contiguous() for name, value in weights.items()}, metadata=facts)


def snapshot_path(folder: Path, run_id: str, step: int) -> Path:
    """Return where the weights of a run at a step are kept."""
    return folder / "weights" / run_id / f"{step:08d}.safetensors"


class SnapshotFolder:
    """Keeps weights under a folder; what a cohort's `keep` can be."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)

    def __call__(self, config: RunConfig, step: int, weights: Mapping[str, Tensor]) -> None:
        """Write the weights whole or not at all."""
        write_bytes(snapshot_path(self.folder, config.run_id, step), pack_snapshot(config, step, weights))


def snapshot_steps(folder: Path, run_id: str) -> list[int]:
    """Return the steps at which a run's weights are kept, in order; raises `CheckpointError` if there are none."""
    found = sorted(
        int(path.stem) for path in (folder / "weights" / run_id).glob("*.safetensors") if path.stem.isdigit()
    )
    if not found:
        raise CheckpointError(
            f"no weights of run {run_id} are kept in {folder / 'weights'}; train it with --keep-weights, "
            f"or again from its configuration: grokmap show {run_id} --again"
        )
    return found


def read_snapshot(folder: Path, config: RunConfig, step: int) -> dict[str, Tensor]:
    """Return a run's weights at a step; raises `CheckpointError` if missing, damaged or another configuration's."""
    path = snapshot_path(folder, config.run_id, step)
    try:
        with safe_open(path, framework="pt") as file:
            facts = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - a handle, not a mapping
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: there is no such file; train the run again with --keep-weights.") from error
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} cannot be read ({error}); delete it and train again with --keep-weights."
        ) from error
    if facts.get("run_id") != config.run_id:
        raise CheckpointError(
            f"{path} holds run {facts.get('run_id')!r}, not {config.run_id}: another configuration's; delete it."
        )
    shapes = {name: tuple(value.shape) for name, value in weights.items()}
    if shapes != config.model.shapes(config.task):
        raise CheckpointError(f"{path} does not hold this model's tensors; delete it and train the run again.")
    return weights
