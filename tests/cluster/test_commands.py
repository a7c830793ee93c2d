"""What the commands on a cluster say before they begin."""

import socket

import pytest

from cluster import commands
from cluster.launch import recipe


def test_a_port_that_is_taken_here_is_said_before_ssh_is_asked(monkeypatch, tmp_path):
    values = {"provider": {"head_ip": "10.0.0.1"}, "auth": {}}
    monkeypatch.setattr(commands, "read_launch_file", lambda _: values)
    monkeypatch.setattr(commands.subprocess, "Popen", lambda *_: pytest.fail("ssh was begun"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setattr(recipe, "MLFLOW_PORT", port)
        with pytest.raises(commands.ClusterError, match=f"port {port} of this machine is in use, by another"):
            commands.ui(tmp_path / "cluster.yaml")
