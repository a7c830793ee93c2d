"""Transfer: trains a run for its embedding, to start others from (initialisation `transferred`)."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from grokcore.atomic_files import write_bytes
from grokcore.engine.cohort import Cohort
from grokcore.errors import ConfigError
from grokcore.run_config import RunConfig


def save_embedding(config: RunConfig, path: Path | str, device: str = "cpu") -> None:
    """Train a run to its budget and write the embedding of the task's symbols as a NumPy array (symbols, width)."""
    if "embedding" not in config.model.shapes(config.task):
        raise ConfigError(['model: has no embedding to hand on; take inputs = "embedding" or a transformer.'])
    cohort = Cohort([config], device)
    cohort.train_to(config.steps)
    embedding = config.model.embedding(config.task, cohort.parameters)
    if embedding is None:
        raise ConfigError(["model: names no embedding to hand on."])
    buffer = io.BytesIO()
    np.save(buffer, embedding[0].detach().double().cpu().numpy(), allow_pickle=False)
    write_bytes(Path(path), buffer.getvalue())
