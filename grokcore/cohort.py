"""Cohort: K runs of one shape trained in lockstep as one stacked computation on one device.

Each run is exactly the run it would have been alone: on a CPU its curves are bit for bit the same in a cohort of any
size, in any company, paused and resumed. What makes it so: the padding of the example axis depends on the run's own
configuration (grokcore/shape.py), stacked products are computed matrix by matrix, elementwise operations never leave
the vector path (grokcore/layout.py), one thread computes, and everything random has a generator of its own per run.

Shapes: K runs, N examples (padded to the bucket), L elements of a run's flat parameter vector.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from grokcore.accelerators.base import Weights
from grokcore.batches import Batches
from grokcore.checkpoint import from_bytes, read, to_bytes, write_atomically
from grokcore.clock import evaluation_steps
from grokcore.config import RunConfig
from grokcore.environment import describe
from grokcore.errors import CheckpointError, ConfigError
from grokcore.kernel import AutogradKernel
from grokcore.layout import Layout
from grokcore.losses import make_loss
from grokcore.measures.base import Choice, Measure, columns_of, defined_measures, take
from grokcore.measures.view import View
from grokcore.member import Member
from grokcore.optimizers.base import Mover
from grokcore.randomness import generator
from grokcore.record import Outcome, RunRecord
from grokcore.retirement import Retirement
from grokcore.settings import by_step, stacked
from grokcore.shape import cohort_key

Keep = Callable[[RunConfig, int, dict[str, Tensor]], None]
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
        retirement: Retirement | None = None,
        *,
        measures: Choice = "light",
        keep: Keep | None = None,
    ) -> None:
        keys = {cohort_key(config) for config in configs}
        if len(keys) != 1:
            raise ConfigError([f"a cohort needs runs of one shape, got {len(keys)}: {', '.join(sorted(keys))}"])
        first = configs[0]
        self.configs = tuple(configs)
        self.device, self.retirement = device, retirement
        self.task, self.model, self.batch = first.task, first.model, first.batch
        self.optimizer, self.accelerator = first.optimizer, first.accelerator
        self.dtype = torch.float64 if first.dtype == "float64" else torch.float32
        loss = make_loss(first.loss, self.task, regresses=self.model.regresses)
        self.kernel = (
            AutogradKernel(self.model, self.task, loss) if first.dropout else self.model.kernel(self.task, loss)
        )
        self.layout = Layout.of(self.model.shapes(self.task))
        self.measures = defined_measures(self.task, self.model, measures)
        self._weight_keeper = keep
        columns = columns_of(self.measures, self.task, self.model)
        self._light = {name: measure for name, measure in self.measures.items() if measure.cost == "light"}
        self.members = self._everyone = [Member(config, columns) for config in configs]
        self.step = 0
        self.run_steps = 0
        """Optimizer steps times members, done so far."""
        self._stops: dict[str, str] = {}
        with one_thread(device):
            drawn = [c.initialisation.initial(self.model, self.task, generator(c.seed, "weights")) for c in configs]
            self.flat = self.layout.pack(drawn, self.dtype).to(device)
            self.state = {**self.optimizer.state(self.flat), **self.accelerator.state(self.flat)}
            self._assemble()

    # Running ----------------------------------------------------------------------------------------------------

    @property
    def done(self) -> bool:
        """Say whether every member is over."""
        return not self.members

    def stop(self, run_id: str, reason: str) -> None:
        """Let a member leave at its next evaluation, censored there."""
        self._stops[run_id] = reason

    def advance(self, seconds: float = math.inf) -> list[RunRecord]:
        """Train until all members are over, or about `seconds` have passed; return the records of those now over."""
        deadline = time.monotonic() + seconds
        finished: list[RunRecord] = []
        with one_thread(self.device), torch.no_grad():
            if self.step == 0 and self.members and not self.members[0].seen:
                finished += self._evaluate()
            while self.members:
                target = self._next_evaluation()
                self.train_to(min(target, self.step + STRETCH))
                if self.step == target:
                    finished += self._evaluate()
                if time.monotonic() >= deadline:
                    break
        return finished

    def _next_evaluation(self) -> int:
        longest = max(member.config.steps for member in self.members)
        grid = {
            step for budget in {longest, *(m.config.steps for m in self.members)} for step in evaluation_steps(budget)
        }
        return min(step for step in grid if step > self.step)

    def train_to(self, until: int) -> None:
        """Take optimizer steps up to number `until` without looking at anything; `advance` is the way to train."""
        steps = np.arange(self.step, until)
        moves, changes = self._plan(steps)
        pushes = torch.empty(len(steps), len(self.members), dtype=self.dtype, device=self.device)
        for i, step in enumerate(steps.tolist()):
            self.kernel.gradients(self.parameters, self.batches.next(step), self.gradients)
            pushes[i] = self.gradient[:, self.witness]
            if self.noisy:
                self._add_noise(step)
            self._move(step, [at[i] for at in moves], changes[i])
        self._notice_divergence(pushes)
        self.step = until
        self.run_steps += len(steps) * len(self.members)

    def _plan(self, steps: Any) -> tuple[list[list[dict[str, Tensor]]], list[dict[str, Tensor]]]:
        """Return what the optimizer's parts and the accelerator need at each of the updates number `steps`."""
        changes = self.accelerator.coefficients(self.accelerations, steps)
        return (
            [mover.plan(steps, self.device, self.dtype) for mover in self.movers],
            by_step(changes, len(steps), 2, self.device, self.dtype),
        )

    def _move(self, step: int, moves: Sequence[Mapping[str, Tensor]], change: Mapping[str, Tensor]) -> None:
        """Move the weights by their gradients."""
        self.accelerator.change_gradient(self.weights, change, step)
        for mover, at in zip(self.movers, moves, strict=True):
            mover.move(at)
        self.accelerator.change_weights(self.weights)

    def _add_noise(self, step: int) -> None:
        for k, member in enumerate(self.members):
            if member.config.gradient_noise:
                # A generator per step rather than one that goes on: there is nothing to put into a checkpoint.
                own = generator(member.config.seed, f"gradient noise:{step}")
                for gradient in self.gradients.values():
                    noise = torch.randn(gradient.shape[1:], generator=own, dtype=self.dtype).to(self.device)
                    gradient[k].add_(noise, alpha=member.config.gradient_noise)

    def _notice_divergence(self, pushes: Tensor) -> None:
        """Note from which step on a member's gradients, (T, K) of one weight of the last layer, were not finite."""
        lost = ~torch.isfinite(pushes)
        for k in lost.any(0).nonzero().flatten().tolist():
            if self.members[k].diverged < 0:
                self.members[k].diverged = self.step + int(lost[:, k].int().argmax())

    # Evaluating ---------------------------------------------------------------------------------------------------

    def _evaluate(self) -> list[RunRecord]:
        """Look at every member whose clock says so; return the records of those that are over, and let them leave."""
        finite = torch.isfinite(self.flat).all(1)
        losses, right = self.kernel.examine(self.parameters, self.everything)
        losses = losses.double()
        splits = (self.batches.train_counts, self.batches.val_counts)
        seen = [total for counts in splits for total in _means(losses, right, counts)]
        rows = torch.stack(seen, dim=1).tolist()
        due = [member for member in self.members if self.step in member.evaluations]
        alive = {
            id(m): f and all(map(math.isfinite, r)) for m, f, r in zip(self.members, finite.tolist(), rows, strict=True)
        }
        by_member = {id(member): row for member, row in zip(self.members, rows, strict=True)}
        view = self.view()
        measured = self._measured(view, due)
        over: dict[int, tuple[Outcome, str]] = {}
        for member in due:
            member.see(self.step, by_member[id(member)], measured[id(member)])
            if (ended := self._ending(member, finite=alive[id(member)])) is not None:
                over[id(member)] = ended
        self._keep_weights(over)
        if not over:
            return []
        records = []
        for k, member in enumerate(self.members):
            if id(member) in over:
                # The last row always has the measures.
                row = measured[id(member)] if self.step in member.looks else take(self.measures, view.only(k))[0]
                outcome, reason = over[id(member)]
                step = self._last_step(member, outcome)
                member.see(step, by_member[id(member)], row)
                records.append(member.record(outcome, self.environment, reason))
        self._keep([i for i, member in enumerate(self.members) if id(member) not in over])
        return records

    def _ending(self, member: Member, *, finite: bool) -> tuple[Outcome, str] | None:
        outcome = member.outcome(self.step, self.retirement, finite=finite)
        reason = self._stops.get(member.config.run_id)
        if outcome is None and reason is not None:
            return Outcome.STOPPED, reason
        return None if outcome is None else (outcome, "")

    def _last_step(self, member: Member, outcome: Outcome) -> int:
        """Return the step that a member's last row is of: the present one, or an earlier one at which it diverged."""
        if outcome is not Outcome.DIVERGED or member.diverged < 0:
            return self.step
        member.seen.pop()
        # A gradient may overflow where the loss seen at the same step did not; the weights are lost one step later.
        return max(member.diverged, int(member.seen[-1][0]) + 1 if member.seen else 0)

    def _measured(self, view: View, due: Sequence[Member]) -> dict[int, dict[str, float]]:
        """Return what is measured now of some members, by identity: all, light measures alone, or nothing."""
        nothing: dict[str, Measure] = {}
        wanted = {
            id(m): self.measures if self.step in m.looks else self._light if self.step in m.measurements else nothing
            for m in due
        }
        rows = take(max(wanted.values(), key=len, default=nothing), view)
        return {
            id(m): {name: row[name] for name in columns_of(wanted[id(m)], self.task, self.model) if name in row}
            for m, row in zip(self.members, rows, strict=True)
            if id(m) in wanted
        }

    def _keep_weights(self, over: Mapping[int, Any]) -> None:
        """Hand out the weights of members that are measured now, or over."""
        if self._weight_keeper is not None:
            for k, member in enumerate(self.members):
                if self.step in member.measurements or id(member) in over:
                    self._weight_keeper(member.config, self.step, self.weights_of(k))

    def weights_of(self, k: int) -> dict[str, Tensor]:
        """Return a copy of the weights of member number `k`."""
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
            return self.layout.views(self.flat - copies["flat"])
        finally:
            for name, value in before.items():
                value.copy_(copies[name])

    # Pausing ------------------------------------------------------------------------------------------------------

    def to_bytes(self) -> bytes:
        """Return everything that decides the rest of the runs, to be read by `from_bytes`."""
        tensors = {"flat": self.flat, **{f"state.{name}": value for name, value in self.state.items()}}
        for i, member in enumerate(self.members):
            tensors |= {f"member.{i}.{name}": value for name, value in member.tensors().items()}
        facts = {
            "step": self.step,
            "names": [list(member.names) for member in self._everyone[:1]],
            "run_steps": self.run_steps,
            "all": sorted({config.run_id for config in self.configs}),
            "left": [member.config.run_id for member in self.members],
        }
        return to_bytes({name: value.cpu() for name, value in tensors.items()}, facts)

    @classmethod
    def from_bytes(
        cls,
        data: bytes,
        configs: Sequence[RunConfig],
        device: str = "cpu",
        retirement: Retirement | None = None,
        *,
        measures: Choice = "light",
        keep: Keep | None = None,
    ) -> Cohort:
        """Return the cohort of `configs` as it was; members that were over stay over. Raises `CheckpointError`."""
        tensors, facts = from_bytes(data)
        if facts.get("all") != sorted({config.run_id for config in configs}):
            raise CheckpointError("the checkpoint is of other runs; delete it to start these from their beginning.")
        cohort = cls(configs, device, retirement, measures=measures, keep=keep)
        if facts.get("names") != [list(member.names) for member in cohort.members[:1]]:
            raise CheckpointError("the checkpoint has other measures; delete it to start these runs again.")
        try:
            left = {run_id: i for i, run_id in enumerate(facts["left"])}
            indices = [i for i, config in enumerate(configs) if config.run_id in left]
            order = [left[configs[i].run_id] for i in indices]
            cohort.flat = tensors["flat"][order].to(device)
            cohort.state = {name: tensors[f"state.{name}"][order].to(device) for name in cohort.state}
            cohort.members = [cohort.members[i] for i in indices]
            for member, i in zip(cohort.members, order, strict=True):
                member.restore({name: tensors[f"member.{i}.{name}"] for name in member.tensors()})
            cohort.step, cohort.run_steps = int(facts["step"]), int(facts["run_steps"])
        except (KeyError, IndexError, RuntimeError, ValueError, TypeError, OverflowError) as error:
            raise CheckpointError(f"the checkpoint does not hold these runs ({error}); delete it.") from error
        if cohort.members:
            with one_thread(device):
                cohort._assemble()
        return cohort

    def save(self, path: Path | str) -> None:
        """Write a checkpoint whole or not at all."""
        write_atomically(Path(path), self.to_bytes())

    @classmethod
    def load(
        cls,
        path: Path | str,
        configs: Sequence[RunConfig],
        device: str = "cpu",
        retirement: Retirement | None = None,
        *,
        measures: Choice = "light",
        keep: Keep | None = None,
    ) -> Cohort:
        """Read a checkpoint that `save` wrote; see `from_bytes`."""
        return cls.from_bytes(read(Path(path)), configs, device, retirement, measures=measures, keep=keep)

    # Stacking -------------------------------------------------------------------------------------------------------

    def _keep(self, indices: list[int]) -> None:
        """Go on with some of the members only."""
        self.members = [self.members[i] for i in indices]
        chosen = torch.tensor(indices, dtype=torch.long, device=self.device)
        self.flat = self.flat[chosen]
        self.state = {name: value[chosen] for name, value in self.state.items()}
        if self.members:
            self._assemble()

    def _assemble(self) -> None:
        """Make everything that is stacked from the members."""
        self.environment = describe(self.device, str(self.dtype).removeprefix("torch."))
        self.parameters = self.layout.views(self.flat)
        self.gradient = torch.zeros_like(self.flat)
        self.gradients = self.layout.views(self.gradient)
        self.weights = Weights(self.flat, self.gradient, self.parameters, self.gradients, self.state)
        self.witness = list(self.layout.offsets.values())[-1]
        self.noisy = any(member.config.gradient_noise for member in self.members)
        self.accelerations = stacked([member.config.accelerator for member in self.members])
        settings = stacked([member.config.optimizer for member in self.members])
        shares = self.optimizer.shares(settings, self.layout, self.model.hidden(self.task))
        self.movers = [Mover(share, self.flat, self.gradient, self.state) for share in shares]
        self.batches = Batches(self.members, self.device, self.dtype)
        self.examples, self.everything = self.batches.full, self.batches.everything


def _means(losses: Tensor, right: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """Return each run's mean loss and its accuracy over examples that occur `counts` times; all (K, D)."""
    total = counts.sum(1)
    return (losses * counts).sum(1) / total, (right * counts).sum(1).double() / total
