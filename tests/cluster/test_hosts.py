"""A cluster on real hosts, from nothing to a map: the commands are the README's, as typed."""

import json
import os
import signal

import pytest

from cluster.launch import recipe
from tests.hosts import CLIENT

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(900)]


def test_a_sweep_runs_on_all_hosts_and_every_run_comes_back(lab, calm):
    assert len(calm) == 60
    assert all(len(lines) == 1 for lines in calm.values())
    assert "60/60 runs" in lab.calm_said
    for worker in ("h2", "h3"):
        logs = lab.hosts.run(worker, "cat /tmp/ray/session_latest/logs/worker-*.out")
        assert "actor_name:CohortTrainable" in logs, f"{worker} trained nothing"


def test_the_hosts_run_the_code_that_was_sent_and_nothing_else(lab):
    for name in lab.hosts.names:
        found = lab.hosts.run(
            name, ". ~/.bashrc; python -c 'import grokcore, sweeps; print(grokcore.__file__, sweeps.__file__)'"
        )
        assert found.split() == ["/root/grokmap/grokcore/__init__.py", "/root/grokmap/sweeps/__init__.py"]


@pytest.mark.usefixtures("calm")
def test_mlflow_has_each_run_once_and_with_the_live_map_is_reached_through_the_head(lab):
    tunnel = lab.hosts.spawn(CLIENT, "python -m cluster ui --watch calm", lab.logs / "ui.log")
    try:
        lab.wait(lambda: "?token=" in lab.said("ui"), f"the address of the live map: {lab.said('ui')}", 60)
        address = next(word for word in lab.said("ui").split() if "?token=" in word).replace("/?", "/state?")
        page = f"import urllib.request; print(urllib.request.urlopen({address!r}, timeout=20).read().decode())"
        lab.wait(lambda: "60 of 60 runs: the sweep is done" in lab.laptop(["python", "-c", page]), "its state", 60)
        script = f"""
import json, time, urllib.request
def ask(path, body):
    url = "http://127.0.0.1:{recipe.MLFLOW_PORT}/api/2.0/mlflow/" + path
    request = urllib.request.Request(url, json.dumps(body).encode(), {{"Content-Type": "application/json"}})
    return json.load(urllib.request.urlopen(request, timeout=20))
for attempt in range(40):
    try:
        experiments = ask("experiments/search", {{"max_results": 100}})["experiments"]
        break
    except OSError:
        time.sleep(0.5)
runs = ask("runs/search", {{"experiment_ids": [e["experiment_id"] for e in experiments], "max_results": 1000}})["runs"]
tags = [{{t["key"]: t["value"] for t in run["data"]["tags"]}} for run in runs]
ids = [t["run_id"] for t in tags if t.get("sweep") == "calm" and "run_id" in t]
print(json.dumps([len(ids), len(set(ids)), sorted({{run["info"]["status"] for run in runs}})]))
"""
        lab.laptop_file("ask.py").write_text(script)
        said = lab.laptop("python ask.py")
    finally:
        for tunnels in lab.processes(CLIENT, "ExitOnForwardFailure"):
            os.kill(tunnels, signal.SIGTERM)
        tunnel.terminate()
        tunnel.wait(20)
    assert json.loads(said.strip().splitlines()[-1]) == [60, 60, ["FINISHED"]]
    lab.wait(lambda: not lab.processes("h1", "main()\0watch"), "the live map to end with its tunnel", 30)


@pytest.mark.usefixtures("calm")
def test_the_map_is_drawn_on_the_head_and_fetched(lab):
    lab.hosts.run("h1", ". ~/.bashrc; grokmap map results/calm", timeout=200)
    lab.laptop("python -m cluster fetch calm")
    there = lab.laptop("ls results/calm").split()
    assert {"map.png", "map.svg", "map.html", "map.csv", "map.parquet", "runs.parquet", "spec.toml"} <= set(there)


def test_the_doctor_finds_nothing_wrong_and_all_doors_closed(lab):
    said = lab.laptop("python -m cluster doctor cluster.yaml")
    assert "3 hosts answer" in said
    assert "error" not in said
    assert "MLflow listens on loopback only" in said
    assert "the Ray dashboard listens on loopback only" in said


