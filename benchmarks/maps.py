"""How good maps are, on diagrams whose truth is known: ``python -m benchmarks.maps``.

Prints, per diagram and number of Sobol runs, means over noise seeds of: the share of 4,096 quasi-random points whose
most probable regime is the true one (map, each member, nearest neighbour, a plain Gaussian-process classifier), Brier
and log score of the regime a new seed gets, calibration error, and how often the 90 and 50 % bands hold the true edge;
then what was to be reached beside what was, differences with their standard errors over the seeds, and fit times and
memory. ``--drawn 20`` takes diagrams drawn at random instead of the standard ones, ``--keep scores.csv`` goes on where
it was stopped. ``--replay RUNS.csv`` scores maps of subsets of a dense grid of real runs on the rest of it.
"""

from __future__ import annotations

import argparse
import resource
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import sem

from analysis import RegimeMap, RegimeRule, read_runs
from benchmarks.diagrams import CLIFFS, SMOOTH, Array, Diagram, sobol
from benchmarks.drawn import drawn, has_cliff
from grokcore.records.regimes import REGIMES

if TYPE_CHECKING:
    from pandas.core.groupby import SeriesGroupBy

Labels = npt.NDArray[np.int64]
POINTS = 4096
RUNS = {2: (48, 96), 3: (96, 256)}
TARGETS = {(2, 48): 0.94, (2, 96): 0.96, (3, 96): 0.92, (3, 256): 0.95}
SHARES = (0.15, 0.3, 0.5)
"""Shares of a real grid's runs that are mapped."""
LINE = ("diagram", "axes", "runs")
"""What a line of the table is about."""
NAMES = [str(regime) for regime in REGIMES]


def nearest(units: Array, labels: Labels, points: Array) -> Labels:
    """Return the label of the nearest run."""
    square = ((points[:, None, :] - units[None]) ** 2).sum(axis=-1)
    return np.asarray(labels[square.argmin(axis=1)])


