"""Grouping: what runs must have in common to be trained in one cohort."""

from __future__ import annotations

import json

from grokcore.data.layouts import LAYOUTS
from grokcore.engine.devices.base import Device
from grokcore.run_config import RunConfig


def problem_key(config: RunConfig) -> str:
    """Return what runs share that make one problem, wherever their examples lie."""
    return json.dumps(_problem(config), sort_keys=True)


def cohort_key(config: RunConfig, layout: str = "bucketed") -> str:
    """Return what the runs of a cohort share: all but fraction, numbers, initialisation, seed, budget."""
    return json.dumps(_problem(config) | LAYOUTS[layout].shape(config), sort_keys=True)


def _problem(config: RunConfig) -> dict[str, object]:
    values = config.to_dict()
    shape = {name: values[name] for name in ("task", "model", "batch", "loss", "dtype")}
    # How much noise there is may differ; whether there is any decides what can be shared.
    shape["task"] = {**values["task"], "label_noise": bool(config.task.label_noise)}
    for name in ("optimizer", "transform"):
        shape[name] = {"name": values[name]["name"], **getattr(config, name).form()}
    shape["dropout"] = bool(config.dropout)
    return shape


def default_layout(config: RunConfig, device: Device) -> str:
    """Return the layout that a device prefers where nothing was measured, of those that serve a run."""
    return next(name for name in device.layouts if LAYOUTS[name].serves(config))
