"""What Tune is told and tells: who gets a worker that falls free, and what becomes of a cohort that lost its own."""

from types import SimpleNamespace

import pytest

from sweeps.execution.searcher import LOST, Recorder, StartsInPeace


@pytest.fixture
def controller():
    trials = [SimpleNamespace(trial_id=f"{i}", status="PENDING") for i in range(4)]
    return SimpleNamespace(trials=trials, get_live_trials=lambda: trials[::-1])


def test_a_worker_that_is_starting_is_not_ended_for_one_that_falls_free(controller):
    scheduler = StartsInPeace(lambda: 3)
    for trial in controller.trials:
        scheduler.on_trial_add(controller, trial)
    # The first cohort is over already; the next two wait for workers that are starting on other hosts.
    controller.trials[0].status = "TERMINATED"
    assert scheduler.choose_trial_to_run(controller).trial_id == "3"
    # All others run: whoever waits longest is next.
    for trial, status in zip(controller.trials, ("PENDING", "RUNNING", "RUNNING", "PENDING"), strict=True):
        trial.status = status
    assert scheduler.choose_trial_to_run(controller).trial_id == "0"
    for trial in controller.trials:
        trial.status = "RUNNING"
    assert scheduler.choose_trial_to_run(controller) is None


class Told:
    """A driver and a watcher that note what they are told."""

    def __init__(self, *, again):
        self.again, self.calls, self.notes = again, [], []

    def lost(self, name):
        self.calls.append(("lost", name))
        return self.again

    def ended(self, name, error=None):
        self.calls.append(("ended", name, error))
        return []

    def note(self, text):
        self.notes.append(text)

    def finished(self, records):
        assert records == []


@pytest.mark.parametrize(
    ("said", "again", "calls"),
    [
        ("Failure # 2\nThe actor died unexpectedly before finishing this task.\n", True, [("lost", "c")]),
        ("The actor died unexpectedly.\n", False, [("lost", "c"), ("ended", "c", LOST)]),
        ("Traceback\nValueError: no\n", True, [("ended", "c", "ValueError: no")]),
    ],
    ids=["reported twice", "too often", "an error of the cohort's own"],
)
def test_the_end_of_a_worker_that_tune_takes_for_the_cohorts_is_not(tmp_path, said, again, calls):
    (tmp_path / "error.txt").write_text(said)
    told = Told(again=again)
    trial = SimpleNamespace(config={"cohort": "c"}, error_file=str(tmp_path / "error.txt"))
    Recorder(told, told).on_trial_error(1, [], trial)
    assert told.calls == calls
    assert ("goes on" in told.notes[0]) == (said != "Traceback\nValueError: no\n" and again)
