"""Shape: what runs must have in common to be trained in one cohort, and the size their examples are padded to.

It depends on a run's own configuration alone, and so do its bits.
"""

from __future__ import annotations

import functools
import json
import math

import numpy as np

from grokcore.config import RunConfig
from grokcore.layout import VECTOR
from grokcore.randomness import split
from grokcore.sharing import examples_of

BUCKETS_PER_OCTAVE, FINE_BUCKETS_PER_OCTAVE = 6, 24
"""Sizes to which the example axis is padded, per factor of two: at most 12 % of padding where runs are small and
gain from company, 3 % from 2,048 examples on, where a processor is busy with one run."""


def bucket(examples: int) -> int:
    """Return the padded size for a number of (distinct) training examples: a multiple of 32 on a geometric grid."""
    return next(size for size in _bucket_sizes(max(17, examples.bit_length())) if size >= examples)


@functools.cache
def _bucket_sizes(octaves: int) -> tuple[int, ...]:
    coarse = [2 ** (5 + i / BUCKETS_PER_OCTAVE) for i in range(6 * BUCKETS_PER_OCTAVE)]
    fine = [2 ** (11 + i / FINE_BUCKETS_PER_OCTAVE) for i in range((octaves - 11) * FINE_BUCKETS_PER_OCTAVE + 1)]
    return tuple(sorted({VECTOR * math.ceil(size / VECTOR) for size in [*coarse, *fine]}))


def distinct_examples(config: RunConfig) -> int:
    """Return how many different training examples a run's network can tell apart."""
    return int(np.count_nonzero(examples_of(config).counts(split(config)[0])))


def cohort_key(config: RunConfig) -> str:
    """Return what the runs of a cohort share: all but fraction, numbers, initialisation, seed, budget."""
    values = config.to_dict()
    shape = {name: values[name] for name in ("task", "model", "batch", "loss", "dtype")}
    # How much noise there is may differ; whether there is any decides what can be shared.
    shape["task"] = {**values["task"], "label_noise": bool(config.task.label_noise)}
    for name in ("optimizer", "accelerator"):
        shape[name] = {"name": values[name]["name"], **getattr(config, name).form()}
    shape["dropout"] = bool(config.dropout)
    if config.batch == "full":
        shape["examples"] = bucket(distinct_examples(config))
    return json.dumps(shape, sort_keys=True)
