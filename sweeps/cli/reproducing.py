"""``grokmap reproduce``: finished runs again, bit for bit, and published results, claim by claim."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweeps.cli.options import RESULTS, MaxCost, Quick, Results, core_seconds

if TYPE_CHECKING:
    from grokcore.records.run_record import RunRecord


def reproduce(  # noqa: PLR0917 - one parameter an option
    targets: Annotated[
        list[str] | None,
        typer.Argument(help="A run's identity, or a sweep; with --published, recipes."),
    ] = None,
    sample: Annotated[int, typer.Option(min=1, help="Of a sweep: so many of its runs.")] = 8,
    results: Results = RESULTS,
    published: Annotated[
        bool, typer.Option("--published", help="Train recipes and compare their claims with what was published.")
    ] = False,
    quick: Quick = False,
    max_cost: MaxCost = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the page; RESULTS/published if not given.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Train recipes that the folder of the page has, too.")] = False,
    slots: Annotated[int | None, typer.Option(min=1, help="Recipes at the same time; all cores otherwise.")] = None,
) -> None:
    """Train finished runs again and compare them bit for bit; or published ones, claim by claim.

    The first exits with 1 if any differs, and says from which step on and what of the environment has changed. The
    second prints claim, published, ours and verdict, and writes a page; a claim that differs is a result, no error. For
    example: grokmap reproduce NAME --sample 20, or: grokmap reproduce --published nanda-twin --quick
    """
    from grokcore.errors import ConfigError

    if published:
        _published(targets or [], out or results / "published", core_seconds(max_cost), slots, quick=quick, again=again)
        return
    if quick or again or out is not None or max_cost is not None or slots is not None:
        raise ConfigError(["--quick, --again, --out, --budget and --slots go with --published."])
    if not targets or len(targets) > 1:
        raise ConfigError([f"{len(targets or [])} runs or sweeps were named: name one, or recipes after --published."])
    _again(targets[0], sample, results)


def _again(target: str, sample: int, results: Path) -> None:
    """Train finished runs again, and exit with 1 if any differs."""
    from rich.console import Console

    from sweeps.finished_runs.reproduce import reproduce as reproductions

    console, different, total = Console(highlight=False), 0, 0
    changed: dict[str, tuple[str, str]] = {}
    with console.status("reading") as status:

        def tell(record: RunRecord, step: int) -> None:
            status.update(f"run {record.run_id}: step {step:,} of {record.steps:,}")

        for found in reproductions(target, results, sample, tell):
            console.print(f"run {found.was.run_id}: {found.sentence}", markup=False, soft_wrap=True)
            different, total = different + (found.apart is not None), total + 1
            changed |= found.environment
    console.print(f"{total - different} of {total} runs reproduced bit for bit", style="bold")
    for name, (then, now) in changed.items():
        console.print(f"  {name} was {then}, is {now}", markup=False, soft_wrap=True)
    if different:
        if not changed:
            console.print("  the environment is as it was; most likely another revision of the code trained them")
        raise typer.Exit(1)


def _published(
    named: Sequence[str], folder: Path, budget: float | None, slots: int | None, *, quick: bool, again: bool
) -> None:
    """Run recipes and tell of every claim what became of it."""
    from rich.console import Console

    from analysis.statistics.claims import Verdict
    from grokcore.output_paths import check_outputs
    from sweeps.gallery import page
    from sweeps.gallery.exhibit import chosen, exhibit, slots_here
    from sweeps.recipes.recipe import names

    found = chosen(named, quick=quick, budget=budget)
    check_outputs([folder / page.PAGE, *(folder / f"{one.name}.parquet" for one in found)])
    console = Console(highlight=False)
    cost, slots = sum(one.price(quick=quick) for one in found), slots or slots_here()
    console.print(f"{len(found)} recipes, up to {cost:,.0f} core-seconds, {slots} at a time", markup=False)
    if left := [] if named or quick else [name for name in names() if name not in {one.name for one in found}]:
        console.print(f"left out, as they cost more than the budget: {', '.join(left)}", markup=False, soft_wrap=True)
    verdicts: list[Verdict] = []
    for experiment in exhibit(found, folder, quick=quick, again=again, slots=slots):
        spent = f"{len(experiment.settings)} runs, {experiment.seconds:,.0f} core-seconds on {experiment.processor}"
        whole = "; the whole form, which is kept" if quick and not experiment.quick else ""
        console.print(f"\n{experiment.recipe}: {spent}{whole}", style="bold", markup=False, soft_wrap=True)
        for reason in dict.fromkeys(experiment.failed.values()):
            console.print(f"  a run failed: {reason}", markup=False, soft_wrap=True)
        for one in page.judged(experiment):
            says, was, ours, runs, verdict = one.row
            console.print(f"  {says}\n    published: {was}", markup=False, soft_wrap=True)
            note = f"; {one.found.note}" if one.found.note else ""
            number = one.claim.question.NUMBER
            console.print(f"    ours: {number} {ours}, of {runs} runs{note}", markup=False, soft_wrap=True)
            console.print(f"    {verdict}", style="bold", markup=False)
            verdicts.append(one.verdict)
    console.print(f"\n{Verdict.counted(verdicts)}", markup=False)
    console.print(f"page: {folder / page.PAGE}", markup=False, soft_wrap=True)
