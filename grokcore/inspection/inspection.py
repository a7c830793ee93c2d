"""Inspection: what the inside of one run looked like while it trained, from its weight snapshots, as plain arrays.

Shapes: T snapshots, S symbols, F rows of the spectrum.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from grokcore.engine.devices.named import device_named
from grokcore.inspection.snapshot_measures import NOT_IN_SNAPSHOTS, measure_snapshots, not_measured, snapshot_views
from grokcore.lazy_torch import torch
from grokcore.measures.ablation import damage
from grokcore.measures.base import MeasureChoice, chosen_measures, defined_measures
from grokcore.records.run_record import RunRecord
from grokcore.records.weight_snapshots import snapshot_steps
from grokcore.views import bits
from grokcore.views.characters import characters, no_frequencies
from grokcore.views.view import View

if TYPE_CHECKING:
    from torch import Tensor

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LEFT_OUT = (
    "ablation", "intrinsic_dimension", "local_learning_coefficient", "sharpness",
)  # fmt: skip
"""Measures that take longer than all others together; an inspection has them if they were taken before."""

PLANES = 3
"""Planes on which the embedding is looked at, at most."""


@dataclass(frozen=True, kw_only=True)
class Plane:
    """The embedding seen along two directions, the same before and after."""

    name: str
    """Which directions."""
    before: Floats
    """(n, 2) at the step before generalisation."""
    after: Floats
    """(n, 2) at the end."""
    colours: Ints
    """(n,) a number for each symbol by which to colour it: along the circle of a frequency, neighbours are alike."""


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """One run from inside."""

    measures: pd.DataFrame
    """`step` and a column for every number, at every snapshot."""
    spectrum: Floats
    """(T, F): norm of the embedding's part in each frequency, irreducible or singular direction; or, for functions of
    bits, the share of the function at each degree."""
    spectrum_name: str
    """What the rows of the spectrum are."""
    keys: tuple[int, ...]
    """Key frequencies at the end, none where there are no frequencies."""
    before: int
    """Step before generalisation: the first one kept at which the run has memorised, or the first of all."""
    after: int
    """The last step kept."""
    planes: tuple[Plane, ...]
    """The embedding's projections, the strongest first."""
    influences: tuple[Floats, Floats] | None
    """How much each bit matters to the function learned, before and after; None where there are no bits."""
    damage: Mapping[str, tuple[Floats, Floats]]
    """What each part's absence costs in loss, before and after, by kind of part, layer by layer."""
    layers: int
    """Hidden layers, or blocks, that heads and neurons are listed of."""

    @property
    def steps(self) -> Ints:
        """Return the snapshots."""
        return self.measures["step"].to_numpy(dtype=np.int64)


def measured_path(folder: Path, run_id: str) -> Path:
    """Return where the measures taken of a run's weight snapshots are written."""
    return folder / "measures" / f"{run_id}.parquet"


def measured(folder: Path, record: RunRecord, choice: MeasureChoice, *, anew: bool = False) -> pd.DataFrame:
    """Return what was measured of a run's weight snapshots before, and measure what is missing, or all `anew`.

    A row for each snapshot: `step` and a column for every number, NaN where absent.
    """
    config, path = record.config, measured_path(folder, record.run_id)
    old = pd.read_parquet(path) if path.exists() else pd.DataFrame()
    if list(old.get("step", [])) != snapshot_steps(folder, record.run_id):
        old = pd.DataFrame()
    found = defined_measures(config.task, config.model, choice, NOT_IN_SNAPSHOTS)
    missing = [
        name for name, one in found.items() if anew or not {*one.columns(config.task, config.model)} <= {*old.columns}
    ]
    if not missing and len(old):
        return old
    new = measure_snapshots(folder, config, missing)
    kept = old.drop(columns=[name for name in new.columns if name in old.columns and name != "step"])
    return new.merge(kept, on="step") if len(kept) else new


