"""One run from inside: accuracies, losses, measures and spectrum on log time; embedding, ablation, assembly order."""

from __future__ import annotations

import string
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analysis.figures import run_curves
from analysis.figures.base import INK, MUTED, STYLES, TRAIN_COLOUR, VAL_COLOUR, Style, Words, drawing, furnish, pretty
from analysis.figures.run_curves import draw_learning, draw_measure, ending, head, mark_time
from analysis.statistics.assembly import assembly_order
from grokcore.inspection.inspection import Inspection, Plane
from grokcore.records.regimes import RegimeRule
from grokcore.records.run_record import RunRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CIRCUIT = (
    run_curves.Aside(name="restricted", label="circuit alone (all pairs)", colour="#2f8f6b"),
    run_curves.Aside(name="excluded", label="without the circuit (training pairs)", colour="#8a5fb0"),
)
"""What the circuit does alone, and what is left without it."""

SHOWN = (
    "weight_norm", "effective_rank", "activation_rank", "fourier_concentration", "key_frequencies",
    "logit_variance_explained", "neuron_specificity", "symmetry_alignment", "probe_accuracy", "mean_degree",
    "high_degree_share", "representation_quality", "gradient_norm", "high_frequency_share", "softmax_collapse",
    "participation_ratio",
)  # fmt: skip
"""Measures that have a panel, in this order, as far as there are any; at most six."""

ORDERED = 14
"""Curves in the assembly order, at most."""


@dataclass(frozen=True, kw_only=True)
class RunInside:
    """What the figure shows."""

    curves: run_curves.RunCurves
    """Accuracies, losses, milestones and regime."""
    inspection: Inspection
    """Measures, spectrum, embedding and ablation."""
    order: pd.DataFrame
    """The assembly order of the measures with a panel, the accuracies and the circuit's losses."""

    @property
    def shown(self) -> tuple[str, ...]:
        """Return the measures that have a panel."""
        table = self.inspection.measures
        moving = [name for name in SHOWN if name in table and np.ptp(table[name].dropna()) > 1e-6]
        return tuple(moving)[:6]


def info(record: RunRecord, inspection: Inspection, rule: RegimeRule | None = None) -> RunInside:
    """Gather the figure of a run from its record and its inspection."""
    table = inspection.measures
    wanted = [name for name in (*ACCURACIES, *SHOWN) if name in table.columns]
    return RunInside(
        curves=run_curves.of_record(record, rule),
        inspection=inspection,
        order=assembly_order(table[["step", *wanted]]).head(ORDERED),
    )


ACCURACIES = ("train_accuracy", "val_accuracy", "restricted_accuracy", "excluded_accuracy")


