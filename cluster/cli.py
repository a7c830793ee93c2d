"""The commands of this package: ``grokmap cluster …``, ``grokmap plan`` and ``grokmap doctor``."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from cluster.plan import Node

app = typer.Typer(
    help="Launch a cluster, send it sweeps, watch it, end it.\n\n"
    "Short forms of ray up, submit, exec and down, which work as well. In order: new, check, up, submit, status or ui, "
    "fetch, down. docs/cluster.md goes through them.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

File = Annotated[Path, typer.Argument(help="The launch file.")]
LAUNCH_FILE = Path("cluster.yaml")


@app.command()
def new(  # noqa: PLR0917 - options of a command, given by name
    kind: Annotated[str, typer.Argument(help="on-premise, aws, gcp, azure, raycluster or rayjob.")] = "on-premise",
    head: Annotated[str | None, typer.Option(help="Address of the head (on-premise).")] = None,
    worker: Annotated[list[str] | None, typer.Option(help="Address of a worker (on-premise); one each.")] = None,
    user: Annotated[str, typer.Option(help="User on every host (on-premise).")] = "ubuntu",
    key: Annotated[str, typer.Option(help="Private ssh key for the hosts (on-premise).")] = "~/.ssh/grokmap_ed25519",
    workers: Annotated[int, typer.Option(help="Number of workers (clouds and Kubernetes).")] = 2,
    gpus: Annotated[int, typer.Option(help="GPUs per worker (clouds and Kubernetes).")] = 0,
    out: Annotated[Path, typer.Option(help="File to write; - prints it.")] = LAUNCH_FILE,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
) -> None:
    """Write a launch file.

    For example: grokmap cluster new --head 10.0.0.10 --worker 10.0.0.11 --user me, or: grokmap cluster new aws --gpus 1
    """
    from cluster.launch.files import Hosts, launch_file
    from grokcore.atomic_files import write_text
    from grokcore.errors import ConfigError
    from grokcore.output_paths import check_outputs

    named = {"head": head, "workers": tuple(worker or ())} if head is not None else {}
    if worker and head is None:
        raise ConfigError(["--worker without --head: an on-premise cluster needs the address of its head."])
    hosts = Hosts(kind=kind, user=user, key=key, count=workers, gpus=gpus, **named)  # type: ignore[arg-type]
    text = launch_file(hosts, out.name if str(out) != "-" else "cluster.yaml")
    if str(out) == "-":
        typer.echo(text, nl=False)
        return
    check_outputs([out])
    if (out.exists() or out.is_symlink()) and not force:
        raise ConfigError([f"{out} is there already: give --force to write over it, or --out another name."])
    write_text(out, text)
    typer.echo(f"{out} written")


@app.command()
def check(file: File = LAUNCH_FILE, reach: Annotated[bool, typer.Option(help="Enter every host too.")] = True) -> None:
    """Say what is wrong with a launch file or its hosts."""
    from cluster.diagnosis.checks import check_launch_file

    check_launch_file(file, reach=reach)
    typer.echo(f"{file} can be launched")


@app.command()
def up(file: File = LAUNCH_FILE) -> None:
    """Launch a cluster and wait until every host has joined."""
    from cluster import commands

    typer.echo(commands.up(file))


@app.command(context_settings={"ignore_unknown_options": True})
def submit(
    script: Annotated[Path, typer.Argument(help="The Python file that describes the sweep.")] = Path("sweep.py"),
    words: Annotated[list[str] | None, typer.Argument(help="Arguments of the script.")] = None,
    file: Annotated[Path, typer.Option("--file", "-f", help="The launch file.")] = LAUNCH_FILE,
) -> None:
    """Start a sweep on the head; this laptop may go.

    Compares versions first. For example: grokmap cluster submit sweep.py --runs 1000
    """
    from cluster import commands

    typer.echo(commands.submit(file, script, words or ()))


@app.command()
def status(file: File = LAUNCH_FILE) -> None:
    """Say which hosts are there, and if MLflow answers."""
    from cluster import commands

    typer.echo(commands.status(file))


@app.command()
def ui(
    file: File = LAUNCH_FILE,
    watch: Annotated[str | None, typer.Option(help="A sweep on the cluster whose live map is shown too.")] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the live map, there and here.")] = 5050,
) -> None:
    """Open MLflow and the Ray dashboard on this laptop, and the live map of a sweep.

    For example: grokmap cluster ui --watch NAME
    """
    from cluster import commands

    raise typer.Exit(commands.ui(file, watch, port))


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="Name of the sweep.")],
    file: Annotated[Path, typer.Option("--file", "-f", help="The launch file.")] = LAUNCH_FILE,
    results: Annotated[Path, typer.Option(help="Folder of all results.")] = Path("results"),
) -> None:
    """Copy a sweep's folder from the head to this laptop."""
    from cluster import commands

    typer.echo(f"{commands.fetch(file, name, results)} is here")


