"""Cohort: K runs of one shape trained in lockstep as one stacked computation on one device.

Each run is exactly the run it would have been alone: on a CPU its curves are bit for bit the same in a cohort of any
size, in any company, paused and resumed. What makes it so: the padding of the example axis depends on the run's own
configuration (grokcore/data/bucketing.py), stacked products are computed matrix by matrix, elementwise operations never
leave the vector path (grokcore/numerics/vectors.py), one thread computes, and everything random has a generator of its
own per run (grokcore/numerics/random_streams.py).

Shapes: K runs, N examples (padded to the bucket), L elements of a run's flat parameter vector.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from grokcore.atomic_files import write_bytes
from grokcore.config.per_run import by_step, stacked
from grokcore.data.batch import Batch
from grokcore.data.batches import Batches
from grokcore.engine.checkpoint import from_bytes, read, to_bytes
from grokcore.engine.dropout import Dropout
from grokcore.engine.early_stopping import EarlyStopping
from grokcore.engine.evaluation_schedule import evaluation_steps
from grokcore.engine.grouping import cohort_key
from grokcore.engine.kernels.selection import kernel_for
from grokcore.engine.run_state import RunState
from grokcore.errors import CheckpointError, ConfigError
from grokcore.measures.base import Measure, MeasureChoice, columns_of, defined_measures, take
from grokcore.numerics.flat_parameters import FlatParameters
from grokcore.numerics.random_streams import generator
from grokcore.optimizers.base import OptimizerGroup
from grokcore.records.environment import describe
from grokcore.records.run_record import Outcome, RunRecord
from grokcore.run_config import RunConfig
from grokcore.transforms.base import Weights
from grokcore.views.view import View

SnapshotCallback = Callable[[RunConfig, int, dict[str, Tensor]], None]
"""What takes the weights of a run at the steps at which it is measured."""

STRETCH = 64
"""Steps trained between two looks at the clock, at most."""


@contextlib.contextmanager
def one_thread(device: str) -> Iterator[None]:
    """Compute on one thread with subnormal numbers flushed to zero, as every cohort does; restore the threads after.

    The number of threads changes last bits. Subnormals (below 1e-38, in the moments of a run that has fitted, or in
    the softmax of a certain example) make a processor up to 100 times slower and nothing more exact.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    if device == "cpu":
        torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
        torch.set_num_threads(threads)


