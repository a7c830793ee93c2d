"""Where weights begin: scaled, transferred from another run, or at a known solution."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from grokcore import RunConfig, train
from grokcore.engine.cohort import Cohort
from grokcore.errors import ConfigError
from grokcore.numerics.random_streams import generator
from grokcore.transfer import save_embedding


def make(**changes):
    base = {"task": "modular_addition", "task.modulus": 11, "model": "mlp", "model.width": 16, "optimizer": "adamw"}
    return RunConfig.from_dict({**base, "fraction": 0.6, "steps": 30, **changes})


def test_the_scale_multiplies_every_parameter():
    config = make(**{"initialisation.name": "default", "initialisation.scale": 2.5})
    own = config.model.initial(config.task, generator(0, "weights"))
    for name, value in Cohort([config]).parameters.items():
        torch.testing.assert_close(value[0], (2.5 * own[name]).float(), rtol=1e-6, atol=0)


@pytest.fixture
def learned(tmp_path):
    """Return the path of the embedding of a narrow run, and the array."""
    donor = make(**{"model.width": 16, "model.embedding_width": 4})
    path = tmp_path / "embedding.npy"
    save_embedding(donor, path)
    return path, np.load(path)


def test_an_embedding_can_be_handed_on(learned):
    path, array = learned
    assert array.shape == (11, 4)
    config = make(**{"model.embedding_width": 4, "initialisation": {"name": "transferred", "path": str(path)}})
    cohort = Cohort([config])
    torch.testing.assert_close(cohort.parameters["embedding"][0], torch.from_numpy(array).float())
    fresh = Cohort([make(**{"model.embedding_width": 4})])
    assert torch.equal(cohort.parameters["weight_1"], fresh.parameters["weight_1"])
    assert not torch.equal(cohort.parameters["embedding"], fresh.parameters["embedding"])


def test_what_is_handed_on_was_learned(learned):
    _, array = learned
    begun = Cohort([make(**{"model.embedding_width": 4})]).parameters["embedding"][0]
    assert np.abs(array - begun.numpy()).max() > 1e-3


def test_a_narrow_embedding_is_spread_over_a_wide_one(learned):
    path, array = learned
    config = make(initialisation={"name": "transferred", "path": str(path)})
    embedding = Cohort([config]).parameters["embedding"][0].double().numpy()
    assert embedding.shape == (11, 16)
    assert np.linalg.matrix_rank(embedding, tol=1e-4) == 4
    # The same geometry seen through a random mix: rows of the wide one are combinations of the narrow one's.
    mix, *_ = np.linalg.lstsq(array, embedding, rcond=None)
    np.testing.assert_allclose(array @ mix, embedding, atol=1e-5)


def test_a_run_knows_what_the_file_held(learned):
    path, array = learned
    config = make(initialisation={"name": "transferred", "path": str(path)})
    assert len(config.initialisation.sha256) == 64
    np.save(path, array + 1)
    again = RunConfig.from_dict(config.to_dict())
    with pytest.raises(ConfigError, match="has sha256"):
        train([again])
    path.unlink()
    assert RunConfig.from_dict(config.to_dict()).run_id == config.run_id  # a record can be read without the file


@pytest.mark.parametrize(("shape", "said"), [((7, 4), "an embedding of 7 symbols × 4"), ((11, 40), "11 symbols × 40")])
def test_an_embedding_of_the_wrong_shape_is_refused(tmp_path, shape, said):
    np.save(tmp_path / "e.npy", np.zeros(shape))
    with pytest.raises(ConfigError, match=said):
        make(initialisation={"name": "transferred", "path": str(tmp_path / "e.npy")})


def test_files_that_hold_no_embedding_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        make(initialisation={"name": "transferred", "path": str(tmp_path / "missing.npy")})
    (tmp_path / "text.npy").write_text("no array")
    with pytest.raises(ConfigError, match="is no NumPy array"):
        make(initialisation={"name": "transferred", "path": str(tmp_path / "text.npy")})
    (tmp_path / "archive.npy").write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(ConfigError, match="is no NumPy array"):
        make(initialisation={"name": "transferred", "path": str(tmp_path / "archive.npy")})
    np.save(tmp_path / "empty.npy", np.zeros((11, 0)))
    with pytest.raises(ConfigError, match="finite numbers, symbols × width"):
        make(initialisation={"name": "transferred", "path": str(tmp_path / "empty.npy")})
    np.save(tmp_path / "nan.npy", np.full((11, 4), np.nan))
    with pytest.raises(ConfigError, match="finite"):
        make(initialisation={"name": "transferred", "path": str(tmp_path / "nan.npy")})
    np.save(tmp_path / "complex.npy", np.ones((11, 4), dtype=complex))
    with pytest.raises(ConfigError, match="finite numbers"):
        make(initialisation={"name": "transferred", "path": str(tmp_path / "complex.npy")})
    with pytest.raises(ConfigError, match=r"^initialisation\.path = .*: cannot be read"):
        make(initialisation={"name": "transferred", "path": str(tmp_path / "nowhere.npy")})
    np.save(tmp_path / "e.npy", np.zeros((11, 4)))
    with pytest.raises(ConfigError, match="no embedding"):
        make(**{"model.inputs": "one_hot"}, initialisation={"name": "transferred", "path": str(tmp_path / "e.npy")})


@pytest.mark.parametrize("neurons", [6, 7, 8.4, 11])
@pytest.mark.parametrize("modulus", [2, 7, 12, 23])
def test_gromovs_weights_give_one_at_every_sum_however_many_neurons_each_frequency_has(modulus, neurons):
    config = make(
        model="quadratic_mlp",
        loss="mse",
        initialisation="analytic",
        dtype="float64",
        **{"task.modulus": modulus, "model.width": int(neurons * (modulus // 2)), "fraction": 0.5},
    )
    cohort = Cohort([config])
    with torch.no_grad():
        outputs = cohort.model.forward(cohort.task, cohort.parameters, cohort.everything.inputs)[0]
    x, y = cohort.everything.inputs[0].T
    own = outputs.gather(1, ((x + y) % modulus).unsqueeze(1))
    torch.testing.assert_close(own, torch.ones_like(own), rtol=0, atol=1e-12)
    assert (outputs.argmax(1) == (x + y) % modulus).all()


def test_a_network_too_narrow_for_the_solution_is_refused():
    with pytest.raises(ConfigError, match=r"6 neurons for each of 11 frequencies; take at least 66"):
        make(
            model="quadratic_mlp",
            initialisation="analytic",
            **{"task.modulus": 23, "model.width": 65},
        )


@pytest.mark.parametrize("modulus", [23, 97])
def test_gromovs_weights_answer_every_sum(modulus):
    config = make(
        model="quadratic_mlp",
        loss="mse",
        initialisation="analytic",
        **{"task.modulus": modulus, "model.width": 500, "steps": 1},
    )
    assert config.task.examples == modulus**2
    (record,) = train([config])
    assert record.columns["train_accuracy"][0] == record.columns["val_accuracy"][0] == 1.0


def test_a_solution_that_is_not_known_is_refused():
    with pytest.raises(ConfigError, match="no solution of modular_multiplication by quadratic_mlp is known"):
        make(task={"name": "modular_multiplication", "modulus": 7}, model="quadratic_mlp", initialisation="analytic")
