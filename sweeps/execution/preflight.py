"""Preflight: asks every host of a running Ray, before any work starts, what would make the sweep fail there later."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from grokcore.errors import ConfigError
from sweeps.execution.versions import REMEDY, differences, versions
from sweeps.store.storage import Marker, trouble_seeing

PATIENCE_SECONDS = 30.0
"""How long a host may take to answer; one that does not is dead or nearly so, and Ray will find out."""


def preflight(nodes: Iterable[Mapping[str, Any]], storage: str | None) -> None:
    """Raise `ConfigError` if hosts differ in their versions, or if some cannot use the storage."""
    living = [node for node in nodes if node["Alive"]]
    marker = None if storage is None else Marker(storage)
    try:
        answers = ask(living, _answer, storage, None if marker is None else marker.name)
    finally:
        if marker is not None:
            marker.remove()
    there = {str(node["NodeManagerHostname"]): answer for node, answer in zip(living, answers, strict=True) if answer}
    broken = {host: there.pop(host) for host, answer in list(there.items()) if isinstance(answer, Exception)}
    complaints = [f"{host} cannot run Grokmap: {last_line(error)} {REMEDY}" for host, error in broken.items()]
    complaints += differences({"this host": versions()} | {host: answer[0] for host, answer in there.items()})
    blind = {host: trouble for host, (_, trouble) in there.items() if trouble}
    if blind:
        reasons = "; ".join(f"{host}: {reason.rstrip('.')}" for host, reason in blind.items())
        remedy = "Mount it there under the same path, take a bucket, or leave storage out: checkpoints then travel to "
        complaints.append(f"storage = {storage!r} cannot be used on every host ({reasons}). {remedy}the head.")
    if complaints:
        raise ConfigError(complaints)


def ask(
    nodes: Sequence[Mapping[str, Any]], question: Callable[..., Any], *words: Any, patience: float = PATIENCE_SECONDS
) -> list[Any]:
    """Return every node's answer to `question`, in the order of `nodes`.

    An error of the question is its answer; a node that does not answer has None.
    """
    task = ray.remote(question)
    asked = []
    for node in nodes:
        place = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        asked.append(task.options(num_cpus=0, scheduling_strategy=place, max_retries=0).remote(*words))
    if not asked:
        return []
    ready, late = ray.wait(asked, num_returns=len(asked), timeout=patience)
    for reference in late:
        ray.cancel(reference, force=True)
    return [_answer_of(reference) if reference in ready else None for reference in asked]


def _answer_of(reference: Any) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        return error
    except ray.exceptions.RayError:
        return None


def last_line(error: Exception) -> str:
    """Return the sentence at the end of a traceback that came over Ray."""
    return str(error).strip().splitlines()[-1].rstrip(".") + "."


def _answer(storage: str | None, marker: str | None) -> tuple[dict[str, str], str]:
    """Return this host's versions, and why it cannot use the storage, if it cannot."""
    return versions(), "" if storage is None or marker is None else trouble_seeing(storage, marker)
