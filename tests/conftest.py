"""Fixtures that more than one folder of tests uses."""

import json
import os
import sys
from pathlib import Path
from time import monotonic, sleep

# Before the libraries that read it: tests share the cores, and small networks lose by threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Each process of tests draws its maps itself: two of them have the cores already.
os.environ.setdefault("LOKY_MAX_CPU_COUNT", "1")

import numpy as np
import pandas as pd
import pytest
from scipy.stats import qmc

from cluster.launch.files import Hosts, launch_file
from sweeps import cli
from tests import needs
from tests.hosts import CLIENT, Rehearsal


def pytest_configure(config):
    """Make what tests need, and the table of what was skipped, a plugin; its own pytest_configure runs then."""
    config.pluginmanager.register(needs, "needs")


BUDGET = 3000
THRESHOLDS = ((0.5, 0.8), (0.9, 1.0), (0.95, 1.1), (0.99, 1.3))


def _runs(count, seed):
    """Make runs over fraction, decay and rate with analytic milestones: all four regimes, seed noise .1 in log10."""
    unit = qmc.Sobol(3, rng=np.random.default_rng(seed)).random(count)
    fraction, decay, rate = 0.2 + 0.7 * unit[:, 0], 10 ** (3 * unit[:, 1] - 2), 10 ** (2 * unit[:, 2] - 3.3)
    rng = np.random.default_rng(seed + 1)
    d, r = np.log10(decay), np.log10(rate / 1e-2)
    mem = 10 ** (1.6 - 0.8 * r + 0.1 * d + 3 * np.maximum(0, d + r - 0.2) + rng.normal(0, 0.05, count))
    distance = np.maximum(fraction - 0.25 - 0.04 * (d - 0.3) ** 2, 3e-3)
    gen = mem + 10 ** (2.0 - 0.7 * d - 0.3 * r + 1.5 * np.log10(0.3 / distance) + rng.normal(0, 0.1, count))
    table = pd.DataFrame(
        {
            "run_id": [f"{index:016x}" for index in range(count)],
            "task.name": "modular_addition",
            "fraction": fraction,
            "optimizer.decay": decay,
            "optimizer.rate": rate,
            "seed": rng.integers(0, 3, count),
        }
    )
    for threshold, factor in THRESHOLDS:
        for split, time in (("train", mem), ("val", gen)):
            name, when = f"t_{split}_{round(100 * threshold):03d}", np.ceil(time * factor)
            table[name], table[f"{name}_event"] = np.minimum(when, BUDGET).astype(int), when <= BUDGET
    for name, split in (("t_mem", "train"), ("t_gen", "val")):
        table[name], table[f"{name}_event"] = table[f"t_{split}_090"], table[f"t_{split}_090_event"]
    table["outcome"], table["steps"] = "finished", BUDGET
    table["environment"] = json.dumps({"torch": "2.13.0", "processor": "<b>a & b</b>"})
    return table


def _curves(runs):
    steps = np.concatenate([[0], np.unique(np.round(np.geomspace(1, BUDGET, 120)).astype(int))])
    parts = []
    for row in runs.itertuples():
        train = 1 / (1 + (row.t_mem * 0.58 / np.maximum(steps, 0.1)) ** 4)
        val = 1 / (1 + (row.t_gen * 0.76 / np.maximum(steps, 0.1)) ** 8)
        columns = {"train_loss": 3.4 * (1 - train) + 1e-6, "train_accuracy": train, "val_loss": 6 * (1 - val) + 1e-3}
        columns |= {"val_accuracy": val, "weight_norm": 40 - 10 * val}
        parts.append(pd.DataFrame({"run_id": row.run_id, "step": steps, **columns}))
    return pd.concat(parts, ignore_index=True)


SPEC = """name = "demo"
runs = 64

[rule]
threshold = 0.9
budget = 3000
ratio = 5.0

[space]
fraction = { low = 0.2, high = 0.9 }
decay = { low = 0.01, high = 10.0, log = true }
rate = { low = 0.0005, high = 0.05, log = true }
seed = [0, 1, 2]
"""


