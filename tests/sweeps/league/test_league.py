"""The league: each method is tuned as the baseline is, no run is trained twice, mistakes are told in a sentence."""

import dataclasses
import functools
import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from grokcore.errors import ConfigError, DataError
from sweeps import cli
from sweeps.league import ledger as ledgers
from sweeps.league import page, play, search, whole_map
from sweeps.league.entries import BASELINE, Problem, methods, problems
from sweeps.league.ledger import COLUMNS, Ledger, stays
from sweeps.league.plan import FULL, QUICK, Plan
from sweeps.league.search import Cell, completed, contest
from sweeps.league.standings import Verdict, luck, results, standings

TINY = Problem(
    name="addition",
    title="addition mod 7",
    fractions=(0.6,),
    steps=60,
    cost=0.01,
    run={"task.name": "modular_addition", "task.modulus": 7, "model.name": "mlp", "model.width": 16},
)
SHORT = Plan(name="full", trials=4, wave=2, finalists=2, finalist_seeds=1, seeds=3, fractions=None, map_runs=8)


@pytest.fixture
def grokmap(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["grokmap", "league", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        printed = capsys.readouterr()
        return end.value.code or 0, printed.out, printed.err

    return run


def cell(name=BASELINE, problem=TINY):
    known = methods()
    return Cell(completed(known[name], known[BASELINE]), problem, problem.fractions[0])


def faked(name, times, problem="parity", outcome="retired"):
    """Make a ledger whose finals got there at `times`, None for never, on the problem's first fraction."""
    one = problems()[problem]
    rows = {
        f"{name}{seed}": dict.fromkeys(COLUMNS, 0)
        | {"run_id": f"{name}{seed}", "problem": problem, "fraction": min(one.fractions), "stage": "final"}
        | {"seed": seed, "step": at or one.steps, "event": at is not None, "outcome": outcome if at else "finished"}
        | {
            "steps": 100,
            "seconds": 0.1,
            "before": 0.0,
            "settings": json.dumps(cell().config(cell().first(), seed).to_flat()),
        }
        for seed, at in enumerate(times)
    }
    return Ledger(None, name, "full", rows)


def test_every_method_says_what_it_is_and_fits_a_problem():
    for name, method in methods().items():
        fits = [problem for problem in problems().values() if cell(name, problem).misfit() is None]
        assert fits, name
        assert method.claim is not None or method.ours or method.family == "baseline", name
        tuned = set(cell(name).space.dimensions)
        assert {"optimizer.rate", "optimizer.betas", "optimizer.schedule"} <= tuned, name
        assert "optimizer.decay" in tuned or method.run["optimizer.decay"] == 0, name
    assert {method.family for method in methods().values()} >= {
        "schedule", "initialisation", "architecture", "optimizer", "transform", "loss",
    }  # fmt: skip
    assert len(problems()) >= 4
    assert all(len(problem.fractions) >= 2 for problem in problems().values())


def test_all_have_the_same_number_of_runs(tmp_path):
    """Settings that are tried twice count once."""
    for name in (BASELINE, "orthograd"):
        ledger = Ledger(tmp_path / f"{name}.parquet", name, "full")
        contest(cell(name), SHORT, ledger)
        stages = ledger.runs["stage"].value_counts()
        assert stages["final"] == 3
        assert stages["trials"] <= 4
        assert stages["finalists"] == 2
        assert not set(ledger.runs[ledger.runs["stage"] == "final"]["seed"]) & set(
            ledger.runs[ledger.runs["stage"] != "final"]["seed"]
        )


def test_what_is_kept_is_not_trained_again(tmp_path, monkeypatch):
    path = tmp_path / "baseline.parquet"
    first = contest(cell(), SHORT, Ledger(path, BASELINE, "full"))
    monkeypatch.setattr(ledgers, "train", None)  # training anything would fail
    again = Ledger.open(path, BASELINE, "full")
    assert contest(cell(), SHORT, again) == first
    with pytest.raises(TypeError):
        contest(cell("orthograd"), SHORT, again)


def test_a_stopped_league_keeps_what_had_ended(tmp_path, monkeypatch):
    path, real, ended = tmp_path / "baseline.parquet", ledgers.train, []

    def stopped(configs, progress, **more):
        real(configs[:1], progress=progress, **more)
        raise KeyboardInterrupt

    monkeypatch.setattr(ledgers, "train", stopped)
    with pytest.raises(KeyboardInterrupt):
        contest(cell(), SHORT, Ledger.open(path, BASELINE, "full"))
    assert len(Ledger.load(path).rows) == 1

    def counted(configs, **more):
        ended.extend(config.run_id for config in configs)
        return real(configs, **more)

    monkeypatch.setattr(ledgers, "train", counted)
    ledger = Ledger.open(path, BASELINE, "full")
    contest(cell(), SHORT, ledger)
    assert len(ended) == len(set(ended)) == len(ledger.rows) - 1


def test_a_map_has_the_same_places_for_all(tmp_path):
    ledger = Ledger(tmp_path / "a.parquet", BASELINE, "full")
    whole_map.train_map(cell(), {**cell().first(), "optimizer.rate": 0.02}, SHORT, ledger)
    table = whole_map.table_of(ledger)
    where = sorted((fraction, factor, seed) for fraction, factor, seed in whole_map.places(8))
    assert sorted(zip(table["fraction"], table["rate_factor"], table["seed"], strict=True)) == where


def test_what_began_with_another_processors_embedding_is_not_trained_again(tmp_path, monkeypatch):
    """The smaller network's weights may differ in the last bits elsewhere; a kept run says what it began with."""
    monkeypatch.setattr(search, "DONORS", tmp_path / "donors")
    method = cell("transferred").method
    short = Cell(dataclasses.replace(method, donor={**method.donor, "steps": 3}), TINY, TINY.fractions[0])
    path = tmp_path / "transferred.parquet"

    def played():
        ledger = Ledger.open(path, "transferred", "full")
        values = contest(short, SHORT, ledger)
        whole_map.train_map(short, values, SHORT, ledger)
        return values, ledger

    first, ledger = played()
    assert all("initialisation.path" in json.loads(settings) for settings in ledger.runs["settings"])
    shutil.rmtree(tmp_path / "donors")
    monkeypatch.setattr(ledgers, "train", None)  # training anything would fail
    monkeypatch.setattr(search, "save_embedding", None)
    again, kept = played()
    assert again == first
    assert kept.rows.keys() == ledger.rows.keys()


def test_a_stopped_comparison_keeps_the_maps_that_were_compared(tmp_path, monkeypatch):
    ledgers, compared = {name: faked(name, [10, 20]) for name in (BASELINE, "muon", "orthograd")}, []
    for ledger in ledgers.values():
        for row in ledger.rows.values():
            row["stage"] = "map"

    def moved(_base, table, _budget, stops=True):
        if stops and compared:
            raise KeyboardInterrupt
        compared.append(len(table))
        return {"shift": 0.1}

    monkeypatch.setattr(whole_map, "fitted", lambda *_: "a map")
    monkeypatch.setattr(play, "_moved", moved)
    with pytest.raises(KeyboardInterrupt):
        play.compare_maps(tmp_path, ledgers)
    assert [row["method"] for row in play.map_rows(tmp_path)] == ["muon"]
    monkeypatch.setattr(play, "_moved", functools.partial(moved, stops=False))
    play.compare_maps(tmp_path, ledgers)
    assert [row["method"] for row in play.map_rows(tmp_path)] == ["muon", "orthograd"]
    assert compared == [2, 2]


def test_staying_is_not_getting_there():
    assert stays([1, 2, 3, 4], [0.1, 0.96, 0.5, 0.97], 0.95) == (4, True)
    assert stays([1, 2, 3, 4], [0.1, 0.96, 0.96, 0.97], 0.95) == (2, True)
    assert stays([1, 2, 3, 4], [0.1, 0.96, 0.96, np.nan], 0.95) == (4, False)


def test_what_is_seen_of_a_method():
    base = [100, 110, 120, 130, 90, 100, 105, 95, 115, 125, 100, 90, 100]
    found = {
        BASELINE: faked(BASELINE, base),
        "muon": faked("muon", [at / 2 for at in base]),
        "orthograd": faked("orthograd", [*base[1:], 100]),
        "stablemax": faked("stablemax", [None] * 13),
        "fixed-norm": faked("fixed-norm", [200] * 13, outcome="diverged"),
    }
    for row in found["fixed-norm"].rows.values():
        row["event"] = False
    seen = {one.method: one.results[0] for one in standings(results(found))}
    assert seen["muon"].verdict is Verdict.SOONER
    assert seen["muon"].steps.ratio == pytest.approx(2)
    assert seen["orthograd"].verdict is Verdict.OPEN
    assert seen["stablemax"].verdict is Verdict.LATER
    assert seen["stablemax"].own.never == 13
    assert seen["fixed-norm"].verdict is Verdict.NEVER
    assert seen["muon"].corrected >= seen["muon"].steps.p_value


def test_what_is_left_of_a_claim():
    base = [100, 110, 120, 130, 90, 100, 105, 95, 115, 125, 100, 90, 100]
    again = [at * (1.4 if place % 2 else 0.9) for place, at in enumerate(base)]
    found = {
        BASELINE: faked(BASELINE, base),
        "baseline-again": faked("baseline-again", again),
        "muon": faked("muon", [at / 4 for at in base]),
        "grokfast-ema": faked("grokfast-ema", [at * 1.05 for at in base]),
        "orthograd": faked("orthograd", [*base[1:], 100]),
    }
    ordered, known = standings(results(found)), methods()
    said = {one.method: page.left(known[one.method], one, luck(ordered)) for one in ordered}
    assert 1.1 < luck(ordered) < 1.5
    assert said["muon"] == "4 times as soon, of 1.49"
    assert said["grokfast-ema"].startswith("no more than luck in tuning (1.05 times as long)")
    assert said["orthograd"].startswith("not seen (")
    assert said["baseline-again"].startswith("luck in tuning: up to 1.")
    text = page.text(Path("nowhere"), found, known)
    left_out = text.partition("## What was not played yet")[2].splitlines()
    assert any(line.startswith("- parity of 3") and "StableMax" in line for line in left_out)
    assert "- addition mod 23, MLP: all methods." in left_out


def test_what_was_spent_before_a_run_counts_in_seconds():
    base, other = faked(BASELINE, [100] * 8), faked("transferred", [100] * 8)
    for row in other.rows.values():
        row["before"] = 0.1
    (one,) = results({BASELINE: base, "transferred": other})
    assert one.steps.ratio == 1
    assert one.seconds.ratio == pytest.approx(0.5)


OWN = re.search(r"```toml\n(.*?)```", "\n".join(page.OWN), re.DOTALL)[1]
"""The example of the page."""


def test_one_file_is_a_method(tmp_path):
    (tmp_path / "noisy.toml").write_text(OWN)
    asked = play.order(["noisy"], ["parity"], tmp_path / "out", quick=True, own=tmp_path)
    assert asked.methods == (BASELINE, "noisy")
    (one,) = play.cells(asked, "noisy")
    assert set(one.space.dimensions) == {"gradient_noise", *methods()[BASELINE].space}
    assert one.misfit() is None


def test_a_method_with_another_optimizer_tunes_what_that_one_has(tmp_path):
    """Plain SGD has no betas: what the baseline tunes of AdamW's own is left out, and the rest is tuned alike."""
    text = OWN.partition("[space]")[0] + '[run]\n"optimizer.name" = "sgd"\n'
    (tmp_path / "plain.toml").write_text(text)
    asked = play.order(["plain"], ["parity"], tmp_path / "out", quick=True, own=tmp_path)
    (one,) = play.cells(asked, "plain")
    assert set(one.space.dimensions) == set(methods()[BASELINE].space) - {"optimizer.betas"}
    assert one.config(one.first(), 0).optimizer.rate == 0.01
    # Over a range of its own, its search does not begin where the baseline's does, outside of it.
    (tmp_path / "plain.toml").write_text(text + '[space]\n"optimizer.rate" = { low = 1.0, high = 100.0, log = true }\n')
    (one,) = play.cells(asked, "plain")
    assert one.first()["optimizer.rate"] == pytest.approx(10.0)
    (tmp_path / "plain.toml").write_text(text.replace("sgd", "sgf"))
    with pytest.raises(ConfigError, match="Did you mean 'sgd'"):
        play.order(["plain"], ["parity"], tmp_path / "out", quick=True, own=tmp_path)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[method", "is not a TOML file"),
        (OWN.replace('"transform"', '"transformation"'), "family"),
        (OWN.replace("[space]", "[spaces]"), "Did you mean 'space'"),
        (OWN.replace("low = 1e-4", "low = 1"), "low must be below high"),
        (OWN.replace("gradient_noise", "gradient_nose"), "gradient_nose"),
    ],
)
def test_a_file_that_is_no_method_is_named(text, sentence, tmp_path):
    (tmp_path / "noisy.toml").write_text(text)
    with pytest.raises(ConfigError, match=sentence) as error:
        play.order(["noisy"], ["parity"], tmp_path / "out", own=tmp_path)
    assert "noisy" in str(error.value)


def test_mistakes_are_told_in_a_sentence(grokmap, tmp_path):
    for words, sentence in (
        (("--method", "moun"), "Did you mean 'muon'"),
        (("--problem", "parities"), "Did you mean 'parity'"),
        (("--budget", "600s"), "more than the budget of 600. Cheaper: --quick, or fewer"),
        (("--budget", "60s"), "more than the budget of 60. Cheaper: fewer"),
        (("--budget", "1s", "--quick"), "fewer of it with --method"),
        (("--method", "uniform-attention", "--problem", "parity"), "fits none of parity"),
        (("--methods", "nowhere"), "no such folder"),
    ):
        code, _, said = grokmap(*words)
        assert code == 2
        assert sentence in said
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_another_league_is_refused(tmp_path):
    Ledger(tmp_path / "a.parquet", "a", "quick").save()
    with pytest.raises(DataError, match="is of the quick league"):
        Ledger.open(tmp_path / "a.parquet", "a", "full")
    (tmp_path / "b.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"b\.parquet: holds no runs"):
        Ledger.load(tmp_path / "b.parquet")


def test_a_part_is_played_from_the_command_line(grokmap, tmp_path, monkeypatch):
    """The smallest league there is, with two methods on a tiny problem, in this process."""
    monkeypatch.setattr(play, "problems", lambda: {"parity": tiny()})
    monkeypatch.setattr(play, "QUICK", dataclasses.replace(SHORT, name="quick", map_runs=0))
    monkeypatch.setattr(play, "play", lambda asked, _: (play.play_method(asked, name) for name in asked.methods))
    code, said, error = grokmap("--method", "orthograd", "--quick", "--out", "here")
    assert (code, error) == (0, "")
    assert "orthograd: " in said
    text = (tmp_path / "here" / page.PAGE).read_text()
    assert "⊥Grad" in text
    assert (tmp_path / "here" / page.PICTURE).stat().st_size > 1000
    kept = play.kept(tmp_path / "here", methods())
    assert text == page.text(tmp_path / "here", kept, methods())


def tiny():
    return dataclasses.replace(problems()["parity"], fractions=(0.4,), steps=60)


def test_the_quick_league_is_cheap():
    on = list(problems().values())
    quick, full = (plan.price(methods().values(), on, "addition") for plan in (QUICK, FULL))
    assert quick < 600
    assert quick < full < 3600
