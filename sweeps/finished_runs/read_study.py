"""read_study: the Optuna study of a sweep, from what it wrote down."""

from __future__ import annotations

from pathlib import Path

from optuna.study import Study

from sweeps.spec.sweep_spec import SweepSpec
from sweeps.store.run_store import read_asked, read_records
from sweeps.study import rebuild, told_of


def read_study(folder: Path, spec: SweepSpec) -> Study:
    """Return the study of the sweep in a folder: every run chosen, with log10 of its t_gen where it has finished."""
    told = {record.run_id: told_of(record, spec.rule.threshold) for record in read_records(folder)}
    sampler = spec.built_sampler.build(spec.problem)
    return rebuild(sampler, spec.whole_space.distributions, read_asked(folder, spec), told, spec.rule.budget)