@pytest.fixture(scope="session")
def synthetic_runs():
    """Give a function (count, seed) -> run table over fraction, decay and rate with known milestones."""
    return _runs


@pytest.fixture(scope="session")
def synthetic_sweep(tmp_path_factory):
    """Give a function count -> folder of a sweep: spec.toml, runs.parquet and curves.parquet, nothing trained."""

    def make(count):
        folder = tmp_path_factory.mktemp("results") / "demo"
        folder.mkdir()
        runs = _runs(count, 0)
        # One failed after its last milestone, one fell back: both are drawn as what they are.
        runs.loc[3, "outcome"], runs.loc[5, "outcome"] = "unstable", "stopped"
        runs.to_parquet(folder / "runs.parquet")
        _curves(runs).to_parquet(folder / "curves.parquet")
        (folder / "spec.toml").write_text(SPEC)
        return folder

    return make


# ---- Real hosts: booted once a session, launched, and shared by tests/cluster and tests/faults -----------------------

SWEEP = '''"""A small sweep whose runs take their whole budget, so that there is time for accidents."""

from sweeps import Range, RegimeRule, SweepSpec, main

spec = SweepSpec(
    name="calm",
    run={
        "task": {"name": "modular_addition", "modulus": 11},
        "model": {"name": "mlp", "width": 24},
        "optimizer": {"name": "adamw", "betas": [0.9, 0.98]},
        "steps": 2000,
    },
    space={
        "fraction": Range(low=0.3, high=0.9),
        "decay": Range(low=0.03, high=10, log=True),
        "rate": Range(low=0.001, high=0.1, log=True),
    },
    rule=RegimeRule(threshold=0.9, budget=2000, ratio=5),
    runs=60,
    width=3,
    retire=False,
    checkpoint_seconds=1.0,
    seed=1,
)

if __name__ == "__main__":
    main(spec)
'''
SHARED = "/shared/grokmap"
"""A folder on a disk that all hosts of the rehearsal mount."""
NODES = """import json, pathlib, urllib.request
token = (pathlib.Path.home() / ".ray/auth_token").read_text().strip()
request = urllib.request.Request("http://127.0.0.1:8265/api/v0/nodes", headers={"Authorization": "Bearer " + token})
rows = json.load(urllib.request.urlopen(request, timeout=5))["data"]["result"]["result"]
print("nodes", sum(row["state"] == "ALIVE" for row in rows))
"""
PATIENCE = 300.0


