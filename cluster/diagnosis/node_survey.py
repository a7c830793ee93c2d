"""Node survey: asks every host of a running Ray cluster the same question, each on its own soil."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import ray

from cluster.diagnosis.host_report import HostReport, host_report
from grokcore.errors import GrokmapError
from sweeps.execution import preflight
from sweeps.execution.address import noted, silence
from sweeps.execution.versions import versions
from sweeps.store.storage import Marker, trouble_seeing

ANSWER_SECONDS = 60.0
"""How long a host may take; its first answer starts a process."""


class SurveyError(GrokmapError):
    """No cluster is there, or a host of it does not answer."""


@contextlib.contextmanager
def joined(address: str) -> Iterator[list[dict[str, Any]]]:
    """Join the cluster at `address` for a moment and give its living nodes."""
    own = not ray.is_initialized()
    if own:
        _join(address)
    try:
        yield [
            node
            for node in ray.nodes()  # type: ignore[no-untyped-call]
            if node["Alive"]
        ]
    finally:
        if own:
            ray.shutdown()


def _join(address: str) -> None:
    where = noted() if address == "auto" else address
    reason = silence(where) if where else "none was started on this host"
    if not reason:
        try:
            ray.init(address=address, configure_logging=False, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, RuntimeError, ValueError) as error:
            reason = str(error).partition(". ")[0]
    if reason:
        there = "here" if address == "auto" else f"at {address!r}"
        raise SurveyError(f"no Ray cluster answers {there} ({reason}). Launch one: ray up -y cluster.yaml.")


def ask(nodes: list[dict[str, Any]], question: Callable[..., Any], *words: Any) -> list[Any]:
    """Return every node's answer to `question`, in the order of `nodes`; raises `SurveyError` if one has none."""
    answers = preflight.ask(nodes, question, *words, patience=ANSWER_SECONDS)
    for node, answer in zip(nodes, answers, strict=True):
        if answer is None or isinstance(answer, Exception):
            reason = f"it is silent for {ANSWER_SECONDS:g} s." if answer is None else preflight.last_line(answer)
            raise SurveyError(f"host {node['NodeManagerHostname']} does not answer: {reason} See: ray status.")
    return answers


def survey(address: str) -> tuple[list[HostReport], list[float]]:
    """Return what each host says of itself, and its clock minus ours in seconds."""
    with joined(address) as nodes:
        ask(nodes, versions)  # starts a process on each host, so that the clocks are read without that wait
        reports, delays = [], []
        for node in nodes:
            before = time.time()
            (found,) = ask([node], host_report)
            after = time.time()
            reports.append(found)
            # Off by at most half the wait; within it we cannot tell.
            slack = (after - before) / 2
            delay = found.clock - (before + after) / 2
            delays.append(0.0 if abs(delay) <= slack else delay)
    return reports, delays


def blind(storage: str) -> dict[str, str]:
    """Return the hosts of the cluster that cannot use what this host writes to `storage`, each with the reason."""
    marker = Marker(storage)
    try:
        with joined("auto") as nodes:
            seen = ask(nodes, trouble_seeing, storage, marker.name)
            names = [str(node["NodeManagerHostname"]) for node in nodes]
            return {name: reason for name, reason in zip(names, seen, strict=True) if reason}
    finally:
        marker.remove()