def inspection(folder: Path, record: RunRecord, threshold: float = 0.9) -> Inspection:
    """Return the inspection of a run whose weights are kept in `folder`; raises `CheckpointError` if they are not."""
    config, steps = record.config, snapshot_steps(folder, record.run_id)
    memorised = record.milestone("train", threshold)
    before = next((step for step in steps if memorised.event and step >= memorised.step), steps[0])
    after, ends, spectra = steps[-1], dict[int, View](), []
    with device_named("cpu").computing(), torch.no_grad():
        for step, view in snapshot_views(folder, config):
            spectra.append(_spectrum(view))
            if step in (before, after):
                ends[step] = _frozen(view)
        lost = {step: {kind: d[0].numpy() for kind, d in damage(view).items()} for step, view in ends.items()}
        planes = _planes(ends[before], ends[after])
        has_bits = bits.no_bits(config.task, config.model) is None
        matter = tuple(bits.influences(ends[step])[0].numpy() for step in (before, after)) if has_bits else None
    keys = ends[after].keys
    return Inspection(
        measures=_measures(folder, record),
        spectrum=torch.stack(spectra).numpy(),
        spectrum_name=_spectrum_name(ends[after]),
        keys=() if keys is None else tuple(int(k) + 1 for k in keys[0].nonzero().flatten()),
        before=before,
        after=after,
        planes=planes,
        influences=None if matter is None else (matter[0], matter[1]),
        damage={kind: (lost[before][kind], lost[after][kind]) for kind in lost[after]},
        layers=config.model.hidden_layers,
    )


def _frozen(view: View) -> View:
    """Return a view that keeps its own weights when the next step's are put in place."""
    from dataclasses import replace

    return replace(view, parameters={name: value.clone() for name, value in view.parameters.items()})


def _measures(folder: Path, record: RunRecord) -> pd.DataFrame:
    """Return what was measured of the weight snapshots before, or measure it now, with the accuracies and losses."""
    skipped = {*LEFT_OUT, *not_measured(record.config, "circuit")}
    table = measured(folder, record, [name for name in chosen_measures("circuit") if name not in skipped])
    curves = record.curves
    # Columns that were measured while training are taken from there where the table has none.
    return table.merge(curves[["step", *(c for c in curves.columns if c not in table.columns)]], on="step", how="left")


def _spectrum_name(view: View) -> str:
    if no_frequencies(view.task, view.model) is None:
        return "frequency"
    if bits.no_bits(view.task, view.model) is None:
        return "degree"
    return "singular direction" if view.task.structure is None else "irreducible"


def _spectrum(view: View) -> Tensor:
    """Return the norms of the embedding's parts, or the shares of the function of bits: (F,)."""
    name, structure = _spectrum_name(view), view.task.structure
    if name == "frequency":
        return view.energies[0].sqrt()
    if name == "degree":
        return bits.weights(view)[0].clamp(0, 1)
    if structure is not None:
        rows = view.embedding[0][torch.from_numpy(structure.tokens.copy())].numpy()
        energy = structure.group.isotypic_energy(rows)
        parts = [float(energy[list(irreps)].sum()) for irreps in structure.group.real_irreps[1:]]
        return torch.tensor(parts, dtype=torch.float64).clamp_min(0).sqrt()
    values: Tensor = torch.linalg.svdvals(view.embedding[0] - view.embedding[0].mean(0))
    return values


def _planes(before: View, after: View) -> tuple[Plane, ...]:
    """Return the strongest key frequencies' planes, or the first two principal directions where there are none."""
    ends = (before, after)
    if after.task.table.symbols < 3:
        return ()
    if after.keys is None:
        centred = after.embedding[0] - after.embedding[0].mean(0)
        directions = torch.linalg.svd(centred, full_matrices=False)[2][:2]
        symbols = np.arange(len(centred))
        return (_plane("principal directions", directions, ends, symbols, symbols),) if len(directions) > 1 else ()
    waves = characters(after.task)
    tokens, n = waves.tokens.numpy(), len(waves.tokens)
    found = []
    for k in after.energies[0].argsort(descending=True)[:PLANES].tolist():
        if after.keys[0, k] and k in waves.paired:
            second = 1 + waves.frequencies + int((waves.paired == k).nonzero())
            rows = waves.basis[[k + 1, second]]
            turns = torch.atan2(rows[1], rows[0]).numpy() / (2 * np.pi)
            colours = np.rint(turns * n).astype(np.int64) % n
            directions = rows @ after.embedding[0][waves.tokens]
            if len(directions.T) > 1:
                found.append(_plane(f"frequency {k + 1}", directions, ends, tokens, colours))
    return tuple(found)


def _plane(name: str, directions: Tensor, ends: tuple[View, View], tokens: Ints, colours: Ints) -> Plane:
    """Return the embedding of some symbols, before and after, on the plane that two directions (2, D) span."""
    frame = torch.linalg.qr(directions.T)[0]
    seen = [view.embedding[0][torch.from_numpy(tokens)] for view in ends]
    points = [((rows - rows.mean(0)) @ frame).numpy() for rows in seen]
    return Plane(name=name, before=points[0], after=points[1], colours=colours)
