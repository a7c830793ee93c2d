"""Thin conveniences over Ray's launcher: each composes one or two `ray` commands that could be typed by hand."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from cluster.diagnosis.checks import check_launch_file, read_launch_file
from cluster.launch import recipe
from grokcore.errors import ConfigError, GrokmapError
from sweeps.execution.versions import REMEDY, differences, versions
from sweeps.tracking.browsing import check_port

NODES_SECONDS = 600.0
"""How long the hosts of a cluster get to join it; a fresh host installs torch first."""
LAPTOP_REMEDY = (
    "Send this laptop's code to all hosts, which ends what runs there (ray up -y cluster.yaml), or install what they "
    "have here (pip install -r cluster/requirements.txt)."
)
"""What to do when laptop and head differ."""
WATCH_PORT = 5050
"""Port of the live map of a sweep, on the head and on this laptop."""
SCRIPT_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*\.py")


class ClusterError(GrokmapError):
    """A cluster did not do what it was told; the text says which command failed and what it said last."""


def ray_words(*words: str) -> list[str]:
    """Return the words of a `ray` command of this very installation."""
    return [str(Path(sys.executable).with_name("ray")), *words]


def up(file: Path, *, wait: float = NODES_SECONDS) -> str:
    """Check the launch file, launch the cluster, wait until every host has joined, and return one line about it."""
    values = check_launch_file(file)
    _typed(ray_words("up", "-y", str(file)))
    wanted = _wanted_nodes(values)
    end = time.monotonic() + wait
    while (nodes := alive(file)) < wanted:
        if time.monotonic() > end:
            raise ClusterError(
                f"{nodes} of {wanted} hosts joined within {wait:g} s. What the head saw: ray exec {file} "
                "'tail -n 50 /tmp/ray/session_latest/logs/monitor.*'."
            )
        time.sleep(3)
    return f"{nodes} hosts joined. Next: ray submit {file} sweep.py"


def _wanted_nodes(values: dict[str, object]) -> int:
    provider = values["provider"]
    assert isinstance(provider, dict)
    if provider["type"] == "local":
        return 1 + len(provider["worker_ips"])
    types = values.get("available_node_types")
    types = types if isinstance(types, dict) else {}
    return 1 + sum(int(kind.get("min_workers", 0)) for kind in types.values())


def alive(file: Path) -> int:
    """Return how many hosts are part of a running cluster, as its head counts them."""
    script = "import ray; ray.init(address='auto', logging_level='ERROR', log_to_driver=False); "
    script += "print('hosts', sum(node['Alive'] for node in ray.nodes()))"
    said = on_head(file, ["python", "-c", script], check=False)
    found = re.findall(r"^hosts (\d+)", said, flags=re.MULTILINE)
    return int(found[-1]) if found else 0


def on_head(file: Path, words: Sequence[str], *, check: bool = True) -> str:
    """Run a command on the head and return what it printed; no word of it is read by a shell as more than a word."""
    read_launch_file(file)
    # The launcher talks on the same stream; what the command itself says stands between two marks, which `printf` puts
    # together so that the launcher's echo of the command does not hold them.
    marked = f"printf '%s-%s\\n' GROKMAP BEGIN; {shlex.join(words)}; CODE=$?; printf '%s-%s\\n' GROKMAP END; exit $CODE"
    command = ray_words("exec", "--log-style=record", str(file), marked)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = done.stdout.replace("\r", "").partition("GROKMAP-BEGIN\n")[2].partition("GROKMAP-END")[0]
    if check and done.returncode:
        raise ClusterError(f"{shlex.join(words)!r} on the head failed: {_last(said or done.stdout + done.stderr)}")
    return said


def submit(file: Path, script: Path, words: Sequence[str] = ()) -> str:
    """Start a script on the head so that it goes on when this laptop is gone; return how to watch it."""
    if not script.is_file():
        raise ClusterError(f"{script} does not exist. Give the Python file that describes the sweep.")
    if not SCRIPT_NAME.fullmatch(script.name):
        raise ClusterError(f"{script.name!r}: name the script with letters, digits, '.', '_', '-' and the ending .py.")
    head_address(file)
    if complaints := list(laptop_complaints(file)):
        raise ConfigError(complaints)
    _typed(ray_words("rsync-up", str(file), str(script), f"~/{script.name}"))
    job = f"{script.stem}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}"
    address = f"http://127.0.0.1:{recipe.DASHBOARD_PORT}"
    start = ["ray", "job", "submit", "--no-wait", f"--address={address}", f"--submission-id={job}"]
    on_head(file, [*start, "--", "python", script.name, *words])
    return f"{job} runs on the head. Watch it: ray exec {file} 'ray job logs --follow --address={address} {job}'"


def laptop_complaints(file: Path) -> Iterator[str]:
    """Yield what this laptop and the head of a running cluster have in different versions."""
    said = on_head(file, ["python", "-m", "sweeps.execution.versions"], check=False)
    try:
        there = dict(json.loads(said.strip().splitlines()[-1]))
    except (ValueError, IndexError, TypeError):
        yield f"the head does not say which versions it has ({_last(said)}). {REMEDY}"
        return
    yield from differences({"this laptop": versions(), "the head": there}, LAPTOP_REMEDY)


def status(file: Path) -> str:
    """Return what the head says of its hosts, its jobs and its tracking server."""
    head_address(file)
    parts = [
        on_head(file, words, check=False)
        for words in (["ray", "status"], ["python", "-m", "cluster.services", "status"])
    ]
    return f"{parts[0]}\nMLflow {parts[1].strip().splitlines()[-1] if parts[1].strip() else 'does not answer'}"


def fetch(file: Path, name: str, results: Path) -> Path:
    """Copy a sweep's folder from the head to `results`, and return where it lies."""
    _check_name(name)
    head_address(file)
    target = results / name
    target.mkdir(parents=True, exist_ok=True)
    _typed(ray_words("rsync-down", str(file), f"~/results/{name}/", f"{target}/"))
    return target