def plain_classifier(units: Array, labels: Labels, points: Array) -> Labels:
    """Return the labels of scikit-learn's Gaussian-process classifier with a scaled RBF kernel, as one types it."""
    from sklearn.gaussian_process import GaussianProcessClassifier
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel

    if len(np.unique(labels)) == 1:
        return np.full(len(points), labels[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says so when a length scale ends at its bound
        fitted = GaussianProcessClassifier(ConstantKernel(1.0) * RBF(1.0), random_state=0).fit(units, labels)
    return np.asarray(fitted.predict(points))


def calibration_error(chances: Array, truth: Array) -> float:
    """Return the expected calibration error of the most probable regime, over ten bins; `truth` are chances too."""
    sure, pick = chances.max(axis=1), chances.argmax(axis=1)
    right = truth[np.arange(len(truth)), pick]
    bins = np.minimum((10 * sure).astype(int), 9)
    return float(sum(abs((sure - right)[bins == b].sum()) for b in range(10)) / len(sure))


def edges(diagram: Diagram, count: int = 4000) -> list[tuple[int, int, Array]]:
    """Return points on the true edges, by pair of regimes: where the regime changes along the first axis that does."""
    others = sobol(256, diagram.dimensions, 11)[:, 1:]
    along = np.linspace(0.0, 1.0, 401)
    for axis in range(diagram.dimensions):
        units = np.insert(np.repeat(others, len(along), axis=0), axis, np.tile(along, len(others)), axis=1)
        labels = diagram.truth(units).reshape(len(others), -1)
        line, at = np.nonzero(labels[:, 1:] != labels[:, :-1])
        if len(line):
            break
    points = np.insert(others[line], axis, along[at] + 0.5 * (along[1] - along[0]), axis=1)
    pairs = np.sort(np.column_stack([labels[line, at], labels[line, at + 1]]), axis=1)
    return [(int(a), int(b), points[(pairs == (a, b)).all(axis=1)][:count]) for a, b in np.unique(pairs, axis=0)]


def coverage(diagram: Diagram, regime_map: RegimeMap) -> tuple[float, float]:
    """Return the share of true edge points that the 90 % and the 50 % bands hold."""
    shares = [regime_map.share(NAMES[a], NAMES[b], diagram.table(points)).to_numpy() for a, b, points in edges(diagram)]
    share = np.concatenate(shares)
    return float(((share >= 0.05) & (share <= 0.95)).mean()), float(((share >= 0.25) & (share <= 0.75)).mean())


def score(diagram: Diagram, runs: int, seed: int, *, classifier: bool) -> dict[str, float]:
    """Return the scores of one fit."""
    units, points = sobol(runs, diagram.dimensions, seed), sobol(POINTS, diagram.dimensions, 999)
    truth, frame, asked = diagram.truth(points), diagram.runs(units, seed), diagram.table(points)
    labels = diagram.rule.labels(frame["t_mem"], frame["t_mem_event"], frame["t_gen"], frame["t_gen_event"])
    start = time.process_time()
    fitted = RegimeMap.fit(frame, diagram.axes, rule=diagram.rule, seed=seed)
    seconds = time.process_time() - start
    chances, seeds = fitted.probabilities(asked).to_numpy(), diagram.chances(points, 100)
    held = coverage(diagram, fitted)
    found = {
        "map": float((chances.argmax(axis=1) == truth).mean()),
        "nearest": float((nearest(units, labels, points) == truth).mean()),
        "classifier": float((plain_classifier(units, labels, points) == truth).mean()) if classifier else np.nan,
        "brier": float(((chances - seeds) ** 2).sum(axis=1).mean()),
        "excess log score": float((seeds * (np.log(seeds + 1e-12) - np.log(chances + 1e-12))).sum(axis=1).mean()),
        "calibration": calibration_error(chances, seeds),
        "band 90": held[0],
        "band 50": held[1],
        "seconds": seconds,
    }
    for name in fitted.weights:
        member = fitted.member_probabilities(name, asked).to_numpy()
        found[f"({name})"] = float((member.argmax(axis=1) == truth).mean())
    return found


def scores_of(diagrams: Sequence[Diagram], seeds: int, *, classifier: bool, keep: Path | None) -> pd.DataFrame:
    """Score every diagram, print a line as each is done, and return one row per diagram, number of runs and seed."""
    done = pd.read_csv(keep).to_dict("records") if keep is not None and keep.is_file() else []
    known: dict[tuple[Any, ...], dict[Any, Any]] = {tuple(row[name] for name in (*LINE, "seed")): row for row in done}
    tables: list[pd.DataFrame] = []
    for diagram, runs in [(each, runs) for each in diagrams for runs in RUNS[each.dimensions]]:
        line: dict[str, Any] = dict(zip(LINE, (diagram.name, diagram.dimensions, runs), strict=True))
        rows = []
        for seed in range(seeds):
            key = (*line.values(), seed)
            if key not in known:
                known[key] = line | {"seed": seed} | score(diagram, runs, seed, classifier=classifier)
                if keep is not None:
                    pd.DataFrame(known.values()).to_csv(keep, index=False)
            rows.append(known[key])
        tables.append(pd.DataFrame(rows).assign(kind="cliff" if diagram in CLIFFS or has_cliff(diagram) else "smooth"))
        mean = tables[-1].drop(columns="seed").groupby([*LINE, "kind"]).mean().reset_index()
        print(mean.round(3).to_string(index=False, header=len(tables) == 1), flush=True)
    return pd.concat(tables, ignore_index=True)


def verdicts(scores: pd.DataFrame) -> None:
    """Print what was to be reached beside what was; differences with their standard errors over the seeds."""
    table = scores.groupby([*LINE, "kind"], sort=False).mean().reset_index()
    print()
    for (axes, runs), target in TARGETS.items():
        rows = table[(table["axes"] == axes) & (table["runs"] == runs)]
        if not len(rows):
            continue
        smooth = rows[rows["kind"] == "smooth"]["map"].mean()
        print(f"{axes}-D, {runs} runs: {rows['map'].mean():.3f} over all, {smooth:.3f} over smooth (to reach {target})")
    for rival in ("nearest", "classifier"):
        ahead = (scores["map"] - scores[rival]).groupby([scores[name] for name in LINE], sort=False)
        print(f"against {rival}: {_least(ahead, 'ahead')}")
    series = ["diagram", "axes", "seed"]
    gains = scores.sort_values("runs").set_index(series).groupby(level=series)["map"].diff().dropna()
    print(f"more runs: {_least(gains.groupby(level=series[:2]), 'better')}")
    print(f"90 % bands hold the edge {table['band 90'].mean():.3f}, 50 % bands {table['band 50'].mean():.3f}")
    print(f"calibration error: mean {table['calibration'].mean():.3f}, worst {table['calibration'].max():.3f}")


def _least(differences: SeriesGroupBy[Any, Any], word: str) -> str:
    """Return the mean of paired differences, and by name every line whose mean is below zero, with standard errors."""
    by_line = differences.agg(["mean", "sem"])
    behind = by_line[by_line["mean"] < 0].sort_values("mean")
    names = [f"{row.Index} {row.mean:+.4f} ± {row.sem:.4f}" for row in behind.itertuples()]
    beyond = int((behind["mean"] < -2 * behind["sem"]).sum())
    listed = f": {', '.join(names)}" if names else ""
    return (
        f"{by_line['mean'].mean():+.3f} {word} on average; below zero on {len(behind)} of {len(by_line)} lines, "
        f"on {beyond} by more than two standard errors{listed}"
    )


def speed(sizes: tuple[int, ...]) -> None:
    """Print processor time, wall time and memory of fits of growing size."""
    diagram = SMOOTH[-1]
    for runs in sizes:
        frame = diagram.runs(sobol(runs, 3, 0), 0)
        wall, start = time.perf_counter(), time.process_time()
        RegimeMap.fit(frame, diagram.axes, rule=diagram.rule)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        seconds = f"{time.process_time() - start:.1f} s of processor, {time.perf_counter() - wall:.1f} s of wall"
        print(f"fit of {runs} runs: {seconds}, {memory:.2f} GiB at most")


def replay(path: Path, axes: dict[str, str], rule: RegimeRule, seeds: int) -> None:
    """Print how maps of some runs of a real grid do on the others, beside the same rivals."""
    frame = read_runs(path)
    print(f"{path}: {len(frame)} runs, {rule.sentence()}; shares of the runs left out that are labelled rightly")
    for share in SHARES:
        table = pd.DataFrame([replayed(frame, axes, rule, share, seed) for seed in range(seeds)])
        ahead = {rival: table["map"].to_numpy() - table[rival].to_numpy() for rival in ("nearest", "classifier")}
        differences = ", ".join(f"ahead of {name} {by.mean():+.3f} ± {sem(by):.3f}" for name, by in ahead.items())
        means = ", ".join(f"{name} {table[name].mean():.3f}" for name in ("map", *ahead))
        print(f"{round(share * len(frame))} runs mapped: {means}; {differences}", flush=True)


def replayed(frame: pd.DataFrame, axes: dict[str, str], rule: RegimeRule, share: float, seed: int) -> dict[str, float]:
    """Return the shares of right labels on the rest of a grid by a map of some of its runs and by its rivals."""
    chosen = np.zeros(len(frame), dtype=bool)
    chosen[np.random.default_rng(seed).permutation(len(frame))[: max(8, round(share * len(frame)))]] = True
    fitted = RegimeMap.fit(frame[chosen], axes, rule=rule, seed=seed)
    units = np.column_stack([axis.unit(frame[axis.name]) for axis in fitted.axes])
    labels = rule.labels(frame["t_mem"], frame["t_mem_event"], frame["t_gen"], frame["t_gen_event"])
    truth = labels[~chosen]
    found = {
        "map": fitted.probabilities(frame[~chosen]).to_numpy().argmax(axis=1),
        "nearest": nearest(units[chosen], labels[chosen], units[~chosen]),
        "classifier": plain_classifier(units[chosen], labels[chosen], units[~chosen]),
    }
    return {name: float((label == truth).mean()) for name, label in found.items()}


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10, help="noise seeds per diagram")
    parser.add_argument("--drawn", type=int, metavar="N", help="take N diagrams drawn at random for 2 and for 3 axes")
    parser.add_argument("--first", type=int, default=0, help="seed of the first drawn diagram")
    parser.add_argument("--axes-only", type=int, choices=(2, 3), help="leave out diagrams of the other number of axes")
    parser.add_argument("--keep", type=Path, help="a CSV that holds what was scored so far, to go on from")
    parser.add_argument("--no-classifier", action="store_true", help="leave out the plain classifier, which is slow")
    parser.add_argument("--no-speed", action="store_true", help="leave out the fits of 300 to 10,000 runs")
    parser.add_argument("--replay", type=Path, help="a run table to replay instead")
    parser.add_argument("--axes", default="fraction:linear,decay:log", help="axes of the replay")
    parser.add_argument("--budget", type=int, default=3000)
    parser.add_argument("--ratio", type=float, default=5.0)
    given = parser.parse_args()
    if given.replay is not None:
        axes = dict(pair.split(":") for pair in given.axes.split(","))
        replay(given.replay, axes, RegimeRule(budget=given.budget, ratio=given.ratio), given.seeds)
        return
    diagrams = [*SMOOTH, *CLIFFS]
    if given.drawn is not None:
        diagrams = [drawn(given.first + index, axes) for axes in RUNS for index in range(given.drawn)]
    if given.axes_only is not None:
        diagrams = [diagram for diagram in diagrams if diagram.dimensions == given.axes_only]
    verdicts(scores_of(diagrams, given.seeds, classifier=not given.no_classifier, keep=given.keep))
    if not given.no_speed:
        speed((300, 1000, 10_000))


if __name__ == "__main__":
    main()
