"""Experiment: a recipe's runs trained by the engine, and kept as one small Parquet file with how they came about."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from analysis.statistics.claims import CurveRun
from grokcore.atomic_files import replacing
from grokcore.engine.early_stopping import EarlyStopping
from grokcore.errors import DataError
from grokcore.records.run_record import Outcome, RunRecord
from grokcore.run_config import RunConfig
from grokcore.training import train
from grokcore.transfer import save_embedding
from sweeps.recipes.recipe import Recipe
from sweeps.spec.sweep_spec import SweepSpec

ALWAYS = ("train_accuracy", "val_accuracy")
"""Curves that are kept of every run."""

DONORS = Path("results") / "published" / "donors"
"""Where embeddings lie that runs begin with."""

UNSAID = {"split": "random"}
"""Fields with the values at which `RunConfig.to_flat` leaves them out."""

HEAD = b"grokmap"
"""Under what name the file's metadata have what is beside the curves."""


@dataclass(frozen=True)
class Experiment:
    """The runs of a recipe, as they are kept."""

    recipe: str
    """Its name."""
    quick: bool
    """Whether it is the cheap form."""
    settings: Mapping[str, Mapping[str, Any]]
    """Of every run, its configuration, flat, by identity."""
    curves: pd.DataFrame
    """run_id, step and the curves, in single precision."""
    seconds: float
    """Core-seconds that training took."""
    steps: int
    """Optimizer steps of all runs together."""
    processor: str
    """On what."""
    failed: Mapping[str, str]
    """Runs that gave no curves, with the reason."""
    retire: bool | float
    """Whether runs left once they had generalised, or after how long; see `SweepSpec`."""
    measures: str
    """What was measured."""

    @property
    def runs(self) -> list[CurveRun]:
        """Return the runs as claims see them: a random split, which a run's fields leave out, is named."""
        tables = dict(iter(self.curves.groupby("run_id", sort=False)))
        return [
            CurveRun({**UNSAID, **settings}, tables[name].drop(columns="run_id").reset_index(drop=True))
            for name, settings in self.settings.items()
            if name in tables
        ]

    @property
    def command(self) -> str:
        """Return the command that makes it again."""
        return f"grokmap reproduce --published {self.recipe}{' --quick' if self.quick else ''}"


def members(spec: SweepSpec) -> list[RunConfig]:
    """Return the runs of a sweep whose sampler needs no results: those that `grokmap sweep` would make, each once."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space = spec.whole_space
    study = optuna.create_study(sampler=spec.built_sampler.build(spec.problem))
    configs = [space.config(study.ask(space.distributions).params) for _ in range(spec.runs)]
    return list({config.run_id: config for config in configs}.values())


def conduct(
    found: Recipe,
    *,
    quick: bool,
    before: Experiment | None = None,
    progress: Callable[[RunRecord], None] | None = None,
) -> Experiment:
    """Train a recipe's runs on this process's processor; `progress` is called with each as it ends.

    What `before` has of them, from when the recipe had others too or fewer, is taken from there.
    """
    spec = found.sweep(quick=quick)
    begun = time.process_time()
    own = members(spec)
    configs = own + _transferred(found, own)
    known = before if before is not None and _followed_alike(before, found, quick=quick) else None
    there = () if known is None else known.settings
    records = train(
        [config for config in configs if config.run_id not in there],
        retire=EarlyStopping.asked(spec.retire),
        progress=progress,
        measures=spec.measures,
    )
    fresh = kept(found, records, time.process_time() - begun, quick=quick) if records else None
    if known is None or not set(there) & {config.run_id for config in configs}:
        if fresh is None:
            raise DataError(f"recipe {found.name}: has no runs.")
        return fresh
    return _joined(known, fresh, [config.run_id for config in configs], quick=quick)


def _donors(found: Recipe, configs: Sequence[RunConfig]) -> list[RunConfig]:
    """Return of each run the smaller one whose embedding it may begin with; none of a recipe without any."""
    if not found.donor:
        return []
    return [RunConfig.from_dict({**config.to_flat(), **found.donor}) for config in configs]


def _transferred(found: Recipe, configs: Sequence[RunConfig]) -> list[RunConfig]:
    """Train the smaller runs of a recipe that has some; return each run as it begins with such an embedding."""
    begun = []
    for config, donor in zip(configs, _donors(found, configs), strict=False):
        path = DONORS / f"{donor.run_id}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        save_embedding(donor, path)
        flat = {name: value for name, value in config.to_flat().items() if not name.startswith("initialisation.")}
        start = {"initialisation.name": "transferred", "initialisation.path": str(path)}
        begun.append(RunConfig.from_dict({**flat, **start}))
    return begun


def _joined(known: Experiment, fresh: Experiment | None, wanted: Sequence[str], *, quick: bool) -> Experiment:
    """Return the wanted runs of both; seconds and steps of runs that are no longer wanted go with their share."""
    both = [known, fresh] if fresh is not None else [known]
    curves = pd.concat([one.curves for one in both], ignore_index=True)
    chosen = curves[curves["run_id"].isin(wanted)].reset_index(drop=True)
    share = known.curves[known.curves["run_id"].isin(wanted)].groupby("run_id")["step"].max().sum() / known.steps
    own = fresh.seconds if fresh is not None else 0.0
    return replace(
        known,
        quick=quick,
        settings={name: settings for one in both for name, settings in one.settings.items() if name in wanted},
        curves=chosen,
        seconds=known.seconds * min(share, 1.0) + own,
        steps=int(chosen.groupby("run_id")["step"].max().sum()),
        processor=", ".join(dict.fromkeys(one.processor for one in both)),
        failed={name: reason for one in both for name, reason in one.failed.items() if name in wanted},
    )


def kept(found: Recipe, records: Sequence[RunRecord], seconds: float, *, quick: bool) -> Experiment:
    """Return what is kept of trained runs: their accuracies and the curves that the recipe's claims ask for."""
    asked = _asked(found)
    frames = []
    for record in records:
        columns = [name for name in record.columns if name == "step" or name in ALWAYS or name in asked]
        frame = record.curves[columns].astype({name: np.float32 for name in columns if name != "step"})
        frames.append(frame.assign(run_id=record.run_id))
    return Experiment(
        recipe=found.name,
        quick=quick,
        settings={record.run_id: record.config.to_flat() for record in records},
        curves=pd.concat(frames, ignore_index=True),
        seconds=seconds,
        steps=sum(record.steps for record in records),
        processor=str(records[0].environment.get("processor", "unknown")),
        failed={record.run_id: record.reason for record in records if record.outcome is Outcome.FAILED},
        retire=found.sweep(quick=quick).retire,
        measures=found.sweep(quick=quick).measures,
    )


