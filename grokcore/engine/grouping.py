"""Grouping: what runs must have in common to be trained in one cohort."""

from __future__ import annotations

import json

from grokcore.data.bucketing import bucket, distinct_count
from grokcore.run_config import RunConfig


def cohort_key(config: RunConfig) -> str:
    """Return what the runs of a cohort share: all but fraction, numbers, initialisation, seed, budget."""
    values = config.to_dict()
    shape = {name: values[name] for name in ("task", "model", "batch", "loss", "dtype")}
    # How much noise there is may differ; whether there is any decides what can be shared.
    shape["task"] = {**values["task"], "label_noise": bool(config.task.label_noise)}
    for name in ("optimizer", "transform"):
        shape[name] = {"name": values[name]["name"], **getattr(config, name).form()}
    shape["dropout"] = bool(config.dropout)
    if config.batch == "full":
        shape["examples"] = bucket(distinct_count(config))
    return json.dumps(shape, sort_keys=True)
