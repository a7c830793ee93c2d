"""Random streams: one generator per purpose and run, so that nothing a run draws depends on anything else."""

from __future__ import annotations

import hashlib

import torch


def generator(seed: int, purpose: str) -> torch.Generator:
    """Return the generator of a run's `seed` for one purpose ("split", "weights", "batches")."""
    digest = hashlib.sha256(f"{purpose}:{seed}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