def draw(inside: RunInside, style: Style = STYLES["screen"]) -> Figure:
    """Draw the figure."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    line = style.font * 1.2 / 72
    heights = [19, 15, 14, max(4 + 5 * len(inside.inspection.damage), 5 + 1.15 * len(inside.order))]
    with drawing(style):
        figure = Figure(figsize=(style.wide, sum(heights) * line), layout="constrained", facecolor="white")
        FigureCanvasAgg(figure)
        rows: Any = figure.subfigures(4, 1, height_ratios=heights)
        _learning(rows[0], inside, style)
        _measures(rows[1], inside, style)
        _structure(rows[2], inside, style)
        _parts(rows[3], inside, style)
        _letters(figure, style)
        words = Words(title=inside.curves.title, details=inside.curves.details, caption=_caption(inside))
        furnish(figure, words, style)
    return figure


def _letters(figure: Figure, style: Style) -> None:
    """Put a letter before what each panel shows, so that a text can refer to it."""
    titled = [axis for axis in figure.axes if axis.get_title(loc="left") and axis.get_visible()]
    for letter, axis in zip(string.ascii_lowercase, titled, strict=False):
        head(axis, f"$\\mathbf{{{letter}}}$  {axis.get_title(loc='left')}", style)


def _caption(inside: RunInside) -> str:
    run, inspection = inside.curves, inside.inspection
    text = f"{ending(run)} "
    if inspection.keys:
        text += f"Key frequencies at the end: {', '.join(map(str, inspection.keys))}. "
    text += (
        f"Vertical lines: training (dashed) and validation (solid) accuracy reach {run.rule.threshold:g}. "
        f"Before: step {inspection.before:,}, after: step {inspection.after:,}. "
    )
    if inspection.influences is not None:
        text += "Influence: share of the function's variance that flipping a bit would change. "
    return (
        f"{text}Damage: change of the loss over all examples without a part, as a share of all parts'. "
        "Order: dot where a curve passed half of its total change for good, bar from a tenth to nine tenths."
    )


def _learning(part: Any, inside: RunInside, style: Style) -> None:
    axes: Any = part.subplots(2, 1, height_ratios=[1.1, 1])
    draw_learning(axes[0], axes[1], inside.curves, style, CIRCUIT, inside.inspection.measures)
    mark_time(axes[0], inside.curves)
    mark_time(axes[1], inside.curves, label=True)


def _measures(part: Any, inside: RunInside, style: Style) -> None:
    axes = part.subplots(2, 3).ravel()
    for i, axis in enumerate(axes):
        if i < len(inside.shown):
            draw_measure(axis, inside.inspection.measures, inside.shown[i], style)
            mark_time(axis, inside.curves, label=i >= 3 or i + 3 >= len(inside.shown))
        else:
            axis.set_visible(False)


def _structure(part: Any, inside: RunInside, style: Style) -> None:
    """Draw the spectrum over time, and beside it the embedding, or what the bits matter, before and after."""
    inspection = inside.inspection
    if inspection.influences is not None:
        left, right = part.subplots(1, 2, width_ratios=[1.2, 1])
        _influences(right, inspection, style)
    elif inspection.planes:
        left, *sides = part.subplots(1, 3, width_ratios=[2.4, 1, 1])
        for axis, after in zip(sides, (False, True), strict=True):
            _plane(axis, inspection.planes[0], inspection, style, after=after)
    else:
        left = part.subplots()
    _spectrum(left, inside, style)


def _spectrum(axis: Axes, inside: RunInside, style: Style) -> None:
    from matplotlib.ticker import MaxNLocator

    inspection = inside.inspection
    shown = inspection.steps >= 1
    steps, values = inspection.steps[shown].astype(float), inspection.spectrum[shown]
    edges = np.concatenate([[steps[0]], np.sqrt(steps[1:] * steps[:-1]), [steps[-1]]])
    marks = np.arange(values.shape[1] + 1) + 0.5
    mesh = axis.pcolormesh(edges, marks, values.T, cmap="magma_r", vmin=0, rasterized=True)
    bar = axis.figure.colorbar(mesh, ax=axis, pad=0.025, fraction=0.05, aspect=18)
    bar.ax.tick_params(labelsize=style.font * 0.8)
    for key in inspection.keys:
        along = axis.get_yaxis_transform()
        (mark,) = axis.plot(1.012, key, "<", color=INK, ms=style.marker * 0.7, transform=along, clip_on=False)
        mark.set_in_layout(False)
    axis.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))
    axis.set_ylabel(inspection.spectrum_name)
    what = "share of the function" if inspection.spectrum_name == "degree" else "norm of the embedding"
    head(axis, f"{what} in each {inspection.spectrum_name}", style)
    mark_time(axis, inside.curves, label=True, filled=True)


def _plane(axis: Axes, plane: Plane, inspection: Inspection, style: Style, *, after: bool) -> None:
    points = plane.after if after else plane.before
    reach = 1.1 * max(np.abs(plane.after).max(), np.abs(plane.before).max(), 1e-12)
    axis.scatter(points[:, 0], points[:, 1], c=plane.colours, cmap="twilight", s=style.marker**2 * 0.6, linewidths=0)
    axis.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xticks=[], yticks=[])
    axis.spines[:].set_visible(False)
    step = inspection.after if after else inspection.before
    head(axis, f"{plane.name}, {'after' if after else 'before'}", style)
    axis.set_xlabel(f"step {step:,}", color=MUTED)


def _before_and_after(axis: Axes, places: np.ndarray, pair: tuple[np.ndarray, np.ndarray]) -> None:
    for shift, colour, label, values in zip(
        (-0.2, 0.2), (TRAIN_COLOUR, VAL_COLOUR), ("before", "after"), pair, strict=True
    ):
        axis.bar(places + shift, values, 0.4, color=colour, label=label)
    axis.margins(x=0.01)


def _legend(axis: Axes) -> None:
    axis.legend(loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0.1, handlelength=1.2, ncols=2)


def _influences(axis: Axes, inspection: Inspection, style: Style) -> None:
    if inspection.influences is None:
        return
    _before_and_after(axis, np.arange(len(inspection.influences[0])) + 1, inspection.influences)
    head(axis, "influence of each bit", style)
    axis.set_xlabel("bit")
    _legend(axis)


def _parts(part: Any, inside: RunInside, style: Style) -> None:
    kinds = list(inside.inspection.damage)
    left, right = part.subfigures(1, 2, width_ratios=[1.25, 1])
    if kinds:
        axes = np.atleast_1d(left.subplots(len(kinds), 1))
        for axis, kind in zip(axes, kinds, strict=True):
            _profile(axis, inside.inspection, kind, style)
        _legend(axes[0])
    _order(right.subplots(), inside, style)


def _profile(axis: Axes, inspection: Inspection, kind: str, style: Style) -> None:
    names = {"head": "heads", "neuron": "blocks of neurons, by rank", "frequency": "frequencies"}
    layers = 1 if kind == "frequency" else inspection.layers
    shares = [lost / max(lost.sum(), 1e-300) for lost in inspection.damage[kind]]
    each = len(shares[0]) // layers
    if kind == "neuron":
        # Neurons have no order of their own: in each layer the largest damage comes first.
        shares = [np.sort(share.reshape(layers, each))[:, ::-1].ravel() for share in shares]
    places = np.arange(len(shares[0])) + 1
    _before_and_after(axis, places, (shares[0], shares[1]))
    apart = ", layer by layer" if layers > 1 and kind == "head" else ""
    head(axis, f"share of the damage: {names[kind]}{apart}", style)
    for layer in range(1, layers):
        axis.axvline(layer * each + 0.5, color=MUTED, linewidth=0.6, linestyle=":")
    if layers > 1 and len(places) > 16:
        middles = [layer * each + (each + 1) / 2 for layer in range(layers)]
        axis.set_xticks(middles, [f"layer {layer + 1}" for layer in range(layers)])
        axis.tick_params(axis="x", length=0)
    elif layers > 1 or len(places) <= 8:
        axis.set_xticks(places, [str((int(place) - 1) % each + 1) for place in places])


def _order(axis: Axes, inside: RunInside, style: Style) -> None:
    order = inside.order
    places = np.arange(len(order))[::-1]
    colours = {"train_accuracy": TRAIN_COLOUR, "val_accuracy": VAL_COLOUR}
    colours |= {f"{aside.name}_accuracy": aside.colour for aside in CIRCUIT}
    for place, row in zip(places.tolist(), order.to_dict("records"), strict=True):
        colour = colours.get(str(row["measure"]), INK)
        axis.plot([float(row["start"]), float(row["end"])], [place, place], color=colour, linewidth=style.line)
        axis.plot([float(row["half"])], [place], "o", color=colour, markersize=style.marker)
    ends = zip(order["measure"], order["change"], strict=True)
    names = [f"{pretty(str(measure))} {'↑' if change > 0 else '↓'}" for measure, change in ends]
    axis.set_yticks(places, names)
    axis.tick_params(axis="y", length=0)
    head(axis, "assembly order", style)
    mark_time(axis, inside.curves, label=True)
