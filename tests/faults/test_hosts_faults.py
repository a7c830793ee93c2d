"""Accidents on real hosts: whatever dies, no finished run is lost, none comes twice, and no bit of a curve changes.

Every story runs the sweep that ran undisturbed in `calm`, under another name, and compares the records. The last one
takes the cluster down.
"""

import json
import os
import signal
from pathlib import Path

import pytest

from tests.hosts import CLIENT

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(900)]

MIDDLE = 6
"""Finished runs after which an accident happens: the sweep is well under way, most of it is to come."""


def trainers(lab, host):
    return lab.processes(host, "Trainable")


def test_a_worker_process_and_then_its_whole_host_are_killed_and_the_sweep_goes_on_by_itself(lab, calm):
    sweep = lab.submit("host-killed")
    lab.wait_for_runs("host-killed", MIDDLE)
    lab.wait(lambda: trainers(lab, "h2"), "a cohort on h2", 60)
    os.kill(trainers(lab, "h2")[0], signal.SIGKILL)
    lab.wait(lambda: trainers(lab, "h3"), "a cohort on h3", 60)
    lab.hosts.kill("h3")
    try:
        said = lab.ended(sweep, "host-killed")
    finally:
        # The host comes back, disk and all, and is used again without anybody's help.
        lab.hosts.start("h3")
    assert "60/60 runs" in said
    lab.assert_as_calm("host-killed", calm)
    lab.wait(lambda: lab.nodes() == 3, "h3 to join again", 240)


def test_a_host_is_cut_off_the_network_and_its_cohorts_go_on_elsewhere(lab, calm):
    sweep = lab.submit("cable-pulled", "shared.py")
    lab.wait_for_runs("cable-pulled", MIDDLE)
    lab.wait(lambda: trainers(lab, "h2"), "a cohort on h2", 60)
    lab.hosts.cut("h2")
    try:
        said = lab.ended(sweep, "cable-pulled")
    finally:
        lab.hosts.mend("h2")
    assert "60/60 runs" in said
    lab.assert_as_calm("cable-pulled", calm)


def test_the_driver_is_killed_and_the_same_command_goes_on(lab, calm):
    sweep = lab.submit("driver-killed")
    lab.wait_for_runs("driver-killed", MIDDLE)
    drivers = [pid for pid in lab.processes("h1", "small.py") if b"python" in _words(pid)[0]]
    before = lab.records("driver-killed")
    os.kill(drivers[-1], signal.SIGKILL)
    assert sweep.wait(60) != 0
    said = lab.ended(lab.submit("driver-killed"), "driver-killed")
    assert "60/60 runs" in said
    lab.assert_as_calm("driver-killed", calm)
    assert before.items() <= lab.records("driver-killed").items(), "what was finished stays as it was"


def test_the_laptop_disappears_and_the_sweep_goes_on(lab, calm):
    # By now the host whose cable was pulled has joined again by itself.
    lab.wait(lambda: lab.nodes() == 3, "all three hosts", 240)
    said = lab.laptop("python -m cluster submit small.py --name laptop-gone --no-map")
    assert "runs on the head" in said
    # The host that was killed and the one that was cut off are used again.
    lab.wait(lambda: trainers(lab, "h2") and trainers(lab, "h3"), "cohorts on both hosts that came back", 120)
    lab.wait_for_runs("laptop-gone", 1)
    # What Ray's launcher knows of the cluster lies in the laptop's /tmp, which does not outlive it.
    lab.laptop("cp -r /tmp/ray ~/ray.kept")
    lab.hosts.kill(CLIENT)
    try:
        lab.wait_for_runs("laptop-gone", 60)
        lab.wait((lab.results("laptop-gone") / "runs.parquet").exists, "the tables")
    finally:
        lab.hosts.start(CLIENT)
        lab.laptop("cp -r ~/ray.kept /tmp/ray")
    lab.assert_as_calm("laptop-gone", calm)


