"""The process that mirrors a running sweep in MLflow, as the sweep sees it: started, told of the end, waited for."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Final, Self

OVER: Final = b"over\n"
"""What the sweep's process says at its end. A pipe that closes without it has lost its driver."""

HURRY_SECONDS = 5.0
"""How long the mirror may go on after an interrupt; what it lacks then is written the next time."""


class MirrorProcess:
    """Runs `sweeps.tracking.mlflow_follower` beside the sweep, so that MLflow, slow or away, never holds it up."""

    def __init__(self, path: Path) -> None:
        self._path = path.resolve()
        self._errors = (self._path / "tracking.log").open("w+")
        # A session of its own: Ctrl-C in the terminal is for the sweep, which then tells the mirror.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "sweeps.tracking.mlflow_follower", str(self._path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
            start_new_session=True,
        )

    def finish(self) -> str | None:
        """Let it write what is left and wait; return what went wrong, if anything did."""
        return self._end(None)

    def _end(self, seconds: float | None) -> str | None:
        if self._process.stdin is not None and not self._process.stdin.closed:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(OVER)
                self._process.stdin.close()
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return None
        if code == 0:
            return None
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines()
        return lines[-1] if lines else f"it ended with code {code}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._end(HURRY_SECONDS)
        self._errors.close()
        if self._process.returncode == 0:
            (self._path / "tracking.log").unlink(missing_ok=True)
