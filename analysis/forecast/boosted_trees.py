"""BoostedTrees: a sum of decision trees as plain arrays, which is told without the library that grew it.

Every tree is asked at once (QuickScorer, Lucchese et al. 2015, doi 10.1145/2766462.2767733): a tree's leaves are bits
from left to right, a node where a row goes right rules out the leaves on its left, and of what is left the leftmost
leaf is the row's. A missing value goes to the side that a node learned for it.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from analysis.forecast.landmarks import COLUMNS, Array
from grokcore.errors import DataError

LEAVES: Final = 15
"""Leaves of a tree at most: one less than bits of a mask."""
ALL: Final = 0xFFFF
"""The mask of a node that rules no leaf out."""
_OF_NODES: Final = ("column", "bound", "missing_left", "kept")
KINDS: Final = {
    "baseline": np.float64, "first": np.int32, "column": np.int16, "bound": np.float32, "missing_left": np.bool_,
    "kept": np.uint16, "leaf": np.float64,
}  # fmt: skip
"""Of what kind the numbers of each array are."""
ASKED_AT_ONCE: Final = 256
"""Rows whose way at all nodes is in memory together."""


@dataclass(frozen=True, kw_only=True, eq=False)
class BoostedTrees:
    """T trees of M nodes in all; a row's value is the baseline plus that of its leaf in every tree.

    A tree's first node is none: no row goes right there, so that a tree of one leaf has a node too.
    """

    baseline: Array
    """(1,) the value of no trees at all, in log odds."""
    first: npt.NDArray[np.int32]
    """(T,) the first node of each tree."""
    column: npt.NDArray[np.int16]
    """(M,) the column of a row that a node looks at."""
    bound: npt.NDArray[np.float32]
    """(M,) the largest value that goes left."""
    missing_left: npt.NDArray[np.bool_]
    """(M,) whether a missing value goes left."""
    kept: npt.NDArray[np.uint16]
    """(M,) the leaves of the tree, a bit each, that are still possible where a row goes right."""
    leaf: Array
    """(T, LEAVES) what the leaves add to the log odds, from left to right; 0 beyond the last."""

    @classmethod
    def grown(cls, rows: Array, events: npt.NDArray[np.bool_], columns: Sequence[int]) -> Self:
        """Learn the chance of an event from some columns of rows, (N, C), that may have missing values."""
        from sklearn.ensemble import HistGradientBoostingClassifier  # half a second to import
        from threadpoolctl import threadpool_limits

        model = HistGradientBoostingClassifier(
            max_iter=150, learning_rate=0.08, max_leaf_nodes=LEAVES, min_samples_leaf=30, l2_regularization=1.0,
            max_features=0.4, early_stopping=False, random_state=0,
        )  # fmt: skip
        with threadpool_limits(1):  # the same trees whatever the number of cores
            model.fit(rows[:, list(columns)].astype(np.float32), events)
        parts = [_Parts.of(tree.nodes) for (tree,) in model._predictors]
        nodes = np.concatenate([part.nodes for part in parts])
        none = np.cumsum([0, *(1 + len(part.nodes) for part in parts[:-1])])
        before = none - np.arange(len(none))
        return cls(
            baseline=np.asarray(model._baseline_prediction, dtype=float).reshape(1),
            first=none.astype(np.int32),
            column=np.insert(np.array(columns)[nodes["feature_idx"]], before, 0).astype(np.int16),
            bound=_at_most(np.insert(nodes["num_threshold"], before, np.inf)),
            missing_left=np.insert(nodes["missing_go_to_left"].astype(bool), before, True),
            kept=np.insert(np.concatenate([part.kept for part in parts]), before, ALL),
            leaf=np.stack([part.leaf for part in parts]),
        )

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Return those whose `arrays` are given; raises `DataError` for what cannot be trees."""
        names = [field.name for field in fields(cls)]
        if missing := [name for name in names if name not in arrays]:
            raise DataError(f"trees without {', '.join(missing)}; save the forecaster anew.")
        found = cls(**{name: arrays[name] for name in names})
        if not found._belong_together():
            raise DataError("trees whose nodes do not belong together; save the forecaster anew.")
        return found

    def _belong_together(self) -> bool:
        nodes, trees = len(self.column), len(self.first)
        shapes = {**dict.fromkeys(_OF_NODES, (nodes,)), "baseline": (1,), "first": (trees,), "leaf": (trees, LEAVES)}
        if any(
            self.arrays[name].shape != shape or self.arrays[name].dtype != KINDS[name] for name, shape in shapes.items()
        ):
            return False
        ascending = (
            trees > 0 and self.first[0] == 0 and bool((np.diff(self.first) > 0).all()) and self.first[-1] < nodes
        )
        known = bool(((self.column >= 0) & (self.column < len(COLUMNS))).all())
        numbers = bool(
            np.isfinite(self.leaf).all() and np.isfinite(self.baseline).all() and not np.isnan(self.bound).any()
        )
        return ascending and known and numbers

    @property
    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return what the trees are, by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def log_odds(self, rows: Array) -> Array:
        """Return the log odds of an event for rows, (N, C), as 32-bit numbers; (N,), each whatever the others are."""
        asked = rows.astype(np.float32)
        parts = [self._log_odds(asked[at : at + ASKED_AT_ONCE]) for at in range(0, len(asked), ASKED_AT_ONCE)]
        return np.concatenate(parts) if parts else np.zeros(0)

    def _log_odds(self, rows: npt.NDArray[np.float32]) -> Array:
        # A missing value is below every bound where it goes left, and below none, being no number, where it goes right.
        both = np.concatenate([rows, np.where(np.isnan(rows), np.float32(-np.inf), rows)], axis=1)
        left = both.T[self.column + rows.shape[1] * self.missing_left] <= self.bound[:, None]
        possible = np.where(left, np.uint16(ALL), self.kept[:, None])
        among = np.bitwise_and.reduceat(possible, self.first, axis=0)
        found = np.take_along_axis(self.leaf, _lowest()[among], axis=1)
        # Added tree by tree, so that a row's last bit does not depend on how many rows there are.
        return np.asarray(self.baseline[0] + np.add.accumulate(found, axis=0)[-1])


