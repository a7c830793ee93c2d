"""One run's curves on log time: accuracies and losses with its milestones and regime, its measures beneath."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analysis.figures.base import (
    MUTED,
    REGIME_COLOURS,
    REGIME_INK,
    STYLES,
    TRAIN_COLOUR,
    VAL_COLOUR,
    Style,
    Words,
    drawing,
    furnish,
    log_steps,
    new_figure,
    number,
    pretty,
)
from grokcore.errors import DataError
from grokcore.records.milestones import Milestone, first_passage
from grokcore.records.regimes import Regime, RegimeRule
from grokcore.records.run_record import DEFAULT_RATIO, Outcome, RunRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DASHES = (0, (4, 1.2))
"""Training is dashed, validation solid, so that grey print tells them apart."""

MEASURE_COLOUR = "#3f6b4f"
"""Measures are drawn in this colour."""

LEARNING_CURVES = ("train_loss", "train_accuracy", "val_loss", "val_accuracy")
"""The curves every run has, beside `step`; any other column is a measure."""


@dataclass(frozen=True, kw_only=True)
class RunCurves:
    """What the figure of one run shows."""

    title: str
    """What was trained: task, model and optimizer."""
    details: str
    """Its fraction, decay, rate and seed, in words."""
    curves: pd.DataFrame
    """`step`, the learning curves, and one column per measure that has a value; from step 1 on."""
    rule: RegimeRule
    """The rule the regime and the milestones are read under."""
    t_mem: Milestone
    """When training accuracy reached the rule's threshold."""
    t_gen: Milestone
    """When validation accuracy did."""
    regime: Regime
    """The run's regime under the rule."""
    outcome: Outcome
    """How the run ended."""

    @property
    def measures(self) -> tuple[str, ...]:
        """Return the names of the measures, in the order in which they are drawn."""
        return tuple(name for name in self.curves.columns if name not in {"step", *LEARNING_CURVES})

    @property
    def delay(self) -> str:
        """Return the delay between the milestones in words."""
        if not self.t_mem.event:
            return f"training accuracy had not reached {self.rule.threshold:g} by step {self.t_mem.step:,}"
        if not self.t_gen.event:
            return f"validation accuracy had not reached {self.rule.threshold:g} by step {self.t_gen.step:,} (censored)"
        ratio = f", ×{self.t_gen.step / self.t_mem.step:.3g}" if self.t_mem.step else ""
        return f"generalised {self.t_gen.step - self.t_mem.step:,} steps after it memorised{ratio}"


def info(
    curves: pd.DataFrame,
    config: Mapping[str, Any],
    rule: RegimeRule | None = None,
    outcome: Outcome | str = Outcome.FINISHED,
) -> RunCurves:
    """Gather the figure of one run from its curves and its flat configuration (a row of `runs.parquet` will do).

    Without a rule: threshold 0.9, the configuration's own steps, ratio 5. Raises `DataError` when a curve is missing.
    """
    missing = [name for name in ("step", *LEARNING_CURVES) if name not in curves.columns]
    if missing:
        raise DataError(f"the curves have no column {', '.join(missing)}; they have {', '.join(curves.columns)}.")
    if not len(curves):
        raise DataError("the run has no curves: it ended before its first evaluation.")
    if rule is None:
        rule = RegimeRule(
            budget=int(config.get("steps_budget", config.get("steps", curves["step"].max()))), ratio=DEFAULT_RATIO
        )
    steps = curves["step"].to_numpy(dtype=np.int64)
    t_mem = first_passage(steps, curves["train_accuracy"].to_numpy(), rule.threshold)
    t_gen = first_passage(steps, curves["val_accuracy"].to_numpy(), rule.threshold)
    keep = ["step", *LEARNING_CURVES]
    keep += [name for name in curves.columns if name not in {*keep, "run_id"} and curves[name].notna().any()]
    return RunCurves(
        title=_title(config),
        details=_details(config),
        curves=curves.loc[curves["step"] >= 1, keep].reset_index(drop=True),
        rule=rule,
        t_mem=t_mem,
        t_gen=t_gen,
        regime=rule.label(t_mem, t_gen),
        outcome=Outcome(outcome),
    )


def of_record(record: RunRecord, rule: RegimeRule | None = None) -> RunCurves:
    """Gather the figure of a finished run from its record."""
    return info(record.curves, record.config.to_flat(), rule, record.outcome)


NAMES = {"mlp": "MLP", "adamw": "AdamW", "adam": "Adam", "sgd": "SGD", "muon": "Muon", "quadratic_mlp": "quadratic MLP"}
"""Names that are not words."""


def _title(config: Mapping[str, Any]) -> str:
    """Return the task, the network and the optimizer, with the sizes that tell them from others."""
    task = str(config.get("task.name", config.get("task", "run"))).replace("_", " ")
    task += f" {config['task.group']}" if isinstance(config.get("task.group"), str) else ""
    task += _size(config, "task.modulus", " mod {}") + _size(config, "task.relevant", " of {}")
    task += _size(config, "task.bits", " of {} bits")
    depth = _size(config, "model.layers", " of {} layers", 2) + _size(config, "model.depth", " of {} hidden layers", 2)
    names = [_name(config[field]) for field in ("model.name", "optimizer.name") if field in config]
    return ", ".join([task, *(name + depth * (i == 0) for i, name in enumerate(names))])


def _size(config: Mapping[str, Any], field: str, words: str, least: int = 1) -> str:
    """Return a number of the configuration in words; nothing where there is none, or it is less than `least`."""
    value = float(config.get(field) or 0)
    return words.format(number(value)) if value >= least else ""


