"""Commands on single runs: train one, tell what became of it, look inside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sweeps.cli.options import RESULTS, Results, Style

if TYPE_CHECKING:
    from grokcore.records.regimes import RegimeRule
    from grokcore.records.run_record import RunRecord
    from grokcore.run_config import RunConfig

DEFAULT_RUN: dict[str, Any] = {
    "task": {"name": "modular_addition", "modulus": 31},
    "model": {"name": "mlp", "width": 64},
    "optimizer": {"name": "adamw", "rate": 1e-2, "decay": 1.0, "betas": [0.9, 0.98]},
    "fraction": 0.5,
    "steps": 3000,
}
"""What `grokmap run` runs where nothing else is said: a small network that memorises first and groks later."""


def run(
    settings: Annotated[
        list[str] | None,
        typer.Argument(
            help="A recipe, or a TOML file of a run or a sweep, and changes as optimizer.decay=0.3 or task.modulus=53."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the record and the figure.")] = Path("results/runs"),
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    measures: Annotated[str, typer.Option(help="none, light, full, or measures with commas between.")] = "light",
    keep_weights: Annotated[bool, typer.Option("--keep-weights", help="Keep the weights at log-spaced steps.")] = False,
    components: Annotated[
        Path | None, typer.Option(help="Folder of tasks, models and so on of one's own; a file may name it too.")
    ] = None,
) -> None:
    """Train one network and draw its curves.

    Says when it memorised and when it generalised. For example: grokmap run optimizer.decay=0.3 task.modulus=53, or a
    published experiment (grokmap recipes): grokmap run nanda-twin
    """
    from rich.console import Console

    from grokcore.atomic_files import write_text
    from grokcore.cautions import cautions
    from grokcore.config.folders import folder_files, keep_files, use_folder
    from grokcore.engine.devices.named import device_named
    from grokcore.output_paths import check_outputs

    own = use_folder(components) if components else None
    config, named = _config_of(settings or [])
    own = own or named
    read = [Path(word) for word in settings or [] if "=" not in word]
    folder = out / config.run_id
    check_outputs([folder / name for name in ("record.json", "curves.png")], read)
    device_named(device).check(config)
    console = Console(highlight=False)
    for caution in cautions(config):
        console.print(f"caution: {caution}", markup=False, soft_wrap=True)
    with console.status("starting") as status:
        record = _train_one(config, device, status.update, measures, folder if keep_weights else None)
    write_text(folder / "record.json", record.to_json() + "\n")
    if own is not None:
        keep_files(folder / "components", folder_files(own))
    _tell(record, None, folder / "curves.png", console)


def _config_of(settings: list[str]) -> tuple[RunConfig, Path | None]:
    """Return the run that the words of `grokmap run` describe, and the folder of components that a file names.

    A recipe or files come first, then changes, over the default run.
    """
    from grokcore.errors import ConfigError
    from grokcore.run_config import REGISTRIES, RunConfig, flatten
    from sweeps.recipes.find import recipe_named

    flat, own = flatten(DEFAULT_RUN), None
    changes: dict[str, Any] = {}
    try:
        for word in settings:
            name, equals, text = word.partition("=")
            if not equals:
                changed = [other.partition("=")[0] for other in settings if "=" in other]
                if (found := recipe_named(word)) is None:
                    flat, own = _file(word, changed)
                else:
                    flat, own = found.run(changed), None
                continue
            value = _value(text)
            if name in REGISTRIES and isinstance(value, str):
                name = f"{name}.name"
            changes |= flatten({name: value})
        for name, value in changes.items():
            if name.endswith(".name") and value != flat.get(name, flat.get(name.removesuffix(".name"))):
                # Another member of a family has other fields than the one that was changed.
                flat = {key: old for key, old in flat.items() if not f"{key}.".startswith(name.removesuffix("name"))}
        return RunConfig.from_dict(flat | changes), own
    except RecursionError:
        raise ConfigError(["these settings are nested too deeply; a run's go three levels down."]) from None


def _value(text: str) -> Any:
    """Return what a word means: JSON where it is some, else itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _file(word: str, changed: list[str]) -> tuple[dict[str, Any], Path | None]:
    """Return the fields of a TOML file under their dotted names, and its folder of components, in use.

    The file is a run's, or a sweep's: then what the sweep varies is among the names that are `changed`.
    """
    import tomllib

    from grokcore.config.folders import use_folder
    from grokcore.errors import ConfigError
    from grokcore.run_config import flatten, nest
    from sweeps.spec.one_run import one_run
    from sweeps.spec.sweep_spec import SweepSpec

    try:
        values = tomllib.loads(Path(word).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError([f"{word!r} is neither a change (name=value), a recipe, nor a TOML file: {error}."]) from None
    if "run" in values or "space" in values:
        spec = SweepSpec.from_toml(Path(word))
        return one_run(spec, word, changed), Path(spec.components) if spec.components else None
    named = values.pop("components", None)
    own = use_folder(Path(word).parent / named) if isinstance(named, str) else None
    return flatten(nest(values)), own


def _train_one(config: RunConfig, device: str, say: Any, measures: str, keep: Path | None) -> RunRecord:
    from grokcore.engine.cohort import Cohort
    from grokcore.records.weight_snapshots import SnapshotFolder

    cohort = Cohort(
        [config], device=device, measures=measures, on_snapshot=None if keep is None else SnapshotFolder(keep)
    )
    records: list[RunRecord] = []
    while not cohort.done:
        records += cohort.advance(seconds=0.5)
        say(f"step {cohort.step:,} of {config.steps:,}")
    return records[0]


def _tell(record: RunRecord, rule: RegimeRule | None, figure: Path | None, console: Any) -> None:
    """Print what became of a run and draw its curves, if a figure is asked for."""
    from grokcore.records.regimes import RegimeRule
    from grokcore.records.run_record import DEFAULT_RATIO

    rule = rule or RegimeRule(budget=record.config.steps, ratio=DEFAULT_RATIO)
    console.print(f"run {record.run_id}: {record.verdict_under(rule)}", style="bold", markup=False)
    console.print(f"  it {record.outcome.sentence}{': ' + record.reason if record.reason else ''}", markup=False)
    for split, verb in (("train", "memorised"), ("val", "generalised")):
        milestone = record.milestone(split, rule.threshold)  # type: ignore[arg-type]
        when = f"{verb} at step {milestone.step:,}" if milestone.event else f"not {verb} by step {milestone.step:,}"
        console.print(f"  {when} ({split} accuracy ≥ {rule.threshold:g})", markup=False)
    for name, value in record.config.to_flat().items():
        console.print(f"  [dim]{name}[/] {value}")
    if figure is not None and len(record.columns["step"]):
        from analysis.figures import base, run_curves

        style = base.style_named("screen")
        figure.parent.mkdir(parents=True, exist_ok=True)
        base.save(run_curves.draw(run_curves.of_record(record, rule), style), [figure], style)
        console.print(f"curves: {figure}", markup=False, soft_wrap=True)


def show(
    run_id: Annotated[str, typer.Argument(help="Identity of a run, or its first digits.")],
    results: Results = RESULTS,
    out: Annotated[Path | None, typer.Option(help="Folder for the page; the run's own if not given.")] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Train it again, to the same bits, to see its inside.")
    ] = False,
    style: Style = "screen",
) -> None:
    """Tell what became of one run, and write its page.

    The page has its curves, and its inside if its weights were kept (or with --again). For example: grokmap show 3f2a
    """
    from rich.console import Console

    from sweeps.finished_runs import inspect
    from sweeps.finished_runs.find import find_record

    _, rule, record = find_record(run_id, results)
    _tell(record, rule, None, Console(highlight=False))
    for path in inspect.show(run_id, results, out, again=again, style=style, say=typer.echo).values():
        typer.echo(path)


def measure(
    target: Annotated[str, typer.Argument(help="Identity of a run, or a sweep's name or folder.")],
    chosen: Annotated[str, typer.Option("--set", help="light, full, circuit, or measures with commas.")] = "circuit",
    results: Results = RESULTS,
) -> None:
    """Measure the weight snapshots of a run, or of a sweep.

    They are kept by grokmap run --keep-weights and grokmap sweep --keep-weights. For example: grokmap measure NAME
    """
    from sweeps.finished_runs import inspect

    for path in inspect.measure(target, results, chosen, typer.echo):
        typer.echo(path)
