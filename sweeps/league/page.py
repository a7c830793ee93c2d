"""The league's page: what is left of every published claim, from the kept runs alone."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from analysis.figures import base, forest
from analysis.figures.base import number
from analysis.statistics.paired_times import Speedup
from grokcore.atomic_files import write_text
from sweeps.gallery.page import PLAIN
from sweeps.league import boundaries
from sweeps.league.entries import AGAIN, BASELINE, Method, problems
from sweeps.league.ledger import Ledger
from sweeps.league.plan import FULL, KEPT, QUICK, THRESHOLD, Plan
from sweeps.league.standings import ALARM, Result, Standing, Verdict, luck, results, standings

PAGE = "index.md"
"""The page's file."""

PICTURE = "league.png"
"""The figure's."""


def write(folder: Path, ledgers: Mapping[str, Ledger], known: Mapping[str, Method]) -> Path:
    """Write the page and its pictures; return the page's path."""
    found = results(ledgers)
    if found:
        order = [standing.method for standing in standings(found)]
        titles = [known[name].title for name in order]
        base.save(
            forest.draw(titles, _panels(found, known), PLAIN, "times sooner, in steps"), [folder / PICTURE], PLAIN
        )
    boundaries.draw(folder, known)
    return write_text(folder / PAGE, text(folder, ledgers, known))


def said(found: Speedup) -> str:
    """Return a ratio with its interval."""
    if not math.isfinite(found.high):
        return f"{number(found.ratio)} (no interval of {found.pairs} pairs)"
    return f"{number(found.ratio)} ({number(found.low)} to {number(found.high)})"


def left(method: Method, standing: Standing, chance: float) -> str:
    """Return what is left of a method's claim, in a few words; `chance` is the ratio that luck in tuning makes."""
    ratio = standing.steps.ratio
    if method.name == AGAIN:
        return f"luck in tuning: up to {number(chance)} times either way"
    size = f"{number(ratio)} times as soon" if ratio >= 1 else f"{number(1 / ratio)} times as long"
    if standing.corrected > ALARM:
        found = f"not seen ({size})"
    elif 1 / chance < ratio < chance:
        found = f"no more than luck in tuning ({size})"
    else:
        found = size
    factor = method.claim.factor if method.claim is not None else None
    return found if factor is None else f"{found}, of {number(factor)}"


def text(folder: Path, ledgers: Mapping[str, Ledger], known: Mapping[str, Method]) -> str:
    """Return the page in Markdown."""
    found = results(ledgers)
    ordered = standings(found)
    missing = _missing(found, ledgers, known)
    lines = ["# A league of ways to grok sooner", "", *_head(ledgers, found), ""]
    lines += [*PARTIAL, ""] if missing else []
    lines += _claims(ordered, known)
    lines += ["", f"![Ratios of all methods on all problems]({PICTURE})", "", *CAPTION]
    for problem in problems():
        lines += _problem(problem, [result for result in found if result.problem == problem], ordered, ledgers, known)
    lines += boundaries.section(folder, ledgers, known)
    lines += _settings(ledgers)
    if missing:
        lines += ["", "## What was not played yet", "", "The same command goes on with it.", ""]
        lines += [f"- {title}: {names}." for title, names in missing.items()]
    lines += ["", *ABSENT, "", *OWN]
    return "\n".join(lines) + "\n"


HEAD = """\
What is left of a claim when the baseline is tuned as hard? Every method and the baseline, AdamW, have the same number
of trials on each problem: {trials} settings on one seed, the best {finalists} again on {more} more, and the best of
these in the final, on {seeds} other seeds that all methods share. What counts is the step from which on validation
accuracy *stays* at or above {threshold}, for {longer} longer than it took to get there; a run that never does counts
with the budget. A ratio is the baseline's time over the method's, a geometric mean over pairs of runs of one seed:
above 1 the method is sooner. It stands with its exact 95 % interval; *sooner* and *later* are said where a test that
flips signs is below 5 % after Holm's correction for all {comparisons} comparisons.

`{command}` makes this page: {runs} runs, {minutes} minutes of one core, on {processors}. All
runs lie beside it, one Parquet file a method. Core-seconds were measured beside other work: a tenth is no finding.
"""
"""What the page begins with."""

