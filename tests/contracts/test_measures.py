"""What every measure promises; a new file in grokcore/measures/ is held to it as soon as it is there."""

import logging
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from grokcore import RunConfig, train
from grokcore.engine.cohort import Cohort
from grokcore.engine.devices.named import device_named
from grokcore.errors import ConfigError
from grokcore.measures import base, local_learning_coefficient
from grokcore.measures.base import SETS, chosen_measures, columns_of, defined_measures, measures, skipped_measures, take
from grokcore.views.characters import characters, no_frequencies

MLP = {"name": "mlp", "width": 21, "inputs": "embedding"}
CASES = {
    "mlp": ({"name": "modular_addition", "modulus": 11}, MLP),
    "one-hot": ({"name": "modular_subtraction", "modulus": 12}, {"name": "mlp", "width": 13, "inputs": "one_hot"}),
    "concat": (
        {"name": "modular_addition", "modulus": 11},
        {"name": "mlp", "width": 17, "depth": 2, "activation": "gelu", "combine": "concat"},
    ),
    "transformer": (
        {"name": "modular_addition", "modulus": 11},
        {"name": "transformer", "width": 12, "heads": 3, "mlp_width": 19},
    ),
    "biasless": (
        {"name": "modular_addition", "modulus": 11},
        {"name": "transformer", "width": 12, "heads": 3, "mlp_width": 19, "bias": False, "attention_rate": 0.3},
    ),
    "power": (
        {"name": "modular_division", "modulus": 7},
        {"name": "transformer", "width": 12, "heads": 2, "mlp_width": 16, "layers": 2, "norm": "post", "tied": True},
    ),
    "deep": (
        {"name": "modular_multiplication", "modulus": 11},
        {"name": "transformer", "width": 12, "heads": 2, "mlp_width": 16, "layers": 2, "operator_token": True},
    ),
    "abelian": ({"name": "group_composition", "group": "Z2xZ4"}, MLP),
    "group": ({"name": "group_composition", "group": "S3"}, MLP),
    "toy": ({"name": "toy_addition"}, MLP),
    "bits": ({"name": "parity", "bits": 6, "relevant": 2, "samples": 60}, {**MLP, "combine": "concat"}),
}


@pytest.fixture(autouse=True)
def as_in_a_cohort(monkeypatch):
    """Measure as cohorts do, on one thread; with a short chain of the sampler, on whose length no promise depends."""
    monkeypatch.setattr(local_learning_coefficient, "STEPS", 10)
    with device_named("cpu").computing(), torch.no_grad():
        yield


def configs(case, count=5, **changes):
    task, model = CASES[case]
    values = {"task": task, "model": model, "fraction": 0.5, "steps": 50, **changes}
    optimizer = {"name": "adamw", "rate": 5e-3, "decay": 0.5}
    return [RunConfig.from_dict({"optimizer": optimizer, **values, "seed": seed}) for seed in range(count)]


def trained(members, steps=30):
    cohort = Cohort(members, measures="none")
    cohort.train_to(steps)
    return cohort


def everywhere(cohort):
    """Return every measure that is defined and the view with made-up final keys."""
    view = cohort.view()
    reason = no_frequencies(view.task, view.model)
    keys = torch.zeros(view.runs, 1 if reason else characters(view.task).frequencies, dtype=torch.bool)
    keys[:, :2] = True
    found = defined_measures(view.task, view.model, "circuit", frozenset())
    return found, replace(view, keys=keys)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("batch", ["full", 16])
def test_a_runs_measures_do_not_depend_on_its_neighbours_bit_for_bit(case, batch):
    members = configs(case, batch=batch)
    crowd, view = everywhere(trained(members))
    together = take(crowd, view)
    for k, config in enumerate(members):
        found, alone = everywhere(trained([config]))
        (row,) = take(found, alone)
        assert row == together[k], {
            n: (row.get(n), together[k].get(n)) for n in row if row.get(n) != together[k].get(n)
        }


@pytest.mark.parametrize("case", CASES)
def test_every_defined_measure_has_a_finite_value_of_a_trained_network_in_every_column(case):
    cohort = trained(configs(case, 2))
    found, view = everywhere(cohort)
    for row in take(found, view):
        assert list(row) == list(columns_of(found, view.task, view.model))
        assert all(math.isfinite(value) for value in row.values())


def test_every_measure_is_defined_on_some_case_and_says_why_it_is_not_on_others():
    defined, reasons = set(), {}
    for task, model in CASES.values():
        config = RunConfig.from_dict(
            {"task": task, "model": model, "optimizer": {"name": "adamw"}, "fraction": 0.5, "steps": 1}
        )
        defined |= set(defined_measures(config.task, config.model, "circuit", frozenset()))
        reasons |= skipped_measures("circuit", config.task, config.model)
    assert defined == set(measures())
    assert all(len(reason) > 10 for reason in reasons.values())


