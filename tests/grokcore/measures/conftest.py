"""Views of networks made by hand."""

import math

import pytest
import torch

from grokcore.engine.devices.named import device_named


@pytest.fixture(autouse=True)
def as_in_a_cohort():
    """Measure as cohorts do, on one thread."""
    with device_named("cpu").computing():
        yield


@pytest.fixture
def embedded(make_view):
    """Return a maker of views of networks with given embeddings, (S, D) each."""

    def make(*embeddings, **changes):
        model = {"name": "mlp", "width": 8, "inputs": "embedding", "embedding_width": len(embeddings[0][0])}
        return make_view(*({"embedding": value} for value in embeddings), model=model, **changes)

    return make


@pytest.fixture
def analytic(make_view):
    """Return a maker of views of Gromov's analytic network for addition mod p, all of whose frequencies are key."""
    from dataclasses import replace

    def make(modulus=13, width=600, seed=0):
        task, model = {"name": "modular_addition", "modulus": modulus}, {"name": "quadratic_mlp", "width": width}
        view = make_view(task=task, model=model, loss="mse")
        weights = view.model.analytic(view.task, torch.Generator().manual_seed(seed))
        for name, value in weights.items():
            view.parameters[name][0].copy_(value)
        return replace(view, keys=torch.ones(1, modulus // 2, dtype=torch.bool))

    return make


@pytest.fixture
def planted(make_view):
    """Return a maker of views whose logits are Σ_k α_k cos(ω_k(a + b − c)) for given {k: α_k}, keys k, plus `more`."""
    from dataclasses import replace

    def make(alphas, more=0.0, modulus=13, keys=None):
        apart = {"name": "mlp", "width": 16, "combine": "concat"}
        view = make_view(task={"name": "modular_addition", "modulus": modulus}, model=apart)
        chosen = torch.zeros(1, modulus // 2, dtype=torch.bool)
        chosen[0, [k - 1 for k in (keys or alphas)]] = True
        view = replace(view, keys=chosen)
        residues = torch.arange(modulus, dtype=torch.float64)
        a, b, c = residues[:, None, None], residues[:, None], residues
        table = sum(alpha * torch.cos(2 * math.pi * k * (a + b - c) / modulus) for k, alpha in alphas.items())
        table = (table + more).reshape(1, modulus**2, modulus)
        logits = torch.zeros(1, view.everything.targets.shape[1], modulus, dtype=torch.float64)
        logits[:, view.rows] = table
        view.__dict__["logits"] = logits
        return view

    return make


@pytest.fixture
def cosines():
    """Return a maker of embeddings (S, 2m) that hold the cosine and sine of each of m frequencies."""

    def make(symbols, frequencies):
        angles = 2 * math.pi * torch.arange(symbols, dtype=torch.float64)[:, None] * torch.tensor(frequencies) / symbols
        return torch.cat([angles.cos(), angles.sin()], dim=1)

    return make


@pytest.fixture
def value():
    """Return a function that takes one measure of a view of one run, as a float or a dict of its columns."""
    from grokcore.measures.base import measures, take

    def of(name, view):
        (row,) = take({name: measures()[name]}, view)
        return row[name] if list(row) == [name] else row

    return of
