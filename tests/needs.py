"""What some tests need beside Python, and what happens where it is not there: one mechanism for every marker.

A test that is marked ``browser``, ``cluster``, ``postgres`` or ``cuda`` is skipped where its part is missing, with the
line that installs it, and the run ends in one table of what was skipped and why. With ``CI=true`` a missing part fails
the test instead, a graphics card apart: a machine without one is a whole machine.

``python -m tests.needs [MARKER ...]`` says what this machine lacks. tests/conftest.py makes this a plugin of pytest.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import hosts

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome")
CLUSTER = tuple(map(os.path.basename, hosts.TOOLS))


def program(*names: str) -> str | None:
    """Return the path of the first of `names` that is installed.

    Looks in ``PATH`` and where administrators' programs and PostgreSQL's lie; ``GROKMAP_PROGRAMS`` names other folders.
    """
    usual = [os.environ.get("PATH", ""), hosts.PATH, *map(str, Path("/usr/lib/postgresql").glob("*/bin"))]
    path = os.environ.get("GROKMAP_PROGRAMS", os.pathsep.join(usual))
    return next((found for name in names if (found := shutil.which(name, path=path))), None)


@functools.cache
def chromium() -> str | None:
    """Return the path of a Chromium: what ``CHROMIUM`` names, an installed one, or the one playwright installed."""
    if named := os.environ.get("CHROMIUM"):
        return named if Path(named).is_file() else None
    if found := program(*CHROMIUMS):
        return found
    folder = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH", Path.home() / ".cache/ms-playwright"))
    return next((str(path) for path in sorted(folder.glob("chromium-*/chrome-linux*/chrome"))), None)


def _browser() -> str:
    return "" if chromium() else "Chromium"


def _cluster() -> str:
    lacks = [tool for tool in CLUSTER if program(tool) is None]
    return ", ".join(lacks or hosts.missing())


def _postgres() -> str:
    return "" if program("initdb") else "PostgreSQL"


def _cuda() -> str:
    import torch

    return "" if torch.cuda.is_available() else "a graphics card"


@dataclass(frozen=True, kw_only=True)
class Need:
    """One part of a machine that tests may need."""

    marker: str
    """The marker of the tests that need it."""
    what: str
    """What it is."""
    install: str
    """The line that brings it."""
    programs: tuple[str, ...]
    """Programs that no test may start without the marker, since not every machine has them."""
    missing: Callable[[], str]
    """Say in words what is missing here; "" if it is there."""
    optional: bool = False
    """Whether CI passes without it."""


NEEDS = (
    Need(
        marker="browser",
        what="a headless Chromium",
        install="apt-get install chromium (elsewhere: .venv/bin/playwright install chromium)",
        programs=("node", *CHROMIUMS),
        missing=functools.cache(_browser),
    ),
    Need(
        marker="cluster",
        what="root on Linux, network namespaces, sshd and rsync",
        install="as root: apt-get install openssh-server rsync iproute2 util-linux",
        programs=("ssh", "scp", *CLUSTER),
        missing=functools.cache(_cluster),
    ),
    Need(
        marker="postgres",
        what="PostgreSQL's programs",
        install="apt-get install postgresql",
        programs=("setpriv", "initdb", "postgres", "psql"),
        missing=functools.cache(_postgres),
    ),
    Need(
        marker="cuda",
        what="an NVIDIA graphics card and torch's CUDA build",
        install="on a machine with a card: make gpu",
        programs=(),
        missing=functools.cache(_cuda),
        optional=True,
    ),
)
"""Every part that a test may need."""


def _sentence(need: Need) -> str:
    return f"needs {need.missing()}: {need.install}"


# ---- The plugin ------------------------------------------------------------------------------------------------------


_running: list[pytest.Item] = []
"""The test that runs now, if one does."""


def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers, and watch what tests start."""
    for need in NEEDS:
        config.addinivalue_line("markers", f"{need.marker}: needs {need.what}")
    sys.addaudithook(_refuse_unmarked)


def _refuse_unmarked(event: str, args: tuple[Any, ...]) -> None:
    """Let no test start a program that not every machine has, unless its marker says so: the table stays complete."""
    if event == "subprocess.Popen" and _running:
        name = Path(os.fsdecode(args[0] or args[1][0])).name
        markers = [need.marker for need in NEEDS if name in need.programs]
        if markers and not any(map(_running[-1].get_closest_marker, markers)):
            raise AssertionError(
                f"this test starts {name}, which not every machine has: mark it {' or '.join(markers)}"
            )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Remember the test that runs, its fixtures included."""
    _running.append(item)
    try:
        return (yield)
    finally:
        _running.pop()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose part is missing, before any of its fixtures is made; in CI fail it."""
    for need in NEEDS:
        if item.get_closest_marker(need.marker) and need.missing():
            if os.environ.get("CI") == "true" and not need.optional:
                pytest.fail(f"{_sentence(need)}. CI skips nothing for want of a part.", pytrace=False)
            pytest.skip(_sentence(need))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table of what was skipped and why, the most tests first."""
    reports = terminalreporter.stats.get("skipped", [])
    if reports:
        counts = Counter(_reason(report) for report in reports)
        terminalreporter.section(f"not run here: {len(reports)} tests")
        terminalreporter.write_line("tests  why, and what lifts it")
        for reason, count in counts.most_common():
            terminalreporter.write_line(f"{count:5}  {reason}")


def _reason(report: pytest.TestReport) -> str:
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return re.sub(r"^Skipped: ", "", text)


def main(markers: Sequence[str] = ()) -> None:
    """Say honestly what has passed: whether this machine has what the tests of these markers (or of all) need."""
    lacks = [need for need in NEEDS if need.marker in (markers or [need.marker]) and need.missing()]
    if not lacks:
        print("All of these tests ran and passed.")
        return
    print("What could run here has passed. NOT run, for want of a part:")
    for need in lacks:
        print(f"  tests marked {need.marker}: {_sentence(need)}")


if __name__ == "__main__":
    main(sys.argv[1:])