def _asked(found: Recipe) -> set[str]:
    """Return the curves that a recipe's claims ask for."""
    sections = [claim.question.to_section() for claim in found.claims]
    names = ("column", "beside", "first", "then")
    return {str(value) for section in sections for name in names if (value := section.get(name))}


def save(path: Path, experiment: Experiment) -> Path:
    """Write an experiment to one Parquet file, whole or not at all."""
    every = list(experiment.settings.values())
    # Runs differ in few of their settings: those that all share are written once.
    first = every[0] if every else {}
    alike = {name: value for name, value in first.items() if all((name, value) in one.items() for one in every)}
    head = {
        "recipe": experiment.recipe,
        "quick": experiment.quick,
        "command": experiment.command,
        "processor": experiment.processor,
        "seconds": round(experiment.seconds, 1),
        "steps": experiment.steps,
        "failed": dict(experiment.failed),
        "retire": experiment.retire,
        "measures": experiment.measures,
        "alike": alike,
        "settings": {
            run_id: {name: value for name, value in own.items() if name not in alike}
            for run_id, own in experiment.settings.items()
        },
    }
    table = pa.Table.from_pandas(experiment.curves.astype({"run_id": "category"}), preserve_index=False)
    table = table.replace_schema_metadata({HEAD: json.dumps(head, sort_keys=True).encode()})
    with replacing(path) as temporary:
        parquet.write_table(table, temporary, compression="zstd")
    return path


def load(path: Path) -> Experiment:
    """Read an experiment; raises `DataError` in a sentence for a file that is none."""
    try:
        table = parquet.read_table(path)
        head = json.loads((table.schema.metadata or {})[HEAD])
        curves = table.to_pandas().astype({"run_id": str})
        if not {"run_id", "step", *ALWAYS} <= set(curves.columns):
            raise KeyError("curves")
        return Experiment(
            recipe=str(head["recipe"]),
            quick=bool(head["quick"]),
            settings={str(run_id): {**head.get("alike", {}), **own} for run_id, own in head["settings"].items()},
            curves=curves,
            seconds=float(head["seconds"]),
            steps=int(head["steps"]),
            processor=str(head["processor"]),
            failed=dict(head["failed"]),
            retire=head["retire"],
            measures=str(head["measures"]),
        )
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file; grokmap reproduce --published writes it.") from None
    except (OSError, pa.ArrowException, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: holds no kept experiment ({error}); remove it, to run its recipe again.") from None


def is_of(experiment: Experiment, found: Recipe, *, quick: bool) -> bool:
    """Say whether a kept experiment is of the recipe as it is now: run for run, followed and measured alike."""
    own = members(found.sweep(quick=quick))
    paths = {name: settings.get("initialisation.path") for name, settings in experiment.settings.items()}
    donors = {name: Path(path).stem for name, path in paths.items() if found.donor and path}
    return (
        experiment.quick == quick
        and _followed_alike(experiment, found, quick=quick)
        and set(experiment.settings) - set(donors) == {config.run_id for config in own}
        and sorted(donors.values()) == sorted(donor.run_id for donor in _donors(found, own))
    )


def _followed_alike(experiment: Experiment, found: Recipe, *, quick: bool) -> bool:
    """Say whether runs were followed and measured as the recipe says now, and have the curves that it asks for."""
    spec = found.sweep(quick=quick)
    alike = (experiment.retire, experiment.measures) == (spec.retire, spec.measures)
    return alike and _asked(found) <= set(experiment.curves.columns)
