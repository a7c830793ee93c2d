"""``grokmap recipes``: published experiments by name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from analysis.statistics.claims import Question
    from sweeps.recipes.recipe import Recipe

app = typer.Typer(
    help="List published experiments that can be run by name.\n\n"
    "A recipe is a sweep, with what its paper leaves open, what was published, and its cost. For example: grokmap "
    "recipes show nanda-twin, then grokmap run nanda-twin, or grokmap sweep liu-phase-rates --runs 64",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.callback(invoke_without_command=True)
def table(context: typer.Context) -> None:
    """Print one line a recipe: paper, figure, runs and cost."""
    if context.invoked_subcommand is None:
        from rich.console import Console

        print_recipes(Console(highlight=False, markup=False))


def print_recipes(console: Any) -> None:
    """Print the table."""
    from sweeps.cli.tables import print_table

    print_table(console, ("recipe", "paper", "figure", "runs", "core-seconds"), list(rows()))
    console.print("\nMore: grokmap recipes show NAME. --quick takes the cheap form of those that have one (after /).")


@app.command()
def show(name: Annotated[str, typer.Argument(help="Name of the recipe.")]) -> None:
    """Print a recipe: paper, what is open, what was published, cost, and its specification."""
    from sweeps.recipes.recipe import recipe

    typer.echo("\n".join(described(recipe(name))))


def rows() -> Iterator[tuple[str, ...]]:
    """Yield one row a recipe."""
    from sweeps.recipes.recipe import names, recipe

    for name in names():
        found = recipe(name)
        cheap = "" if found.quick is None else f" / {found.quick.runs:,}"
        price = "" if found.quick_cost is None else f" / {found.quick_cost:,.0f}"
        yield name, short(found), found.figure, f"{found.spec.runs:,}{cheap}", f"{found.cost:,.0f}{price}"


def short(found: Recipe) -> str:
    """Return the paper as it is cited in a line."""
    authors = found.authors.split(", ")
    return f"{authors[0]}{' et al.' if len(authors) > 1 else ''} {found.year}"


def described(found: Recipe) -> Iterator[str]:
    """Yield the lines that `show` prints."""
    yield f"{found.name}    {found.authors} ({found.year}): {found.paper}"
    yield f"{found.figure}, {found.link}"
    yield ""
    yield found.shows
    yield ""
    yield "what the paper leaves open, and we chose:"
    yield from (f"  {choice}" for choice in found.ours)
    yield ""
    yield "published:"
    for claim in found.claims:
        yield f"  {claim.says}"
        yield f"    {claim.published} ({claim.source})"
        yield f"    asked of the runs: {asked(claim.question)}"
    yield ""
    yield f"cost: {found.spec.runs:,} runs, at most about {found.cost:,.0f} core-seconds"
    if found.quick is not None:
        yield f"  --quick: {found.quick.runs:,} runs, at most about {found.quick_cost:,.0f} core-seconds"
    yield ""
    yield found.spec.to_toml().rstrip()


def page() -> str:
    """Return all recipes as a page in Markdown."""
    from sweeps.recipes.recipe import names, recipe

    lines = [
        "# Recipes",
        "",
        "This page is made from the recipes themselves; `grokmap recipes show NAME` prints the same with the whole",
        "specification. A recipe is run by its name: `grokmap run nanda-twin` trains one run of it, and",
        "`grokmap sweep liu-phase-rates --runs 64` a sweep. What the paper leaves open, or what we do not know for",
        "certain of it, stands under *ours*. The cost is what all runs take if each spends its whole budget, in",
        "core-seconds; `python -m benchmarks.recipes` estimates it again.",
        "",
        *ABSENT,
    ]
    for name in names():
        lines += _section(recipe(name))
    return "\n".join(lines) + "\n"


ABSENT = (
    "## What is not published",
    "",
    "For two things that a run may have no published experiment is known to us: `split=difference` (whole classes of",
    "a − b mod p are held out) and `loss=mse_softmax`. `expected-difference` and `logit-scale-squares` have them,",
    "with what we expect. A recipe whose runs begin with a smaller network's embedding, as `xu-transfer`, is run by",
    "`grokmap reproduce --published`, which trains the smaller ones first; `grokmap sweep` has its runs from scratch.",
)
"""What recipes have and no paper does, and what a sweep of a recipe lacks."""


def _section(found: Recipe) -> Iterator[str]:
    yield from (
        "",
        f"## `{found.name}`",
        "",
        f"[{found.paper}]({found.link}). {found.authors}, {found.year}; {found.figure}.",
    )
    cheap = (
        "" if found.quick is None else f" `--quick`: {found.quick.runs:,} runs, {found.quick_cost:,.0f} core-seconds."
    )
    yield from ("", f"{found.shows} {found.spec.runs:,} runs, {found.cost:,.0f} core-seconds.{cheap}", "", "Ours:", "")
    yield from (f"- {choice}" for choice in found.ours)
    yield from ("", "| claim | published | from |", "|---|---|---|")
    yield from (f"| {claim.says} | {claim.published} | {claim.source} |" for claim in found.claims)


def asked(question: Question) -> str:
    """Return a question and the region that agrees, in a line."""
    from analysis.statistics.questions import QUESTIONS

    kind = next(name for name, member in QUESTIONS.items() if type(question) is member)
    given = {name: value for name, value in question.to_section().items() if value not in (None, {}, False)}
    given = {name: value for name, value in given.items() if name not in CELLS}
    region = [f"{sign} {given.pop(end):g}" for end, sign in (("low", "≥"), ("high", "≤")) if end in given]
    settings = ", ".join(f"{name} {_words(value)}" for name, value in given.items())
    return f"{kind} ({settings}) {' and '.join(region)}" if settings else f"{kind} {' and '.join(region)}"


CELLS = ("axes", "rows")
"""Fields of a question that hold a whole map."""


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return " & ".join(f"{name} = {_words(inner)}" for name, inner in value.items())
    return f"{value:g}" if isinstance(value, float) else str(value)
