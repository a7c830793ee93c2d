"""Memory is predicted before it is used."""

from __future__ import annotations

import json
import logging
import subprocess
import sys

import pytest

from grokcore import RunConfig
from grokcore.engine.devices.named import device_named
from grokcore.engine.grouping import default_layout
from grokcore.engine.memory import fitting, predicted_bytes
from grokcore.engine.on_paper import Bytes, on_paper, tried
from grokcore.engine.width_tuning import measured_width
from grokcore.errors import ConfigError

CPU = device_named("cpu")

SHAPES = {
    "mlp": {"model": {"name": "mlp", "width": 128}, "task.modulus": 97},
    "wide mlp": {"model": {"name": "mlp", "width": 512, "depth": 3}, "task.modulus": 97},
    "transformer": {"model": "transformer", "task.modulus": 97},
    "two layers": {"model": {"name": "transformer", "layers": 2, "norm": "post"}, "task.modulus": 59},
    "windowed": {"model": {"name": "mlp", "width": 256}, "task.modulus": 59, "transform": "grokfast_ma"},
}

SCRIPT = """
import json, pathlib, sys
import torch
from grokcore import RunConfig
from grokcore.engine.cohort import Cohort
from grokcore.engine.memory import predicted_bytes
def held(name):
    status = pathlib.Path("/proc/self/status").read_text()
    return 1024 * int(status.split(name)[1].split()[1])
small, config = (RunConfig.from_dict(values) for values in json.loads(sys.argv[1]))
Cohort([small]).advance()
pathlib.Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew
before = held("VmRSS")
cohort = Cohort([config] * 4)
cohort.advance(seconds=0)
cohort.train_to(cohort.step + 3)
print(held("VmHWM") - before, predicted_bytes(config, 4))
"""


def make(**changes):
    base = {"task": {"name": "modular_addition"}, "optimizer": "adamw", "fraction": 0.7, "steps": 5}
    return RunConfig.from_dict({**base, **changes})


@pytest.mark.parametrize("shape", SHAPES)
def test_predictions_are_good_to_a_factor_of_two_and_a_half(shape):
    config = make(**SHAPES[shape])
    small = make(model={"name": "mlp", "width": 8}, **{"task.modulus": 5})
    given = json.dumps([small.to_dict(), config.to_dict()])
    done = subprocess.run([sys.executable, "-c", SCRIPT, given], capture_output=True, text=True, check=True)
    used, predicted = map(int, done.stdout.split())
    assert used / 2.5 < predicted < 2.5 * used, f"used {used / 2**20:.0f} MiB, predicted {predicted / 2**20:.0f} MiB"


@pytest.mark.parametrize("changes", [{"model": {"name": "mlp", "width": 32}}, {"model": "transformer", "batch": 64}])
def test_what_a_small_run_holds_is_the_same_on_paper_and_tried(changes):
    config = make(**{"task.modulus": 11}, **changes)
    layout = default_layout(config, CPU)
    for runs in (1, 3):
        found = []
        for begun, kind in ((on_paper, "meta"), (tried, "cpu")):
            with Bytes(kind) as held, begun(config, runs, CPU, layout) as stack:
                stack.train(0, 2)
                stack.examine()
            found.append(held.most)
        assert found[1] == pytest.approx(found[0], rel=0.1)


def test_predicting_for_a_small_run_does_not_import_the_compiler_of_torch():
    script = (
        "import sys; from grokcore import RunConfig; from grokcore.engine.memory import predicted_bytes\n"
        "predicted_bytes(RunConfig.from_dict({'task': {'name': 'modular_addition', 'modulus': 11},"
        " 'model': {'name': 'mlp', 'width': 32}, 'optimizer': 'adamw', 'fraction': 0.7, 'steps': 5}))\n"
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_a_cohort_that_does_not_fit_is_split_with_a_line_saying_so(caplog):
    config = make(**SHAPES["mlp"])
    free = int(2 * 3.5 * predicted_bytes(config))  # half of what is free is used
    with caplog.at_level(logging.WARNING, "grokcore"):
        assert fitting(config, 8, CPU, free=free) == 3
    assert "8 runs need about" in caplog.text
    assert "trained 3 at a time" in caplog.text
    caplog.clear()
    assert fitting(config, 3, CPU, free=free) == 3
    assert not caplog.text


def test_a_run_that_does_not_fit_at_all_is_refused():
    with pytest.raises(ConfigError, match="a run needs about"):
        fitting(make(**SHAPES["mlp"]), 1, CPU, free=1 << 20)


def test_the_measured_width_never_exceeds_what_fits(monkeypatch):
    config = make(**SHAPES["mlp"])
    monkeypatch.setattr(type(CPU), "free_bytes", lambda _: 2 * int(2.5 * predicted_bytes(config)))
    assert measured_width(config, wanted=16) <= 2


def test_free_memory_is_a_sensible_number():
    assert 1 << 26 < CPU.free_bytes() < 1 << 46
