"""Sweeps that grow: extended, looked at closer, given points, merged, and ended once enough is known."""

import dataclasses
import json
import re

import pytest

from grokcore.errors import ConfigError, DataError, SweepExistsError
from grokcore.records.run_record import Outcome
from sweeps.driver import Driver
from sweeps.merging import kept_of_first, merge_sweeps
from sweeps.points import read_points
from sweeps.progress import Watcher
from sweeps.spec.box import widened
from sweeps.spec.space import Choice, Range
from sweeps.spec.sweep_spec import SweepSpec
from sweeps.store.run_store import Asked, Store, read_records
from sweeps.whole_sweep import SweepOptions, _enqueue, run_sweep

POINT = {"fraction": 0.5, "optimizer.decay": 1.0, "optimizer.rate": 0.01, "seed": 0}


@pytest.fixture
def run(pretend, tmp_path):
    """Return a function that runs a spec to its end without training; returns what was trained and said."""

    def run(spec, *, extend=True, points=(), results=tmp_path):
        trained, said = [], []
        with Store(spec, results, extend=extend) as store:
            _enqueue(store, list(points))
            driver = Driver(store, key=lambda _: "", width=lambda _: 8, say=said.append)
            while (task := driver.next_cohort()) is not None:
                trained += task.configs
                driver.receive([pretend(config) for config in task.configs])
                driver.ended(task.name)
            assert driver.finished
            driver.close()
            assert store.complete
        return trained, said

    return run


@pytest.mark.parametrize("sampler", ["sobol", "random", "tpe", "grid", "boundary"])
def test_an_extended_sweep_trains_what_is_new_and_nothing_twice(run, spec, changed, sampler):
    first, _ = run(spec)
    more, _ = run(changed(spec, runs=40, sampler=sampler))
    ids = [config.run_id for config in (*first, *more)]
    assert len(ids) == len(set(ids)) == 40
    assert run(changed(spec, runs=40, sampler=sampler), extend=False)[0] == []


@pytest.mark.parametrize("sampler", ["random", "tpe", "gp"])
def test_a_sampler_that_is_restored_does_not_begin_again(run, spec, changed, sampler):
    first, _ = run(changed(spec, sampler=sampler, runs=12))
    more, _ = run(changed(spec, sampler=sampler, runs=24))
    assert len(first) == len(more) == 12


def test_a_wider_space_holds_the_old_runs_and_gets_runs_further_out(run, spec, changed):
    run(spec)
    wider = widened(spec, ["fraction=0.1:0.9", "seed=7"])
    more, _ = run(changed(wider, runs=64))
    assert min(config.fraction for config in more) < 0.3
    assert {config.seed for config in more} == {0, 1, 2, 7}


def test_a_space_that_contradicts_the_runs_there_is_refused(run, spec, changed, tmp_path):
    run(spec)
    with pytest.raises(ConfigError, match=r"--widen fraction=0.5:0.9: its range 0.3:0.9 would lose runs"):
        widened(spec, ["fraction=0.5:0.9"])
    narrow = {**spec.space, "fraction": Range(low=0.5, high=0.9)}
    other = {name: dimension for name, dimension in spec.space.items() if name != "rate"}
    for space in (narrow, other, {**spec.space, "decay": Range(low=0.01, high=10)}):
        with pytest.raises(SweepExistsError, match=r"space"):
            Store(changed(spec, space=space), tmp_path, extend=True)
    with pytest.raises(SweepExistsError, match=r"run\.steps: 40 → 50"):
        Store(changed(spec, run={**spec.run, "steps": 50}), tmp_path, extend=True)
    assert len(list(read_records(tmp_path / "small"))) == 24


@pytest.mark.parametrize("sampler", ["sobol", "boundary", "tpe", "random"])
def test_here_finer_chooses_in_the_box_alone_until_it_is_ended(run, spec, changed, sampler):
    run(spec)
    focused = changed(spec, runs=40, sampler=sampler, focus=("fraction=0.5:0.6", "seed=1"))
    more, _ = run(focused)
    assert len(more) == 16
    assert all(0.5 <= config.fraction <= 0.6 and config.seed == 1 for config in more)
    last, _ = run(changed(focused, runs=60, focus=()))
    assert max(config.fraction for config in last) > 0.6


