"""The doctor: finds what is open, missing or mismatched, and says what to do."""

import dataclasses
import os
import socket

import pytest
from typer.testing import CliRunner

from cluster import cli
from cluster.diagnosis import doctor
from cluster.diagnosis.host_report import HostReport, host_report
from cluster.launch import recipe


@pytest.fixture
def healthy():
    pins = {name.partition("[")[0]: version for name, version in recipe.versions().items()}
    return HostReport(
        host="a",
        clock=1000.0,
        python="3.11.7",
        versions={
            name: pins[name] for name in ("ray", "torch", "numpy", "numba", "optuna", "mlflow", "pandas", "pyarrow")
        },
        cpus=8,
        threads=1,
        disk_free=10**11,
        shared_memory=10**10,
        open_ports=(22,),
        loopback_ports=(recipe.MLFLOW_PORT, recipe.DASHBOARD_PORT),
        public_addresses=(),
        gpus=0,
        gpu_files=0,
    )


def said(findings, level):
    return [finding.text for finding in findings if finding.level == level]


def test_a_probe_sees_this_machine():
    with socket.create_server(("127.0.0.1", 0)) as closed, socket.create_server(("0.0.0.0", 0)) as open_:
        found = host_report()
        assert closed.getsockname()[1] in found.loopback_ports
        assert open_.getsockname()[1] in found.open_ports
        assert closed.getsockname()[1] not in found.open_ports
    assert found.host == socket.gethostname()
    assert found.cpus == len(os.sched_getaffinity(0))
    assert found.versions["ray"] == recipe.ray_version()


def test_hosts_that_agree_give_no_warning(healthy):
    other = dataclasses.replace(healthy, host="b")
    assert doctor.worst(doctor.together([healthy, other], [0.0, 0.1])) == "ok"


@pytest.mark.parametrize(
    ("change", "level", "words"),
    [
        ({"python": "3.12.1"}, "error", "python differs: 3.11.7 on a; 3.12.1 on b"),
        ({"versions": {}}, "error", "torch differs"),
        ({"disk_free": 10**8}, "error", "b: 0.1 GB free for results"),
        ({"open_ports": (5000,)}, "error", "b: MLflow listens to other hosts on port 5000"),
        ({"open_ports": (8265,)}, "error", "the Ray dashboard listens to other hosts"),
        ({"gpu_files": 2}, "error", "2 GPUs, of which torch sees 0: install a CUDA build"),
        (
            {"open_ports": (22, recipe.GCS_PORT), "public_addresses": ("8.8.4.4",)},
            "warning",
            "b: Ray's ports (6379) also listen on 8.8.4.4, which the internet can reach: let a firewall",
        ),
        ({"threads": 8}, "warning", "set OMP_NUM_THREADS=1"),
        ({"shared_memory": 64 * 10**6}, "warning", "/dev/shm has 64 MB"),
    ],
)
def test_each_ailment_is_found_on_the_host_that_has_it(healthy, change, level, words):
    other = dataclasses.replace(healthy, host="b", **change)
    findings = list(doctor.together([healthy, other], [0.0, 0.0]))
    assert any(words in text for text in said(findings, level)), findings
    assert doctor.worst(findings) == level


def test_a_clock_that_is_off_is_named_with_its_sign(healthy):
    other = dataclasses.replace(healthy, host="b")
    (text,) = said(doctor.together([healthy, other], [0.0, -3600.0]), "warning")
    assert text == "b: its clock is -3600.0 s off; start a time service there (chrony)."


def test_this_machine_is_compared_with_what_a_cluster_would_install(healthy, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    other = dataclasses.replace(healthy, versions=healthy.versions | {"ray": "2.9.0"})
    assert said(doctor.here(other), "warning") == [
        f"ray 2.9.0 here, {recipe.ray_version()} on a cluster launched from here."
    ]
    bare = dataclasses.replace(healthy, versions={})
    assert "not installed: pip install -r cluster/requirements.txt" in said(doctor.here(bare), "error")[0]


def test_a_token_that_others_can_read_is_an_error(healthy, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    token = tmp_path / ".ray" / "auth_token"
    token.parent.mkdir()
    token.write_text("secret")
    token.chmod(0o644)
    assert said(doctor.here(healthy), "error") == [f"Ray's token {token} can be read by others: chmod 600 {token}."]
    token.chmod(0o600)
    assert doctor.worst(doctor.here(healthy)) == "ok"


def test_the_commands_are_there_and_say_what_they_do():
    runner = CliRunner()
    told = runner.invoke(cli.app, ["--help"]).output
    assert all(name in told for name in ("new", "check", "up", "submit", "status", "ui", "fetch", "down"))


def test_new_writes_a_file_that_can_be_checked_and_never_over_another(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()
    words = ["new", "--head", "10.1.1.1", "--worker", "10.1.1.2", "--worker", "node-3", "--user", "me"]
    assert runner.invoke(cli.app, words).output == "cluster.yaml written\n"
    text = (tmp_path / "cluster.yaml").read_text()
    assert "worker_ips: [10.1.1.2, node-3]" in text
    again = runner.invoke(cli.app, words)
    assert "is there already" in str(again.exception)
    assert runner.invoke(cli.app, [*words, "--force"]).exit_code == 0
    assert "ssh_user: me" in runner.invoke(cli.app, [*words, "--out", "-"]).output