class _Parts(NamedTuple):
    """One of scikit-learn's trees."""

    nodes: npt.NDArray[Any]
    """Its nodes that are no leaves, as scikit-learn has them."""
    kept: npt.NDArray[np.uint16]
    """Of each, the leaves that are still possible where a row goes right."""
    leaf: Array
    """(LEAVES,) what its leaves add, from left to right."""

    @classmethod
    def of(cls, nodes: npt.NDArray[Any]) -> Self:
        """Take a tree apart."""
        inner: list[int] = []
        kept: list[int] = []
        leaves: list[float] = []

        def walk(at: int) -> None:
            if nodes[at]["is_leaf"]:
                leaves.append(float(nodes[at]["value"]))
                return
            place, begin = len(inner), len(leaves)
            inner.append(at)
            kept.append(ALL)
            walk(int(nodes[at]["left"]))
            kept[place] &= ~((1 << len(leaves)) - (1 << begin))
            walk(int(nodes[at]["right"]))

        walk(0)
        return cls(nodes[inner], np.array(kept, dtype=np.uint16), np.pad(leaves, (0, LEAVES - len(leaves))))


def _at_most(bounds: Array) -> npt.NDArray[np.float32]:
    """Return the largest 32-bit numbers not above the bounds: a 32-bit number is below both or neither."""
    near = bounds.astype(np.float32)
    return np.where(near > bounds, np.nextafter(near, np.float32(-np.inf)), near)


@functools.cache
def _lowest() -> npt.NDArray[np.intp]:
    """Return the place of the lowest bit of every number of 16 bits; of 0, which no row has, any."""
    numbers = np.arange(ALL + 1)
    return np.asarray(np.frexp((numbers & -numbers).astype(float))[1] - 1, dtype=np.intp)