def test_points_of_ones_own_are_run_once(run, spec, changed, tmp_path):
    file = tmp_path / "points.csv"
    file.write_text("rate,decay,fraction\n0.01,0.5,0.4\n0.01,0.5,0.4\n0.02,1,0.7\n")
    points = read_points(file, spec)
    trained, _ = run(changed(spec, runs=10), points=points)
    assert [(c.fraction, c.optimizer.decay, c.optimizer.rate, c.seed) for c in trained[:2]] == [
        (0.4, 0.5, 0.01, 0),
        (0.7, 1.0, 0.02, 0),
    ]
    assert len(trained) == 10
    assert run(changed(spec, runs=10), points=points)[0] == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("fraction,decay\n.4,1\n", "has no column optimizer.rate"),
        ("fraction,decay,rate,size\n", "size"),
        ("fraction,decay,rate\n", "has no rows"),
        ("fraction,decay,rate\n.2,1,.01\n", "line 2: fraction = .2: the sweep has 0.3 to 0.9; widen it first"),
        ("fraction,decay,rate,seed\n.4,1,.01,5\n", "line 2: seed = 5: it is none of 0, 1, 2"),
        ("fraction,decay,rate\n.4,one,nan\n", "line 2: optimizer.decay = one: give a number"),
        ("fraction,decay,rate\n.4,1\n", "line 2: optimizer.rate"),
        ("fraction,decay,rate\n\n.4,,.01\n", "line 3: optimizer.decay is empty: give a number"),
        ("fraction,decay,rate,seed\n.4,1,.01,\n", "line 2: seed is empty: it is none of 0, 1, 2"),
        ("fraction,decy,rate\n.4,1,.01\n", "unknown varied field 'decy'. Did you mean 'decay'?"),
        ("fraction,decay,rate,width\n.4,1,.01,64\n", "Leave out columns of what does not vary"),
        ("fraction,decay,rate,optimizer.rate\n.4,1,.01,.02\n", "optimizer.rate has 2 columns"),
        ("fraction,decay,rate\n.4,1,.01,7\n", "line 2: has 4 cells under 3 names"),
        ("", "has no column fraction, optimizer.decay, optimizer.rate"),
    ],
)
def test_points_that_are_none_are_named(spec, tmp_path, text, says):
    file = tmp_path / "points.csv"
    file.write_text(text)
    with pytest.raises(DataError, match=r"points\.csv") as error:
        read_points(file, spec)
    assert says in str(error.value)


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfrate,seed,fraction,decay\r\n0.01,1,0.4,0.5\r\n\r\n0.02,2,0.7,1\r\n",
        b"rate;seed;fraction;decay\n0,01;1;0,4;0,5\n0,02;2;0,7;1\n",
        b"sep=;\nrate;seed;fraction;decay;\n0.01;1.0;0.4;0.5;\n0.02;2.0;0.7;1;\n",
        b"# of my own\noptimizer.rate\tseed\tfraction\tdecay\n0.01\t1\t0.4\t0.5\n0.02\t2\t0.7\t1\n",
        b",rate,seed,fraction,decay\n0,0.01,1,0.4,0.5\n1,0.02,2,0.7,1\n",
        "rate,seed,fraction,decay\n0.01,1,0.4,0.5\n0.02,2,0.7,1\n".encode("utf-16"),
    ],
)
def test_points_are_read_as_spreadsheets_write_them(spec, tmp_path, content):
    (tmp_path / "points.csv").write_bytes(content)
    points = read_points(tmp_path / "points.csv", spec)
    assert points == [
        {"fraction": 0.4, "optimizer.decay": 0.5, "optimizer.rate": 0.01, "seed": 1},
        {"fraction": 0.7, "optimizer.decay": 1.0, "optimizer.rate": 0.02, "seed": 2},
    ]


def test_words_among_points_are_named_with_the_nearest(spec, tmp_path, changed):
    space = {**spec.space, "model.activation": Choice(values=("relu", "gelu"))}
    words = changed(spec, space=space)
    file = tmp_path / "points.csv"
    file.write_text("rate,decay,fraction,activation\n0.01,0.5,0.4,gelu\n")
    assert read_points(file, words)[0]["model.activation"] == "gelu"
    file.write_text("rate,decay,fraction,activation\n0.01,0.5,0.4,geluu\n")
    with pytest.raises(DataError, match=r"line 2: model.activation = geluu: .*Did you mean 'gelu'"):
        read_points(file, words)