PARTIAL = (
    "**Not all of it was played yet**: what is missing is listed [below](#what-was-not-played-yet), and what is left",
    "of a claim is told of the problems that were.",
)
"""What is said of a league that was stopped."""

OVERALL = (
    "Over all problems and fractions that a method fits, seed by seed. *Not seen*: the sign-flip test, corrected for",
    "the number of methods, is above 5 %. *No more than luck in tuning*: seen for these settings, and inside the",
    "interval of the baseline that was tuned again. What each does, and what its source leaves open:",
)

CAPTION = (
    "*Look for marks to the right of the line: there the method is sooner than the tuned baseline. Filled marks are",
    "seen after correction for all comparisons, hollow ones are not. Circles: the smaller fraction, squares: the",
    "larger.*",
)

ABSENT = (
    "## What is not in it",
    "",
    "- Problems of the papers' own size: these are small, so that everything can be tuned alike on two cores, and the",
    "  tuned baseline often needs a few hundred steps alone. A factor of 50 has little room there; whether a method",
    "  helps where the baseline needs 10⁵ steps is not answered.",
    "- Luck of tuning beyond one search each: intervals are of the chosen settings. The row of the baseline that was",
    "  tuned again says how large that luck is.",
    "- A plan that was made before anything was seen: the problems' sizes, fractions and budgets, and the number of",
    "  trials, were set after looking at trial runs, to fit an hour of two cores.",
)

OWN = (
    "## Your own method",
    "",
    "One file in a folder is a method; it is tuned and played as all others are. What it sets under `[run]` is not",
    "tuned, what it lists under `[space]` is, and the rest is the baseline's. Under `[method]`, `components` names a",
    "folder with code of its own, from the file's folder on.",
    "",
    "```toml",
    "# my-methods/noisy.toml",
    "[method]",
    'title = "noise in the gradient"',
    'family = "transform"',
    'does = "Adds normal noise to every gradient."',
    "",
    "[space]",
    "gradient_noise = { low = 1e-4, high = 1e-1, log = true }",
    "",
    "[claim]",
    'says = "Noise makes it generalise twice as soon."',
    'source = "my notebook"',
    "factor = 2",
    "```",
    "",
    "```sh",
    "grokmap league --quick                                # a look at everything",
    "grokmap league --method muon --problem parity         # a part of it",
    "grokmap league --methods my-methods --method noisy    # yours, against the tuned baseline",
    "grokmap league --budget 30min                         # refuses what takes longer, and says the cost",
    "```",
    "",
    "A league that was stopped goes on with the same command; no run is trained twice.",
)


def _head(ledgers: Mapping[str, Ledger], found: Sequence[Result]) -> Iterator[str]:
    plan = _plan(ledgers)
    runs = sum(len(ledger.rows) for ledger in ledgers.values())
    minutes = sum(float(ledger.runs["seconds"].sum()) for ledger in ledgers.values()) / 60
    processors = ", ".join(sorted({ledger.processor for ledger in ledgers.values() if ledger.rows}))
    command = "grokmap league --out docs/league" + (" --quick" if plan is QUICK else "")
    yield from HEAD.format(
        trials=plan.trials,
        finalists=plan.finalists,
        more=plan.finalist_seeds,
        seeds=plan.seeds,
        threshold=f"{THRESHOLD:.0%}",
        longer=f"{KEPT.window - 1:.0%}",
        comparisons=len(found),
        command=command,
        runs=f"{runs:,}",
        minutes=f"{minutes:.0f}",
        processors=processors,
    ).splitlines()


def _plan(ledgers: Mapping[str, Ledger]) -> Plan:
    return QUICK if any(ledger.plan == QUICK.name for ledger in ledgers.values()) else FULL


