"""A Ray of the sweep's own on this machine: its cores, its folder, its token."""

from __future__ import annotations

import math
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import ray

from grokcore.errors import ConfigError

OBJECT_STORE: Final = 256 * 2**20
"""Bytes of shared memory; records and checkpoints of small runs need far less."""

ROOM: Final = 64 * 2**20
"""Bytes that its folder's disk must have free: logs, spilled objects, and Ray's own files of each worker."""

FOLDER_LETTERS: Final = 40
"""Length of its folder's path at most: the sockets below it have 67 letters more, and Linux allows 107."""


def start(slots: int | None) -> None:
    """Start an embedded Ray with so many cores, or as many as the process may use.

    Raises `ConfigError` if it does not start.
    """
    folder = ray_folder()
    _own_token()
    try:
        ray.init(
            address="local",
            num_cpus=slots or usable_cores(),
            include_dashboard=False,
            object_store_memory=OBJECT_STORE,
            configure_logging=False,
            log_to_driver=False,
            _temp_dir=str(folder),
        )
    except Exception as error:  # Ray raises RuntimeError, OSError, ValueError, and bare Exception
        said = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        free = shutil.disk_usage(folder if folder.exists() else folder.parent).free / 2**20
        remedy = (
            "The machine may be busy with other things; give the same command again when it is less so."
            if "timed out" in said
            else f"Its folder is {folder}, with {free:,.0f} MiB free: make room there, or name another short folder in "
            "RAY_TMPDIR."
        )
        raise ConfigError([f"an embedded Ray does not start: {said}. {remedy}"]) from None


def usable_cores() -> int:
    """Return how many cores this process may use: by affinity, control groups, and its share of a Slurm job."""
    limits = [len(os.sched_getaffinity(0)), *_group_limits()]
    share = os.environ.get("SLURM_CPUS_PER_TASK", "")
    if share.isdecimal() and int(share):
        limits.append(int(share))
    return max(1, min(limits))


def _group_limits(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> Iterator[int]:
    """Yield the whole cores that each control group around this process allows (version 2, then version 1)."""
    try:
        lines = [line.split(":", 2) for line in own.read_text(encoding="utf-8").splitlines()]
    except OSError:
        return
    for _, controllers, place in (line for line in lines if len(line) == 3):
        if controllers and "cpu" not in controllers.split(","):
            continue
        base = root / "cpu" if controllers else root
        folder = base / place.lstrip("/")
        for level in (folder, *folder.parents):
            if not level.is_relative_to(base):
                break
            quota, period = _quota(level)
            if quota > 0 and period > 0:
                yield max(1, math.floor(quota / period + 1e-9))


def _quota(level: Path) -> tuple[float, float]:
    """Return the microseconds of processor time a control group has in a period, and the period; zeros for no limit."""
    try:
        if (level / "cpu.max").exists():
            quota, period = (level / "cpu.max").read_text(encoding="utf-8").split()
            return (0.0, 0.0) if quota == "max" else (float(quota), float(period))
        files = (level / "cpu.cfs_quota_us", level / "cpu.cfs_period_us")
        first, second = (float(file.read_text(encoding="utf-8")) for file in files)
    except (OSError, ValueError):
        return 0.0, 0.0
    return first, second


def ray_folder() -> Path:
    """Return where an embedded Ray puts its sockets and logs: Ray's usual folder, or another that this user can use.

    Raises `ConfigError` if there is none.
    """
    named = os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()
    for base in dict.fromkeys([named, "/tmp", "/var/tmp", "/dev/shm"]):
        for name in ("ray", f"ray-{os.getuid()}"):
            folder = Path(base) / name
            if len(str(folder)) <= FOLDER_LETTERS and _usable(folder):
                return folder
    raise ConfigError(
        [
            f"an embedded Ray needs a folder of at most {FOLDER_LETTERS - 4} letters that can be written and has "
            f"{ROOM / 2**20:.0f} MiB free, for its sockets and logs; {named!r} and /tmp are none. Name one in "
            "RAY_TMPDIR."
        ]
    )


def _usable(folder: Path) -> bool:
    """Say whether this user, and no other, owns a folder, or can make it, and whether there is room in it."""
    try:
        there = folder if folder.exists() else folder.parent
        if folder.exists() and folder.stat().st_uid != os.getuid():
            return False
        return os.access(there, os.W_OK | os.X_OK) and shutil.disk_usage(there).free >= ROOM
    except OSError:
        return False


def _own_token() -> None:
    """Keep the token that an embedded Ray asks for to this user; the one that Ray would make, all users can read."""
    if os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH"):
        return
    path = Path.home() / ".ray" / "auth_token"
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        if not path.exists():
            path.touch(mode=0o600, exist_ok=False)
            path.write_text(secrets.token_hex(32), encoding="utf-8")
        path.chmod(0o600)
    except OSError:
        if not os.access(path, os.R_OK) or not path.stat().st_size:
            # A home that cannot be written: the token lives as long as this process and those below it.
            os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
