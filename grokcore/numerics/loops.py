"""Loops: several elementwise operations in one pass over the memory, compiled where and when they first run.

An operation of torch reads and writes all its elements, and an update or a softmax is ten of them. On a CPU in float32
a loop does all of it while an element is in a register. numba compiles it for the processor at hand, without any
program besides Python, and keeps what it compiled beside the module. Whoever has a loop has the same in torch's
operations too: the specification, what all other devices and precisions take, and what the loop is tested against.

A loop goes run by run and never adds up over runs, so that a run's bits do not depend on its company. What it calls is
a `part`, of its own file or of one it imports from, or an `instruction`.
To become vector instructions a loop must see that memory lies in one piece and that indices are not negative: cut out
a run's row before the innermost loop, and count through it from 0.
"""

from __future__ import annotations

import functools
import hashlib
import os
import sys
import types
from collections.abc import Callable, Container, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from grokcore.errors import ConfigError
from grokcore.lazy_torch import torch

if TYPE_CHECKING:
    from torch import Tensor

CHOICE = "GROKMAP_LOOPS"
"""The environment variable that overrules the choice: "compiled" or "torch"."""

Numbers = npt.NDArray[np.float32]
Place = tuple[int, int]
"""Where the runs of a tensor lie: the address of the first, and by how many elements they are apart."""


@functools.cache
def loops_by() -> str:
    """Return who computes what loops do: "compiled" or "torch".

    Raises `ConfigError` if the environment asks for something else.
    """
    asked = os.environ.get(CHOICE, "compiled")
    if asked not in ("compiled", "torch"):
        raise ConfigError([f'{CHOICE} = {asked!r}: take "compiled" or "torch", or unset it.'])
    return asked


@functools.cache
def loops_for() -> str:
    """Return who computes what loops do, for a run's record: with the processor that numba compiles loops for."""
    if loops_by() == "torch":
        return "torch"
    import numba
    from numba.core import codegen, config

    given, host = cast("Any", config), cast("Any", codegen)
    return f"numba {numba.__version__} for {given.CPU_NAME or host.ll.get_host_cpu_name()}"


def serves(*tensors: Tensor) -> bool:
    """Say whether loops compute with tensors: float32 in a CPU's memory, which torch does not differentiate."""
    return loops_by() == "compiled" and all(
        type(t) is torch.Tensor and t.dtype == torch.float32 and t.device.type == "cpu" and not t.requires_grad
        for t in tensors
    )


def place(tensor: Tensor) -> Place:
    """Return where the runs of a tensor (K, …) lie, each in one piece; it says so as long as somebody holds the tensor.

    It costs a sixth of what arrays of numpy do.
    """
    if not tensor.is_contiguous():
        length = 1
        for size, stride in zip(reversed(tensor.shape[1:]), reversed(tensor.stride()[1:]), strict=True):
            if size != 1 and stride != length:
                raise ValueError(f"strides of {tensor.stride()}: elements of a run do not lie in one piece")
            length *= size
    return tensor.data_ptr(), tensor.stride(0)


def floats(at: Place, k: int, length: int) -> Numbers:
    """Return, in a loop, the elements of run number `k` of a tensor of float32, which has `length` of them."""
    raise NotImplementedError("only loops can")


def integers(at: Place, k: int, length: int) -> npt.NDArray[np.int64]:
    """Return the same of a tensor of int64."""
    raise NotImplementedError("only loops can")


def flags(at: Place, k: int, length: int) -> npt.NDArray[np.bool_]:
    """Return the same of a tensor of bool."""
    raise NotImplementedError("only loops can")