@app.command()
def down(file: File = LAUNCH_FILE) -> None:
    """End the tracking server and Ray on every host."""
    from cluster import commands

    typer.echo(commands.down(file))


def plan(
    spec: Annotated[Path, typer.Argument(help="The sweep's specification: a TOML file, sweep.py, or a recipe.")],
    hosts: Annotated[
        str | None, typer.Option(help="Hosts, as 2x16cpu,32cpu8gpu@80G; this machine if not given.")
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="HOST:PORT of a running Ray, or auto: plan for its hosts.")
    ] = None,
) -> None:
    """Print what will run where, how long and how large.

    Before anything starts, from a step measured here. For example: grokmap plan sweep.py --hosts
    2x16cpu,32cpu8gpu@80G: two hosts of 16 cores, and one of 32 with eight GPUs of 80 GB.
    """
    from cluster.plan import make_plan, parse_nodes
    from sweeps.recipes.find import specification

    read = specification(spec)
    nodes = parse_nodes(hosts) if hosts is not None else _nodes(address)
    made = make_plan(read, nodes)
    typer.echo(f"{made.runs} runs in cohorts of {made.width}, {len(made.slots)} cohorts at a time")
    for (node, device, share), count in Counter((s.node, s.device, s.share) for s in made.slots).items():
        part = "" if share == 1 else f", each on {share:g} of it"
        typer.echo(f"  {node:20} {device:8} {count} cohort{'s' if count > 1 else ''}{part}")
    base, run = made.footprint.base / 1e6, made.footprint.per_run / 1e6
    typer.echo(f"memory per cohort: {made.memory / 1e6:.0f} MB ({base:.0f} MB shared, {run:.1f} MB a run)")
    waves = f" in {made.waves} waves" if made.waves > 1 else ""
    typer.echo(
        f"time: about {_duration(made.seconds)}: {_duration(made.startup_seconds)} to start, "
        f"{_duration(made.train_seconds)} of training{waves}, {_duration(made.map_seconds)} to draw the map"
    )
    typer.echo(f"from {made.speed:,.0f} run-steps/s a slot as measured here, and {made.spent:.0%} of all budgets spent")
    if read.device == "cuda":
        typer.echo("where no card is here, width and memory are counted on paper, and the speed is one core's")


def _nodes(address: str | None) -> tuple[Node, ...]:
    from cluster.plan import Node, nodes_of

    if address is None:
        from sweeps.execution.embedded_ray import usable_cores

        return (Node(name="here", cpus=usable_cores()),)
    from cluster.diagnosis.node_survey import joined

    with joined(address) as entries:
        return nodes_of(entries)


def _duration(seconds: float) -> str:
    if seconds < 1:
        return "1 s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def doctor(
    file: Annotated[Path | None, typer.Argument(help="Launch file of a running cluster: its head is asked.")] = None,
    cluster: Annotated[bool, typer.Option("--cluster", help="Ask every host of the Ray that runs here.")] = False,
    storage: Annotated[str | None, typer.Option(help="A folder or a bucket that every host should see.")] = None,
) -> None:
    """Say what is open, missing or mismatched.

    Versions, clocks, disks, threads, GPUs and ports: of this machine, or with a launch file of every host of a running
    cluster, compared with this laptop. For example: grokmap doctor cluster.yaml --storage s3://BUCKET/grokmap
    """
    from cluster.diagnosis import doctor as examine

    if file is not None:
        from cluster import commands

        commands.head_address(file)
        words = ["python", "-m", "cluster", "doctor", "--cluster", *(["--storage", storage] if storage else [])]
        said = commands.on_head(file, words, check=False)
        typer.echo(said, nl=False)
        apart = list(commands.laptop_complaints(file))
        for complaint in apart:
            typer.echo(f"{'error':8} {complaint}")
        raise typer.Exit(1 if apart or not said or "error " in said else 0)
    findings = list(examine.here())
    if cluster or storage is not None:
        findings += examine.cluster(storage=storage)
    for finding in dict.fromkeys(findings):
        typer.echo(f"{finding.level:8} {finding.text}")
    raise typer.Exit({"ok": 0, "warning": 0, "error": 1}[examine.worst(findings)])
