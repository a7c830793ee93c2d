"""Device: what an engine must know of the processor that computes, and what it must do before and after computing."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar

from grokcore.errors import ConfigError
from grokcore.lazy_torch import torch
from grokcore.run_config import RunConfig

if TYPE_CHECKING:
    from torch import Tensor


class Device(abc.ABC):
    """One processor: sizes that suit it, how it is made ready, and what it says of itself.

    Everything that differs between a processor's cores and a graphics card is said here. The rest of the engine takes
    it from here, so that a run on one is the same computation as on the other.
    """

    kind: ClassVar[str]
    """The first part of its name: "cpu", "cuda"."""

    widths: ClassVar[tuple[int, ...]]
    """Numbers of runs per cohort that are tried to find the best."""
    slow_step: ClassVar[float]
    """Seconds per step of a lone run from which on nothing is gained by stacking more; inf: always try."""
    piece_elements: ClassVar[int | None]
    """Weights of all runs that the optimizer moves at a time; None: all at once."""
    chunk_elements: ClassVar[int | None]
    """Elements per run of the widest activation held at once in a training step; None: all examples at once."""
    measured_elements: ClassVar[int]
    """Logits of the runs that are measured at once."""
    layouts: ClassVar[tuple[str, ...]]
    """How examples may be laid out (grokcore/data/layouts.py), those to try; the first where nothing is measured."""
    captures: ClassVar[bool]
    """Whether a step is recorded once and replayed, so that nothing on the host may happen inside it."""
    may_run_out: ClassVar[bool]
    """Whether memory that is too small is an error that a smaller cohort mends, rather than the end of the process."""
    memory_share: ClassVar[float]
    """Share of the free memory that one cohort may take, if it has the device for itself."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.torch = torch.device(name)

    @abc.abstractmethod
    def computing(self, dtype: str = "float32") -> AbstractContextManager[None]:
        """Make ready to compute in a precision (`RunConfig.dtype`), and leave everything as it was afterwards."""

    @abc.abstractmethod
    def free_bytes(self) -> int:
        """Return how many bytes are free, as far as the system tells."""

    @abc.abstractmethod
    def facts(self) -> dict[str, Any]:
        """Return what a record says of it: all that may change a run's last bits."""

    @abc.abstractmethod
    def seconds(self) -> float:
        """Return a clock's time when everything asked for so far is done; differences are what training takes."""

    def repeating(self, step: Callable[[int], None]) -> Callable[[int], None]:
        """Return what takes so many steps, number 0 first; `step` does one of them."""

        def run(count: int) -> None:
            for i in range(count):
                step(i)

        return run

    def worth_compacting(self, going: int, stacked: int, left: int) -> bool:  # noqa: ARG002
        """Say whether to go on with the runs that still train alone, of all stacked, with `left` steps at most."""
        return going < stacked

    def to_host(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return copies in main memory."""
        return {name: value.cpu() for name, value in tensors.items()}

    def complaints(self, config: RunConfig) -> Iterator[str]:  # noqa: ARG002
        """Yield why it cannot train a run; nothing if it can."""
        yield from ()

    def check(self, config: RunConfig) -> None:
        """Raise `ConfigError` if it cannot train a run."""
        if complaints := list(self.complaints(config)):
            raise ConfigError(complaints)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"