def test_two_sweeps_become_one_that_can_be_extended(run, spec, changed, tmp_path):
    other = changed(spec, name="other", sampler="random", space={**spec.space, "fraction": Range(low=0.2, high=0.5)})
    mine, theirs = run(spec)[0], run(other)[0]
    both = tmp_path / "small", tmp_path / "other"
    merged, runs = merge_sweeps(*both, "both", tmp_path)
    assert runs == 48
    assert merged.space["fraction"] == Range(low=0.2, high=0.9)
    assert {r.run_id for r in read_records(tmp_path / "both")} == {c.run_id for c in (*mine, *theirs)}
    more, _ = run(changed(SweepSpec.from_toml(tmp_path / "both" / "spec.toml"), runs=56))
    assert len(more) == 8
    _, runs = merge_sweeps(tmp_path / "both", both[0], "again", tmp_path)
    assert runs == 56
    with pytest.raises(SweepExistsError, match="there is something at"):
        merge_sweeps(*both, "both", tmp_path)


def test_a_run_that_failed_in_one_sweep_is_taken_from_the_other(spec, changed, pretend, run, tmp_path):
    run(changed(spec, name="good"))
    with Store(changed(spec, name="bad"), tmp_path) as store, Store(changed(spec, name="good"), tmp_path) as good:
        asked, records = good.asked(), list(good.records())
        store.ask(asked)
        store.add([pretend(records[0].config, Outcome.FAILED)])
    merge_sweeps(tmp_path / "bad", tmp_path / "good", "both", tmp_path)
    found = list(read_records(tmp_path / "both"))
    assert len(found) == 24
    assert all(record.outcome is Outcome.FINISHED for record in found)


@pytest.mark.parametrize(
    ("first", "second", "taken"), [(5, 10, 10), (10, 5, 10), (5, 40, 40), (40, 5, 40), (0, 5, 5), (5, 0, 5)]
)
def test_a_run_that_both_have_is_taken_where_more_was_seen_of_it(
    spec, changed, pretend, tmp_path, first, second, taken
):
    """Steps at which it was stopped; 40 is its budget, 0 that it failed."""
    for name, steps in (("one", first), ("two", second)):
        sweep = changed(spec, name=name, stopping="hazard" if steps < 40 else "none")
        with Store(sweep, tmp_path) as store:
            whole = pretend(sweep.whole_space.config(POINT), Outcome.FINISHED)
            keep = whole.columns["step"] <= steps
            outcome = {40: Outcome.FINISHED, 0: Outcome.FAILED}.get(steps, Outcome.STOPPED)
            columns = {column: values[keep] for column, values in whole.columns.items()}
            store.ask([Asked(number=0, params=POINT, run_id=whole.run_id)])
            store.add([dataclasses.replace(whole, columns=columns, outcome=outcome)])
    merge_sweeps(tmp_path / "one", tmp_path / "two", "both", tmp_path)
    (record,) = read_records(tmp_path / "both")
    assert record.steps == taken
    said = list(kept_of_first(tmp_path / "one", tmp_path / "two"))
    assert said == [] if 40 not in (first, second) else ["stopping: " in line for line in said] == [True]


def test_sweeps_of_other_runs_are_not_merged(run, spec, changed, tmp_path):
    run(spec)
    run(changed(spec, name="other", run={**spec.run, "steps": 41}))
    scales = {**spec.space, "fraction": Choice(values=(0.4, 0.5))}
    run(changed(spec, name="list", space=scales, runs=6))
    for name, says in (("other", r"run\.steps: 40 → 41"), ("list", "do not make one dimension"), ("none", "no spec")):
        with pytest.raises(DataError, match=says):
            merge_sweeps(tmp_path / "small", tmp_path / name, "both", tmp_path)
    assert not (tmp_path / "both").exists()


def test_a_sweep_ends_once_its_steps_are_spent(run, spec, changed, tmp_path):
    goal = changed(spec, until="steps:500", runs=400, wave=8)
    trained, said = run(goal, extend=False)
    assert 500 / 40 <= len(trained) < 40
    assert "steps:500 is reached: " in said[-1]
    assert json.loads((tmp_path / "small" / "until.json").read_text())["runs"] == len(trained)
    assert run(goal, extend=False)[0] == []
    further, _ = run(changed(goal, until="steps:1000"), extend=False)
    assert further


