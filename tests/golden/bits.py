"""The bits of a run: a hash of its curves and of its weights at every step at which it is measured."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from grokcore import RunConfig, train
from grokcore.engine.devices.named import device_named
from grokcore.records.environment import describe

TABLE = Path(__file__).parent / "bits.json"
"""Configurations, their bits, their last training loss, and the environment that made them."""

CURVES = ("step", "train_loss", "train_accuracy", "val_loss", "val_accuracy")


def here():
    """Return what decides bits here."""
    device = device_named("cpu")
    facts = describe(device.name, device.facts(), "float32")
    return {name: facts[name] for name in ("processor", "capability", "matmul", "loops", "torch", "mkl_cbwr")}


def bits_of(config):
    """Train a run and return its bits, in hexadecimal digits, and its last training loss."""
    kept = {}

    def keep(_, step, weights):
        kept[step] = weights

    (record,) = train([RunConfig.from_dict(config)], measures="none", on_snapshot=keep)
    digest = hashlib.sha256()
    for name in CURVES:
        digest.update(np.ascontiguousarray(record.columns[name]).tobytes())
    for step in sorted(kept):
        for name in sorted(kept[step]):
            digest.update(f"{step} {name}".encode() + kept[step][name].numpy().tobytes())
    return {"bits": digest.hexdigest()[:32], "train_loss": record.final["train_loss"]}
