"""Host report: what one host says of itself; runs on the laptop or, as a Ray task, on every host of a cluster."""

from __future__ import annotations

import ipaddress
import os
import platform
import shutil
import socket
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

PACKAGES = ("ray", "torch", "numpy", "numba", "optuna", "mlflow", "pandas", "pyarrow")
"""Packages whose versions decide whether hosts understand each other and give the same bits."""


@dataclass(frozen=True, kw_only=True)
class HostReport:
    """What a host says of itself."""

    host: str
    """Its name."""
    clock: float
    """Its wall clock, seconds since 1970."""
    python: str
    """Its Python's version."""
    versions: dict[str, str]
    """Versions of `PACKAGES`; those that are not installed are missing."""
    cpus: int
    """Cores this process may use."""
    threads: int
    """Threads that a numerical library would start in a worker: OMP_NUM_THREADS, or the cores."""
    disk_free: int
    """Free bytes where results and Ray's session lie, the smaller of the two."""
    shared_memory: int
    """Bytes of /dev/shm, where Ray's objects lie."""
    open_ports: tuple[int, ...]
    """TCP ports that listen on other addresses than loopback."""
    loopback_ports: tuple[int, ...]
    """TCP ports that listen on loopback only."""
    public_addresses: tuple[str, ...]
    """Addresses of its own that the whole internet can name."""
    gpus: int
    """GPUs that torch sees."""
    gpu_files: int
    """GPUs that the kernel shows, whether torch can use them or not."""


def host_report() -> HostReport:
    """Return what this host says of itself now."""
    everywhere, loopback = _listening()
    return HostReport(
        host=socket.gethostname(),
        clock=time.time(),
        python=platform.python_version(),
        versions=dict(_versions()),
        cpus=len(os.sched_getaffinity(0)),
        threads=int(os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0))),
        disk_free=min(shutil.disk_usage(path).free for path in (Path.home(), Path("/tmp"))),
        shared_memory=shutil.disk_usage("/dev/shm").total,
        open_ports=everywhere,
        loopback_ports=loopback,
        public_addresses=_public_addresses(),
        gpus=_gpus(),
        gpu_files=len(list(Path("/proc/driver/nvidia/gpus").glob("*"))),
    )


def _versions() -> list[tuple[str, str]]:
    found = []
    for name in PACKAGES:
        try:
            found.append((name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            continue
    return found


def _gpus() -> int:
    if not list(Path("/dev").glob("nvidia[0-9]*")):
        return 0  # spares the seconds that importing torch takes
    import torch

    return torch.cuda.device_count()


def _public_addresses() -> tuple[str, ...]:
    import psutil

    kinds = (socket.AF_INET, socket.AF_INET6)
    found = [entry.address for card in psutil.net_if_addrs().values() for entry in card if entry.family in kinds]
    return tuple(sorted(address for address in found if ipaddress.ip_address(address.partition("%")[0]).is_global))


def _listening() -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the listening TCP ports, open to other hosts and on loopback only, as the kernel lists them."""
    everywhere: set[int] = set()
    loopback: set[int] = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        path = Path(table)
        for line in path.read_text(encoding="utf-8").splitlines()[1:] if path.exists() else ():
            local, state = line.split()[1], line.split()[3]
            if state != "0A":
                continue
            address, port = local.split(":")
            (loopback if _is_loopback(address) else everywhere).add(int(port, 16))
    return tuple(sorted(everywhere)), tuple(sorted(loopback - everywhere))


def _is_loopback(address: str) -> bool:
    """Say whether an address in the kernel's hexadecimal (little-endian words) is 127.*, ::1 or ::ffff:127.*."""
    if len(address) == 8:
        return address.endswith("7F")
    return address == "0" * 24 + "01000000" or (address.startswith("0" * 16 + "FFFF0000") and address.endswith("7F"))
