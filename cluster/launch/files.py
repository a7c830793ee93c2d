"""Launch files: renders `cluster.yaml`, the cloud and Kubernetes variants and `host.sh` from one recipe."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import yaml
from annotated_types import Ge

from cluster.launch import kubernetes, recipe
from grokcore.config.component import Component
from grokcore.errors import unknown_name

KINDS = {
    "on-premise": "your own hosts, reached by ssh",
    "aws": "Amazon EC2",
    "gcp": "Google Compute Engine",
    "azure": "Microsoft Azure",
    "raycluster": "Kubernetes, a KubeRay RayCluster that stays",
    "rayjob": "Kubernetes, a KubeRay RayJob that runs one sweep and goes",
}
"""The kinds of cluster there are launch files for, each with what it is."""
KUBERNETES = ("raycluster", "rayjob")
"""Those that `kubectl apply` launches; `ray up` launches the others."""

HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
USER_NAME = re.compile(r"[a-z_][a-z0-9_.-]{0,31}")
KEY_PATH = re.compile(r"[A-Za-z0-9_./~+@-]+")


@dataclass(frozen=True, kw_only=True)
class Hosts(Component):
    """What a user fills into a launch file."""

    kind: str = "on-premise"
    """One of `KINDS`."""
    head: str = "192.0.2.10"
    """Address of the head; the default is an example that exists nowhere (RFC 5737)."""
    workers: tuple[str, ...] = ("192.0.2.11", "192.0.2.12")
    """Addresses of the workers."""
    user: str = "ubuntu"
    """User on every host."""
    key: str = "~/.ssh/grokmap_ed25519"
    """The laptop's private ssh key for the cluster."""
    count: Annotated[int, Ge(0)] = 2
    """Number of workers where they are made, not named."""
    gpus: Annotated[int, Ge(0)] = 0
    """GPUs per worker where machines are chosen by type."""

    def complaints(self) -> Iterator[str]:
        """Yield what no launch file can hold: unknown kinds, and names that are not names."""
        if self.kind not in KINDS:
            yield unknown_name("kind of cluster", self.kind, KINDS)
        for host in (self.head, *self.workers):
            if not (_is_address(host) or HOST_NAME.fullmatch(host)):
                yield f"host {host!r}: should be an IP address or a host name."
        if len({self.head, *self.workers}) != 1 + len(self.workers):
            yield f"hosts {', '.join((self.head, *self.workers))}: name each once; the head is no worker too."
        if not USER_NAME.fullmatch(self.user):
            yield f"user {self.user!r}: should be a Unix user name, lower-case letters, digits and _ . -"
        if not KEY_PATH.fullmatch(self.key):
            yield f"key {self.key!r}: should be a path of letters, digits and _ . / ~ + @ -"


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _scalar(value: object) -> str:
    """Write a value as YAML would in one line."""
    return yaml.safe_dump(value, width=10**6, allow_unicode=True).removesuffix("\n").removesuffix("\n...")


def _render(template: str, **values: Any) -> str:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(recipe.FOLDER / "launch" / "templates"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters["scalar"] = _scalar
    return environment.get_template(template).render(recipe=recipe, **values)


def launch_file(hosts: Hosts, file: str = "cluster.yaml") -> str:
    """Return the text of a launch file; `file` is the name its first lines tell the user to type."""
    values: dict[str, Any] = {"hosts": hosts, "kind": hosts.kind, "title": KINDS[hosts.kind], "file": file}
    if hosts.kind not in KUBERNETES:
        return _render("launch.yaml.j2", **values)
    made = kubernetes.objects(hosts.kind, hosts.count, hosts.gpus)
    body = yaml.dump_all(made, Dumper=_Plain, sort_keys=False, explicit_start=True, width=120)
    return _render("kubernetes.yaml.j2", body=body, image=kubernetes.IMAGE, **values)


class _Plain(yaml.SafeDumper):
    """Writes every value where it stands, without YAML's references between equal ones."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def host_script() -> str:
    """Return the text of `host.sh`, the environment of every host."""
    return _render("host.sh.j2")


def rendered() -> dict[Path, str]:
    """Return every rendered file of the repository, by its path relative to the root."""
    files = {Path("cluster.yaml"): launch_file(Hosts()), Path("cluster/host.sh"): host_script()}
    files[Path("cluster/launch/Dockerfile")] = _render("Dockerfile.j2", image=kubernetes.IMAGE)
    for kind in KINDS:
        if kind != "on-premise":
            path = Path("cluster/launch") / f"{kind}.yaml"
            files[path] = launch_file(Hosts(kind=kind), str(path))
    return files


def main() -> None:
    """Write every rendered file of the repository."""
    for path, text in rendered().items():
        target = recipe.FOLDER.parent / path
        target.parent.mkdir(exist_ok=True)
        target.write_text(text, encoding="utf-8")
        print(path)
