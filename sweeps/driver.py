"""Driver: which cohort comes next and what to do with what comes back; knows nothing of processes.

Ask and tell, no more: `next_cohort` hands out a cohort, `receive` takes finished runs, `ended` says that a cohort is
over, well or not. Ray Tune runs it in `sweeps.execution.searcher`; a test or a simulation may run it in a loop.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import numpy as np
from optuna.trial import TrialState

from grokcore.errors import GrokmapError
from grokcore.records.milestones import Milestone
from grokcore.records.run_record import Outcome, RunRecord
from grokcore.run_config import RunConfig
from sweeps.expectations import Expectations
from sweeps.goal_watch import GoalWatch
from sweeps.new_points import SpaceExhaustedError
from sweeps.stopping.base import Expected
from sweeps.store.lines import damaged
from sweeps.store.reported_run import ReportedRun
from sweeps.store.run_store import Asked, Store
from sweeps.study import ask, inside, milestones_of, note, params_of, rebuild, tell_outcome, told_of

R = TypeVar("R", RunRecord, ReportedRun)

WIDE_WAVE: Final = 1024
"""Runs asked for at a time where the choice does not depend on results: many, so that cohorts are full."""

HOPELESS: Final = 6
"""Cohorts that fail, before any run has ever finished, after which the sweep gives up: it is not the runs' fault."""


class SweepFailedError(GrokmapError):
    """No run can be trained at all; the text is the reason that the workers gave."""


@dataclass(frozen=True, kw_only=True)
class CohortTask:
    """Runs of one shape, to be trained in lockstep."""

    name: str
    """Identity of the cohort: a hash of its members' in their order."""
    configs: tuple[RunConfig, ...]
    """Its members."""
    expected: Mapping[str, Expected] = field(default_factory=dict)
    """What the runs that were over said of each, by identity; of none where no rule of stopping asks."""