class Cohort:
    """K runs in lockstep. Call `advance` until `done`; it returns each run's record when the run is over."""

    def __init__(
        self,
        configs: Sequence[RunConfig],
        device: str = "cpu",
        early_stopping: EarlyStopping | None = None,
        *,
        measures: MeasureChoice = "light",
        on_snapshot: SnapshotCallback | None = None,
    ) -> None:
        keys = {cohort_key(config) for config in configs}
        if len(keys) != 1:
            raise ConfigError([f"a cohort needs runs of one shape, got {len(keys)}: {', '.join(sorted(keys))}"])
        first = configs[0]
        self.configs = tuple(configs)
        self.device, self.early_stopping = device, early_stopping
        self.task, self.model, self.batch = first.task, first.model, first.batch
        self.optimizer, self.transform = first.optimizer, first.transform
        self.dtype = torch.float64 if first.dtype == "float64" else torch.float32
        self.kernel = kernel_for(self.model, self.task, first.loss, dropout=bool(first.dropout))
        self.flat_parameters = FlatParameters.of(self.model.shapes(self.task))
        self.measures = defined_measures(self.task, self.model, measures)
        self._on_snapshot = on_snapshot
        columns = columns_of(self.measures, self.task, self.model)
        self._light = {name: measure for name, measure in self.measures.items() if measure.cost == "light"}
        self.runs = self._everyone = [RunState(config, columns) for config in configs]
        self.step = 0
        self.run_steps = 0
        """Optimizer steps times runs, done so far."""
        self._stops: dict[str, str] = {}
        with one_thread(device):
            drawn = [c.initialisation.initial(self.model, self.task, generator(c.seed, "weights")) for c in configs]
            self.flat = self.flat_parameters.pack(drawn, self.dtype).to(device)
            self.state = {**self.optimizer.state(self.flat), **self.transform.state(self.flat)}
            self._assemble()

    # Running ----------------------------------------------------------------------------------------------------

    @property
    def done(self) -> bool:
        """Say whether every run is over."""
        return not self.runs

    def stop(self, run_id: str, reason: str) -> None:
        """Let a run leave at its next evaluation, censored there."""
        self._stops[run_id] = reason

    def advance(self, seconds: float = math.inf) -> list[RunRecord]:
        """Train until all runs are over, or about `seconds` have passed; return the records of those now over."""
        deadline = time.monotonic() + seconds
        finished: list[RunRecord] = []
        with one_thread(self.device), torch.no_grad():
            if self.step == 0 and self.runs and not self.runs[0].seen:
                finished += self._evaluate()
            while self.runs:
                target = self._next_evaluation()
                self.train_to(min(target, self.step + STRETCH))
                if self.step == target:
                    finished += self._evaluate()
                if time.monotonic() >= deadline:
                    break
        return finished

    def _next_evaluation(self) -> int:
        longest = max(run.config.steps for run in self.runs)
        grid = {step for budget in {longest, *(m.config.steps for m in self.runs)} for step in evaluation_steps(budget)}
        return min(step for step in grid if step > self.step)

    def train_to(self, until: int) -> None:
        """Take optimizer steps up to number `until` without looking at anything; `advance` is the way to train."""
        steps = np.arange(self.step, until)
        moves, changes = self._plan(steps)
        witnessed = torch.empty(len(steps), len(self.runs), dtype=self.dtype, device=self.device)
        for i, step in enumerate(steps.tolist()):
            self.kernel.gradients(self.parameters, self._next_batch(step), self.gradients)
            witnessed[i] = self.gradient[:, self.witness]
            if self.noisy:
                self._add_noise(step)
            self._move(step, [at[i] for at in moves], changes[i])
        self._notice_divergence(witnessed)
        self.step = until
        self.run_steps += len(steps) * len(self.runs)

    def _next_batch(self, step: int) -> Batch:
        """Return what update number `step` learns from."""
        batch = self.batches.next()
        if not self.runs[0].config.dropout:
            return batch
        rates, seeds = zip(*((run.config.dropout, run.config.seed) for run in self.runs), strict=True)
        return replace(batch, drop=Dropout(list(rates), list(seeds), step, self.model.dropped))

    def _plan(self, steps: Any) -> tuple[list[list[dict[str, Tensor]]], list[dict[str, Tensor]]]:
        """Return what the optimizer's parts and the transform need at each of the updates number `steps`."""
        changes = self.transform.coefficients(self.transform_settings, steps)
        return (
            [group.plan(steps, self.device, self.dtype) for group in self.groups],
            by_step(changes, len(steps), 2, self.device, self.dtype),
        )

    def _move(self, step: int, moves: Sequence[Mapping[str, Tensor]], change: Mapping[str, Tensor]) -> None:
        """Move the weights by their gradients."""
        self.transform.change_gradient(self.weights, change, step)
        for group, at in zip(self.groups, moves, strict=True):
            group.move(at)
        self.transform.change_weights(self.weights)

    def _add_noise(self, step: int) -> None:
        for k, run in enumerate(self.runs):
            if run.config.gradient_noise:
                # A generator per step rather than one that goes on: there is nothing to put into a checkpoint.
                own = generator(run.config.seed, f"gradient noise:{step}")
                for gradient in self.gradients.values():
                    noise = torch.randn(gradient.shape[1:], generator=own, dtype=self.dtype).to(self.device)
                    gradient[k].add_(noise, alpha=run.config.gradient_noise)

    def _notice_divergence(self, witnessed: Tensor) -> None:
        """Note from which step on a run's gradients, (T, K) of one weight of the last layer, were not finite."""
        lost = ~torch.isfinite(witnessed)
        for k in lost.any(0).nonzero().flatten().tolist():
            if self.runs[k].diverged < 0:
                self.runs[k].diverged = self.step + int(lost[:, k].int().argmax())

    # Evaluating ---------------------------------------------------------------------------------------------------

    def _evaluate(self) -> list[RunRecord]:
        """Look at every run whose clock says so; return the records of those that are over, and let them leave."""
        finite = torch.isfinite(self.flat).all(1)
        losses, right = self.kernel.examine(self.parameters, self.everything)
        losses = losses.double()
        splits = (self.batches.train_counts, self.batches.val_counts)
        seen = [total for counts in splits for total in _means(losses, right, counts)]
        rows = torch.stack(seen, dim=1).tolist()
        due = [run for run in self.runs if self.step in run.evaluations]
        alive = {
            id(m): f and all(map(math.isfinite, r)) for m, f, r in zip(self.runs, finite.tolist(), rows, strict=True)
        }
        by_member = {id(run): row for run, row in zip(self.runs, rows, strict=True)}
        view = self.view()
        measured = self._measured(view, due)
        over: dict[int, tuple[Outcome, str]] = {}
        for run in due:
            run.see(self.step, by_member[id(run)], measured[id(run)])
            if (ended := self._ending(run, finite=alive[id(run)])) is not None:
                over[id(run)] = ended
        self._hand_out_snapshots(over)
        if not over:
            return []
        records = []
        for k, run in enumerate(self.runs):
            if id(run) in over:
                # The last row always has the measures.
                row = measured[id(run)] if self.step in run.looks else take(self.measures, view.only(k))[0]
                outcome, reason = over[id(run)]
                step = self._last_step(run, outcome)
                run.see(step, by_member[id(run)], row)
                records.append(run.record(outcome, self.environment, reason))
        self._compact([i for i, run in enumerate(self.runs) if id(run) not in over])
        return records

    def _ending(self, run: RunState, *, finite: bool) -> tuple[Outcome, str] | None:
        outcome = run.outcome(self.step, self.early_stopping, finite=finite)
        reason = self._stops.get(run.config.run_id)
        if outcome is None and reason is not None:
            return Outcome.STOPPED, reason
        return None if outcome is None else (outcome, "")

    def _last_step(self, run: RunState, outcome: Outcome) -> int:
        """Return the step that a run's last row is of: the present one, or an earlier one at which it diverged."""
        if outcome is not Outcome.DIVERGED or run.diverged < 0:
            return self.step
        run.seen.pop()
        # A gradient may overflow where the loss seen at the same step did not; the weights are lost one step later.
        return max(run.diverged, int(run.seen[-1][0]) + 1 if run.seen else 0)

    def _measured(self, view: View, due: Sequence[RunState]) -> dict[int, dict[str, float]]:
        """Return what is measured now of some runs, by identity: all, light measures alone, or nothing."""
        nothing: dict[str, Measure] = {}
        wanted = {
            id(m): self.measures if self.step in m.looks else self._light if self.step in m.measurements else nothing
            for m in due
        }
        rows = take(max(wanted.values(), key=len, default=nothing), view)
        return {
            id(m): {name: row[name] for name in columns_of(wanted[id(m)], self.task, self.model) if name in row}
            for m, row in zip(self.runs, rows, strict=True)
            if id(m) in wanted
        }

    def _hand_out_snapshots(self, over: Mapping[int, Any]) -> None:
        """Hand out the weights of runs that are measured now, or over."""
        if self._on_snapshot is not None:
            for k, run in enumerate(self.runs):
                if self.step in run.measurements or id(run) in over:
                    self._on_snapshot(run.config, self.step, self.weights_of(k))

    def weights_of(self, k: int) -> dict[str, Tensor]:
        """Return a copy of the weights of run number `k`."""
        return {name: value[k].detach().cpu().clone() for name, value in self.parameters.items()}

    def view(self) -> View:
        """Return what measures may look at now."""
        return View(
            task=self.task,
            model=self.model,
            kernel=self.kernel,
            parameters=self.parameters,
            everything=self.everything,
            rows=self.batches.rows,
            train_counts=self.batches.train_counts,
            val_counts=self.batches.val_counts,
            training_set=self.batches.training_set,
            update=self._next_update,
        )

    def _next_update(self, gradients: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return what a step with these gradients would add to the weights, and leave everything as it is."""
        before = {"flat": self.flat, "gradient": self.gradient, **self.state}
        copies = {name: value.clone() for name, value in before.items()}
        try:
            for name, value in gradients.items():
                self.gradients[name].copy_(value)
            moves, changes = self._plan(np.array([self.step]))
            self._move(self.step, [at[0] for at in moves], changes[0])
            return self.flat_parameters.views(self.flat - copies["flat"])
        finally:
            for name, value in before.items():
                value.copy_(copies[name])

    # Pausing ------------------------------------------------------------------------------------------------------

    def to_bytes(self) -> bytes:
        """Return everything that decides the rest of the runs, to be read by `from_bytes`."""
        tensors = {"flat": self.flat, **{f"state.{name}": value for name, value in self.state.items()}}
        for i, run in enumerate(self.runs):
            tensors |= {f"run.{i}.{name}": value for name, value in run.tensors().items()}
        facts = {
            "step": self.step,
            "names": [list(run.names) for run in self._everyone[:1]],
            "run_steps": self.run_steps,
            "all": sorted({config.run_id for config in self.configs}),
            "left": [run.config.run_id for run in self.runs],
        }
        return to_bytes({name: value.cpu() for name, value in tensors.items()}, facts)

    @classmethod
    def from_bytes(
        cls,
        data: bytes,
        configs: Sequence[RunConfig],
        device: str = "cpu",
        early_stopping: EarlyStopping | None = None,
        *,
        measures: MeasureChoice = "light",
        on_snapshot: SnapshotCallback | None = None,
    ) -> Cohort:
        """Return the cohort of `configs` as it was; runs that were over stay over. Raises `CheckpointError`."""
        tensors, facts = from_bytes(data)
        if facts.get("all") != sorted({config.run_id for config in configs}):
            raise CheckpointError("the checkpoint is of other runs; delete it to start these from their beginning.")
        cohort = cls(configs, device, early_stopping, measures=measures, on_snapshot=on_snapshot)
        if facts.get("names") != [list(run.names) for run in cohort.runs[:1]]:
            raise CheckpointError("the checkpoint has other measures; delete it to start these runs again.")
        try:
            left = {run_id: i for i, run_id in enumerate(facts["left"])}
            indices = [i for i, config in enumerate(configs) if config.run_id in left]
            order = [left[configs[i].run_id] for i in indices]
            cohort.flat = tensors["flat"][order].to(device)
            cohort.state = {name: tensors[f"state.{name}"][order].to(device) for name in cohort.state}
            cohort.runs = [cohort.runs[i] for i in indices]
            for run, i in zip(cohort.runs, order, strict=True):
                run.restore({name: tensors[f"run.{i}.{name}"] for name in run.tensors()})
            cohort.step, cohort.run_steps = int(facts["step"]), int(facts["run_steps"])
        except (KeyError, IndexError, RuntimeError, ValueError, TypeError, OverflowError) as error:
            raise CheckpointError(f"the checkpoint does not hold these runs ({error}); delete it.") from error
        if cohort.runs:
            with one_thread(device):
                cohort._assemble()
        return cohort

    def save(self, path: Path | str) -> None:
        """Write a checkpoint whole or not at all."""
        write_bytes(Path(path), self.to_bytes())

    @classmethod
    def load(
        cls,
        path: Path | str,
        configs: Sequence[RunConfig],
        device: str = "cpu",
        early_stopping: EarlyStopping | None = None,
        *,
        measures: MeasureChoice = "light",
        on_snapshot: SnapshotCallback | None = None,
    ) -> Cohort:
        """Read a checkpoint that `save` wrote; see `from_bytes`."""
        return cls.from_bytes(
            read(Path(path)), configs, device, early_stopping, measures=measures, on_snapshot=on_snapshot
        )

    # Stacking -------------------------------------------------------------------------------------------------------

    def _compact(self, indices: list[int]) -> None:
        """Go on with some of the runs only."""
        self.runs = [self.runs[i] for i in indices]
        chosen = torch.tensor(indices, dtype=torch.long, device=self.device)
        self.flat = self.flat[chosen]
        self.state = {name: value[chosen] for name, value in self.state.items()}
        if self.runs:
            self._assemble()

    def _assemble(self) -> None:
        """Make everything that is stacked from the runs."""
        self.environment = describe(self.device, str(self.dtype).removeprefix("torch."))
        self.parameters = self.flat_parameters.views(self.flat)
        self.gradient = torch.zeros_like(self.flat)
        self.gradients = self.flat_parameters.views(self.gradient)
        self.weights = Weights(self.flat, self.gradient, self.parameters, self.gradients, self.state)
        self.witness = list(self.flat_parameters.offsets.values())[-1]
        self.noisy = any(run.config.gradient_noise for run in self.runs)
        self.transform_settings = stacked([run.config.transform for run in self.runs])
        settings = stacked([run.config.optimizer for run in self.runs])
        parts = self.optimizer.parameter_groups(
            settings,
            self.flat_parameters,
            self.model.hidden(self.task),
            outputs_first=self.model.outputs_first,
        )
        self.groups = [OptimizerGroup(part, self.flat, self.gradient, self.state) for part in parts]
        self.batches = Batches([run.examples for run in self.runs], self.device, self.dtype)
        self.examples, self.everything = self.batches.full, self.batches.everything


def _means(losses: Tensor, right: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """Return each run's mean loss and its accuracy over examples that occur `counts` times; all (K, D)."""
    total = counts.sum(1)
    return (losses * counts).sum(1) / total, (right * counts).sum(1).double() / total
