"""Linear probe: reads the answer off a network that has it, and not off one that has not."""

import torch

from grokcore.measures.linear_probe import Ridge


def test_the_probe_is_the_ridge_regression_it_says():
    generator = torch.Generator().manual_seed(0)
    x, w = (torch.randn(2, n, 4, generator=generator, dtype=torch.float64) for n in (100, 3))
    targets = x @ w.mT + 2
    targets[:, 50:] = 0
    counts = (torch.arange(100) < 50).double().expand(2, -1)
    torch.testing.assert_close(Ridge(x, targets, counts)(x)[:, :50], targets[:, :50], atol=2e-3, rtol=0)


def test_the_answer_is_linear_in_gromovs_hidden_layer_and_not_in_a_random_one(analytic, make_view, value):
    solved = value("linear_probe", analytic(width=300))
    assert solved["probe_accuracy"] == 1
    assert solved["probe_best_r2"] > 0.95
    random = value("linear_probe", make_view(model={"name": "mlp", "width": 32, "combine": "concat"}))
    assert random["probe_accuracy"] < 0.4
    assert random["probe_best_r2"] < 0.5
