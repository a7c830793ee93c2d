"""A Ray cluster that is there: joining it, and what is free on it."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping

import ray

from grokcore.errors import ConfigError
from sweeps.execution import embedded_ray
from sweeps.execution.address import noted


def connect(address: str, slots: int | None = None, instead: Callable[[str], None] | None = None) -> bool:
    """Join a cluster or start an embedded Ray with so many slots; say whether it is embedded.

    Where nobody asked for the cluster, `instead` is told why it cannot be joined, and an embedded Ray is started.
    """
    if address != "local":
        try:
            with _heard() as said:
                # Under its own address Ray does not use the token of the one who started it; found by itself, it does.
                where = "auto" if address == noted() else address
                ray.init(address=where, configure_logging=False, log_to_driver=False)
        except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            reason = _reason(error, said)
            if instead is None:
                raise ConfigError([f"Ray at {address!r} cannot be joined: {reason}"]) from None
            instead(
                f"the Ray noted on this host at {address} cannot be joined ({reason.partition('. ')[0]}): this sweep "
                "starts one of its own, as --address local does at once"
            )
        else:
            return False
    embedded_ray.start(slots)
    return True


def _reason(error: Exception, heard: Iterable[str]) -> str:
    """Return in one sentence what Ray says in many lines, and what to do."""
    said = " ".join(str(error).split())
    if "ersion mismatch" in said:
        return (
            f"{said.rstrip('.')}. Launch again, so that all hosts install the same cluster/requirements.txt "
            "on the same Python: ray up -y cluster.yaml."
        )
    if any("InvalidAuthToken" in line for line in heard):
        return (
            "it asks for a token that this host does not give. Take the one of the user who started it: "
            "RAY_AUTH_MODE=token, and the token in RAY_AUTH_TOKEN or ~/.ray/auth_token."
        )
    return f"{said.partition('. ')[0].rstrip('.')}. Is it running (ray status), and is this its address?"


@contextlib.contextmanager
def _heard() -> Iterator[list[str]]:
    """Take what Ray's own code writes to the error stream meanwhile, a line a second where it cannot join."""
    lines: list[str] = []
    sys.stderr.flush()
    with tempfile.TemporaryFile("w+", errors="replace") as file:
        stream = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            yield lines
        finally:
            os.dup2(stream, 2)
            os.close(stream)
            file.seek(0)
            lines += file.readlines()


def full(slot: Mapping[str, float]) -> str:
    """Return that no slot of those resources is free, and what there is; empty if one is."""
    free, have = ray.available_resources(), ray.cluster_resources()  # type: ignore[no-untyped-call]
    if all(free.get(name, 0) >= amount for name, amount in slot.items()):
        return ""
    units = {"CPU": "cores", "GPU": "GPUs"}
    parts = [f"{free.get(name, 0):g} of its {have.get(name, 0):g} {units[name]}" for name in slot]
    nodes = sum(name.startswith("node:") and name != "node:__internal_head__" for name in have)
    return (
        f"no slot is free on this Ray of {nodes} node{'s' * (nodes != 1)}: {' and '.join(parts)} are. The sweep waits "
        "for others' work to end or for nodes to join (ray status); --address local starts a Ray of its own"
    )