def _claims(ordered: Sequence[Standing], known: Mapping[str, Method]) -> Iterator[str]:
    yield from ("## What is left of each claim", "")
    yield "| method | published | times sooner in steps | in core-seconds | sooner, later, open | what is left |"
    yield "|---|---|---|---|---|---|"
    for one in ordered:
        method = known[one.method]
        claim = f"{method.claim.says} ({method.claim.source})" if method.claim else "nothing known to us"
        counts = ", ".join(str(one.count(verdict)) for verdict in (Verdict.SOONER, Verdict.LATER, Verdict.OPEN))
        title = f"[{method.title}]({method.link})" if method.link else method.title
        rest = left(method, one, luck(ordered))
        yield f"| {title} | {claim} | {said(one.steps)} | {said(one.seconds)} | {counts} | {rest} |"
    yield ""
    yield from OVERALL
    yield ""
    for one in ordered:
        method = known[one.method]
        yield f"- **{method.title}.** {method.does}{' ' + method.ours if method.ours else ''}"


def _problem(
    name: str,
    found: Sequence[Result],
    ordered: Sequence[Standing],
    ledgers: Mapping[str, Ledger],
    known: Mapping[str, Method],
) -> Iterator[str]:
    if not found:
        return
    problem = problems()[name]
    yield from ("", f"## {problem.title[0].upper()}{problem.title[1:]}", "", f"{problem.steps:,} steps at most.", "")
    columns = "times sooner in steps | in core-seconds | corrected p | seen | never, of the baseline | diverged, failed"
    yield f"| method | fraction | {columns} |"
    yield "|---|---|---|---|---|---|---|---|"
    for standing in ordered:
        for one in standing.results:
            if one.problem == name:
                runs = len(one.own.steps.steps)
                never = f"{one.own.never}, {one.base.never} of {runs}"
                wrong = f"{one.own.diverged}, {one.own.failed}"
                yield (
                    f"| {known[one.method].title} | {one.fraction:g} | {said(one.steps)} | {said(one.seconds)} | "
                    f"{number(one.corrected)} | {one.verdict} | {never} | {wrong} |"
                )
    absent = [known[method].title for method, ledger in ledgers.items() if name in ledger.absent]
    if absent:
        yield from ("", f"Not tried, as they do not fit it: {', '.join(absent)}.")


def _settings(ledgers: Mapping[str, Ledger]) -> Iterator[str]:
    """Yield what the baseline was tuned to."""
    runs = ledgers[BASELINE].runs if BASELINE in ledgers else None
    if runs is None or not len(runs):
        return
    yield from ("", "## What the baseline was tuned to", "")
    yield from ("| problem | fraction | rate | decay | betas | schedule |", "|---|---|---|---|---|---|")
    finals = runs[runs["stage"] == "final"]
    for (name, fraction), own in finals.groupby(["problem", "fraction"]):
        chosen = json.loads(own["settings"].iloc[0])
        rate, decay = number(chosen["optimizer.rate"]), number(chosen["optimizer.decay"])
        rest = f"{tuple(chosen['optimizer.betas'])} | {chosen['optimizer.schedule']}"
        yield f"| {problems()[str(name)].title} | {fraction:g} | {rate} | {decay} | {rest} |"


def _missing(found: Sequence[Result], ledgers: Mapping[str, Ledger], known: Mapping[str, Method]) -> dict[str, str]:
    """Return which methods were not played, by the problem's title, that nobody takes their absence for a finding."""
    played = {(result.problem, result.method) for result in found}
    missing = {}
    for name, problem in problems().items():
        absent = {method for method, ledger in ledgers.items() if name in ledger.absent}
        left_out = [n for n in known if n != BASELINE and n not in absent and (name, n) not in played]
        some = any(place == name for place, _ in played)
        if left_out:
            missing[problem.title] = ", ".join(known[n].title for n in left_out) if some else "all methods"
    return missing


def _panels(found: Sequence[Result], known: Mapping[str, Method]) -> dict[str, dict[str, list[forest.Mark]]]:
    panels: dict[str, dict[str, list[forest.Mark]]] = {}
    for result in found:
        rows = panels.setdefault(problems()[result.problem].title.replace(", ", "\n"), {})
        seen = result.verdict is not Verdict.OPEN
        mark = forest.Mark(result.steps.ratio, result.steps.low, result.steps.high, seen)
        rows.setdefault(known[result.method].title, []).append(mark)
    return panels
