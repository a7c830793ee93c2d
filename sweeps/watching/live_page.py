"""LivePage: the page of a sweep's map, made anew after each wave, for at most a tenth of the time."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from pathlib import Path

from grokcore.errors import GrokmapError
from sweeps.watching.state import SweepState

SHARE = 0.1
"""Part of the time that fitting may take, from the end of one fit on."""


class LivePage:
    """The newest page of a map. Pages are made in a thread of their own, one at a time."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.folder = folder
        self.text: str | None = None
        """The page; None before there is one."""
        self.version = 0
        """How many pages there were."""
        self.runs = 0
        """Runs that the page is of."""
        self.note = ""
        """Why there is no page, in a sentence."""
        self.widths: list[tuple[int, dict[tuple[str, str], float]]] = []
        """After so many runs: the 90 % band of each boundary, as a share of an axis, the widest first."""
        self._clock = clock
        self._tried, self._again = -1, -float("inf")
        self._thread: threading.Thread | None = None

    @property
    def fitting(self) -> bool:
        """Say whether a page is being made."""
        return self._thread is not None and self._thread.is_alive()

    def wanted(self, state: SweepState) -> bool:
        """Say whether another page is worth its time: a wave has finished since the last, or the sweep has ended."""
        if self.fitting or state.spec is None or not state.finished or state.finished == self._tried:
            return False
        ended = state.complete or not state.running
        wave = state.finished - max(self._tried, 0) >= state.spec.wave
        return ended or (wave and self._clock() >= self._again)

    def begin(self, finished: int) -> None:
        """Begin to make a page of the runs that are there, of which `finished` were seen."""
        self._tried = finished
        self._thread = threading.Thread(target=self._make, args=(finished,), daemon=True)
        self._thread.start()

    def wait(self, seconds: float | None = None) -> None:
        """Wait until the page that is being made is there."""
        if self._thread is not None:
            self._thread.join(seconds)

    def _make(self, finished: int) -> None:
        from analysis.exports.views import page
        from analysis.maps.band_width import band_widths
        from analysis.maps.of_source import map_of
        from analysis.runs.sources import read_source
        from sweeps.tracking.browsing import with_tracker

        begun = self._clock()
        try:
            source = with_tracker(read_source(self.folder), self.folder)
            fitted = map_of(source, None)
            self.text = page(fitted, source).text
            found = {pair: width for pair, width in band_widths(fitted).items() if math.isfinite(width)}
            self.widths.append((len(fitted.runs), found))
            self.runs, self.note = len(fitted.runs), ""
            self.version += 1
        except GrokmapError as error:
            self.note = f"no map of {finished} runs: {error}"
        finally:
            ended = self._clock()
            self._again = ended + (ended - begun) * (1 / SHARE - 1)
