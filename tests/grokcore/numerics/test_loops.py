"""Loops do what torch's operations do, whoever is beside a run, and only where they may."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from grokcore.numerics import loops
from grokcore.optimizers import adamw
from grokcore.optimizers._moments import move_by_moments_


def _update(runs, length, seed=0):
    """Return the tensors and the numbers of an update of some runs, in which no two runs are alike."""
    drawn = torch.Generator().manual_seed(seed)
    flat, gradient, first, second = (torch.randn(runs, length, generator=drawn) for _ in range(4))
    names = ("first", "second", "root", "eps", "step", "keep")
    at = {name: torch.rand(runs, 1, generator=drawn) for name in names}
    return flat, gradient, {"first": first, "second": second.square_()}, at


@pytest.fixture
def by_torch(monkeypatch):
    monkeypatch.setattr(loops, "loops_by", lambda: "torch")


def test_an_update_is_that_of_torchs_operations():
    flat, gradient, state, at = _update(3, 200)
    exact = [x.double() for x in (flat, gradient)], {n: x.double() for n, x in state.items()}
    adamw.AdamW.update(flat, gradient, state, at)
    adamw.AdamW.update(*exact[0], exact[1], {n: x.double() for n, x in at.items()})
    for found, expected in ((flat, exact[0][0]), *((state[name], exact[1][name]) for name in state)):
        torch.testing.assert_close(found.double(), expected, rtol=2e-6, atol=1e-7)


def test_a_runs_bits_do_not_depend_on_who_is_beside_it_nor_on_where_its_rows_lie():
    flat, gradient, state, at = _update(5, 96)
    wide = [torch.zeros(5, 200) for _ in range(4)]
    for place, tensor in zip(wide, (flat, gradient, state["first"], state["second"]), strict=True):
        place[:, 64:160] = tensor
    alone = [tensor[2:3].clone() for tensor in (flat, gradient, state["first"], state["second"])]
    own = {name: numbers[2:3] for name, numbers in at.items()}
    move_by_moments_(alone[0], alone[1], {"first": alone[2], "second": alone[3]}, own, own["keep"])
    cut = [place[:, 64:160] for place in wide]
    move_by_moments_(cut[0], cut[1], {"first": cut[2], "second": cut[3]}, at, at["keep"])
    for one, all_ in zip((alone[0], alone[2], alone[3]), (cut[0], cut[2], cut[3]), strict=True):
        assert torch.equal(one[0], all_[2])
    assert all(not place[:, :64].any() and not place[:, 160:].any() for place in wide)


def test_what_torch_has_to_do_itself_is_not_served():
    plain = torch.zeros(2, 32)
    assert loops.serves(plain)
    assert not loops.serves(plain, plain.double())
    assert not loops.serves(plain.clone().requires_grad_())
    assert not loops.serves(plain.to("meta"))
    with FakeTensorMode():
        assert not loops.serves(torch.zeros(2, 32))


@pytest.mark.usefixtures("by_torch")
def test_torch_may_be_asked_to_do_it():
    assert not loops.serves(torch.zeros(2, 32))


PARTED = """
import sys
import numpy as np
from lent import twice
from grokcore.numerics.loops import loop

@loop
def fill(out):
    for i in range(len(out)):
        out[i] = twice(i)

out = np.zeros(3, np.float32)
fill(out)
print(out.tolist())
"""


LENT_PART = """
from grokcore.numerics.loops import part

@part
def twice(x):
    return {factor} * x
"""

INSTRUCTED = """
import numpy as np
from lent import put
from grokcore.numerics.loops import loop

@loop
def fill(out):
    for i in range(len(out)):
        put((out.ctypes.data + 4 * i, i))

out = np.zeros(3, np.float32)
fill(out)
print(out.tolist())
"""

LENT_INSTRUCTION = """
from llvmlite import ir
from grokcore.numerics.loops import instruction

def write(builder, address, number):
    value = builder.sitofp(builder.mul(number, number.type({factor})), ir.FloatType())
    builder.store(value, builder.inttoptr(address, ir.FloatType().as_pointer()))

put = instruction(write)
"""


@pytest.mark.parametrize(("own", "lent"), [(PARTED, LENT_PART), (INSTRUCTED, LENT_INSTRUCTION)], ids=["part", "LLVM"])
def test_a_loop_that_was_kept_follows_what_another_file_lends(tmp_path, own, lent):
    (tmp_path / "own.py").write_text(own, encoding="utf-8")
    for factor in (2, 3):
        (tmp_path / "lent.py").write_text(lent.format(factor=factor), encoding="utf-8")
        command = [sys.executable, "-B", "-c", "import own"]
        here = {**os.environ, "PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[3]}"}
        done = subprocess.run(command, cwd=tmp_path, env=here, capture_output=True, text=True, check=True)
        assert done.stdout == f"[0.0, {factor}.0, {2 * factor}.0]\n"
    assert len(list(tmp_path.rglob("*.nbi"))) == 2


def test_a_place_is_where_runs_lie_in_one_piece_each():
    whole = torch.arange(60.0).view(3, 5, 4)
    assert loops.place(whole) == (whole.data_ptr(), 20)
    assert loops.place(whole[:, 2:]) == (whole.data_ptr() + 4 * 8, 20)
    assert loops.place(whole[:1].expand(6, -1, -1)) == (whole.data_ptr(), 0)
    assert loops.place(whole[:, :1, :]) == (whole.data_ptr(), 20)
    for apart in (whole.mT, whole[:, :, :2], whole[:, ::2]):
        with pytest.raises(ValueError, match="one piece"):
            loops.place(apart)


def test_memory_is_read_in_loops_alone():
    for reader in (loops.floats, loops.integers, loops.flags):
        with pytest.raises(NotImplementedError):
            reader((0, 1), 0, 1)
    with pytest.raises(NotImplementedError):
        loops.instruction(lambda _: None)(())


def test_another_word_for_who_computes_is_refused_with_those_there_are():
    command = [sys.executable, "-c", "from grokcore.numerics.loops import loops_by; loops_by()"]
    done = subprocess.run(command, env={loops.CHOICE: "fortran"}, capture_output=True, text=True, check=False)
    assert done.returncode
    assert 'GROKMAP_LOOPS = \'fortran\': take "compiled" or "torch"' in done.stderr
