"""A watched sweep is read as it grows, its map is made after a wave and no oftener, and only the token opens it."""

import dataclasses
import fcntl
import json
import threading
import time
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import optuna
import pytest
import uvicorn

from grokcore.engine.cohort import Cohort
from sweeps.store.run_store import Asked, Store, read_asked, record_ids
from sweeps.watching.live_page import LivePage
from sweeps.watching.server import Watched, application, listen
from sweeps.watching.state import SweepState


@pytest.fixture
def grown(spec, pretend, tmp_path):
    """Return a function that lets a sweep have so many more finished runs, and its folder."""
    spec = dataclasses.replace(spec, wave=8, measures="none")
    study = optuna.create_study(sampler=spec.built_sampler.build(spec.problem))
    results = tmp_path / "my results"

    def grow(count, waiting=0):
        with Store(spec, results) as store:
            for _ in range(count + waiting):
                params = study.ask(spec.whole_space.distributions).params
                config = spec.whole_space.config(params)
                number = len(study.trials) - 1
                store.ask([Asked(number=number, params=params, run_id=config.run_id)])
                store.hand_out(f"{number:016x}", [config.run_id])
                if number % (count + waiting) < count:
                    store.add([pretend(config)])

    return grow, results / spec.name


class Pages(LivePage):
    """Pages that are made at once, of no map."""

    def begin(self, finished):
        self._tried, self.text = finished, f"<title>map of {finished}</title>"
        self.version += 1
        self.runs = finished
        self.widths.append((finished, {("memorization", "grokking"): 1 / finished}))
        self._again = self._clock() + 90


def test_a_sweep_that_has_not_begun_is_waited_for(tmp_path):
    state = SweepState(tmp_path / "none")
    state.look()
    assert state.values([]) == {"name": "none", "there": False, "line": "waiting for the sweep to begin"}


def test_what_is_new_is_read_and_counted_once(grown):
    grow, folder = grown
    grow(8, waiting=4)
    state = SweepState(folder)
    state.look()
    values = state.values([])
    assert (state.finished, state.wanted, values["running"]) == (8, 24, False)
    assert values["line"] == "8 of 24 runs; no process runs it now: the command that began it goes on"
    assert sum(one["runs"] for one in values["regimes"]) == 8
    assert len(values["curves"]) == 8
    assert "All 12 runs" not in values["next"] or "sobol" in values["next"]
    with (folder / "records.jsonl").open("ab") as file:
        file.write(b'{"run_id":"torn')
    state.look()
    assert state.finished == 8


def test_a_run_that_was_stopped_or_failed_is_counted_in_no_regime(grown):
    grow, folder = grown
    grow(8, waiting=4)
    lines = (folder / "records.jsonl").read_text().splitlines()
    for number, outcome in ((2, "stopped"), (5, "failed")):
        lines[number] = json.dumps(json.loads(lines[number]) | {"outcome": outcome, "reason": "said so"})
    (folder / "records.jsonl").write_text("".join(f"{line}\n" for line in lines))
    state = SweepState(folder)
    state.look()
    values = state.values([])
    counted = {one["name"]: one["runs"] for one in values["regimes"]}
    assert (counted.pop("stopped early"), counted.pop("failed"), sum(counted.values())) == (1, 1, 6)
    assert {"stopped early", "failed"} <= {one["regime"] for one in values["curves"]}


