"""What is told while a sweep runs: the same numbers in a terminal and in plain lines."""

import dataclasses
import io

import pytest
from rich.console import Console

from grokcore.records.run_record import Outcome
from sweeps.live_map import level_of
from sweeps.progress import COLUMNS, ROWS, LiveWatcher, NotebookWatcher, PlainWatcher, Watcher, Work, share, watcher_for
from sweeps.spec.space import Choice, Range
from sweeps.stages import stages


@pytest.fixture
def clock():
    class Clock:
        now = 100.0

        def __call__(self):
            return self.now

    return Clock()


@pytest.fixture
def records(spec, pretend):
    space = spec.whole_space
    points = [
        {"fraction": fraction, "optimizer.decay": decay, "optimizer.rate": 0.01, "seed": 0}
        for fraction in (0.31, 0.6, 0.89)
        for decay in (0.011, 0.4, 9.0)
    ]
    return [pretend(space.config(point)) for point in points]


def test_rates_and_remaining_time_come_from_this_session_alone(spec, records, clock):
    watcher = Watcher(spec=spec, clock=clock)
    watcher.known(records[:5])
    assert watcher.remaining is None
    clock.now += 50
    watcher.trained(Work(run_steps=1000, cpu_seconds=1.5, train_seconds=2.0), running=3)
    clock.now += 2
    watcher.finished(records[5:7])
    assert watcher.done == 7
    assert watcher.rate == pytest.approx(250)
    assert watcher.remaining == pytest.approx((spec.runs - 7) * 4 / 2)
    watcher.stop()
    clock.now += 1000
    assert watcher.rate == pytest.approx(250)


def test_every_run_has_a_cell_and_failed_ones_are_counted_apart(spec, records, pretend):
    watcher = Watcher(spec=spec)
    watcher.finished([*records, pretend(records[0].config, Outcome.FAILED)])
    assert sum(counts.total() for counts in watcher.cells.values()) == 9
    assert watcher.failed == 1
    assert {(0, 0), (0, ROWS - 1), (COLUMNS - 1, 0), (COLUMNS - 1, ROWS - 1)} <= watcher.cells.keys()
    assert "1 failed" in watcher.line()


def test_shares_are_zero_and_one_at_the_ends():
    linear, log = Range(low=2.0, high=4.0), Range(low=0.01, high=100.0, log=True)
    assert [share(linear, v) for v in (2, 3, 4)] == [0, 0.5, 1]
    assert [share(log, v) for v in (0.01, 1, 100)] == pytest.approx([0, 0.5, 1])


def test_a_pipe_gets_plain_lines_now_and_then(spec, clock):
    out = []
    watcher = PlainWatcher(spec=spec, clock=clock, print=out.append)
    for _ in range(30):
        clock.now += 1
        watcher.trained(Work(run_steps=10, cpu_seconds=1, train_seconds=1), running=1)
    assert len(out) == 3
    assert isinstance(watcher_for(spec, Console(file=io.StringIO())), PlainWatcher)


def test_the_picture_has_counts_map_and_axes(spec, records):
    console = Console(file=io.StringIO(), width=100, force_terminal=True, color_system="truecolor")
    watcher = watcher_for(spec, console)
    assert isinstance(watcher, LiveWatcher)
    with watcher:
        watcher.finished(records)
        watcher.note("a word in passing")
    plain = Console(file=io.StringIO(), width=100)
    plain.print(watcher.picture())
    text = plain.file.getvalue()
    assert "9/24 runs" in text
    assert "fraction" in text
    assert "decay" in text
    assert text.count("██") == 9 + 4
    for regime, count in watcher.regimes.items():
        assert f"{regime} {count}" in text
    assert "a word in passing" in console.file.getvalue()


def test_long_work_has_a_line_with_a_bar_and_leaves_how_long_it_took(spec, records, clock):
    console = Console(file=io.StringIO(), width=100, force_terminal=True)
    with LiveWatcher(spec=spec, clock=clock, console=console, there=5) as watcher:
        watcher.stage("starting …")
        clock.now += 7
        assert seen(watcher._screen())[-1] == "starting … " + "━" * 24 + " 7 s"
        assert any(f"5/{spec.runs} runs" in line for line in seen(watcher._screen())), "a sweep begins at what is done"
        watcher.known(records[:5])
        watcher.finished(records[5:6])
        assert not any("━ 7 s" in line for line in seen(watcher._screen()))
        assert any(f"6/{spec.runs} runs" in line for line in seen(watcher._screen()))
        watcher.stop()
        watcher.stage("drawing …")
        clock.now += 3
    assert "starting … 7 s" in console.file.getvalue()
    assert "drawing … 3 s" in console.file.getvalue()


@pytest.mark.parametrize(("terminal", "said"), [(True, ["one 2 s", "two 3 s"]), (False, ["one", "two"])])
def test_a_command_says_what_it_does_and_in_a_terminal_how_long_it_took(clock, terminal, said):
    console = Console(file=io.StringIO(), width=100, force_terminal=terminal, color_system=None)
    with stages(console, clock) as say:
        say("one")
        clock.now += 2
        say("two")
        clock.now += 3
    text = console.file.getvalue()
    assert all(line in text for line in said)
    assert ("2 s" in text) == terminal


def seen(renderable):
    """Return the lines of what a terminal shows."""
    plain = Console(file=io.StringIO(), width=100)
    plain.print(renderable)
    return [line.rstrip() for line in plain.file.getvalue().splitlines()]


def test_each_choice_has_a_live_map_of_its_own(spec, pretend):
    transforms = Choice(values=("none", {"name": "grokfast_ema", "gain": 0.9}))
    both = dataclasses.replace(spec, space={**spec.space, "transform": transforms})
    space = both.whole_space
    params = {"fraction": 0.5, "optimizer.decay": 0.4, "optimizer.rate": 0.01, "seed": 0}
    runs = [pretend(space.config(params | {"transform": p})) for p in space.dimensions["transform"].grid(2)]
    watcher = LiveWatcher(spec=both, console=Console(file=io.StringIO(), width=100, force_terminal=True))
    with watcher:
        watcher.finished(runs)
    assert set(watcher.cells_at) == {("none",), ("grokfast_ema",)}
    assert [sum(c.total() for c in cells.values()) for cells in watcher.cells_at.values()] == [1, 1]
    plain = Console(file=io.StringIO(), width=100)
    plain.print(watcher.picture())
    text = plain.file.getvalue()
    assert "transform none" in text
    assert "transform grokfast_ema" in text
    assert max(map(len, text.splitlines())) <= 100


def test_tables_of_one_name_are_told_apart_by_their_settings():
    choice = Choice(values=({"name": "ema", "alpha": 0.9}, {"name": "ema", "alpha": 0.98}))
    flat = {"transform.name": "ema", "transform.alpha": 0.98}
    assert level_of({"transform": choice}, flat) == ("ema alpha 0.98",)


def test_a_notebook_has_one_picture_that_is_replaced_and_escapes_what_is_said(spec, records, clock):
    shown = []
    watcher = NotebookWatcher(spec=spec, clock=clock, show=shown.append)
    watcher.finished(records[:4])
    watcher.finished(records[4:5])
    assert len(shown) == 1
    clock.now += 1
    watcher.finished(records[5:6])
    watcher.note("caution: <b>few</b>")
    watcher.stop()
    assert len(shown) == 4
    assert f"6/{spec.runs} runs" in shown[-1]
    assert "&lt;b&gt;few" in shown[-1]
    assert shown[-1].count("<pre") == 1
