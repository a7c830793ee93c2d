"""What Tune is told: which cohort gets a worker that falls free."""

from types import SimpleNamespace

import pytest

from sweeps.search import StartsInPeace


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