def _check_name(name: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
        raise ClusterError(f"{name!r} is not the name of a sweep: letters, digits, '.', '_', '-'; at most 64.")


def ui(file: Path, sweep: str | None = None, port: int = WATCH_PORT) -> int:
    """Forward MLflow and the Ray dashboard from the head to this laptop until Ctrl-C, and the live map of a sweep."""
    values = read_launch_file(file)
    provider, auth = values.get("provider", {}), values.get("auth", {})
    forward = ["ssh", "-o", "ExitOnForwardFailure=yes", "-o", "ServerAliveInterval=15"]
    forward += ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]
    there = ["-N"]
    if sweep is not None:
        _check_name(sweep)
        # A terminal of its own, whose end ends the page's server with the tunnel; a shell that knows the environment.
        there = [
            "-tt",
            shlex.join(["bash", "--login", "-c", "-i", f"source ~/.bashrc; grokmap watch {sweep} --port {port}"]),
        ]
    head = provider.get("head_ip") or head_address(file)
    for one in (recipe.MLFLOW_PORT, recipe.DASHBOARD_PORT, *([] if sweep is None else [port])):
        _check_free(one)
        # Named twice on purpose: neither end of the tunnel is open to anyone but its own host.
        forward += ["-L", f"127.0.0.1:{one}:127.0.0.1:{one}"]
    key = auth.get("ssh_private_key")
    forward += ["-i", str(Path(key).expanduser())] if key else []
    print(f"MLflow         http://127.0.0.1:{recipe.MLFLOW_PORT}")
    print(
        f"Ray dashboard  http://127.0.0.1:{recipe.DASHBOARD_PORT}   (its token: ray exec {file} 'ray get-auth-token')"
    )
    print(
        "Ctrl-C closes them." if sweep is None else f"The map of {sweep}, served by the head; Ctrl-C closes all:",
        flush=True,
    )
    process = subprocess.Popen([*forward, there[0], f"{auth.get('ssh_user', 'ubuntu')}@{head}", *there[1:]])
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.send_signal(signal.SIGTERM)
        return 0


def _check_free(port: int) -> None:
    """Raise `ClusterError` where a port of this laptop is taken: ssh would only say that it cannot forward."""
    try:
        check_port(port)
    except ConfigError:
        raise ClusterError(
            f"port {port} of this machine is in use, by another `grokmap cluster ui`, or `grokmap ui` or `watch`? "
            "End it, and type this again."
        ) from None


def head_address(file: Path) -> str:
    """Return the address of the head that runs; raises `ClusterError` if this laptop knows of none."""
    read_launch_file(file)
    done = subprocess.run(ray_words("get-head-ip", str(file)), capture_output=True, text=True, check=False)
    if done.returncode:
        raise ClusterError(
            f"no cluster of {file} runs, as far as this laptop knows. Launch it: ray up -y {file} (if one does run, "
            'which that would end: docs/cluster.md, "When it does not work").'
        )
    return done.stdout.split()[-1]


def down(file: Path) -> str:
    """End the tracking server and Ray on every host; results stay on the head's disk."""
    on_head(file, ["python", "-m", "cluster.services", "stop"], check=False)
    _typed(ray_words("down", "-y", str(file)))
    return "cluster ended; results stay on the head's disk"


def _typed(words: Sequence[str]) -> None:
    """Run a command in front of the user, who sees what it says."""
    print(f"$ {shlex.join(['ray', *words[1:]])}", flush=True)
    done = subprocess.run(words, check=False, env=os.environ | {"RAY_USAGE_STATS_ENABLED": "0"})
    if done.returncode:
        raise ClusterError(f"{shlex.join(['ray', *words[1:]])} ended with {done.returncode}; what it said is above.")


def _last(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
