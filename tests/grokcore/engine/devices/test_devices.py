"""Devices: named, refused with a sentence, and the only ones who know what they are."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from grokcore import train
from grokcore.engine.devices import cuda
from grokcore.engine.devices.cpu import Cpu
from grokcore.engine.devices.named import device_named
from grokcore.engine.memory import fitting
from grokcore.engine.width_tuning import _best
from grokcore.errors import ConfigError

ROOT = Path(__file__).parents[4]


@pytest.fixture
def cards(monkeypatch):
    """Return a maker of a torch that finds cards of some compute capability."""

    def make(*capabilities, built=("sm_75", "sm_90", "compute_90")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(capabilities))
        monkeypatch.setattr(torch.cuda, "device_count", lambda: len(capabilities))
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda i: capabilities[int(str(i)[-1])])
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Tesla")
        monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: list(built))

    return make


@pytest.mark.parametrize("name", ["gpu", "mps", "cuda:", "cuda:x", "CPU", "", 3])
def test_an_unknown_device_is_refused_by_name(name, make_config):
    with pytest.raises(ConfigError, match=rf"device: .*{re.escape(repr(name))}"):
        train([make_config()], device=name)


def test_a_card_that_is_not_there_is_a_sentence(cards):
    cards()
    assert 'finds no GPU; take device = "cpu"' in cuda.trouble("cuda")
    cards((9, 0), (9, 0))
    assert cuda.trouble("cuda:1") is None
    assert cuda.trouble("cuda:2") == 'device = "cuda:2": there is cuda:0, cuda:1; take one of these.'


def test_a_card_too_old_for_the_build_is_a_sentence(cards):
    cards((6, 1))
    assert "Tesla (compute capability 6.1) is too old for this torch, which is built for 7.5" in cuda.trouble("cuda")


def test_tf32_is_refused_where_there_is_none(cards, make_config):
    with pytest.raises(ConfigError, match='dtype = "tf32": is a precision of GPUs'):
        train([make_config(dtype="tf32")])
    cards((7, 5))
    card = cuda.Cuda("cuda:0")
    with pytest.raises(ConfigError, match='dtype = "tf32": Tesla has no TF32'):
        card.check(make_config(dtype="tf32"))
    card.check(make_config())


def test_a_share_that_leaves_no_memory_for_a_run_is_refused(make_config):
    config = make_config(model={"name": "mlp", "width": 256})
    assert fitting(config, 4, Cpu("cpu"), free=1 << 28) == 4
    with pytest.raises(ConfigError, match="by 4096 cohorts; take a smaller network"):
        fitting(config, 4, Cpu("cpu"), free=1 << 28, sharing=4096)


def test_the_cpu_restores_what_it_changes():
    cpu = device_named("cpu")
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with cpu.computing():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


def test_speeds_decide_the_width():
    assert _best({1: 1.0, 2: 1.9, 4: 3.0}, fit=6) == 6  # still rising: all that fit
    assert _best({1: 1.0, 2: 1.9, 4: 2.0}, fit=6) == 4
    assert _best({1: 1.0, 2: 1.9, 4: 1.5}, fit=6) == 2
    assert _best({1: 1.0}, fit=3) == 1
    assert _best({}, fit=1) == 1


def test_nothing_but_devices_asks_which_device_it_is():
    asks = re.compile(
        r"is_cuda|device\.type|torch\.cuda|== ?\"(cpu|cuda)\"|startswith\(\"cuda|isinstance\([^)]*\b(Cpu|Cuda)\)"
    )
    # A product is taken by the library of the place where its matrices lie, and a loop reads a CPU's memory.
    numerics = {"grokcore/numerics/matmul.py", "grokcore/numerics/loops.py"}
    allowed = {"grokcore/engine/devices", "grokcore/engine/on_paper.py", *numerics}
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in sorted((ROOT / "grokcore").rglob("*.py"))
        if not any(path.relative_to(ROOT).as_posix().startswith(place) for place in allowed)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if asks.search(line)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(("first", "mode"), [("import grokcore, torch", "AUTO"), ("import torch", "off")])
def test_whether_mkl_is_reproducible_is_asked_of_mkl_not_of_its_variable(first, mode):
    code = f"""
import logging
logging.basicConfig()
{first}
torch.ones(64, 64) @ torch.ones(64, 64)
from grokcore.engine.devices.cpu import mkl_mode
print(mkl_mode())
"""
    environment = {name: value for name, value in os.environ.items() if name != "MKL_CBWR"}
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    expected = mode if torch.backends.mkl.is_available() else ""
    assert told.stdout.strip() == expected
    assert ("MKL_CBWR has no effect" in told.stderr) == (expected == "off")