def test_nobody_talks_to_the_cluster_without_its_token(lab):
    head = lab.address["h1"]
    for port in (recipe.MLFLOW_PORT, recipe.DASHBOARD_PORT):
        script = f"import socket; socket.create_connection(('{head}', {port}), timeout=3)"
        assert "refused" in lab.laptop(["python", "-c", script], check=False)
    # Both try again and again until their time is over: at the same time, so that it passes once.
    join = f"RAY_AUTH_MODE=disabled timeout 20 ray start --address={head}:{recipe.GCS_PORT}"
    wrong = f"RAY_AUTH_MODE=token RAY_AUTH_TOKEN={'0' * 64} timeout 20 ray status --address={head}:{recipe.GCS_PORT}"
    said = lab.laptop(f"({join}) & ({wrong}) & wait; ray stop > /dev/null 2>&1", check=False)
    assert "Ray runtime started" not in said
    assert "Active:" not in said
    token = lab.hosts.run("h2", "stat -c %a ~/.ray/auth_token; cat ~/.ray/auth_token").split()
    assert token[0] == "600"
    assert token[1] == lab.hosts.run("h1", "cat ~/.ray/auth_token").strip()


def test_ports_between_hosts_are_those_that_the_recipe_names(lab):
    known = {recipe.GCS_PORT, *recipe.FIXED_PORTS.values(), 22}
    known |= {int(port) for name, port in recipe.ENVIRONMENT.items() if name.endswith("_METRIC_PORT")}
    span = range(recipe.FIXED_PORTS["min-worker-port"], recipe.FIXED_PORTS["max-worker-port"] + 1)
    script = "from cluster.diagnosis.host_report import host_report; print(*host_report().open_ports)"
    for name in lab.hosts.names:
        ports = map(int, lab.hosts.run(name, f'. ~/.bashrc; python -c "{script}"').split())
        strangers = [port for port in ports if port not in known and port not in span]
        # Ray's client server on the head has no option that closes it.
        assert strangers == ([10001] if name == "h1" else []), f"{name} listens on {strangers}"


def test_a_wrong_key_is_found_before_anything_starts(lab):
    lab.laptop("ssh-keygen -q -t ed25519 -N '' -f ~/.ssh/other")
    lab.laptop("sed s/id_ed25519/other/ cluster.yaml > wrong.yaml")
    said = lab.laptop("python -m cluster check wrong.yaml", check=False)
    assert "refuses user 'root' with key ~/.ssh/other" in said
    assert "Traceback" not in said


def test_an_unreachable_worker_is_found_before_anything_starts(lab):
    lab.laptop(f"sed 's/{lab.address['h3']}/10.77.0.99/' cluster.yaml > far.yaml")
    said = lab.laptop("python -m cluster check far.yaml", check=False)
    assert "worker 10.77.0.99 cannot be reached by ssh" in said
    assert lab.laptop("python -m cluster check cluster.yaml").strip() == "cluster.yaml can be launched"


def test_storage_that_workers_cannot_see_is_found(lab):
    said = lab.laptop("python -m cluster doctor cluster.yaml --storage /root/results", check=False)
    assert "h2, h3 cannot use /root/results" in said or "h3, h2 cannot use /root/results" in said
    # The sweep itself finds it too, before the first run.
    lab.laptop("sed s:/shared:/root/results: shared.py > unseen.py")
    code = lab.submit("unseen", "unseen.py").wait(120)
    said = lab.said("unseen")
    assert code != 0
    assert "storage = '/root/results/grokmap/unseen' cannot be used on every host (" in said
    assert "h2: it is another one there, or not mounted" in said
    assert "Traceback" not in said
    assert (lab.results("unseen") / "asked.jsonl").read_text() == ""


def test_a_laptop_whose_code_is_not_the_heads_is_told_before_anything_starts(lab):
    lab.laptop("cp grokcore/errors.py errors.kept; echo '# newer' >> grokcore/errors.py")
    try:
        said = lab.laptop("python -m cluster submit small.py --name newer", check=False)
        examined = lab.laptop("python -m cluster doctor cluster.yaml", check=False)
    finally:
        lab.laptop("mv errors.kept grokcore/errors.py")
    for text in (said, examined):
        assert "Grokmap is source " in text
        assert "on this laptop, but source" in text
        assert "ray up -y cluster.yaml" in text
    assert "Traceback" not in said
    assert not lab.results("newer").exists()
