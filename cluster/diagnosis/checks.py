"""Checks of a launch file before anything starts: what is wrong with it, in sentences that say what to do."""

from __future__ import annotations

import functools
import ipaddress
import json
import socket
import stat
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import Any

import yaml

from cluster.launch import recipe
from grokcore.errors import ConfigError, unknown_name

EXAMPLES = tuple(ipaddress.ip_network(net) for net in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"))
"""Addresses that exist nowhere (RFC 5737): what a launch file holds before it is filled in."""

SSH_PORT = 22
"""Where sshd listens; Ray's launcher knows no other."""
SSH_SECONDS = 8
"""How long a host may take to let us in."""
PROVIDERS = ("local", "aws", "gcp", "azure", "aliyun", "vsphere", "external")
"""Kinds of hosts that Ray's launcher knows."""


def read_launch_file(path: Path) -> dict[str, Any]:
    """Return the contents of a launch file; raises `ConfigError` for one that is missing, not YAML or not a table."""
    try:
        documents = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise ConfigError([f"{path} does not exist. Make one: grokmap cluster new --head ADDRESS."]) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError, ValueError) as error:
        raise ConfigError([f"{path} is not YAML: {' '.join(str(error).split())}."]) from None
    if any(isinstance(document, dict) and "apiVersion" in document for document in documents):
        raise ConfigError([f"{path} is for Kubernetes, not for ray up: kubectl apply -f {path}."])
    if len(documents) > 1:
        raise ConfigError([f"{path} holds {len(documents)} documents, not one table of settings."])
    values = documents[0] if documents else None
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise ConfigError([f"{path} holds {type(values).__name__}, not a table of settings."])
    return values


@functools.cache
def ray_schema() -> dict[str, Any]:
    """Return Ray's own schema of launch files, without importing Ray."""
    spec = util.find_spec("ray")
    if spec is None or spec.origin is None:
        raise ConfigError(["Ray is not installed here: pip install -r cluster/requirements.txt."])
    path = Path(spec.origin).parent / "autoscaler" / "ray-schema.json"
    return dict(json.loads(path.read_text(encoding="utf-8")))


