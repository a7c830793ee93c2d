"""Activation rank: that of the activations themselves, and of a layer with few live neurons."""

import numpy as np
import pytest


def test_it_agrees_with_singular_values(make_view, value):
    view = make_view()
    hidden = view.activations[0].numpy()
    sigma = np.linalg.svd(hidden - hidden.mean(0), compute_uv=False)
    shares = sigma[sigma > 1e-12] / sigma.sum()
    found = value("activation_rank", view)
    assert found["activation_rank"] == pytest.approx(np.exp(-(shares * np.log(shares)).sum()), rel=1e-5)
    assert found["activation_participation"] == pytest.approx((sigma**2).sum() ** 2 / (sigma**4).sum(), rel=1e-9)


def test_a_single_live_neuron_has_rank_one(make_view, value):
    view = make_view()
    view.parameters["weight_0"][0, :, 1:] = 0
    view.parameters["bias_0"][0] = 1
    assert value("activation_rank", view)["activation_rank"] == pytest.approx(1, abs=1e-4)
