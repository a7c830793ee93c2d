"""Doctor: says what is open, missing or mismatched on this machine or on the hosts of a running cluster."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cluster.diagnosis.host_report import PACKAGES, HostReport, host_report
from cluster.launch import recipe

CLOCK_SECONDS = 5.0
"""Difference between two hosts' clocks from which on logs and MLflow's times mislead."""
DISK_BYTES = 2 * 10**9
"""Free disk below which checkpoints and Ray's session may not fit."""
SHARED_MEMORY_BYTES = recipe.OBJECT_STORE_BYTES
"""Shared memory below which Ray's objects go to disk."""
PRIVATE_PORTS = {recipe.MLFLOW_PORT: "MLflow", recipe.DASHBOARD_PORT: "the Ray dashboard"}
"""Ports that must be on loopback, and what listens there."""


@dataclass(frozen=True)
class Finding:
    """One thing looked at."""

    level: Literal["ok", "warning", "error"]
    """How bad it is."""
    text: str
    """What was found and, if it is not well, what to do."""


def here(reported: HostReport | None = None) -> Iterator[Finding]:
    """Yield what is well and what is not with this machine alone."""
    found = reported or host_report()
    missing = [name for name in PACKAGES if name not in found.versions]
    if missing:
        yield Finding("error", f"{', '.join(missing)} not installed: pip install -r cluster/requirements.txt.")
    pins = {name.partition("[")[0]: version for name, version in recipe.versions().items()}
    for name, version in found.versions.items():
        if name in pins and version.partition("+")[0] != pins[name]:
            yield Finding("warning", f"{name} {version} here, {pins[name]} on a cluster launched from here.")
    yield from _host(found)
    yield from _token(Path.home() / ".ray" / "auth_token")


def _host(found: HostReport) -> Iterator[Finding]:
    """Yield what one host's own numbers say."""
    yield Finding(
        "ok", f"{found.host}: Python {found.python}, torch {found.versions.get('torch', 'none')}, {found.cpus} cores"
    )
    if found.disk_free < DISK_BYTES:
        free = f"{found.disk_free / 1e9:.1f} GB free"
        yield Finding(
            "error", f"{found.host}: {free} for results and Ray's session: make room for {DISK_BYTES / 1e9:g}."
        )
    if found.shared_memory < SHARED_MEMORY_BYTES:
        size = f"{found.shared_memory / 1e6:.0f} MB"
        yield Finding(
            "warning",
            f"{found.host}: /dev/shm has {size}; give it {SHARED_MEMORY_BYTES / 1e6:.0f} MB (docker: --shm-size).",
        )
    if found.gpu_files > found.gpus:
        yield Finding(
            "error",
            f"{found.host}: {found.gpu_files} GPUs, of which torch sees {found.gpus}: install a CUDA build of torch "
            "and a driver that fits it.",
        )
    for port, what in PRIVATE_PORTS.items():
        if port in found.open_ports:
            yield Finding(
                "error", f"{found.host}: {what} listens to other hosts on port {port}; end it, or bind it to 127.0.0.1."
            )
        elif port in found.loopback_ports:
            yield Finding("ok", f"{found.host}: {what} listens on loopback only (port {port})")
    rays = sorted({recipe.GCS_PORT, *recipe.FIXED_PORTS.values()} & set(found.open_ports))
    if rays and found.public_addresses:
        yield Finding(
            "warning",
            f"{found.host}: Ray's ports ({', '.join(map(str, rays))}) also listen on {found.public_addresses[0]}, "
            "which the internet can reach: let a firewall keep all but port 22 from there.",
        )


def _token(path: Path) -> Iterator[Finding]:
    if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077:
        yield Finding("error", f"Ray's token {path} can be read by others: chmod 600 {path}.")


def together(reports: Sequence[HostReport], delays: Sequence[float]) -> Iterator[Finding]:
    """Yield what does not match between hosts; `delays` are their clocks minus the asking host's, in seconds."""
    for name in ("python", *PACKAGES):
        found: dict[str, list[str]] = {}
        for host in reports:
            version = host.python if name == "python" else host.versions.get(name, "none")
            found.setdefault(version, []).append(host.host)
        if len(found) > 1:
            said = "; ".join(f"{version} on {', '.join(hosts)}" for version, hosts in sorted(found.items()))
            yield Finding(
                "error",
                f"{name} differs: {said}. Launch again with one cluster/requirements.txt: ray up -y cluster.yaml.",
            )
    for host, delay in zip(reports, delays, strict=True):
        if abs(delay) > CLOCK_SECONDS:
            yield Finding(
                "warning", f"{host.host}: its clock is {delay:+.1f} s off; start a time service there (chrony)."
            )
    for host in reports:
        if host.threads > 1:
            yield Finding(
                "warning",
                f"{host.host}: {host.threads} threads per worker, which has one core; set OMP_NUM_THREADS=1.",
            )
        yield from _host(host)


def cluster(address: str = "auto", storage: str | None = None) -> Iterator[Finding]:
    """Yield what is well and what is not with a running Ray; `storage` is a folder that all hosts should share."""
    from cluster.diagnosis.node_survey import blind, survey

    reports, delays = survey(address)
    yield Finding("ok", f"{len(reports)} hosts answer")
    yield from together(reports, delays)
    if storage is not None:
        if reasons := blind(storage):
            hosts = ", ".join(reasons)
            reason = next(iter(reasons.values())).rstrip(".")
            yield Finding(
                "error",
                f"{hosts} cannot use {storage} ({reason}): mount it there, or leave `storage` out of the sweep.",
            )
        else:
            yield Finding("ok", f"every host sees {storage}")


def worst(findings: Iterable[Finding]) -> Literal["ok", "warning", "error"]:
    """Return the worst level among `findings`."""
    levels = {finding.level for finding in findings}
    return "error" if "error" in levels else "warning" if "warning" in levels else "ok"
