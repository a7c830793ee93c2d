"""Every error Grokmap raises on purpose: one root, one child per kind of mistake, all picklable."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class GrokmapError(Exception):
    """The root of all errors that Grokmap raises on purpose; its text says what was given and what to do.

    >>> from grokcore import RunConfig
    >>> try:
    ...     RunConfig.from_dict({"task": "modular_addition", "modle": "mlp"})
    ... except GrokmapError as error:
    ...     print(str(error).partition(" Known")[0])
    unknown field 'modle'. Did you mean 'model'?
    """


class ConfigError(GrokmapError):
    """A configuration that cannot be used, with every complaint about it at once.

    >>> from grokcore import RegimeRule
    >>> try:
    ...     RegimeRule(budget=0, ratio=0.5)
    ... except ConfigError as error:
    ...     for complaint in error.complaints:
    ...         print(complaint)
    budget = 0: input should be greater than or equal to 1.
    ratio = 0.5: input should be greater than or equal to 1.
    """

    def __init__(self, complaints: Iterable[str]) -> None:
        self.complaints = tuple([complaints] if isinstance(complaints, str) else complaints)
        super().__init__("\n".join(self.complaints))

    def __reduce__(self) -> tuple[type[ConfigError], tuple[tuple[str, ...]]]:
        return type(self), (self.complaints,)


class DataError(GrokmapError):
    """A table, file or store that does not hold what it should."""


class OutputError(GrokmapError):
    """A place that cannot be written to, or that must not be since it is read."""


class CheckpointError(GrokmapError):
    """A checkpoint that is missing, damaged or made by another configuration."""


class SweepExistsError(GrokmapError):
    """A sweep of this name was started with another specification."""


SYNONYMS = {
    "accelerator": "transform",
    "batch_size": "batch",
    "d_model": "width",
    "epochs": "steps",
    "hidden_size": "width",
    "init": "initialisation",
    "initialization": "initialisation",
    "learning_rate": "rate",
    "lr": "rate",
    "n_heads": "heads",
    "n_layers": "layers",
    "p": "modulus",
    "train_fraction": "fraction",
    "wd": "decay",
    "weight_decay": "decay",
}
"""What others call what is meant here."""


def unknown_name(kind: str, given: object, known: Iterable[str]) -> str:
    """Return the complaint about an unknown name: what was given, the nearest match and the whole list."""
    names = sorted(known)
    lower = {name.lower(): name for name in names}  # AdamW is adamw, not adam
    meant = SYNONYMS.get(str(given).lower())
    near = [meant] if meant in lower else difflib.get_close_matches(str(given).lower(), lower, n=1, cutoff=0.5)
    hint = f" Did you mean {lower[near[0]]!r}?" if near else ""
    return f"unknown {kind} {given!r}.{hint} Known: {', '.join(names) or 'none'}."