def test_who_holds_the_lock_runs_it_and_looking_does_not_take_it(grown):
    grow, folder = grown
    grow(8, waiting=4)
    state = SweepState(folder)
    state.look()
    with (folder / "lock").open("a+") as held:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert state.running
        assert state.values([])["line"] == "8 of 24 runs, 4 running"
    assert not state.running
    with (folder / "lock").open("a+") as free:
        fcntl.flock(free, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_what_an_adaptive_sampler_does_next_is_said_with_its_reason(grown, spec, changed):
    grow, folder = grown
    grow(8)
    spec = changed(spec, sampler="boundary", wave=8)
    (folder / "spec.toml").write_text(spec.to_toml())
    state = SweepState(folder)
    state.look()
    said = state.values([(8, {("memorization", "grokking"): 0.123})])["next"]
    assert said.startswith("16 runs are still to be chosen, 8 at a time. boundary: ")
    assert "least sure where memorization meets grokking: that 90 % band is 0.123 of an axis wide" in said


def test_runs_that_are_trained_show_their_curves_as_their_checkpoint_has_them(grown, spec):
    grow, folder = grown
    grow(8, waiting=1)
    waiting = [item for item in read_asked(folder, spec) if item.run_id not in set(record_ids(folder))]
    config = spec.whole_space.config(waiting[0].params)
    cohort = Cohort([config], "cpu", measures="none")
    while cohort.step < 5:
        cohort.advance(seconds=0)
    seen = cohort.runs[0].seen
    (folder / "checkpoints").mkdir(exist_ok=True)
    (folder / "checkpoints" / "a.pt").write_bytes(cohort.to_bytes())
    (folder / "checkpoints" / "b.pt").write_bytes(b"torn")
    state = SweepState(folder)
    state.look()
    *_, last = state.values([])["curves"]
    assert (last["run"], last["regime"], last["step"][-1]) == (config.run_id, "", seen[-1][0])
    assert last["accuracy"][-1] == round(seen[-1][4], 4)
    (folder / "checkpoints" / "a.pt").unlink()
    assert all(one["regime"] for one in state.values([])["curves"])


def test_another_sweep_in_the_place_of_one_is_begun_anew(grown):
    grow, folder = grown
    grow(8)
    state = SweepState(folder)
    state.look()
    whole = (folder / "records.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "records.jsonl").write_bytes(b"".join(whole[:2]))
    state.look()
    assert state.finished == 2


def test_a_map_is_made_after_a_wave_for_a_tenth_of_the_time_and_at_the_end(grown):
    grow, folder = grown
    now = [1000.0]
    state, live = SweepState(folder), Pages(folder, clock=lambda: now[0])
    grow(4)
    state.look()
    with (folder / "lock").open("a+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert not live.wanted(state)
    grow(4)
    state.look()
    with (folder / "lock").open("a+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert live.wanted(state)
        live.begin(state.finished)
    grow(8)
    state.look()
    with (folder / "lock").open("a+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert not live.wanted(state)
        now[0] += 91
        assert live.wanted(state)
        live.begin(state.finished)
        assert not live.wanted(state)
    grow(4)
    state.look()
    assert live.wanted(state), "nobody runs it any more: the last map is of all there is"


def test_a_fit_takes_at_most_a_tenth_of_the_time(tmp_path, monkeypatch):
    now = [0.0]
    live = LivePage(tmp_path, clock=lambda: now[0])

    def slow(*_, **__):
        now[0] += 7.0
        raise AssertionError

    monkeypatch.setattr("analysis.runs.sources.read_source", slow)
    with pytest.raises(AssertionError):
        live._make(8)
    assert live._again == pytest.approx(7.0 + 63.0)


def test_too_few_runs_for_a_map_are_said_and_not_an_error(grown):
    grow, folder = grown
    grow(1)
    live = LivePage(folder)
    live.begin(1)
    live.wait(60)
    assert live.text is None
    assert live.note.startswith("no map of 1 runs: ")


@pytest.fixture
def served(grown):
    """Serve a sweep of eight finished runs; return its folder, and a function path -> status, headers, text."""
    grow, folder = grown
    grow(8)
    place = listen(0)
    app = application(Watched(folder, Pages(folder)), "secret", looks=0.05)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [place]})
    thread.start()

    def get(path, **headers):
        request = Request(f"http://127.0.0.1:{place.getsockname()[1]}{path}", headers=headers)
        try:
            with urlopen(request, timeout=20) as answer:
                return answer.status, dict(answer.headers), answer.read().decode()
        except HTTPError as error:
            with error:
                return error.code, dict(error.headers), error.read().decode()

    yield folder, get
    server.should_exit = True
    thread.join(10)


def until(ready):
    for _ in range(100):
        if ready():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come about within five seconds")


def test_only_the_token_opens_it_and_only_under_this_machine_s_name(served):
    _, get = served
    for path in ("/", "/state", "/map"):
        for wrong in ("", "?token=", "?token=secre", "?token=s%C3%A9cret"):
            assert get(path + wrong)[0] == 403
        assert get(f"{path}?token=secret", Host="evil.example")[0] == 400
    status, headers, text = get("/?token=secret")
    assert status == 200
    assert "secret" not in text
    assert "frame-ancestors 'none'" in headers["content-security-policy"]


def test_what_it_serves_follows_the_sweep_and_outlives_a_damaged_line(served):
    folder, get = served
    state = lambda: json.loads(get("/state?token=secret")[2])  # noqa: E731
    until(lambda: state()["map"] == 1)
    values = state()
    assert values["map_runs"] == 8
    assert values["widths"] == [{"runs": 8, "bands": {"memorization | grokking": 0.125}}]
    assert "map of 8" in get("/map?token=secret")[2]
    with (folder / "records.jsonl").open("ab") as file:
        file.write(b"{broken}\n")
    until(lambda: state()["note"])
    assert state()["line"].startswith("8 of 24 runs")


def test_it_listens_on_this_machine_s_own_address_alone():
    with listen(0) as place:
        assert place.getsockname()[0] == "127.0.0.1"
