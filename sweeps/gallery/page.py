"""The gallery's page: every claim beside what our runs say, with a picture, from the kept experiments alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.figures import base, claim
from analysis.statistics.claims import Finding, Verdict
from grokcore.atomic_files import write_text
from sweeps.gallery.experiment import Experiment
from sweeps.recipes.recipe import Claim, Recipe, recipe

PAGE = "index.md"
"""The page's file."""


@dataclass(frozen=True)
class Judged:
    """A claim, what the runs say, and what becomes of it."""

    recipe: Recipe
    """Whose claim it is."""
    place: int
    """Which of its claims, from 1 on."""
    claim: Claim
    """The claim."""
    found: Finding
    """What the runs say."""
    verdict: Verdict
    """What becomes of it."""

    @property
    def picture(self) -> str:
        """Return the name of its picture."""
        return f"{self.recipe.name}-{self.place}.png"

    @property
    def row(self) -> tuple[str, str, str, str, str]:
        """Return claim, published, ours with interval, runs and verdict."""
        return self.claim.says, self.claim.published, claim.said(self.found), str(self.found.runs), str(self.verdict)


def judged(experiment: Experiment) -> list[Judged]:
    """Return all claims of an experiment's recipe."""
    found, runs = recipe(experiment.recipe), experiment.runs
    answers = [(one, one.question.find(runs)) for one in found.claims]
    return [
        Judged(found, place, one, answer, one.question.verdict(answer))
        for place, (one, answer) in enumerate(answers, 1)
    ]


def write(folder: Path, experiments: Sequence[Experiment], *, pictures: Sequence[str]) -> Path:
    """Write the page of all experiments and the pictures of the recipes named by `pictures`; return the page's path."""
    style = base.style_named("screen")
    for experiment in experiments:
        if experiment.recipe in pictures:
            runs = experiment.runs
            for one in judged(experiment):
                figure = claim.draw(one.claim.question, runs, one.found, style)
                base.save(figure, [folder / one.picture], PLAIN)
    return write_text(folder / PAGE, text(experiments))


PLAIN = base.Style(width=7.2, wide=11.0, font=9, family=("DejaVu Sans",), dpi=90, marker=5.5, line=1.2)
"""The style in which pictures are written: small files."""


def text(experiments: Sequence[Experiment]) -> str:
    """Return the page in Markdown."""
    ordered = sorted(experiments, key=lambda experiment: experiment.recipe)
    all_judged = [one for experiment in ordered for one in judged(experiment)]
    said = Verdict.counted(one.verdict for one in all_judged)
    hours = sum(experiment.seconds for experiment in ordered) / 60
    lines = [
        "# Published results, run again",
        "",
        f"{len(all_judged)} claims of {len(ordered)} recipes: {said}. The runs took {hours:.0f} minutes of one core.",
        "",
        "This page and its pictures are written by `make gallery`, which trains the runs of each recipe's cheap form;",
        "one that is here whole is trained by the command below its name. `grokmap reproduce --published` trains all",
        "whole forms that cost up to six core-hours each, which takes two cores a night. Curves are kept beside the",
        "page as Parquet files, and all numbers are those files'. A number stands with its 95 % interval. *agrees*:",
        "the interval lies inside the region that the claim names; *differs*: outside of it; *cannot be told at this",
        "cost*: neither.",
        "What was chosen because the paper leaves it open is in",
        "[the recipes](../reference/recipes.md): a verdict is on the claim in that setting.",
        "",
        "| recipe | claim | published | ours | runs | verdict |",
        "|---|---|---|---|---|---|",
        *(f"| [{one.recipe.name}](#{one.recipe.name}) | {' | '.join(one.row)} |" for one in all_judged),
    ]
    for experiment in ordered:
        lines += _section(experiment)
    return "\n".join(lines) + "\n"


def _section(experiment: Experiment) -> Iterator[str]:
    found = recipe(experiment.recipe)
    yield from ("", f"## {found.name}", "", f"{found.shows} [{found.paper}]({found.link}), {found.figure}.", "")
    failed = f" {len(experiment.failed)} runs failed." if experiment.failed else ""
    yield (
        f"`{experiment.command}`: {len(experiment.settings)} runs, {experiment.steps:,} steps, "
        f"{experiment.seconds:,.0f} core-seconds on {experiment.processor}.{failed}"
    )
    for one in judged(experiment):
        yield from ("", f"**{one.verdict.capitalize()}.** {one.claim.says} Published: {one.claim.published}.")
        note = f" {one.found.note.capitalize()}." if one.found.note else ""
        kind = one.claim.question.NUMBER
        remark = f" {one.claim.remark}" if one.claim.remark else ""
        yield from (f"Ours, {kind}: {claim.said(one.found)}.{note}{remark}", "", f"![{one.claim.says}]({one.picture})")
