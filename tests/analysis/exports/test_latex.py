"""LaTeX that is written prints what was meant: characters are escaped, mathematics parses, tables hold the numbers."""

import re

import numpy as np
import pandas as pd
import pytest
from matplotlib.mathtext import MathTextParser

from analysis.exports import latex, paper
from analysis.figures import laws

PARSER = MathTextParser("path")


def mathematics(text):
    return [part for part in re.findall(r"(?<!\\)\$([^$]+)\$", text) if part]


def test_what_latex_would_read_as_its_own_is_escaped():
    assert latex.escape("50 % of t_gen & {x} #1 $5 ^ ~ \\") == (
        r"50 \% of t\_gen \& \{x\} \#1 \$5 \textasciicircum{} \textasciitilde{} \textbackslash{}"
    )
    assert latex.escape("≥ 5 × t − 1–2") == r"$\geq$ 5 $\times$ t $-$ 1--2"


@pytest.mark.parametrize(("value", "text"), [(0.0123, "$0.0123$"), (-1e-7, r"$-1 \times 10^{-7}$"), (np.nan, "--")])
def test_numbers_are_mathematics_and_unknown_ones_a_dash(value, text):
    assert latex.number(value) == text


def test_a_table_has_a_row_a_row_between_booktabs_rules():
    text = latex.table(pd.DataFrame({"name": ["a"], "value": ["$1$"]}), "What it is.", "tab:it", text=("name",))
    assert r"\begin{tabular}{lr}" in text
    assert r"a & $1$ \\" in text
    assert [text.count(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule")] == [1, 1, 1]


def test_the_laws_tables_hold_the_law_s_numbers_and_their_mathematics_parses(known_map):
    survival = laws.info(known_map)
    text = paper.laws_tables(known_map, survival)
    for value in known_map.law.estimates["estimate"]:
        assert latex.number(float(value)) in text
    assert text.count(r"\begin{table*}") == text.count(r"\end{table*}") == 2
    for axis in survival.axes:
        for third in axis.thirds:
            assert f"{third.mean.mean:,.0f}".replace(",", "{,}") in text
    found = mathematics(text)
    assert any(r"\frac{f - " in one for one in found)
    for one in found:
        PARSER.parse(f"${one.replace('{,}', ',')}$")


def test_a_table_wider_than_a_column_is_set_over_both():
    narrow = pd.DataFrame({"$s$": ["$1.0$"], "runs": ["$12$"]})
    wide = narrow.assign(meaning="exponent of the distance to the critical fraction")
    assert "\\begin{table}" in latex.table(narrow, "c", "tab:a")
    assert "\\begin{table*}" in latex.table(wide, "c", "tab:a", text=["meaning"])
