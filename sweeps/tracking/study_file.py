"""The Optuna study of a sweep in a file, `optuna.log`, for `optuna-dashboard` and `optuna.load_study`: a mirror.

It is written by Optuna's own journal storage, a batch at a time, by one process. Lost, damaged, or of another space
than the sweep has, it is made anew from what the sweep wrote down.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend, JournalFileBackend
from optuna.trial import TrialState, create_trial

from grokcore.records.run_record import Outcome, RunRecord
from sweeps.spec.sweep_spec import SweepSpec
from sweeps.store.run_store import read_asked, read_records
from sweeps.study import objective

FILE: Final = "optuna.log"
"""Name of the file in a sweep's folder."""
REPORTED: Final = 12
"""Validation accuracies of a run that are kept as intermediate values, spread over the logarithm of its steps."""
STATES: Final[Mapping[Outcome, TrialState]] = {Outcome.FAILED: TrialState.FAIL, Outcome.STOPPED: TrialState.PRUNED}
"""What becomes of a run that is not complete to Optuna; one that never generalised is complete, and censored."""
METRIC: Final = "log10 t_gen"


class BatchedJournal(BaseJournalBackend):
    """A journal in memory that is written to its file in one piece: the file's own writes to disk take milliseconds."""

    def __init__(self, path: Path) -> None:
        self._file = JournalFileBackend(str(path))
        if path.read_bytes()[-1:] not in (b"", b"\n"):
            raise ValueError("its last line is torn")
        self._logs = list(self._file.read_logs(0))
        self._written = len(self._logs)

    def read_logs(self, log_number_from: int) -> list[dict[str, Any]]:
        """Return what there is from a number on."""
        return self._logs[log_number_from:]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Keep what is to be written."""
        # As it will be read.
        self._logs += [json.loads(json.dumps(log)) for log in logs]

    def flush(self) -> None:
        """Write it."""
        if new := self._logs[self._written :]:
            self._file.append_logs(new)
            self._written = len(self._logs)


class StudyFile:
    """The study of the sweep in folder `path`, in its file; a trial is a run that was asked for, under its number.

    `page` says where MLflow shows a run, by its identity; None where that is not known.
    """

    def __init__(self, path: Path, page: Callable[[str], str | None] = lambda _: None) -> None:
        self._path, self._page = path, page
        self.spec = SweepSpec.from_toml(path / "spec.toml")
        self._distributions = self.spec.whole_space.distributions
        self._numbers: dict[str, list[int]] = {}
        self._open: set[int] = set()
        self._size = -1
        try:
            self._begin()
        except Exception:  # whatever is wrong with the file, it can be made anew
            self._anew()

    def _anew(self) -> None:
        (self._path / FILE).unlink(missing_ok=True)
        self._numbers, self._open = {}, set()
        self._begin()

    def _begin(self) -> None:
        self._journal = BatchedJournal(self._path / FILE)
        self._storage = JournalStorage(self._journal)
        name = self.spec.name
        if optuna.get_all_study_names(self._storage):
            self._study = optuna.load_study(storage=self._storage, study_name=name)
        else:
            self._study = optuna.create_study(storage=self._storage, study_name=name)
        attributes = self._study.user_attrs
        for key, value in {"rule": self.spec.rule.sentence(), "sampler": self.spec.sampler}.items():
            if attributes.get(key) != value:
                self._study.set_user_attr(key, value)
        if self._study.metric_names != [METRIC]:
            with warnings.catch_warnings():
                # Experimental to Optuna since 3.2; without it axes are called "Objective Value".
                warnings.simplefilter("ignore", ExperimentalWarning)
                self._study.set_metric_names([METRIC])
        there = self._study.get_trials(deepcopy=False)
        asked = read_asked(self._path, self.spec)
        for number, (trial, item) in enumerate(zip(there, asked, strict=False)):
            if trial.user_attrs.get("run_id") != item.run_id or trial.distributions != self._distributions:
                raise ValueError(f"trial {number} is not the run that was asked for")
            self._know(number, item.run_id, unfinished=not trial.state.is_finished())
        if len(there) > len(asked):
            raise ValueError("there are more trials than runs were asked for")

    def _know(self, number: int, run_id: str, *, unfinished: bool) -> None:
        self._numbers.setdefault(run_id, []).append(number)
        if unfinished:
            self._open.add(number)

    def write(self, records: Iterable[RunRecord]) -> None:
        """Write what was asked for since the last time, and finished runs; those that are there change nothing."""
        self._ask()
        for record in records:
            for number in self._numbers.get(record.run_id, ()):
                if number in self._open:
                    self._tell(number, record)
                    self._open.discard(number)
        self._journal.flush()

    def close(self) -> None:
        """Mark the file as newer than all that it was made of."""
        (self._path / FILE).touch()

    def _ask(self) -> None:
        asked = self._path / "asked.jsonl"
        size = asked.stat().st_size if asked.exists() else -1
        if size == self._size:
            return
        self._size = size
        known = sum(map(len, self._numbers.values()))
        for number, item in enumerate(read_asked(self._path, self.spec)[known:], start=known):
            self._study.add_trial(
                create_trial(
                    state=TrialState.RUNNING,
                    params=dict(item.params),
                    distributions=self._distributions,
                    user_attrs={"run_id": item.run_id},
                )
            )
            self._know(number, item.run_id, unfinished=True)

    def _tell(self, number: int, record: RunRecord) -> None:
        trial_id = self._storage.get_trial_id_from_study_id_trial_number(self._study._study_id, number)
        threshold, budget = self.spec.rule.threshold, self.spec.rule.budget
        mem, gen = record.milestone("train", threshold), record.milestone("val", threshold)
        attributes: dict[str, Any] = {"outcome": str(record.outcome), "last_step": record.steps}
        if record.reason:
            attributes["reason"] = record.reason
        if (page := self._page(record.run_id)) is not None:
            attributes["mlflow"] = page
        if record.outcome is not Outcome.FAILED:
            attributes |= {"regime": record.verdict_under(self.spec.rule), "censored": not gen.event}
            attributes |= {name: at.step for name, at in (("t_mem", mem), ("t_gen", gen)) if at.event}
        for key, value in attributes.items():
            self._storage.set_trial_user_attr(trial_id, key, value)
        for step, accuracy in _reported(record):
            self._storage.set_trial_intermediate_value(trial_id, step, accuracy)
        state = STATES.get(record.outcome, TrialState.COMPLETE)
        if state is TrialState.PRUNED and gen.event:
            state = TrialState.COMPLETE
        values = [objective(gen, budget if record.outcome is Outcome.STOPPED else 0)]
        self._storage.set_trial_state_values(trial_id, state, values if state is TrialState.COMPLETE else None)


def _reported(record: RunRecord) -> Sequence[tuple[int, float]]:
    steps = np.asarray(record.columns["step"])
    accuracy = np.asarray(record.columns.get("val_accuracy", np.full(len(steps), np.nan)), dtype=float)
    known = np.flatnonzero(np.isfinite(accuracy))
    if not len(known):
        return []
    marks = np.log1p(steps[known])
    wanted = np.linspace(marks[0], marks[-1], REPORTED)
    places = np.unique(np.abs(marks[None, :] - wanted[:, None]).argmin(axis=1))
    return [(int(steps[known][place]), float(accuracy[known][place])) for place in places]


def write_study(path: Path, page: Callable[[str], str | None] = lambda _: None) -> None:
    """Write what the study of the sweep in folder `path` lacks."""
    study = StudyFile(path, page)
    study.write(read_records(path))
    study.close()
