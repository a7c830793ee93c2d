"""The recipe of a cluster: versions, ports, environment, set-up and start commands, each said here and nowhere else.

Every launch file (`cluster.yaml`, `cluster/launch/*`) and `cluster/host.sh` are rendered from it.
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1]
"""The folder of the package `cluster`: launch files, requirements."""

GCS_PORT = 6379
"""Ray's control store on the head; workers and nothing else need to reach it."""
DASHBOARD_PORT = 8265
"""Ray's dashboard and jobs, on the head's loopback."""
MLFLOW_PORT = 5000
"""The MLflow server, on the head's loopback."""

FIXED_PORTS = {
    "node-manager-port": 6380,
    "object-manager-port": 6381,
    "dashboard-agent-grpc-port": 6382,
    "metrics-export-port": 6383,
    "dashboard-agent-listen-port": 6384,
    "runtime-env-agent-port": 6385,
    "min-worker-port": 10002,
    "max-worker-port": 10999,
}
"""Ports between hosts that Ray would choose at random; named, so that a firewall can let through no others."""

OBJECT_STORE_BYTES = 500_000_000
"""Ray's shared memory per host: records and checkpoints are small, so that the rest stays with the training."""

CODE = "grokmap"
"""Folder in a host's home that holds the code and its environment."""
SOURCES = ("grokcore", "analysis", "sweeps", "cluster")
"""What is sent to every host, relative to the repository's root."""

ENVIRONMENT = {
    # Nobody talks to this cluster without its token (~/.ray/auth_token, made on the head).
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray's own setting wants the same patch of Python on all hosts; the same minor version is enough.
    "RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL": "minor",
    # Metrics of the head's own processes, which have no option.
    "AUTOSCALER_METRIC_PORT": "6386",
    "DASHBOARD_METRIC_PORT": "6387",
    # A host that fell silent is given up after about 20 seconds; Ray's own setting takes about a minute.
    "RAY_health_check_initial_delay_ms": "5000",
    "RAY_health_check_period_ms": "3000",
    "RAY_health_check_timeout_ms": "5000",
    "RAY_health_check_failure_threshold": "3",
    # How soon the head tries to start Ray again on a host that came back.
    "AUTOSCALER_HEARTBEAT_TIMEOUT_S": "20",
    "AUTOSCALER_UPDATE_INTERVAL_S": "2",
    # The head's server is where runs are shown; a driver anywhere else on the cluster cannot write to its database.
    "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{MLFLOW_PORT}",
    # Sources are hashed by the launcher: compiled files would look like changes.
    "PYTHONDONTWRITEBYTECODE": "1",
}
"""Environment of every process on every host."""

_PORTS = "".join(f" --{name}={port}" for name, port in FIXED_PORTS.items())
_START = f"{_PORTS} --object-store-memory={OBJECT_STORE_BYTES}"

SETUP = (
    # Ubuntu's own Python comes without venv; where sudo asks for a password this fails and pip says what is missing.
    f"cd ~/{CODE} && {{ test -e .venv || python3 -m venv .venv || {{ sudo -n apt-get update && "
    "sudo -n apt-get install -y python3-venv && python3 -m venv .venv; }; }",
    f"cd ~/{CODE} && .venv/bin/python -m pip install --quiet --disable-pip-version-check "
    "--requirement cluster/requirements.txt",
    f"grep -qs {CODE}/cluster/host.sh ~/.bashrc || echo '. ~/{CODE}/cluster/host.sh' >> ~/.bashrc",
)
"""Set-up of a host after its files arrived; doing it twice changes nothing."""

HEAD_SETUP = ("ray get-auth-token --generate > /dev/null && chmod 600 ~/.ray/auth_token",)
"""Set-up of the head alone."""

TOKEN = "~/.ray/auth_token"
"""File of the cluster's token; the head makes it and hands it to its workers over ssh."""

HEAD_START = (
    "ray stop",
    "python -m cluster.services start",
    # `ray up` asks for the second autoscaler on this line, which never starts the workers of a `type: local` cluster.
    f"ulimit -n 65536; export RAY_enable_autoscaler_v2=0; ray start --head --port={GCS_PORT} "
    f"--dashboard-host=127.0.0.1 --dashboard-port={DASHBOARD_PORT}{_START} "
    "--autoscaling-config=~/ray_bootstrap_config.yaml",
)
"""Start of the head: tracking server first, health-checked, then Ray."""

WORKER_START = (
    "ray stop",
    f"ulimit -n 65536; ray start --address=$RAY_HEAD_IP:{GCS_PORT}{_START}",
)
"""Start of a worker."""


@functools.cache
def versions() -> dict[str, str]:
    """Return the pinned version of every direct dependency, by its name in `requirements.txt`."""
    lines = (FOLDER / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pins = (line.split("==") for line in lines if "==" in line and not line.startswith("#"))
    return {name.strip(): version.strip() for name, version in pins}


def ray_version() -> str:
    """Return the pinned version of Ray."""
    return next(version for name, version in versions().items() if name.startswith("ray["))


def pod_environment() -> dict[str, str]:
    """Return the environment of a pod: the operator itself sees to the token, and its image has the code."""
    kinds = ("MLFLOW_", "RAY_health_", "RAY_USAGE")
    ours = {name: value for name, value in ENVIRONMENT.items() if name.startswith(kinds)}
    return ours | {"PYTHONPATH": f"/home/ray/{CODE}"}


def python_version() -> str:
    """Return this Python's major and minor version: a cluster's hosts must have the same."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"