def part(function: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a function that loops call, and parts below it."""
    _PARTS.add(function)
    return function


def instruction(write: Callable[..., None]) -> Callable[..., Any]:
    """Return what loops call, with a tuple of whole numbers, for what `write(builder, *numbers)` says in LLVM's words.

    `write` is given an `llvmlite.ir.IRBuilder`, and the numbers as 64 bits each.
    """

    def call(_: tuple[int, ...]) -> None:
        raise NotImplementedError("only loops can")

    _INSTRUCTIONS[call] = write
    return call


def loop(function: Callable[..., None]) -> Callable[..., None]:
    """Compile a function when it is first called. Products may be fused with sums; no sum is taken in another order."""

    @functools.cache
    def compiled() -> Callable[..., None]:
        import numba  # takes half a second, which only what trains has to wait for

        _take_whole_vectors()
        compile_ = functools.partial(numba.njit, nogil=True, error_model="numpy", fastmath={"contract", "nsz"})
        parts = _known_to(function, compile_)
        whole = _knowing(cast("types.FunctionType", function), parts)
        whole.__qualname__ += _lent(function)
        made: Callable[..., None]
        try:
            made = compile_(cache=True)(whole)
        except RuntimeError:  # there is no folder where anything could be kept
            made = compile_()(whole)
        return made

    @functools.wraps(function)
    def call(*args: Any) -> None:
        compiled()(*args)

    return call


def _lent(function: Callable[..., None]) -> str:
    """Return a name for what other files lend to a loop's, as it is now; empty if they lend nothing.

    numba keeps a loop by its name, and asks its own file alone whether that is still true.
    """
    files = _files(function) - {function.__code__.co_filename}
    content = hashlib.sha256(b"".join(Path(file).read_bytes() for file in sorted(files)))
    return f"_{content.hexdigest()[:8]}" if files else ""


def _files(function: Callable[..., Any]) -> set[str]:
    """Return the files of a function and of all that it may call."""
    values = function.__globals__.values()
    found = {function.__code__.co_filename}
    found = found.union(*(_sources(_writer(value)) for value in values if _is_in(_INSTRUCTIONS, value)))
    apart = (value for value in values if _is_in(_PARTS, value) and value.__globals__ is not function.__globals__)
    return found.union(*map(_files, apart))


def _sources(write: Callable[..., Any]) -> set[str]:
    """Return the file of what writes an instruction, and those of this package that it writes with."""
    modules = (sys.modules.get(getattr(value, "__module__", "")) for value in write.__globals__.values())
    files = {str(getattr(module, "__file__", "")) for module in modules}
    return {write.__code__.co_filename, *(file for file in files if Path(file).is_relative_to(_PACKAGE))}


def _known_to(function: Callable[..., Any], compile_: Callable[..., Any]) -> dict[str, Any]:
    """Return what a function of loops may call, by name: a part knows what its own file does, above it."""
    known = function.__globals__
    parts: dict[str, Any] = {name: _readers()[value] for name, value in known.items() if _is_in(_readers(), value)}
    parts |= {name: _written(value) for name, value in known.items() if _is_in(_INSTRUCTIONS, value)}
    for name, value in known.items():
        if _is_in(_PARTS, value):
            own = parts if value.__globals__ is known else _known_to(value, compile_)
            parts[name] = compile_(forceinline=True)(_knowing(cast("types.FunctionType", value), own))
    return parts


def _knowing(function: types.FunctionType, parts: Mapping[str, Any]) -> Callable[..., Any]:
    """Return a copy of a function that calls these compiled parts."""
    whole = types.FunctionType(function.__code__, {**function.__globals__, **parts}, function.__name__)
    whole.__module__, whole.__qualname__ = function.__module__, function.__qualname__
    return whole


_PACKAGE = Path(__file__).parents[1]
_PARTS: set[Callable[..., Any]] = set()
_INSTRUCTIONS: dict[Callable[..., Any], Callable[..., None]] = {}


def _writer(call: Callable[..., Any]) -> Any:
    """Return the function that writes an instruction."""
    write = _INSTRUCTIONS[call]
    return write.func if isinstance(write, functools.partial) else write


@functools.cache
def _written(call: Callable[..., Any]) -> Callable[..., Any]:
    """Return an instruction as compiled loops call it."""
    import numba as typed
    from numba.core import cgutils
    from numba.extending import intrinsic

    numba: Any = typed

    def lower(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        (given,), (kind,) = arguments, signature.args
        numbers = cast("Any", cgutils).unpack_tuple(builder, given, len(kind))
        wide = [context.cast(builder, n, t, numba.types.int64) for n, t in zip(numbers, kind, strict=True)]
        _INSTRUCTIONS[call](builder, *wide)
        return context.get_dummy_value()

    @intrinsic
    def written(_: Any, numbers: Any) -> Any:
        return numba.types.void(numbers), lower

    return cast("Callable[..., Any]", written)


def _is_in(some: Container[Any], value: object) -> bool:
    return isinstance(value, types.FunctionType) and value in some


@functools.cache
def _readers() -> dict[Callable[..., Any], Callable[..., Any]]:
    """Return what reads memory in a loop, by the functions that stand for it."""
    import numba as typed
    from numba.core import cgutils
    from numba.core.types import voidptr
    from numba.extending import intrinsic

    numba: Any = typed

    def convert(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    @intrinsic
    def to_pointer(_: Any, address: Any) -> Any:
        return voidptr(address), convert

    pointer: Any = to_pointer

    def reader(dtype: Any) -> Any:
        size = np.dtype(dtype).itemsize

        def read(at: Any, k: Any, length: Any) -> Any:
            return numba.carray(pointer(at[0] + size * at[1] * k), (length,), dtype)

        return numba.njit(forceinline=True)(read)

    return {floats: reader(np.float32), integers: reader(np.int64), flags: reader(np.bool_)}


def _take_whole_vectors() -> None:
    """Let loops take registers of 512 bits where there are some: by itself the compiler takes halves of them.

    It holds for what else this process compiles afterwards, and changes no bits. Who has told numba of a processor is
    heeded.
    """
    from numba.core import codegen, config

    given, host = cast("Any", config), cast("Any", codegen)
    able: str = host.get_host_cpu_features()
    if given.CPU_NAME is None and given.CPU_FEATURES is None and "+avx512f" in able.split(","):
        given.CPU_FEATURES = f"{able},-prefer-256-bit"