class Lab:
    """Three hosts and a laptop, and the words to use them with."""

    def __init__(self, hosts, logs):
        self.hosts, self.logs = hosts, logs
        self.runs = 60
        self.address = hosts.addresses
        for name in hosts.names:
            # Stands for the environment that the set-up commands make: there is no index to install from.
            hosts.run(name, f"mkdir -p grokmap && ln -s {sys.prefix} grokmap/.venv")
        workers = (self.address["h2"], self.address["h3"])
        text = launch_file(Hosts(head=self.address["h1"], workers=workers, user="root", key="~/.ssh/id_ed25519"))
        # Every host believes to have all cores of this machine, which has fewer than three hosts would.
        self.laptop_file("cluster.yaml").write_text(text.replace(" ray start ", " ray start --num-cpus=1 "))
        self.laptop_file("small.py").write_text(SWEEP)
        # The same sweep with a folder that all hosts share.
        self.laptop_file("shared.py").write_text(SWEEP.replace("seed=1,", f'seed=1,\n    storage="{SHARED}",'))
        hosts.path("h1", "/root/nodes.py").write_text(NODES)

    def laptop_file(self, name):
        return self.hosts.path(CLIENT, f"/root/grokmap/{name}")

    def results(self, name):
        return self.hosts.path("h1", f"/root/results/{name}")

    def laptop(self, command, *, check=True, timeout=PATIENCE):
        return self.hosts.run(CLIENT, command, check=check, timeout=timeout)

    def launch(self):
        """`ray up`, as typed, then wait until all three hosts are there."""
        said = self.laptop("ray up -y cluster.yaml")
        self.wait(lambda: self.nodes() == 3, "three hosts to join", 240)
        return said

    def nodes(self):
        """Return how many hosts the head's dashboard counts; asking so is cheap enough to be done all the time."""
        said = self.hosts.run("h1", "python -S nodes.py", check=False)
        return int(said.split()[1]) if said.startswith("nodes ") else 0

    def submit(self, name, script="small.py"):
        """Start `ray submit` of the small sweep under another name; returns its process on the laptop."""
        words = f"ray submit cluster.yaml {script} --name {name} --no-map"
        return self.hosts.spawn(CLIENT, words, self.logs / f"{name}.log")

    def said(self, name):
        log = self.logs / f"{name}.log"
        return log.read_text(errors="replace") if log.exists() else ""

    def ended(self, process, name):
        """Wait until a submitted sweep is over and return what it said."""
        code = process.wait(PATIENCE)
        assert code == 0, self.said(name)[-3000:]
        return self.said(name)

    def records(self, name):
        """Return the finished runs of a sweep by run id: every line that the store has for it, but the environment."""
        path = self.results(name) / "records.jsonl"
        lines = [line for line in path.read_bytes().split(b"\n") if line] if path.exists() else []
        found = {}
        for line in lines:
            try:
                record = json.loads(line)
            except ValueError:
                continue  # the line that is being written now
            record.pop("environment", None)
            found.setdefault(record["run_id"], []).append(record)
        return found

    def wait(self, ready, what, seconds=PATIENCE):
        end = monotonic() + seconds
        while not ready():
            assert monotonic() < end, f"waited {seconds} s for {what}"
            sleep(0.3)

    def wait_for_runs(self, name, count):
        """Wait until a sweep has finished some of its runs."""
        self.wait(lambda: len(self.records(name)) >= count, f"{count} runs of {name}: {self.said(name)[-1500:]}")

    def assert_as_calm(self, name, calm):
        """No run lost, none twice, every curve bit-identical to the undisturbed sweep's."""
        found = self.records(name)
        assert [key for key, lines in found.items() if len(lines) != 1] == []
        assert found.keys() == calm.keys()
        assert [key for key in calm if _untimed(found[key]) != _untimed(calm[key])] == []

    def processes(self, host, word):
        """Process ids, on this machine, of a host's processes whose command holds a word."""
        space = Path(f"/proc/{self.hosts.init(host)}/ns/pid").readlink()
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if word.encode() in (folder / "cmdline").read_bytes() and (folder / "ns/pid").readlink() == space:
                    found.append(int(folder.name))
            except OSError:
                continue
        return found


def _untimed(lines):
    """Return records without the times of day at which they were trained, which no two sweeps share."""
    assert all(line["trained"] for line in lines)
    return [{name: value for name, value in line.items() if name != "trained"} for line in lines]


@pytest.fixture(scope="session")
def booted(tmp_path_factory):
    """Boot three hosts and a laptop: for tests that are marked ``cluster``."""
    with Rehearsal(3) as hosts:
        yield Lab(hosts, tmp_path_factory.mktemp("hosts"))


@pytest.fixture(scope="session")
def lab(booted):
    """Give the hosts with a running cluster on them."""
    booted.launch()
    return booted


@pytest.fixture(scope="session")
def calm(lab):
    """Give the records of the small sweep when nothing happens to it."""
    lab.calm_said = lab.ended(lab.submit("calm"), "calm")
    found = lab.records("calm")
    assert len(found) == lab.runs, lab.calm_said[-2000:]
    return found


@pytest.fixture
def grokmap(monkeypatch, tmp_path, capsys):
    """Return a function that runs `grokmap WORDS` in a folder of its own and gives exit code, output and errors."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["grokmap", *map(str, words)])
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = end.code or 0
        return code, *capsys.readouterr()

    return run
