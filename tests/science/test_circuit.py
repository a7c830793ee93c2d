"""The circuit of the small twin (p 53, f .5) of Nanda et al. 2023 (arXiv 2301.05217), held to published numbers.

Published: training accuracy 99 % at step 93 and validation accuracy 90 % at 1,637 (tolerance ±0.3 in log10 for one
seed); 3 to 6 key frequencies (2 to 9 allowed); logits ≥ 95 % explained; restricted accuracy ≥ 99 % at the end and ahead
of validation accuracy on the way; excluded accuracy ≤ 5 %; the norm falls and the Gini coefficient rises. Without
decay none of this.
"""

import math

import pytest

from grokcore import RunConfig, train
from grokcore.inspection.snapshot_measures import measure_snapshots
from grokcore.records.regimes import Regime
from grokcore.records.weight_snapshots import SnapshotFolder, snapshot_steps

pytestmark = [pytest.mark.science, pytest.mark.slow, pytest.mark.timeout(1800)]

MEASURES = (
    "weight_norm,fourier_concentration,key_frequencies,restricted_loss,excluded_loss,logit_variance_explained,"
    "neuron_specificity"
)


def twin(decay, steps):
    return RunConfig.from_dict(
        {
            "task": {"name": "modular_addition", "modulus": 53},
            "model": {"name": "transformer", "layers": 1, "width": 128, "heads": 4, "mlp_width": 512},
            "optimizer": {"name": "adamw", "rate": 1e-3, "decay": decay, "betas": [0.9, 0.98], "warmup": 10},
            "fraction": 0.5,
            "steps": steps,
        }
    )


def trained(decay, steps, folder):
    (record,) = train([twin(decay, steps)], measures="none", on_snapshot=SnapshotFolder(folder))
    kept = snapshot_steps(folder, record.run_id)
    return record, measure_snapshots(folder, record.config, MEASURES, sorted({0, *kept[-28::2], kept[-1]})).set_index(
        "step"
    )


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    return trained(1.0, 3200, tmp_path_factory.mktemp("decay"))


def passed(table, name, level):
    """Return the first step at which a measure is at or above a level."""
    return next((int(step) for step, value in table[name].items() if value >= level), math.inf)


def test_it_memorises_and_generalises_when_published(grown):
    record, _ = grown
    assert record.regime is Regime.GROKKING
    memorised, generalised = record.milestone("train", 0.99), record.milestone("val", 0.9)
    assert abs(math.log10(memorised.step / 93)) < 0.3
    assert abs(math.log10(generalised.step / 1637)) < 0.3


def test_at_the_end_there_is_the_published_circuit(grown):
    _, table = grown
    end = table.iloc[-1]
    assert 2 <= end["key_frequencies"] <= 9
    assert end["logit_variance_explained"] >= 0.95
    assert end["restricted_accuracy"] >= 0.99
    assert end["excluded_accuracy"] <= 0.05
    assert 0.5 <= end["fourier_concentration"] <= 0.8
    assert end["specific_neurons"] > 0.6


def test_the_circuit_is_there_before_validation_accuracy_shows_it(grown):
    record, table = grown
    for level in (0.5, 0.9):
        assert passed(table, "restricted_accuracy", level) < record.milestone("val", level).step


def test_events_come_in_the_published_order(grown):
    record, table = grown
    val_loss = record.curves.set_index("step")["val_loss"]
    memory_ends = table["excluded_loss"].loc[10:].idxmin()
    worst = val_loss.idxmax()
    cleaned = next(step for step, loss in val_loss.loc[worst:].items() if loss < math.log(53))
    assert memory_ends < cleaned < record.milestone("val", 0.99).step


def test_the_norm_falls_and_the_frequencies_stand_out(grown):
    record, table = grown
    highest = table["weight_norm"].idxmax()
    assert highest < record.milestone("val", 0.9).step
    assert table["weight_norm"].iloc[-1] < 0.7 * table["weight_norm"].iloc[0]
    assert table["fourier_concentration"].iloc[-1] > 5 * table["fourier_concentration"].iloc[0]


def test_without_decay_there_is_none_of_this(tmp_path):
    record, table = trained(0.0, 1600, tmp_path)
    end = table.iloc[-1]
    assert record.milestone("train", 0.99).event
    assert not record.milestone("val", 0.9).event
    assert end["weight_norm"] > 1.1 * table["weight_norm"].iloc[0]
    assert end["fourier_concentration"] < 0.2
    assert end["key_frequencies"] > 15
    assert end["logit_variance_explained"] < 0.5
