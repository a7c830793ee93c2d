"""Figures of one's own, drawn with every map: one file each in the folder ``figures/`` of a sweep's components."""

from __future__ import annotations

import abc
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.figures.base import Style, save
from grokcore.config.registry import Registry
from grokcore.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from analysis.maps.regime_map import RegimeMap


class MapFigure(abc.ABC):
    """A figure of a map; its name is its file's."""

    @abc.abstractmethod
    def draw(self, fitted: RegimeMap, style: Style) -> Figure:
        """Return the figure of a fitted map: its `axes`, its `runs` (a DataFrame), its `probabilities(points)`."""


FIGURES: Registry[MapFigure] = Registry("analysis.figures", MapFigure, "figure")  # type: ignore[type-abstract]


def draw_own(fitted: RegimeMap, out: Path, style: Style) -> dict[str, Path]:
    """Write each figure of one's own as ``map-NAME.png``, ``.svg`` and ``.pdf``; return the paths by name.

    Raises `ConfigError` that names the figure which could not be drawn.
    """
    paths: dict[str, Path] = {}
    for name in FIGURES.added:
        try:
            figure = FIGURES.member(name)().draw(fitted, style)
            named = {f"{name}_{suffix}": out / f"map-{name}.{suffix}" for suffix in ("png", "svg", "pdf")}
            save(figure, list(named.values()), style)
        except (ConfigError, OSError):
            raise
        except Exception as error:
            raise ConfigError(
                [f"figure {name!r} could not be drawn ({type(error).__name__}: {error}); the map itself is in {out}."]
            ) from error
        paths |= named
    return paths