class Driver:
    """The state of one running sweep: study, store, runs that wait and cohorts that are out."""

    def __init__(
        self,
        store: Store,
        *,
        key: Callable[[RunConfig], str],
        width: Callable[[RunConfig], int],
        slots: Callable[[], int] = lambda: 1,
        forget: Callable[[str], None] | None = None,
        known: Callable[[RunRecord], object] | None = None,
        say: Callable[[str], object] = lambda _: None,
    ) -> None:
        self.store, self.spec = store, store.spec
        self._key, self._width, self._slots = key, width, slots
        self._forget = forget or store.forget
        self._space = self.spec.whole_space
        self._distributions = self.spec.chosen_space.distributions
        self._goal = GoalWatch(self.spec, say)
        self._say = say
        self._steps = 0
        self._told: dict[str, tuple[Outcome, Milestone, Milestone]] = {}
        self._numbers: defaultdict[str, list[int]] = defaultdict(list)
        self._waiting: defaultdict[str, dict[str, RunConfig]] = defaultdict(dict)
        self._first: deque[list[RunConfig]] = deque()
        self._out: dict[str, CohortTask] = {}
        self._held: dict[str, RunConfig] = {}
        self._places: Counter[str] = Counter()
        self._running = 0
        self._over: set[str] = set()
        self._failed: list[RunRecord] = []
        self._errors = 0
        self._losses: defaultdict[str, int] = defaultdict(int)
        self._alive = False
        self._wanted, self._looked = store.wanted, -1
        self._expectations = Expectations(self.spec, store.expected())
        self._considered: RunConfig
        for record in self.store.records():
            self._remember(record)
            if known is not None:
                # Records are long: who else wants to know them is told while they are read.
                known(record)
        self._restore()

    def _restore(self) -> None:
        asked = self.store.asked()
        sampler = self.spec.built_sampler.build(self.spec.problem)
        self.study = rebuild(sampler, self._distributions, asked, self._told, self.spec.rule.budget)
        # Older sweeps may have chosen a run twice.
        self.asked = len({item.run_id for item in asked})
        unfinished: dict[str, RunConfig] = {}
        for number, item in enumerate(asked):
            if item.run_id not in self._told:
                config = unfinished[item.run_id] = self._space.config(item.params)
                if config.run_id != item.run_id:
                    self._refuse(number, item)
                # A run elsewhere than where runs are chosen now is waited for, but the sampler is not told of it.
                self._numbers[item.run_id] += [number] if inside(self._distributions, item.params) else []
        # Cohorts with a checkpoint go on as they were, finished members and all: a checkpoint fits its members only.
        everyone = {item.run_id: item for item in asked}
        for name, run_ids in self.store.cohorts().items():
            if not any(run_id in unfinished for run_id in run_ids):
                self._forget(name)
            elif all(run_id in everyone for run_id in run_ids):
                self._first.append([self._space.config(everyone[run_id].params) for run_id in run_ids])
                for run_id in run_ids:
                    unfinished.pop(run_id, None)
        for config in unfinished.values():
            self._wait(config)

    def _refuse(self, number: int, item: Asked) -> None:
        error = ValueError(f"its parameters are not those of run {item.run_id}, or another version of Grokmap chose it")
        raise damaged(self.store.path / "asked.jsonl", number + 1, error, "another run is then chosen in its place")

    @property
    def finished(self) -> bool:
        """Whether every run of the sweep is in the store."""
        return self.asked >= self.wanted and not self._numbers and not self._out

    @property
    def wanted(self) -> int:
        """Return how many runs are asked for: those of the specification, or as many as its goal took."""
        return self._wanted

    @property
    def running(self) -> int:
        """Return how many runs are being trained now."""
        return self._running

    @property
    def cohorts_out(self) -> int:
        """Return how many cohorts are handed out and not over."""
        return len(self._out)

    def next_cohort(self) -> CohortTask | None:
        """Return the next cohort to train; None when nothing can be handed out now (see `finished`)."""
        asked = self.asked
        if not self._first:
            self._refill()
        if self._first:
            configs = self._first.popleft()
        elif not any(self._waiting.values()):
            return None
        else:
            configs = self._group()
        ids = _ids(configs)
        name = _name(ids)
        while name in self._over:
            # These very runs were a cohort before: what is still on its way from then is not for this one.
            name = _name([name])
        expected = self._expectations.of(
            ids,
            self._params_of,
            self._results,
            self.store.records,
            chosen=self.asked > asked,
            waiting=lambda: itertools.chain.from_iterable(self._waiting.values()),
        )
        task = CohortTask(name=name, configs=tuple(configs), expected=expected)
        self._out[task.name] = task
        self._held |= {config.run_id: config for config in configs}
        self._count(ids, 1)
        self.store.hand_out(task.name, ids, expected)
        return task

    def _params_of(self, run_id: str) -> Mapping[str, Any] | None:
        """Return the parameters of a run that is not over; None where it lies outside of where runs are chosen now."""
        numbers = self._numbers.get(run_id)
        return params_of(self.study, numbers[0]) if numbers else None

    def _count(self, run_ids: Iterable[str], change: int) -> None:
        """Count unfinished runs of a cohort that goes out (1) or comes back (-1); a run may be in two."""
        for run_id in run_ids:
            if run_id not in self._told:
                self._places[run_id] += change
                self._running += change

    def reported(self, values: Mapping[str, Any]) -> ReportedRun:
        """Return the finished run that a worker reported."""
        return ReportedRun.of(values, self._held.get(values["run_id"]))

    def receive(self, records: Iterable[R]) -> list[R]:
        """Store finished runs and tell the study; return those that are new. The same run may come twice."""
        new = self.store.add(records)
        for record in new:
            self._remember(record)
            self._running -= self._places.pop(record.run_id, 0)
            self._held.pop(record.run_id, None)
            for number in self._numbers.pop(record.run_id, ()):
                self._tell_known(number, record.run_id)
            if record.outcome is not Outcome.FAILED:
                self._alive = True
        return new

    def lost(self, name: str) -> bool:
        """Take back a cohort whose worker died, to be gone on with from its checkpoint before anything else.

        Return False if there is nothing left to do in it, or if it lost more workers than the sweep retries.
        """
        self._losses[name] += 1
        configs = self._out[name].configs
        if self._losses[name] > self.spec.retries or all(run_id in self._told for run_id in _ids(configs)):
            return False
        del self._out[name]
        self._count(_ids(configs), -1)
        self._first.appendleft(list(configs))
        return True

    def progressed(self, name: str) -> None:
        """Note that a cohort's worker has done something that is kept: losing it afterwards is no reason to give up."""
        self._losses.pop(name, None)

    def ended(self, name: str, error: str | None = None) -> list[RunRecord]:
        """Take back a cohort that is over; return the runs that must be given up.

        After an error each unfinished member is tried again alone, so that one bad run does not take its neighbours
        with it; a run that fails alone is recorded as failed, with `error` as its reason.
        """
        task = self._out.pop(name)
        self._count(_ids(task.configs), -1)
        missing = [config for config in task.configs if config.run_id not in self._told]
        self._over.add(name)
        self._forget(name)
        if error is None:
            for config in missing:
                self._wait(config)
        else:
            self._errors += 1
            if len(task.configs) > 1:
                self._first.extend([config] for config in missing)
            else:
                self._failed += [_failed(config, error) for config in missing]
            if self._errors >= HOPELESS and not self._alive:
                raise SweepFailedError(f"no run could be trained: {error}")
        return self._give_up()

    def _give_up(self) -> list[RunRecord]:
        # Failed runs are written down only once some run has finished: before that it may be the workers' fault.
        if not self._alive:
            return []
        failed, self._failed = self._failed, []
        return self.receive(failed)

    def close(self) -> None:
        """Write down what is left, at the end of a sweep, and say why a goal was not reached."""
        self._alive = self._alive or self.asked >= self.wanted
        self._give_up()
        if self.spec.until is not None and self.finished and not self.store.reached:
            finished = self._results()
            if self._goal.enough(finished, self._steps, 0):
                self._reach()
            elif verdict := self._goal.verdict(finished):
                self._say(verdict)

    def _refill(self) -> None:
        """Ask the sampler for a wave when too few runs wait."""
        adaptive = self.spec.built_sampler.adaptive
        waiting = sum(map(len, self._waiting.values()))
        by_waves = adaptive or self.spec.until is not None
        while self.asked < self.wanted and waiting < (1 if by_waves else WIDE_WAVE // 2):
            if self._enough():
                return
            wave = min(self.spec.wave if by_waves else WIDE_WAVE, self.wanted - self.asked)
            waiting += self._ask(wave)

    def _enough(self) -> bool:
        """Look whether the goal is reached before another wave is asked for; if it is, no more runs are wanted."""
        if self.spec.until is None or self.asked == self._looked:
            return False
        self._looked = self.asked
        if not self._goal.enough(self._results(), self._steps, len(self._numbers)):
            return False
        self._reach()
        return True

    def _reach(self) -> None:
        self._wanted = self.asked
        self.store.reach(self.asked, self._goal.said)
        self._say(f"{self.spec.until} is reached: {self._goal.said}")

    def _results(self) -> list[tuple[Mapping[str, Any], Milestone, Milestone]]:
        """Return parameters and milestones of the finished runs that the sampler knows."""
        trials = self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        return [(trial.params, *times) for trial in trials if (times := milestones_of(trial)) is not None]

    def _ask(self, wave: int) -> int:
        """Ask for `wave` runs that nobody asked for yet; return how many the space still had."""
        chosen: list[tuple[int, dict[str, Any], RunConfig]] = []
        exhausted = ""
        try:
            for _ in range(wave):
                # Whether a run is known was asked of the one that was chosen last of all.
                number, params = ask(self.study, self._distributions, self._is_known)
                config = self._considered
                note(self.study, number, run_id=config.run_id)
                self._numbers[config.run_id].append(number)
                chosen.append((number, params, config))
        except SpaceExhaustedError as error:
            self._wanted, exhausted = self.asked + len(chosen), str(error)
        self.store.ask(Asked(number=number, params=params, run_id=config.run_id) for number, params, config in chosen)
        self.asked += len(chosen)
        for _, _, config in chosen:
            self._wait(config)
        if exhausted:
            said = f"{self._wanted:,} runs, not {self.spec.runs:,}: {exhausted}"
            self.store.exhaust(self._wanted, said)
            self._say(said)
        return len(chosen)

    def _is_known(self, params: Mapping[str, Any]) -> bool:
        """Say whether a run was chosen before, finished or not."""
        self._considered = self._space.config(params)
        return self._considered.run_id in self._told or self._considered.run_id in self._numbers

    def _tell_known(self, number: int, run_id: str) -> None:
        outcome, mem, gen = self._told[run_id]
        tell_outcome(self.study, number, outcome, mem, gen, self.spec.rule.budget)

    def _group(self) -> list[RunConfig]:
        """Take a cohort's worth of runs from the largest group of one shape."""
        key = max(self._waiting, key=lambda k: len(self._waiting[k]))
        group = self._waiting[key]
        width = self._width(next(iter(group.values())))
        if self.asked >= self.wanted:
            # Near the end narrow cohorts keep all slots busy.
            width = min(width, math.ceil(sum(map(len, self._waiting.values())) / max(1, self._slots())))
        taken = [group.pop(run_id) for run_id in list(group)[:width]]
        if not group:
            del self._waiting[key]
        return taken

    def _wait(self, config: RunConfig) -> None:
        self._waiting[self._key(config)][config.run_id] = config

    def _remember(self, record: RunRecord | ReportedRun) -> None:
        self._told[record.run_id] = told_of(record, self.spec.rule.threshold)
        self._steps += record.steps


def _name(words: Sequence[str]) -> str:
    return hashlib.sha256("".join(words).encode()).hexdigest()[:16]


def _ids(configs: Sequence[RunConfig]) -> list[str]:
    return [config.run_id for config in configs]


def _failed(config: RunConfig, error: str) -> RunRecord:
    columns = {"step": np.array([], dtype=np.int64)}
    return RunRecord(config=config, outcome=Outcome.FAILED, columns=columns, reason=error)
