"""Rehearsal: several hosts on one Linux machine, to try a cluster, and its accidents, before there is one.

A host is a network + mount + pid + host-name + ipc namespace with a copy-on-write root, an empty home and sshd as its
first process; a client without sshd stands for the laptop. They hang on a bridge that leads nowhere else, and share the
folder /shared as if each had mounted it. Nothing is mounted and no namespace is named outside, so everything vanishes
with the process that made it, however that ends.

Needs root, iproute2, util-linux, openssh-server and rsync.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from grokcore.errors import GrokmapError

ROOT = Path(__file__).resolve().parents[1]
"""The checkout whose code the client has; the hosts cannot see it and must be sent it."""
SOURCES = ("grokcore", "analysis", "sweeps", "cluster", "pyproject.toml", "sweep.py", "cluster.yaml")
"""What the client's checkout holds."""
TOOLS = ("ip", "nsenter", "unshare", "setpriv", "ssh-keygen", "rsync", "/usr/sbin/sshd")
"""Commands a rehearsal needs; Debian: iproute2 util-linux openssh-server rsync."""
NETWORK = "10.77.0."
"""First three bytes of every address; the network ends at its bridge."""
CLIENT = "client"
"""Name of the host that stands for the laptop; it runs no sshd."""
DISKS = "grokmap-hosts-"
"""Start of the name of every folder in /dev/shm that holds disks; the number of their process follows."""
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"

_INIT = r"""
set -e
hostname "$NAME"
[ -z "$FRESH" ] || rm -rf "$DISK/up" "$DISK/work" "$DISK/home"
mkdir -p "$DISK"/{up,work,root,home}
mount -t overlay overlay -o "lowerdir=/,upperdir=$DISK/up,workdir=$DISK/work" "$DISK/root"
R=$DISK/root
mount -t proc proc $R/proc
mount --rbind /dev $R/dev; mount --make-rslave $R/dev
mount -t tmpfs -o size=2g,mode=1777 tmpfs $R/dev/shm
mount -t tmpfs -o mode=1777 tmpfs $R/tmp
mount -t tmpfs tmpfs $R/run; mkdir -p $R/run/sshd
mount --rbind /sys $R/sys
chmod 700 "$DISK/home"; mount --bind "$DISK/home" $R/root
mkdir -p "$R$HIDDEN"; mount -t tmpfs tmpfs "$R$HIDDEN"
for shared in "$VENV" "$PYTHON"; do
  mkdir -p "$R$shared"; mount --bind "$shared" "$R$shared"; mount -o remount,bind,ro "$R$shared"
done
mkdir -p $R/shared; [ "$NAME" = client ] || mount --bind "$STATE/shared" $R/shared
mkdir -p $R/root/.ssh; chmod 700 $R/root/.ssh
install -m 600 "$STATE/key.pub" $R/root/.ssh/authorized_keys
[ "$NAME" != client ] || install -m 600 "$STATE/key" $R/root/.ssh/id_ed25519
cp "$STATE/hosts" $R/etc/hosts; : > $R/etc/resolv.conf
cp "$STATE/sshd_config" $R/etc/ssh/sshd_config
mkdir -p $R/.old; cd $R; pivot_root . .old; umount -l /.old; cd /
[ -e /etc/ssh/ssh_host_ed25519_key ] || ssh-keygen -A >/dev/null
touch /run/ready
if [ "$NAME" = client ]; then exec sleep infinity; else exec /usr/sbin/sshd -D -E /var/log/sshd.log; fi
"""

_SSHD = """HostKey /etc/ssh/ssh_host_ed25519_key
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
UseDNS no
MaxStartups 100
MaxSessions 100
PidFile none
"""


class RehearsalError(GrokmapError):
    """The hosts of a rehearsal cannot be made on this machine, or one of them did not boot."""


def missing() -> list[str]:
    """Return, in words, what this machine lacks for a rehearsal; empty when it can be held."""
    lacks = [] if sys.platform == "linux" and os.geteuid() == 0 else ["root on Linux"]
    lacks += [f"the command {tool}" for tool in TOOLS if shutil.which(tool, path=PATH) is None]
    if not lacks:
        probe = [
            "unshare",
            "--net",
            "--mount",
            "--pid",
            "--uts",
            "--ipc",
            "--fork",
            "mount",
            "-t",
            "tmpfs",
            "t",
            "/mnt",
        ]
        done = subprocess.run(probe, capture_output=True, text=True, check=False)
        lacks += [] if done.returncode == 0 else [f"the right to make namespaces ({done.stderr.strip()})"]
    return lacks


