"""Comparing two sweeps: a planted shift is found, equal maps are not told apart, different boxes are refused."""

import numpy as np
import pytest

from analysis import RegimeMap
from analysis.maps.comparison import compare
from grokcore.errors import DataError
from grokcore.records.regimes import RegimeRule


@pytest.fixture(scope="module")
def moved(known):
    """Return the same runs with every delay as if 0.1 less of the data were there: edges move up by 0.1 in fraction."""
    frame = known.runs(96, 0)
    beside = frame.assign(fraction=frame["fraction"] + 0.1)
    return RegimeMap.fit(beside, known.scales(), rule=known.rule)


def test_a_planted_shift_is_found_and_said(known_map, moved):
    found = compare(known_map, moved, regimes=("memorization", "grokking"), resamples=6)
    assert found.paired_seeds == 96
    assert found.shift == pytest.approx(0.1, abs=0.02)
    assert found.low < found.shift < found.high
    assert "moved along fraction by +0.1" in found.sentence
    assert len(found.table) == 32


def test_a_shift_along_a_logarithmic_axis_is_a_factor(known, known_map):
    frame = known.runs(96, 0).drop(columns="seed")
    frame["optimizer.decay"] *= 2
    other = RegimeMap.fit(frame, known.scales(), rule=known.rule)
    found = compare(known_map, other, regimes=("memorization", "grokking"), along="decay", resamples=6)
    assert found.shift == pytest.approx(np.log10(2), abs=0.06)
    assert "by a factor of" in found.sentence
    assert "resampled apart" in found.sentence


def test_a_map_is_not_told_apart_from_itself(known, known_map):
    again = RegimeMap.fit(known.runs(96, 3).drop(columns="seed"), known.scales(), rule=known.rule)
    found = compare(known_map, again, regimes=("memorization", "grokking"), resamples=6)
    assert abs(found.shift) < 0.03


def test_sweeps_of_the_same_runs_are_compared_pair_by_pair_and_so_more_sharply(known):
    """The same places and seeds, every delay half as long in the other sweep; dropping the seed loses the pairs."""
    frame = known.runs(64, 0)
    quick = frame.assign(t_gen=np.where(frame["t_gen_event"], (frame["t_mem"] + frame["t_gen"]) // 2, frame["t_gen"]))
    first, second = (RegimeMap.fit(table, known.scales(), rule=known.rule) for table in (frame, quick))
    paired = compare(first, second, regimes=("grokking", "comprehension"), resamples=10)
    assert paired.paired_runs == 64
    assert paired.paired_seeds == 0
    assert "paired over 64 runs" in paired.sentence
    alone = [RegimeMap.fit(table.drop(columns="seed"), known.scales(), rule=known.rule) for table in (frame, quick)]
    apart = compare(*alone, regimes=("grokking", "comprehension"), resamples=10)
    assert apart.paired_runs == 0
    assert apart.shift == paired.shift
    assert paired.high - paired.low < apart.high - apart.low


def test_what_cannot_be_compared_is_refused(known, known_map):
    three = RegimeMap.fit(known.runs(32, 1, 3), known.scales(3), rule=known.rule)
    with pytest.raises(DataError, match="different axes"):
        compare(known_map, three, regimes=("memorization", "grokking"))
    frame = known.runs(32, 0)
    away = RegimeMap.fit(frame.assign(fraction=frame["fraction"] + 5), known.scales(), rule=known.rule)
    with pytest.raises(DataError, match="do not overlap"):
        compare(known_map, away, regimes=("memorization", "grokking"))
    with pytest.raises(DataError, match="unknown regime 'grok'"):
        compare(known_map, known_map, regimes=("memorization", "grok"))


def test_maps_that_do_not_share_an_edge_say_so(known_map):
    short = known_map.under(RegimeRule(budget=200, ratio=6.0))
    found = compare(known_map, short, regimes=("memorization", "grokking"), resamples=4)
    assert "no shift can be stated" in found.sentence
