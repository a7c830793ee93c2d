"""``grokmap league``: ways to grok sooner, each against a baseline that was tuned as hard."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sweeps.cli.options import core_seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sweeps.league.entries import Method
    from sweeps.league.ledger import Ledger


def league(
    method: Annotated[list[str] | None, typer.Option(help="Only this method; may be given again.")] = None,
    problem: Annotated[list[str] | None, typer.Option(help="Only this problem; may be given again.")] = None,
    methods: Annotated[Path | None, typer.Option(help="Folder with methods of your own, one TOML file each.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer trials and seeds, one fraction each, no maps.")] = False,
    budget: Annotated[str | None, typer.Option(help="Refuse what takes more core time than 90s, 30min or 2h.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of runs and page; results/league, or league-quick with --quick.")
    ] = None,
    slots: Annotated[int | None, typer.Option(min=1, help="Methods at the same time; all cores otherwise.")] = None,
) -> None:
    """Tune every method as hard as AdamW; say how many times sooner each groks, and what is left of its claim.

    Started again it goes on where it was. For example: grokmap league --quick, or: grokmap league --method muon
    --problem parity
    """
    from rich.console import Console

    from grokcore.output_paths import check_outputs
    from sweeps.gallery.exhibit import slots_here
    from sweeps.league import page
    from sweeps.league.entries import methods as known_methods
    from sweeps.league.play import compare_maps, kept, order, play

    folder = out or Path("results") / ("league-quick" if quick else "league")
    asked = order(method or [], problem or [], folder, quick=quick, own=methods)
    asked.check_budget(core_seconds(budget))
    check_outputs([folder / page.PAGE, *(folder / f"{name}.parquet" for name in asked.methods)])
    known, slots = known_methods(methods), slots or slots_here()
    console = Console(highlight=False, markup=False)
    console.print(
        f"methods: {len(asked.methods)}, problems: {len(asked.problems)}, "
        f"up to {asked.price:,.0f} core-seconds, {slots} at a time"
    )
    for ledger in play(asked, slots):
        _tell(console, known[ledger.method], ledger)
    ledgers = kept(folder, known)
    if asked.plan.map_runs:
        console.print("comparing maps …")
        compare_maps(folder, ledgers)
    _print(console, ledgers, known)
    console.print(f"page: {page.write(folder, ledgers, known)}", soft_wrap=True)


def _tell(console: Any, method: Method, ledger: Ledger) -> None:
    """Say that a method is done, and what went wrong with it."""
    runs = ledger.runs
    console.print(f"{method.name}: {len(runs)} runs, {runs['seconds'].sum():,.0f} core-seconds", soft_wrap=True)
    for name, reason in ledger.absent.items():
        console.print(f"  does not fit {name}: {reason}", soft_wrap=True)
    for place, own in runs[runs["stage"] == "final"].groupby(["problem", "fraction"]):
        if (own["outcome"] == "diverged").all():
            where = " at ".join(map(str, place)) if isinstance(place, tuple) else str(place)
            said = f"  diverged in every run on {where}: counted as never; try lower rates in its [space]"
            console.print(said, soft_wrap=True)


def _print(console: Any, ledgers: Mapping[str, Ledger], known: Mapping[str, Method]) -> None:
    """Print the standings."""
    from sweeps.cli.tables import print_table
    from sweeps.league.page import left, said
    from sweeps.league.standings import Verdict, luck, results, standings

    ordered = standings(results(ledgers))
    rows = [
        (
            known[one.method].title,
            said(one.steps),
            said(one.seconds),
            ", ".join(str(one.count(verdict)) for verdict in (Verdict.SOONER, Verdict.LATER, Verdict.OPEN)),
            left(known[one.method], one, luck(ordered)),
        )
        for one in ordered
    ]
    if rows:
        print_table(console, ("method", "times sooner, steps", "core-seconds", "sooner, later, open", "left"), rows)
