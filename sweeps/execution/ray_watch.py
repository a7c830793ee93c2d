"""Watching over the Ray that a sweep runs on: a Ray that lost a part waits for ever, or ends the process in silence.

A thread looks at the embedded Ray's processes, or whether a cluster's head and this host's part of it still answer.
What is lost is raised in the main thread, as `RayLostError`. Without its control store (GCS) Ray does not come back
from its calls, and ends the process a minute later: then the watch ends it, with a sentence and `EXIT_CODE`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import ray

from grokcore.errors import GrokmapError
from sweeps.execution.address import silence

LOOK_SECONDS: Final = 2.0
"""Time between two looks."""

SILENT_LOOKS: Final = 4
"""Looks in a row at which a cluster does not answer before it is given up."""

REACT_SECONDS: Final = 15.0
"""How long the main thread may take to hear of it."""

EXIT_CODE: Final = 75
"""The exit code of a sweep whose Ray took it down: sysexits' EX_TEMPFAIL, try again."""

PARTS: Final = ("raylet", "gcs_server")
"""Processes of an embedded Ray that it cannot do without; with its agents the raylet ends itself."""


class RayLostError(GrokmapError):
    """Ray lost a part that it cannot do without; finished runs are kept, and the same command goes on."""


class RayWatch:
    """Looks after the Ray of one sweep while cohorts are trained (`over`).

    Parameters: `embedded`, whether it is the sweep's own; `newcomers`, what is to be done with the nodes there are now.
    """

    def __init__(self, *, embedded: bool, newcomers: Callable[[Iterable[Mapping[str, Any]]], None]) -> None:
        self._embedded, self._newcomers = embedded, newcomers
        self._error: GrokmapError | None = None
        self._end, self._heard = threading.Event(), threading.Event()
        self._silent = 0

    @contextlib.contextmanager
    def over(self) -> Iterator[None]:
        """Watch meanwhile; raise what was found, however the block ends."""
        if threading.current_thread() is not threading.main_thread():
            yield  # no thread but the main one can be interrupted
            return
        before = signal.signal(signal.SIGUSR1, self._raise)
        thread = threading.Thread(target=self._look, name="ray-watch", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._heard.set()
            self._end.set()
            thread.join(LOOK_SECONDS)
            signal.signal(signal.SIGUSR1, before)
            if self._error is not None:
                raise self._error

    def _raise(self, *_: object) -> None:
        if self._error is not None and not self._heard.is_set():
            raise self._error

    def _look(self) -> None:
        addresses = [] if self._embedded else _addresses()
        while not self._end.wait(LOOK_SECONDS):
            try:
                if lost := self._lost(addresses):
                    self._interrupt(RayLostError(lost))
                    return
                if not self._embedded:
                    self._newcomers(ray.nodes())  # type: ignore[no-untyped-call]
            except GrokmapError as error:
                self._interrupt(error)
                return
            except Exception:
                continue

    def _lost(self, addresses: list[str]) -> str:
        """Return what was lost, in a sentence; empty if nothing was."""
        if self._embedded:
            node = ray._private.worker._global_node
            dead: set[str] = {name for name, _ in node.dead_processes()} if node is not None else set()
            gone = [part for part in PARTS if part in dead]
            return f"the embedded Ray lost its {' and '.join(gone)}." if gone else ""
        silent = [address for address in addresses if silence(address)]
        self._silent = self._silent + 1 if silent else 0
        if self._silent < SILENT_LOOKS:
            return ""
        return f"the Ray cluster no longer answers at {' and '.join(silent)}: is its head still up (ray status)?"

    def _interrupt(self, error: GrokmapError) -> None:
        self._error = error
        thread = threading.main_thread().ident
        deadline = time.monotonic() + REACT_SECONDS
        while thread is not None and time.monotonic() < deadline:
            # Again and again: Ray and Tune swallow errors in some places, and go on waiting.
            signal.pthread_kill(thread, signal.SIGUSR1)
            if self._heard.wait(REACT_SECONDS / 10):
                return
        # The main thread sits in a call of Ray's that never returns.
        sys.stderr.write(f"\n\x1b[?25h{error} Finished runs are kept; the same command goes on.\n")
        sys.stderr.flush()
        if self._embedded:
            _kill_processes()
        os._exit(EXIT_CODE)


def _addresses() -> list[str]:
    """Return where the head answers, and this host's part of the cluster."""
    own = ray.get_runtime_context().get_node_id()
    nodes = ray.nodes()  # type: ignore[no-untyped-call]
    here = [f"{n['NodeManagerAddress']}:{n['NodeManagerPort']}" for n in nodes if n["NodeID"] == own]
    return [str(ray.get_runtime_context().gcs_address), *here]


def _kill_processes() -> None:
    node = ray._private.worker._global_node
    if node is None:
        return
    for infos in node.all_processes.values():
        for info in infos:
            with contextlib.suppress(OSError):
                info.process.kill()
