"""What instructions on vectors are written with: LLVM's language, where numba's says too little (numerics/loops.py)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

LANES = 16
"""Numbers of a vector: a register of 512 bits."""


class Writer:
    """Writes what is done with addresses and with vectors of 16 numbers, in the order in which it is called."""

    def __init__(self, builder: Any, lanes: int = LANES) -> None:
        from llvmlite import ir

        self.ir, self.builder = ir, builder
        self.index, self.lane = ir.IntType(64), ir.IntType(32)
        self.float = ir.FloatType()
        self.vector, self.lanes = ir.VectorType(self.float, lanes), ir.VectorType(self.lane, lanes)
        self.alignment = ir.Constant(self.lane, 4)
        self.zeros = ir.Constant(self.vector, [0.0] * lanes)

    def number(self, value: int) -> Any:
        """Return a whole number."""
        return self.ir.Constant(self.index, value)

    def bytes(self, count: Any) -> Any:
        """Return how many bytes so many elements have."""
        return self.builder.mul(count, self.number(4))

    def at(self, address: Any, offset: Any, kind: Any) -> Any:
        """Return a pointer to a value of some kind, `offset` bytes after an address."""
        start = self.builder.inttoptr(address, self.ir.IntType(8).as_pointer())
        return self.builder.bitcast(self.builder.gep(start, [offset]), kind.as_pointer())

    def row_offsets(self, row: Any, rows: Any, count: int) -> list[Any]:
        """Return where rows begin, `row` elements apart; those that are not there are the last of `rows`."""
        last = self.builder.sub(rows, self.number(1))
        found = []
        for r in map(self.number, range(count)):
            there = self.builder.select(self.builder.icmp_signed("<", last, r), last, r)
            found.append(self.builder.mul(there, self.bytes(row)))
        return found

    def masks(self, count: Any, vectors: int) -> list[Any]:
        """Return which lanes of some vectors are among the first `count`."""
        every = self.ir.Constant(self.lanes, list(range(LANES)))
        left = [self.builder.trunc(self.builder.sub(count, self.number(LANES * v)), self.lane) for v in range(vectors)]
        return [self.builder.icmp_signed("<", every, self.everywhere(own, self.lanes)) for own in left]

    def masked_load(self, address: Any, vector: int, mask: Any) -> Any:
        """Return vector number `vector` from an address on, 0 where the mask says so, without reading there."""
        at = self.at(address, self.number(4 * LANES * vector), self.vector)
        return self.call("llvm.masked.load.v16f32.p0", self.vector, at, self.alignment, mask, self.zeros)

    def masked_store(self, value: Any, address: Any, vector: int, mask: Any) -> None:
        """Write such a vector; only where the mask says so."""
        at = self.at(address, self.number(4 * LANES * vector), self.vector)
        self.call("llvm.masked.store.v16f32.p0", self.ir.VoidType(), value, at, self.alignment, mask)

    def turned(self, rows: list[Any]) -> list[Any]:
        """Return the transpose of 16 vectors: in halves, quarters, …, two rows change what the other needs."""
        rows = list(rows)
        for apart in (8, 4, 2, 1):
            first = [i if not i & apart else LANES + i - apart for i in range(LANES)]
            second = [i + apart if not i & apart else LANES + i for i in range(LANES)]
            for j in (j for j in range(LANES) if not j & apart):
                x, y = rows[j], rows[j + apart]
                rows[j], rows[j + apart] = self.shuffled(x, y, first), self.shuffled(x, y, second)
        return rows

    def load(self, address: Any) -> Any:
        """Return the vector at an address."""
        return self.builder.load(self.at(address, self.number(0), self.vector), align=4)

    def store(self, value: Any, address: Any) -> None:
        """Write a vector to an address."""
        self.builder.store(value, self.at(address, self.number(0), self.vector), align=4)

    def shuffled(self, x: Any, y: Any, chosen: list[int]) -> Any:
        """Return chosen elements of x and, counted from its length on, of y."""
        return self.builder.shuffle_vector(x, y, self.ir.Constant(self.ir.VectorType(self.lane, len(chosen)), chosen))

    def everywhere(self, value: Any, kind: Any) -> Any:
        """Return a vector of a kind that has one value everywhere."""
        nothing = self.ir.Constant(kind, self.ir.Undefined)
        one = self.builder.insert_element(nothing, value, self.ir.Constant(self.lane, 0))
        return self.shuffled(one, nothing, [0] * LANES)

    def repeated(self, start: Any, stop: Any, step: int, carried: Any, body: Callable[[Any, Any], Any]) -> Any:
        """Write a loop from `start` to `stop`: `body` is given a number and what it returned at the one before."""
        builder = self.builder
        before, head = builder.block, builder.append_basic_block()
        inside, after = builder.append_basic_block(), builder.append_basic_block()
        builder.branch(head)
        builder.position_at_end(head)
        number, value = builder.phi(self.index), None if carried is None else builder.phi(carried.type)
        builder.cbranch(builder.icmp_signed("<", number, stop), inside, after)
        builder.position_at_end(inside)
        found = body(number, value)
        following, end = builder.add(number, self.number(step)), builder.block
        builder.branch(head)
        for each, first, next_ in ((number, start, following), (value, carried, found)):
            if each is not None:
                each.add_incoming(first, before)
                each.add_incoming(next_, end)
        builder.position_at_end(after)
        return value

    def constant(self, value: Any) -> Any:
        """Return a vector of one number."""
        return self.ir.Constant(self.vector, [float(value)] * LANES)

    def spread(self, address: Any) -> Any:
        """Return a vector of the number at an address."""
        return self.everywhere(self.builder.load(self.at(address, self.number(0), self.float)), self.vector)

    def rounded(self, x: Any) -> Any:
        """Return x, which is not to be fused with what follows."""
        kind = "f32" if x.type == self.float else f"v{x.type.count}f32"
        return self.call(f"llvm.arithmetic.fence.{kind}", x.type, x)

    def fused(self, x: Any, y: Any, z: Any) -> Any:
        """Return x · y + z, rounded once."""
        return self.call(f"llvm.fma.v{self.vector.count}f32", self.vector, x, y, z)

    def call(self, name: str, result: Any, *arguments: Any) -> Any:
        """Return what one of LLVM's own functions returns."""
        kind = self.ir.FunctionType(result, [argument.type for argument in arguments])
        return self.builder.call(self.builder.module.declare_intrinsic(name, (), kind), arguments)
