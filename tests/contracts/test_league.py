"""The league of the documentation: its page is what its Parquet files say, and all in them were tuned alike."""

from pathlib import Path

import pandas as pd
import pytest

from analysis.maps.comparison import RESAMPLES
from analysis.statistics.paired_times import Times, log_ratios, speedup
from sweeps.league import page, play, whole_map
from sweeps.league.entries import BASELINE, methods, problems
from sweeps.league.plan import FULL
from sweeps.league.standings import results

FOLDER = Path(__file__).parents[2] / "docs" / "league"


@pytest.fixture(scope="module")
def ledgers():
    return play.kept(FOLDER, methods())


def test_the_page_is_what_the_kept_runs_say(ledgers):
    assert (FOLDER / page.PAGE).read_text(encoding="utf-8") == page.text(FOLDER, ledgers, methods())
    assert (FOLDER / page.PICTURE).exists()


def test_every_problem_has_its_fractions_and_seeds_or_is_named_as_not_played(ledgers):
    found, text = results(ledgers), (FOLDER / page.PAGE).read_text(encoding="utf-8")
    left_out = text.partition("## What was not played yet")[2]
    assert found
    assert min(len(one.own.steps.steps) for one in found) >= 10
    for problem in problems().values():
        fractions = {one.fraction for one in found if one.problem == problem.name}
        assert len(fractions) >= 2 or f"- {problem.title}: " in left_out


def test_all_were_tuned_alike(ledgers):
    """Every method that had a final spent the baseline's runs on it, but for settings that were drawn twice."""
    for name, ledger in ledgers.items():
        runs = ledger.runs[ledger.runs["stage"] != "map"]
        for _, own in runs.groupby(["problem", "fraction"]):
            if (own["stage"] == "final").any():
                assert FULL.runs - 2 <= len(own) <= FULL.runs, name


def test_a_number_of_the_page_by_hand(ledgers):
    """One ratio, from the files alone."""
    first = results(ledgers)[0]
    finals = [
        runs[(runs.stage == "final") & (runs.problem == first.problem) & (runs.fraction == first.fraction)].sort_values(
            "seed"
        )
        for runs in (pd.read_parquet(FOLDER / f"{one}.parquet") for one in (BASELINE, first.method))
    ]
    times = [Times.within(own.step, own.event, problems()[first.problem].steps) for own in finals]
    assert page.said(speedup(log_ratios(*times))) in (FOLDER / page.PAGE).read_text(encoding="utf-8")


def comparison(ledgers, method, resamples):
    """Compare a method's map with the baseline's again, from the runs that are kept."""
    budget = problems()[whole_map.MAPPED].steps
    maps = [whole_map.fitted(whole_map.table_of(ledgers[name]), budget) for name in (BASELINE, method)]
    return whole_map.moved(*maps, resamples=resamples)


def shifted():
    return [row for row in play.map_rows(FOLDER) if row["low"] == row["low"]]


def test_a_boundary_moved_as_the_page_says(ledgers):
    """The first shift again; a league without maps says nothing of boundaries."""
    text = (FOLDER / page.PAGE).read_text(encoding="utf-8")
    assert bool(play.map_rows(FOLDER)) == ("## How far the boundary moves" in text)
    for row in shifted()[:1]:
        assert comparison(ledgers, str(row["method"]), 0).shift == pytest.approx(row["shift"], abs=2e-3)


@pytest.mark.slow
def test_a_boundarys_interval_is_as_the_page_says(ledgers):
    """The same with its resamples: a minute."""
    for row in shifted()[:1]:
        found = comparison(ledgers, str(row["method"]), RESAMPLES)
        assert (found.shift, found.low, found.high) == pytest.approx((row["shift"], row["low"], row["high"]), abs=2e-3)


def test_files_are_small():
    assert all(path.stat().st_size < 300_000 for path in FOLDER.iterdir())