@pytest.mark.parametrize("sampler", ["sobol", "boundary"])
def test_a_space_without_more_runs_is_complete_until_it_is_wider(run, spec, changed, tmp_path, sampler):
    finite = changed(
        spec,
        space={"fraction": Choice(values=(0.3, 0.5, 0.7)), "decay": Choice(values=(1.0,))},
        runs=24,
        sampler=sampler,
    )
    trained, said = run(finite, extend=False)
    assert len(trained) == 3
    assert said[-1].startswith("3 runs, not 24: ")
    with Store(finite, tmp_path) as store:
        assert store.complete
        assert store.exhausted == said[-1]
    assert run(finite, extend=False) == ([], [])
    wider = changed(finite, space={**finite.space, "fraction": Choice(values=(0.3, 0.5, 0.7, 0.9))})
    with Store(wider, tmp_path, extend=True) as store:
        assert not store.complete
    assert [config.fraction for config in run(wider)[0]] == [0.9]


def test_a_sweep_ends_once_its_bands_are_narrow(run, spec, changed):
    goal = changed(spec, until="boundary:0.5", runs=200, wave=16)
    trained, said = run(goal, extend=False)
    assert len(trained) < 200
    assert "90 % bands after" in said[-1]


def test_a_width_out_of_reach_is_said_with_the_width_there_was(run, spec, changed):
    trained, said = run(changed(spec, until="boundary:0.0001", runs=48, wave=12), extend=False)
    assert len(trained) == 48
    assert "the widest band is 0." in said[-1]
    assert "0.0001 was wanted" in said[-1]


def test_a_goal_that_the_last_runs_reach_is_reached(run, spec, changed, tmp_path):
    run(changed(spec, runs=32))
    for until in ("boundary:0.9", "steps:600"):
        goal = changed(spec, runs=32, until=until)
        trained, said = run(goal, extend=False)
        assert trained == []
        assert said[-1].startswith(f"{until} is reached: ")
        with Store(goal, tmp_path) as store:
            assert store.reached in said[-1]
            assert store.wanted == 32


def test_a_sweep_that_is_there_says_how_it_stands_to_a_goal_set_later(run, spec, changed, tmp_path):
    run(changed(spec, runs=64))
    goal = changed(spec, runs=64, until="boundary:0.0001")
    trained, said = run(goal, extend=False)
    assert trained == []
    # What no wave of this session has seen is looked at: how the width fell with the runs that there are.
    assert re.search(r"0\.0001 was wanted; (as it fell so far, about [\d,]+ runs|it no longer falls)", said[-1])
    notes = []
    watcher = Watcher(spec=goal)
    watcher.note = notes.append
    run_sweep(goal, SweepOptions(results=tmp_path, mlflow=False, map=False), watcher=watcher)
    assert notes[-1] == said[-1] or said[-1] in notes
    assert watcher.total == 64


def test_fewer_runs_than_show_a_boundary_are_said_to(run, spec, changed):
    _, said = run(changed(spec, until="boundary:0.1", runs=4, wave=4), extend=False)
    assert said[-1] == "no boundary seen yet in 4 runs, so nothing can be said of 0.1: give more runs."


def test_the_count_of_a_sweep_is_of_the_runs_that_its_goal_took(run, spec, changed, tmp_path):
    goal = changed(spec, until="steps:500", runs=400, wave=8)
    trained, _ = run(goal, extend=False)
    watcher, notes = Watcher(spec=goal), []
    watcher.note = notes.append
    run_sweep(goal, SweepOptions(results=tmp_path, mlflow=False, map=False), watcher=watcher)
    assert watcher.line().startswith(f"{len(trained)}/{len(trained)} runs, ")
    assert any(note.startswith("steps:500 was reached: ") for note in notes)


@pytest.mark.parametrize("text", ["boundary", "boundary:2", "boundary:nan", "steps:-1", "steps:inf", "time:3", ""])
def test_a_goal_that_is_none_is_refused(spec, changed, text):
    with pytest.raises(ConfigError, match="give boundary:SHARE"):
        changed(spec, until=text)


def test_a_part_with_nothing_in_it_is_refused(spec, changed):
    with pytest.raises(ConfigError, match=r"focus: fraction=0.95:1: nothing of its range"):
        changed(spec, focus=("fraction=0.95:1",))