def schema_complaints(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield what Ray's schema says against a launch file, unknown keys with their nearest match."""
    import jsonschema  # type: ignore[import-untyped]

    known = ray_schema()["properties"]
    yield from (unknown_name("key", key, known) for key in values if key not in known)
    sections = {name: known[name].get("properties", {}) for name in ("provider", "auth")}
    for name, fields in sections.items():
        section = values.get(name)
        if isinstance(section, Mapping) and known[name].get("additionalProperties") is False:
            yield from (f"{name}: {unknown_name('key', key, fields)}" for key in section if key not in fields)
    for error in jsonschema.Draft7Validator(ray_schema()).iter_errors(values):
        if error.validator != "additionalProperties":
            where = ".".join(str(part) for part in error.absolute_path)
            yield f"{where + ': ' if where else ''}{error.message}."


def file_complaints(values: Mapping[str, Any], root: Path) -> Iterator[str]:
    """Yield what is wrong with the files that a launch file names: missing sources, a key that is missing or open."""
    mounts = values.get("file_mounts")
    for source in mounts.values() if isinstance(mounts, Mapping) else ():
        if not (root / str(source)).expanduser().exists():
            yield f"file_mounts: {source} is not in {root.resolve()}. Type the command in the repository's root."
    auth = values.get("auth")
    key = auth.get("ssh_private_key") if isinstance(auth, Mapping) else None
    if isinstance(key, str):
        yield from _key_complaints(key)


def _key_complaints(key: str) -> Iterator[str]:
    path = Path(key).expanduser()
    if not path.is_file():
        yield f"ssh key {key} does not exist. Make one and put it on the hosts: ssh-keygen -t ed25519 -f {key}."
    elif stat.S_IMODE(path.stat().st_mode) & 0o077:
        yield f"ssh key {key} can be read by others, so ssh will refuse it: chmod 600 {key}."


def version_complaints(packages: tuple[str, ...] = ("ray",)) -> Iterator[str]:
    """Yield which of the laptop's packages differ from what the hosts will run."""
    for name in packages:
        wanted = next((v for n, v in recipe.versions().items() if n.partition("[")[0] == name), None)
        try:
            have = metadata.version(name).partition("+")[0]
        except metadata.PackageNotFoundError:
            have = "none"
        if wanted is not None and have != wanted:
            yield (
                f"{name} {have} here, {wanted} on the hosts: a cluster speaks one version. "
                f"pip install {name}=={wanted}, or change cluster/requirements.txt."
            )


@dataclass(frozen=True)
class Ssh:
    """How to enter a host of an on-premise cluster."""

    user: str
    """User on every host."""
    key: str | None
    """Private key, or None for ssh's own choice."""
    head: str
    """The host through which the others are reached."""

    def words(self, host: str) -> list[str]:
        """Return the ssh command that enters `host`, a worker through the head as Ray does."""
        options = ["-o", "BatchMode=yes", "-o", f"ConnectTimeout={SSH_SECONDS}", "-o", "StrictHostKeyChecking=no"]
        options += ["-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "IdentitiesOnly=yes"]
        options += ["-i", str(Path(self.key).expanduser())] if self.key else []
        words = ["ssh", *options]
        if host != self.head:
            through = " ".join([*words, "-W", "%h:%p", f"{self.user}@{self.head}"])
            words += ["-o", f"ProxyCommand={through}"]
        return [*words, f"{self.user}@{host}"]

    def complaint(self, host: str) -> str | None:
        """Return in one sentence why `host` cannot be entered, or None if it can."""
        role = "head" if host == self.head else "worker"
        if host == self.head:
            try:
                socket.create_connection((host, SSH_PORT), timeout=SSH_SECONDS).close()
            except OSError as error:
                reason = error.strerror or str(error)
                return (
                    f"{role} {host} does not answer on port {SSH_PORT} ({reason}): is it on, and is this its address?"
                )
        try:
            command = [*self.words(host), "true"]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=4 * SSH_SECONDS)
        except subprocess.TimeoutExpired:
            return f"{role} {host} does not answer ssh within {4 * SSH_SECONDS} s."
        if done.returncode == 0:
            return None
        said = done.stderr.strip().splitlines()
        if any("Permission denied" in line for line in said):
            remedy = "put its public half into ~/.ssh/authorized_keys there."
            return f"{role} {host} refuses user {self.user!r} with key {self.key}: {remedy}"
        reason = said[-1] if said else "no reason given"
        return f"{role} {host} cannot be reached by ssh ({reason}): is it on, and is this its address?"


def provider_complaints(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield what of the block to fill in was not, or cannot be."""
    provider = values.get("provider")
    if not isinstance(provider, Mapping):
        return
    kind = provider.get("type")
    if isinstance(kind, str) and kind not in PROVIDERS:
        yield f"provider.type: {unknown_name('kind of host', kind, PROVIDERS)}"
    if kind == "gcp" and not provider.get("project_id"):
        yield "provider.project_id is empty: write your Google Cloud project's id there."
    if kind != "local":
        return
    head, workers = provider.get("head_ip"), provider.get("worker_ips") or []
    if head is None or not isinstance(workers, list):
        yield "provider: an on-premise cluster has a head_ip and a list of worker_ips."
    elif unfilled := [str(host) for host in (head, *workers) if _is_example(str(host))]:
        yield f"hosts {', '.join(unfilled)} are examples: write your own hosts' addresses into the launch file."


def host_complaints(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield which hosts of an on-premise launch file are out of reach or closed to us."""
    provider, auth = values["provider"], values.get("auth")
    if provider["type"] != "local" or not isinstance(auth, Mapping):
        return
    head, *workers = (str(host) for host in (provider["head_ip"], *(provider.get("worker_ips") or ())))
    ssh = Ssh(user=str(auth.get("ssh_user", "ubuntu")), key=auth.get("ssh_private_key"), head=head)
    if complaint := ssh.complaint(head):
        yield complaint
        return
    with ThreadPoolExecutor(max_workers=16) as pool:
        yield from filter(None, pool.map(ssh.complaint, workers))


def _is_example(host: str) -> bool:
    try:
        return any(ipaddress.ip_address(host) in network for network in EXAMPLES)
    except ValueError:
        return False


def check_launch_file(path: Path, *, reach: bool = True) -> dict[str, Any]:
    """Return the contents of a launch file that can be launched; raises `ConfigError` with every complaint.

    `reach` also enters every host of an on-premise cluster; that is done only if the file itself is right.
    """
    values = read_launch_file(path)
    complaints = [*schema_complaints(values), *provider_complaints(values)]
    complaints += [*file_complaints(values, Path.cwd()), *version_complaints()]
    if not complaints and reach:
        complaints += host_complaints(values)
    if complaints:
        raise ConfigError(f"{path}: {complaint}" for complaint in complaints)
    return values