def test_the_tracking_server_dies_then_stays_away_and_the_checkpoint_disk_is_full_and_no_run_notices(lab, calm):
    folder = "/root/results/no-disk/checkpoints"
    lab.hosts.run("h1", f"mkdir -p {folder} && mount -t tmpfs -o size=4k tmpfs {folder}")
    sweep = lab.submit("no-disk")
    lab.wait_for_runs("no-disk", MIDDLE)
    for pid in [*lab.processes("h1", "mlflow.server.fastapi_app"), *lab.processes("h1", "\0mlflow\0server")]:
        os.kill(pid, signal.SIGKILL)
    services = ". ~/.bashrc; python -m cluster.services"
    lab.wait(lambda: "answers" in lab.hosts.run("h1", f"{services} status", check=False).split(), "the server", 120)
    lab.hosts.run("h1", f"{services} stop")
    lab.wait_for_runs("no-disk", 60)
    assert mirrored(lab, "no-disk") is None
    lab.hosts.run("h1", f"{services} start", timeout=200)
    said = lab.ended(sweep, "no-disk")
    assert "60/60 runs" in said
    lab.assert_as_calm("no-disk", calm)
    if mirrored(lab, "no-disk") != [60, 60]:
        # The writer waits a minute for a server; on a slow machine it may have given up, and has said what to do.
        assert "grokmap track" in said
        lab.hosts.run("h1", ". ~/.bashrc; grokmap track results/no-disk", timeout=200)
    assert mirrored(lab, "no-disk") == [60, 60]
    lab.hosts.run("h1", f"umount {folder}")


def test_the_head_is_killed_and_the_same_two_commands_go_on(lab, calm):
    sweep = lab.submit("head-killed")
    lab.wait_for_runs("head-killed", MIDDLE)
    lab.hosts.kill("h1")
    assert sweep.wait(120) != 0
    lab.hosts.start("h1")
    before = lab.records("head-killed")
    assert before
    lab.launch()
    said = lab.ended(lab.submit("head-killed"), "head-killed")
    assert "60/60 runs" in said
    lab.assert_as_calm("head-killed", calm)
    assert before.items() <= lab.records("head-killed").items()
    assert mirrored(lab, "head-killed") == [60, 60]


def test_in_the_end_down_ends_ray_and_the_server_and_leaves_the_results(lab, calm):
    lab.laptop("ray down -y cluster.yaml")
    assert "gcs_server" not in lab.hosts.run("h1", "ps axo args")

    def silent():
        return all("raylet/raylet" not in lab.hosts.run(name, "ps axo args") for name in lab.hosts.names)

    lab.wait(silent, "raylets to end", 120)
    assert lab.records("calm").keys() == calm.keys()
    # The supervisor ends the server by itself when Ray has been gone for two minutes; nobody need wait for it.
    assert "ended" in lab.hosts.run("h1", ". ~/.bashrc; python -m cluster.services stop")


def mirrored(lab, sweep):
    """Return how many runs of a sweep MLflow has, and how many different ones; None if it does not answer."""
    script = f"""
import json, urllib.request
def ask(path, body):
    url = "http://127.0.0.1:5000/api/2.0/mlflow/" + path
    request = urllib.request.Request(url, json.dumps(body).encode(), {{"Content-Type": "application/json"}})
    return json.load(urllib.request.urlopen(request, timeout=30))
experiments = [e["experiment_id"] for e in ask("experiments/search", {{"max_results": 100}})["experiments"]]
runs = ask("runs/search", {{"experiment_ids": experiments, "max_results": 1000}}).get("runs", [])
tags = [{{t["key"]: t["value"] for t in run["data"]["tags"]}} for run in runs]
ids = [t["run_id"] for t in tags if t.get("sweep") == "{sweep}" and t.get("kind") == "run"]
print(json.dumps([len(ids), len(set(ids))]))
"""
    lab.hosts.path("h1", "/root/ask.py").write_text(script)
    said = lab.hosts.run("h1", ". ~/.bashrc; python ask.py", check=False).strip().splitlines()[-1]
    return None if "refused" in said else json.loads(said)


def _words(pid):
    return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