def _name(word: Any) -> str:
    return NAMES.get(str(word), str(word).replace("_", " "))


def _details(config: Mapping[str, Any]) -> str:
    shown = ("fraction", "optimizer.decay", "optimizer.rate", "seed")
    return ", ".join(f"{pretty(name)} {number(float(config[name]))}" for name in shown if name in config)


def draw(run: RunCurves, style: Style = STYLES["screen"]) -> Figure:
    """Draw the run: accuracy, loss, then one panel per measure, all on one logarithmic axis of optimizer steps."""
    heights = [1.6, 1.25, *[0.85] * len(run.measures)]
    with drawing(style):
        # Panels are as high as their text needs: a unit of height is seven lines.
        size = (style.width, style.font * 1.2 / 72 * (2 + 7 * sum(heights)))
        figure, panels = new_figure(
            size, nrows=len(heights), sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights}
        )
        axes = list(panels[:, 0])
        draw_learning(axes[0], axes[1], run, style)
        for axis, name in zip(axes[2:], run.measures, strict=True):
            draw_measure(axis, run.curves, name, style)
        for axis in axes:
            mark_time(axis, run, label=axis is axes[-1])
        furnish(figure, Words(title=run.title, details=run.details, caption=ending(run)), style)
    return figure


# Parts that the figure of a run's inside has too ----------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Aside:
    """A pair of curves beside the learning curves: ``NAME_accuracy`` and ``NAME_loss`` of a table with `step`."""

    name: str
    """How the columns begin."""
    label: str
    """What the legend says."""
    colour: str
    """How they are drawn."""


def draw_learning(
    accuracy: Axes,
    loss: Axes,
    run: RunCurves,
    style: Style,
    asides: Sequence[Aside] = (),
    table: pd.DataFrame | None = None,
) -> None:
    """Draw accuracies and losses of both splits, asides from `table` where it has them, and the regime's badge."""
    for axis, kind in ((accuracy, "accuracy"), (loss, "loss")):
        for split, colour, dashes, label in (
            ("train", TRAIN_COLOUR, DASHES, "training"),
            ("val", VAL_COLOUR, "-", "validation"),
        ):
            name = f"{split}_{kind}"
            known = run.curves if kind == "accuracy" else run.curves[run.curves[name] > 0]
            axis.plot(known["step"], known[name], color=colour, linestyle=dashes, label=label)
        for aside in asides:
            if table is not None and f"{aside.name}_{kind}" in table:
                values = table[f"{aside.name}_{kind}"]
                axis.plot(table["step"], values, color=aside.colour, linewidth=style.line * 0.8, label=aside.label)
        head(axis, kind, style)
    accuracy.axhline(run.rule.threshold, color=MUTED, linewidth=0.6, linestyle=":")
    accuracy.set_ylim(-0.03, 1.05)
    accuracy.legend(
        loc="lower left", bbox_to_anchor=(0.14, 1), borderaxespad=0.2, handlelength=1.8, ncols=4, columnspacing=1.6
    )
    accuracy.annotate(
        f" {run.regime} ", (1, 1), xycoords="axes fraction", xytext=(0, style.font * 0.7), textcoords="offset points",
        ha="right", color=REGIME_INK[run.regime], fontsize=style.font,
        bbox={"boxstyle": "round,pad=0.25", "facecolor": REGIME_COLOURS[run.regime], "edgecolor": "none"},
    )  # fmt: skip
    loss.set_yscale("log")


def draw_measure(axis: Axes, table: pd.DataFrame, name: str, style: Style) -> None:
    """Draw one measure against the step; norms of gradients and updates on a logarithmic axis."""
    known = table.loc[table["step"] >= 1, ["step", name]].dropna()
    axis.plot(known["step"], known[name], color=MEASURE_COLOUR)
    head(axis, pretty(name), style)
    if name in {"gradient_norm", "update_size"}:
        axis.set_yscale("log")


def head(axis: Axes, text: str, style: Style) -> None:
    """Write what a panel shows above it."""
    axis.set_title(text, fontsize=style.font * 0.9, fontweight="normal", pad=3)


def mark_time(axis: Axes, run: RunCurves, *, label: bool = False, filled: bool = False) -> None:
    """Make the axis one of log time, with the run's milestones and between them its regime's colour.

    On a panel that is `filled` the milestones have a white edge, and there is no colour between them.
    """
    from matplotlib.patheffects import withStroke

    edge = [withStroke(linewidth=2.2, foreground="white")] if filled else None
    for milestone, colour, dashes in ((run.t_mem, TRAIN_COLOUR, DASHES), (run.t_gen, VAL_COLOUR, "-")):
        if milestone.event:
            axis.axvline(max(milestone.step, 1), color=colour, linewidth=0.8, linestyle=dashes, path_effects=edge)
    if not filled and run.t_mem.event and run.regime in {Regime.GROKKING, Regime.MEMORIZATION}:
        start, stop = max(run.t_mem.step, 1), max(run.t_gen.step, 1)
        axis.axvspan(start, stop, color=REGIME_COLOURS[run.regime], alpha=0.18, linewidth=0)
    axis.set_xscale("log")
    axis.set_xlim(1, max(float(run.curves["step"].max()), 10))
    log_steps(axis.xaxis)
    if label:
        axis.set_xlabel("optimizer step")
    else:
        axis.tick_params(labelbottom=False)


def ending(run: RunCurves) -> str:
    """Return how the run went, in two sentences."""
    return f"{run.delay[0].upper()}{run.delay[1:]}; the run {run.outcome.sentence}. Rule: {run.rule.sentence()}."
