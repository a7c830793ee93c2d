"""Stopping: a rule that ends runs before their budget; a member builds the judge that cohorts ask."""

from __future__ import annotations

import abc
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from grokcore.config.component import Component
from grokcore.config.registry import ComponentRegistry
from grokcore.engine.judging import Judge
from grokcore.records.regimes import RegimeRule


@dataclass(frozen=True, kw_only=True)
class Stopping(Component, abc.ABC):
    """A rule of stopping; its fields are its settings."""

    @abc.abstractmethod
    def judge(self, rule: RegimeRule) -> Judge | None:
        """Return who is asked of every run of a sweep under `rule`; None if no run is ever stopped."""


STOPPING: ComponentRegistry[Stopping] = ComponentRegistry("sweeps.stopping", Stopping, "rule of stopping")  # type: ignore[type-abstract]


def told(name: str, options: Mapping[str, Any], rule: RegimeRule) -> str:
    """Return what `judge_of` reads on another host."""
    return json.dumps({"name": name, "options": dict(options), "rule": rule.to_section()})


def judge_of(text: str) -> Judge | None:
    """Return the judge that `told` described."""
    said = json.loads(text)
    stopping: Stopping = STOPPING.member(said["name"])(**said["options"])
    return stopping.judge(RegimeRule(**said["rule"]))
