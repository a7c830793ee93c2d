"""Cohort: K runs of one shape trained in lockstep as one stacked computation on one device.

Each run is exactly the run it would have been alone: on a CPU its curves are bit for bit the same in a cohort of any
size, in any company, paused and resumed. What makes it so: the padding of the example axis depends on the run's own
configuration (grokcore/data/bucketing.py), stacked products are computed matrix by matrix, elementwise operations never
leave the vector path (grokcore/numerics/vectors.py), one thread computes, and everything random has a generator of its
own per run (grokcore/numerics/random_streams.py).

On a GPU the same card, versions and cohort give the same bits; in other company a run is the same to float rounding.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grokcore.atomic_files import write_bytes
from grokcore.data.batch import Batch
from grokcore.data.layouts import LAYOUTS
from grokcore.engine.checkpoint import from_bytes, read, to_bytes
from grokcore.engine.devices.base import Device
from grokcore.engine.devices.named import device_named
from grokcore.engine.early_stopping import EarlyStopping
from grokcore.engine.evaluation_schedule import evaluation_steps
from grokcore.engine.grouping import cohort_key, default_layout
from grokcore.engine.judging import Judge, judged, remarked
from grokcore.engine.kernels.base import Kernel
from grokcore.engine.run_state import RunState
from grokcore.engine.stack import STRETCH, Noted, Stack, kept_as
from grokcore.errors import CheckpointError, ConfigError
from grokcore.lazy_torch import torch
from grokcore.measures.base import Measure, MeasureChoice, columns_of, defined_measures, take
from grokcore.numerics.flat_parameters import FlatParameters
from grokcore.numerics.random_streams import generator
from grokcore.records.environment import describe
from grokcore.records.run_record import Ending, Outcome, RuledOut, RunRecord
from grokcore.run_config import RunConfig
from grokcore.views.view import View

if TYPE_CHECKING:
    from torch import Tensor

SnapshotCallback = Callable[[RunConfig, int, dict[str, "Tensor"]], None]
"""What takes the weights of a run at the steps at which it is measured."""


class Cohort:
    """K runs in lockstep. Call `advance` until `done`; it returns each run's record when the run is over."""

    def __init__(
        self,
        configs: Sequence[RunConfig],
        device: str | Device = "cpu",
        early_stopping: EarlyStopping | None = None,
        *,
        measures: MeasureChoice = "light",
        on_snapshot: SnapshotCallback | None = None,
        layout: str | None = None,
        judge: Judge | None = None,
    ) -> None:
        first = configs[0]
        self.configs = tuple(configs)
        self.device = device if isinstance(device, Device) else device_named(device)
        self.layout = default_layout(first, self.device) if layout is None else layout
        keys = {cohort_key(config, self.layout) for config in configs}
        if len(keys) != 1:
            raise ConfigError([f"a cohort needs runs of one shape, got {len(keys)}: {', '.join(sorted(keys))}"])
        self.device.check(first)
        self.early_stopping = early_stopping
        self._measures, self._judge = measures, judge
        self.task, self.model, self.dtype_name = first.task, first.model, first.dtype
        self.measures = defined_measures(self.task, self.model, measures)
        self._on_snapshot = on_snapshot
        columns = columns_of(self.measures, self.task, self.model)
        self._light = {name: measure for name, measure in self.measures.items() if measure.cost == "light"}
        examples = LAYOUTS[self.layout].of_run
        self.runs = self._everyone = [RunState(config, examples(config), columns) for config in configs]
        """Those stacked now; on a device where it does not pay to take out each run that is over, some of them are."""
        self.step = 0
        self.run_steps = 0
        """Optimizer steps times runs, done so far."""
        self._stops: dict[str, tuple[int, Ending]] = {}
        self.environments: list[dict[str, Any]] = []
        """Where the runs were trained, in order: what `describe` says, and `from_step`."""
        with self.computing():
            self.stack = self._new_stack()

    def _new_stack(self) -> Stack:
        """Return the stack of all runs at their beginning."""
        drawn = [c.initialisation.initial(self.model, self.task, generator(c.seed, "weights")) for c in self.configs]
        flat = FlatParameters.of(self.model.shapes(self.task)).pack(drawn, kept_as(self.configs[0]))
        self._note_environment()
        return Stack.begun(self.layout, [run.examples for run in self.runs], flat.to(self.device.torch), self.device)

    def computing(self) -> Any:
        """Make the device ready to compute, as everything that trains or looks at the runs must."""
        return self.device.computing(self.dtype_name)

    def _note_environment(self) -> None:
        facts = {**self.device.facts(), "layout": self.layout}
        here = describe(self.device.name, facts, self.dtype_name)
        before = {name: value for name, value in (self.environments or [{}])[-1].items() if name != "from_step"}
        if here != before:
            self.environments.append({**here, "from_step": self.step})

    # What is stacked ------------------------------------------------------------------------------------------------

    @property
    def flat(self) -> Tensor:
        """All weights, (K, L)."""
        return self.stack.flat

    @property
    def kernel(self) -> Kernel:
        """What computes losses and gradients."""
        return self.stack.kernel

    @property
    def everything(self) -> Batch:
        """Every distinct example of every run."""
        return self.stack.everything

    @property
    def parameters(self) -> Mapping[str, Tensor]:
        """Views of them by name, (K, *shape)."""
        return self.stack.parameters

    # Running ----------------------------------------------------------------------------------------------------

    @property
    def done(self) -> bool:
        """Say whether every run is over."""
        return not self.runs

    def stop(self, run_id: str, reason: str, at: int = 0, ruled_out: RuledOut | None = None) -> None:
        """Let a run leave at its next evaluation, at step `at` or later, censored there."""
        self._stops[run_id] = at, Ending(Outcome.STOPPED, reason, *(ruled_out or RuledOut()))

    def advance(self, seconds: float = math.inf) -> list[RunRecord]:
        """Train until all runs are over, or about `seconds` have passed; return the records of those now over."""
        deadline = time.monotonic() + seconds
        finished: list[RunRecord] = []
        with self.computing(), torch.no_grad():
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
        going = [run for run in self.runs if not run.over]
        longest = max(run.config.steps for run in going)
        grid = {step for budget in {longest, *(run.config.steps for run in going)} for step in evaluation_steps(budget)}
        return min(step for step in grid if step > self.step)

    def train_to(self, until: int) -> None:
        """Take optimizer steps up to number `until` without looking at anything; `advance` is the way to train."""
        while self.step < until:
            steps = min(STRETCH, until - self.step)
            self._read(self.stack.train(self.step, steps))
            self.step += steps
            self.run_steps += steps * sum(not run.over for run in self.runs)

    def _read(self, noted: Noted) -> None:
        """Note from which step on a run's gradients were not finite, and accuracies where all examples were seen."""
        lost = ~torch.isfinite(noted.witness)
        for k in lost.any(0).nonzero().flatten().tolist():
            if self.runs[k].diverged < 0:
                self.runs[k].diverged = self.step + int(lost[:, k].int().argmax())
        if noted.right is not None:
            counts = torch.stack(
                [self.stack.examples.train_counts.sum(1), self.stack.examples.val_counts.sum(1)], dim=1
            )
            accuracies = (noted.right.double() / counts).cpu().numpy()
            for k, run in enumerate(self.runs):
                if not run.over:
                    run.see_crossings(self.step, accuracies[:, k])

    # Evaluating ---------------------------------------------------------------------------------------------------

    def _evaluate(self) -> list[RunRecord]:
        """Look at every run whose clock says so; return the records of those that are over, and let them leave."""
        finite = torch.isfinite(self.flat).all(1)
        losses, right = self.stack.examine()
        losses = losses.double()
        splits = (self.stack.examples.train_counts, self.stack.examples.val_counts)
        seen = [total for counts in splits for total in _means(losses, right, counts)]
        rows = torch.stack(seen, dim=1).tolist()
        due = [run for run in self.runs if self.step in run.evaluations and not run.over]
        alive = {
            id(run): f and all(map(math.isfinite, row))
            for run, f, row in zip(self.runs, finite.tolist(), rows, strict=True)
        }
        row_of = {id(run): row for run, row in zip(self.runs, rows, strict=True)}
        for k, run in enumerate(self.runs):
            if self.step in run.evaluations and not run.over:
                run.config.transform.look(self.stack.state, k, rows[k][1])
        view = self.view()
        measured = self._measured(view, due)
        over: dict[int, Ending] = {}
        for run in due:
            run.see(self.step, row_of[id(run)], measured[id(run)])
            if (ended := self._ending(run, finite=alive[id(run)])) is not None:
                over[id(run)] = ended
        over |= judged(self._judge, [run for run in due if id(run) not in over], self.step)
        self._hand_out_snapshots(due, over)
        records = []
        for k, run in enumerate(self.runs):
            if id(run) in over:
                # The last row always has the measures.
                row = measured[id(run)] if self.step in run.looks else take(self.measures, view.only(k))[0]
                step = self._last_step(run, over[id(run)].outcome)
                run.see(step, row_of[id(run)], row)
                records.append(remarked(self._judge, run.record(over[id(run)], self._environment())))
                run.over = True
        self._compact()
        return records

    def _environment(self) -> dict[str, Any]:
        """Return where a run was trained: the last environment, and those before it if there were others."""
        *earlier, last = self.environments
        last = {name: value for name, value in last.items() if name != "from_step" or earlier}
        return {**last, "earlier": earlier} if earlier else last

    def _ending(self, run: RunState, *, finite: bool) -> Ending | None:
        outcome = run.outcome(self.step, self.early_stopping, finite=finite)
        at, told = self._stops.get(run.config.run_id, (math.inf, None))
        if outcome is None and self.step >= at:
            return told
        return None if outcome is None else Ending(outcome)

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
            id(run): self.measures
            if self.step in run.looks
            else self._light
            if self.step in run.measurements
            else nothing
            for run in due
        }
        rows = take(max(wanted.values(), key=len, default=nothing), view)
        return {
            id(run): {name: row[name] for name in columns_of(wanted[id(run)], self.task, self.model) if name in row}
            for run, row in zip(self.runs, rows, strict=True)
            if id(run) in wanted
        }

    def _hand_out_snapshots(self, due: Sequence[RunState], over: Mapping[int, Any]) -> None:
        """Hand out the weights of runs that are measured now, or over."""
        if self._on_snapshot is not None:
            for k, run in enumerate(self.runs):
                if run in due and (self.step in run.measurements or id(run) in over):
                    self._on_snapshot(run.config, self.step, self.stack.weights_of(k))

    def view(self) -> View:
        """Return what measures may look at now."""
        return self.stack.view(self.step)

    def _compact(self) -> None:
        """Go on with the runs that are not over, if some are and the device gains by it."""
        going = [k for k, run in enumerate(self.runs) if not run.over]
        left = max((self.runs[k].config.steps - self.step for k in going), default=0)
        if going and not self.device.worth_compacting(len(going), len(self.runs), left):
            return
        runs = [self.runs[k] for k in going]
        if going and len(going) < len(self.runs):
            self.stack = self.stack.only([run.examples for run in runs], going)
        self.runs = runs

    # Pausing ------------------------------------------------------------------------------------------------------

    def to_bytes(self) -> bytes:
        """Return everything that decides the rest of the runs, to be read by `from_bytes`."""
        going = [k for k, run in enumerate(self.runs) if not run.over]
        chosen = torch.tensor(going, dtype=torch.long, device=self.device.torch)
        tensors = {"flat": self.flat[chosen]}
        tensors |= {f"state.{name}": value[chosen] for name, value in self.stack.state.items()}
        for i, k in enumerate(going):
            tensors |= {f"run.{i}.{name}": value for name, value in self.runs[k].tensors().items()}
        facts = {
            "step": self.step,
            "layout": self.layout,
            "names": [list(run.names) for run in self._everyone[:1]],
            "run_steps": self.run_steps,
            "all": sorted({config.run_id for config in self.configs}),
            "left": [self.runs[k].config.run_id for k in going],
            "environments": self.environments,
        }
        return to_bytes(self.device.to_host(tensors), facts)

    @classmethod
    def from_bytes(
        cls,
        data: bytes,
        configs: Sequence[RunConfig],
        device: str | Device = "cpu",
        early_stopping: EarlyStopping | None = None,
        *,
        measures: MeasureChoice = "light",
        on_snapshot: SnapshotCallback | None = None,
        layout: str | None = None,
        judge: Judge | None = None,
    ) -> Cohort:
        """Return the cohort of `configs` as it was; runs that were over stay over. Raises `CheckpointError`.

        `configs` may be some of the runs whose checkpoint it is: the others are left out. The layout is the
        checkpoint's own unless one is given.
        """
        tensors, facts = from_bytes(data)
        kept = facts.get("layout")
        if layout is None and isinstance(kept, str) and kept in LAYOUTS:
            layout = kept
        options: dict[str, Any] = {"measures": measures, "on_snapshot": on_snapshot, "judge": judge}
        cohort = cls(configs, device, early_stopping, layout=layout, **options)
        try:
            if not {config.run_id for config in configs} <= set(facts["all"]):
                raise CheckpointError("the checkpoint is of other runs; delete it to start these from their beginning.")
            if facts["names"] != [list(run.names) for run in cohort.runs[:1]]:
                raise CheckpointError("the checkpoint has other measures; delete it to start these runs again.")
            cohort._restore(tensors, facts)
        except (KeyError, IndexError, RuntimeError, ValueError, TypeError, OverflowError) as error:
            raise CheckpointError(f"the checkpoint does not hold these runs ({error}); delete it.") from error
        return cohort

    def again(self, configs: Sequence[RunConfig], content: bytes | None) -> Cohort:
        """Return a cohort of some of its runs, as they were when `content` was written; None: at their beginning."""
        options: dict[str, Any] = {"measures": self._measures, "on_snapshot": self._on_snapshot}
        options |= {"layout": self.layout, "judge": self._judge}
        if content is None:
            return Cohort(configs, self.device, self.early_stopping, **options)
        return Cohort.from_bytes(content, configs, self.device, self.early_stopping, **options)

    def _restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Take over what a checkpoint holds of the runs that are still going."""
        step, run_steps = facts["step"], facts["run_steps"]
        if not (type(step) is int and type(run_steps) is int and 0 <= step <= run_steps):
            raise CheckpointError(
                f"the checkpoint is of step {step!r}, after {run_steps!r} steps of all runs; delete it."
            )
        left = {run_id: i for i, run_id in enumerate(facts["left"])}
        going = [k for k, config in enumerate(self.configs) if config.run_id in left]
        order = [left[self.configs[k].run_id] for k in going]
        self.runs = [self.runs[k] for k in going]
        for run, i in zip(self.runs, order, strict=True):
            run.restore({name: tensors[f"run.{i}.{name}"] for name in run.tensors()})
        if any(step >= run.config.steps for run in self.runs):
            raise CheckpointError(f"the checkpoint is of step {step:,}, where its runs are over; delete it.")
        self.step, self.run_steps = step, run_steps
        self.environments = [dict(environment) for environment in facts["environments"]]
        self._note_environment()
        if not going:
            return
        self.stack = self.stack.only([run.examples for run in self.runs], going)
        for name, value in {"flat": self.stack.flat, **{f"state.{n}": v for n, v in self.stack.state.items()}}.items():
            kept = tensors[name]
            if kept.shape[1:] != value.shape[1:] or kept.dtype != value.dtype or len(kept) != len(left):
                raise CheckpointError(
                    f"the checkpoint's {name} is {kept.dtype} of {tuple(kept.shape)}, and {value.dtype} of "
                    f"{(len(left), *value.shape[1:])} was expected; delete it."
                )
            value.copy_(kept[order])

    def save(self, path: Path | str) -> None:
        """Write a checkpoint whole or not at all."""
        write_bytes(Path(path), self.to_bytes())

    @classmethod
    def load(
        cls, path: Path | str, configs: Sequence[RunConfig], device: str | Device = "cpu", **options: Any
    ) -> Cohort:
        """Read a checkpoint that `save` wrote; `options` are those of `from_bytes`."""
        return cls.from_bytes(read(Path(path)), configs, device, **options)


def _means(losses: Tensor, right: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """Return each run's mean loss and its accuracy over examples that occur `counts` times; all (K, D)."""
    total = counts.sum(1)
    return (losses * counts).sum(1) / total, (right * counts).sum(1).double() / total