def _sweep_up() -> None:
    """Delete the disks of rehearsals whose process was killed."""
    for folder in Path("/dev/shm").glob(f"{DISKS}*"):
        owner = folder.name.removeprefix(DISKS).partition("-")[0]
        if not Path(f"/proc/{owner}").exists():
            shutil.rmtree(folder, ignore_errors=True)


class Rehearsal:
    """A client and `count` hosts h1, h2, ... (addresses 10.77.0.11, .12, ...); use as a context manager."""

    def __init__(self, count: int = 3) -> None:
        if lacks := missing():
            raise RehearsalError(
                f"a rehearsal needs {', '.join(lacks)}. Debian: apt-get install openssh-server rsync iproute2."
            )
        # The upper layer of an overlay must lie on another file system than its lower one, which is /.
        _sweep_up()
        self.state = Path(tempfile.mkdtemp(prefix=f"{DISKS}{os.getpid()}-", dir="/dev/shm"))
        self.names = tuple(f"h{i + 1}" for i in range(count))
        self._networks: dict[str, subprocess.Popen[bytes]] = {}
        self._hosts: dict[str, subprocess.Popen[bytes]] = {}
        self._inits: dict[str, int] = {}

    def __enter__(self) -> Self:
        try:
            self._boot_all()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def addresses(self) -> dict[str, str]:
        """Return the address of every host but the client."""
        return {name: f"{NETWORK}{11 + i}" for i, name in enumerate(self.names)}

    def _boot_all(self) -> None:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.state / "key"], check=True)
        table = "".join(f"{address} {name}\n" for name, address in self.addresses.items())
        (self.state / "hosts").write_text(f"127.0.0.1 localhost\n{NETWORK}5 {CLIENT}\n{table}")
        (self.state / "sshd_config").write_text(_SSHD)
        (self.state / "shared").mkdir()
        self._network("switch")
        self._in_network("switch", "ip link set lo up; ip link add bridge type bridge; ip link set bridge up")
        for name, address in {CLIENT: f"{NETWORK}5", **self.addresses}.items():
            self._network(name)
            pid = self._networks[name].pid
            self._in_network("switch", f"ip link add port-{name} type veth peer name eth0 netns {pid}")
            self._in_network("switch", f"ip link set port-{name} master bridge up")
            self._in_network(name, f"ip link set lo up; ip addr add {address}/24 dev eth0; ip link set eth0 up")
            self.start(name, fresh=True)
        self._give_checkout()

    def _give_checkout(self) -> None:
        """Copy the sources into the client's ~/grokmap, as a user's checkout would lie there."""
        target = self.path(CLIENT, "/root/grokmap")
        target.mkdir()
        skip = shutil.ignore_patterns("__pycache__", ".venv*")
        for source in (ROOT / name for name in SOURCES if (ROOT / name).exists()):
            if source.is_dir():
                shutil.copytree(source, target / source.name, ignore=skip)
            else:
                shutil.copy2(source, target)

    def _spawn(self, command: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
        # Dies with us: a test run that is killed leaves nothing behind.
        dying = ["setpriv", "--pdeathsig", "KILL", *command]
        return subprocess.Popen(dying, stdin=subprocess.DEVNULL, start_new_session=True, **options)

    def _network(self, name: str) -> None:
        """Make a network namespace and keep it alive with a process that sleeps in it."""
        self._networks[name] = holder = self._spawn(["unshare", "--net", "sleep", "infinity"])
        ours = Path("/proc/self/ns/net").readlink()
        _wait(lambda: Path(f"/proc/{holder.pid}/ns/net").readlink() != ours, f"the network of {name}")

    def _in_network(self, name: str, commands: str) -> None:
        net = f"--net=/proc/{self._networks[name].pid}/ns/net"
        done = subprocess.run(["nsenter", net, "sh", "-ec", commands], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RehearsalError(f"{commands!r} in the network of {name}: {done.stderr.strip()}")

    def start(self, name: str, *, fresh: bool = False) -> None:
        """Boot a host; its disk and home are as the last power cut left them, or empty if `fresh`."""
        disk = self.state / name
        disk.mkdir(exist_ok=True)
        environment = {
            "PATH": PATH,
            "NAME": name,
            "DISK": str(disk),
            "STATE": str(self.state),
            "VENV": sys.prefix,
            "PYTHON": sys.base_prefix,
            "HIDDEN": str(ROOT),
            "FRESH": "1" if fresh else "",
        }
        net = f"--net=/proc/{self._networks[name].pid}/ns/net"
        spaces = ["unshare", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child=SIGKILL"]
        log = disk / "init.log"
        with log.open("wb") as sink:
            command = ["nsenter", net, *spaces, "bash", "-c", _INIT]
            process = self._spawn(command, env=environment, stdout=sink, stderr=subprocess.STDOUT)
        self._hosts[name] = process

        def ready() -> bool:
            if process.poll() is not None:
                raise RehearsalError(f"{name} did not boot: {log.read_text().strip()}")
            kids = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            self._inits |= {name: int(kids[0])} if kids else {}
            return bool(kids) and Path(f"/proc/{kids[0]}/root/run/ready").exists()

        _wait(ready, f"{name} to boot")

    def kill(self, name: str) -> None:
        """Cut a host's power: every process in it dies at once; its address goes silent, its disk stays."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._inits.pop(name), signal.SIGKILL)
        self._hosts.pop(name).wait()

    def cut(self, name: str) -> None:
        """Pull a host's network cable; the host runs on."""
        self._in_network("switch", f"ip link set port-{name} down")

    def mend(self, name: str) -> None:
        """Plug a host's network cable in again."""
        self._in_network("switch", f"ip link set port-{name} up")

    def init(self, name: str) -> int:
        """Return the process id, on this machine, of a running host's first process."""
        return self._inits[name]

    def path(self, name: str, inside: str) -> Path:
        """Return, seen from this machine, the path `inside` (absolute) of a running host."""
        return Path(f"/proc/{self._inits[name]}/root") / inside.lstrip("/")

    def command(self, name: str, command: str | Sequence[str]) -> list[str]:
        """Return the words that run `command` on a host as root in ~/grokmap (the client) or ~ (the others)."""
        pid = self._inits[name]
        shell = command if isinstance(command, str) else shlex.join(command)
        home = "/root/grokmap" if name == CLIENT else "/root"
        path = f"{sys.prefix}/bin:{PATH}"
        environment = ["env", "-i", "HOME=/root", "USER=root", "TERM=dumb", f"PATH={path}", "RAY_USAGE_STATS_ENABLED=0"]
        environment += ["PYTHONPATH=/root/grokmap", "PYTHONDONTWRITEBYTECODE=1"]
        enter = ["nsenter", "-t", str(pid), "-n", "-m", "-p", "-u", "-i", f"--root=/proc/{pid}/root"]
        return [*enter, f"--wd=/proc/{pid}/root{home}", *environment, "bash", "-c", shell]

    def run(self, name: str, command: str | Sequence[str], *, check: bool = True, timeout: float = 120) -> str:
        """Run a command on a host and return what it printed; raises `RehearsalError` with it when it fails."""
        words = self.command(name, command)
        output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "stdin": subprocess.DEVNULL}
        done = subprocess.run(words, text=True, check=False, timeout=timeout, **output)  # type: ignore[call-overload]
        if check and done.returncode:
            raise RehearsalError(f"{command!r} on {name} ended with {done.returncode}:\n{done.stdout}")
        return str(done.stdout)

    def spawn(self, name: str, command: str | Sequence[str], log: Path) -> subprocess.Popen[bytes]:
        """Start a command on a host and return its process; what it prints goes to `log`."""
        with log.open("wb") as sink:
            return self._spawn(self.command(name, command), stdout=sink, stderr=subprocess.STDOUT)

    def close(self) -> None:
        """End every host and network and delete their disks."""
        for name in list(self._inits):
            self.kill(name)
        for process in [*self._hosts.values(), *self._networks.values()]:
            process.kill()
            process.wait()
        shutil.rmtree(self.state, ignore_errors=True)


def _wait(ready: Any, what: str, limit: float = 20.0) -> None:
    end = time.monotonic() + limit
    while time.monotonic() < end:
        try:
            if ready():
                return
        except FileNotFoundError:
            pass
        time.sleep(0.02)
    raise RehearsalError(f"waited {limit:g} s for {what}.")
