"""Finding a run among sweeps: one that several have is taken where it goes furthest, and a sweep knows its own."""

from dataclasses import replace

import pytest

from grokcore.errors import DataError
from grokcore.records.run_record import Outcome
from sweeps.finished_runs.find import find_record, record_in
from sweeps.finished_runs.load import load
from sweeps.store.run_store import Asked, Store

POINT = {"fraction": 0.5, "optimizer.decay": 1.0, "optimizer.rate": 0.01, "seed": 0}


@pytest.fixture
def sweep(spec, changed, pretend, tmp_path):
    """Return a function that leaves a sweep with one run, the same in each; returns its folder."""

    def make(name, outcome=Outcome.FINISHED, steps=40):
        with Store(changed(spec, name=name), tmp_path) as store:
            whole = pretend(spec.whole_space.config(POINT), outcome)
            seen = whole.columns["step"] <= steps
            store.ask([Asked(number=0, params=POINT, run_id=whole.run_id)])
            store.add([replace(whole, columns={column: values[seen] for column, values in whole.columns.items()})])
            return store.path

    return make


def test_a_run_of_several_sweeps_is_that_which_goes_furthest(sweep, tmp_path):
    sweep("a", Outcome.FAILED, 20)
    run_id = record_in("", sweep("b", Outcome.STOPPED, 5)).run_id
    sweep("c", Outcome.STOPPED, 10)
    assert find_record(run_id[:6], tmp_path)[0].name == "c"
    whole = sweep("d")
    sweep("e")
    assert find_record(run_id[:6], tmp_path)[0] == whole
    (tmp_path / "e" / "weights" / run_id).mkdir(parents=True)
    folder, rule, record = find_record(run_id[:6], tmp_path)
    assert (folder.name, rule.budget, record.steps) == ("e", 40, 40)


def test_a_sweep_gives_its_own_record_of_a_run_that_others_have_too(sweep):
    whole, stopped = sweep("a"), sweep("b", Outcome.STOPPED, 5)
    run_id = record_in("", whole).run_id
    assert load(stopped).run(run_id).steps == 5
    assert load(whole).run(run_id[:8]).steps == 40
    with pytest.raises(DataError, match=r"run abc in .*b: there is none"):
        load(stopped).run("abc")