@pytest.mark.parametrize("case", CASES)
def test_taking_measures_changes_nothing(case):
    cohort = trained(configs(case, 2))
    before = cohort.to_bytes()
    found, view = everywhere(cohort)
    take(found, view)
    assert cohort.to_bytes() == before


@pytest.mark.parametrize("name", measures())
def test_columns_have_names_of_their_own_and_the_docstrings_say_what_is_measured(name):
    measure = measures()[name]
    assert measure.cost in ("light", "full", "circuit")
    assert len(type(measure).__doc__) > 80
    for task, model in CASES.values():
        config = RunConfig.from_dict(
            {"task": task, "model": model, "optimizer": {"name": "adamw"}, "fraction": 0.5, "steps": 1}
        )
        columns = columns_of(
            defined_measures(config.task, config.model, "circuit", frozenset()), config.task, config.model
        )
        assert len(set(columns)) == len(columns)


class Failing(base.Measure):
    """Fails for the second run of any company."""

    cost = "light"

    def compute(self, view):
        norms = view.embedding.flatten(1).norm(dim=1)
        if any(abs(float(norm) - self.bad) < 1e-12 for norm in norms):
            raise ArithmeticError("this one cannot be measured")
        return norms


def test_a_measure_that_fails_on_one_run_is_absent_there_and_there_alone(caplog):
    view = trained(configs("mlp", 3)).view()
    measure = Failing()
    measure.bad = float(view.embedding.flatten(1).norm(dim=1)[1])
    with caplog.at_level(logging.WARNING):
        rows = take({"failing": measure, "weight_norm": measures()["weight_norm"]}, view)
        take({"failing": measure}, view)
    assert [len(row) for row in rows] == [2, 1, 2]
    assert caplog.text.count("this one cannot be measured") == 1, "it is said once"


def test_a_run_whose_weights_are_not_finite_leaves_its_neighbours_measured():
    cohort = trained(configs("mlp", 3))
    healthy = take(*everywhere(cohort))
    cohort.flat[1, :50] = torch.nan
    rows = take(*everywhere(cohort))
    assert rows[0] == healthy[0]
    assert rows[2] == healthy[2]
    assert "weight_norm" not in rows[1]


def test_sets_contain_one_another_and_names_can_be_mixed():
    light, full, circuit = (set(chosen_measures(name)) for name in ("light", "full", "circuit"))
    assert light < full < circuit == set(measures())
    assert set(chosen_measures("light, gradient_norm")) == light | {"gradient_norm"}
    assert not chosen_measures("none")
    assert SETS["none"] == ()
    with pytest.raises(ConfigError, match="Did you mean 'weight_norm'"):
        chosen_measures(["weigth_norm"])


def test_what_is_measured_is_chosen_where_it_is_used_and_changes_neither_run_nor_identity():
    (config,) = configs("mlp", 1)
    (bare,) = train([config], measures="none")
    (full,) = train([config], measures="full")
    assert bare.run_id == full.run_id
    assert list(bare.columns) == ["step", "train_loss", "train_accuracy", "val_loss", "val_accuracy"]
    for name in bare.columns:
        assert bare.columns[name].tolist() == full.columns[name].tolist()
    assert math.isfinite(full.final["update_size"])
    assert "restricted_loss" not in full.columns, "needs the final key frequencies"


def test_an_undefined_measure_is_skipped_with_its_reason_said_once(caplog):
    members = configs("group", 1)
    with caplog.at_level(logging.WARNING):
        (record,) = train(members, measures=["fourier_concentration", "weight_norm"])
        train(members, measures=["fourier_concentration", "weight_norm"])
    assert "fourier_concentration" not in record.columns
    assert caplog.text.count("fourier_concentration is not measured: symbols are not elements of an abelian group") == 1


def test_every_measure_has_a_test_of_its_own_with_a_known_answer():
    folder = Path(__file__).parents[1] / "grokcore" / "measures"
    assert set(measures()) <= {path.stem.removeprefix("test_") for path in folder.glob("test_*.py")}


def test_costly_measures_are_taken_at_fewer_steps_and_at_the_end_whatever_the_neighbours_budgets():
    members = [configs("mlp", 1, steps=steps)[0] for steps in (90, 63, 40)]
    cohort = Cohort(members, measures="full")
    together = {record.run_id: record.columns for record in cohort.advance()}
    for config in members:
        columns = together[config.run_id]
        (alone,) = Cohort([config], measures="full").advance()
        for name, values in columns.items():
            assert values.tobytes() == alone.columns[name].tobytes(), name
        light, full = (columns["step"][np.isfinite(columns[name])] for name in ("weight_norm", "gradient_norm"))
        assert light[-1] == full[-1] == config.steps
        assert set(full) < set(light)
        assert np.diff(full)[:-1].min() >= 5 * 121 / 60 > np.diff(light).min() == 3
