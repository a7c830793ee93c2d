"""Walsh spectrum: parities have one degree, a linear function the first, a conjunction a known mixture."""

import math

import pytest

from grokcore.views import bits as bits_of
from grokcore.views.bits import influences, weights


@pytest.fixture
def of_bits(make_view, monkeypatch):
    """Return a maker of views of networks whose difference of logits is a given function of strings."""

    def make(function, bits):
        view = make_view(task={"name": "parity", "bits": bits, "samples": 64, "relevant": 2})

        monkeypatch.setattr(bits_of, "function", lambda _view, strings: function(strings.double()).unsqueeze(0))
        return view

    return make


def parity(k):
    return lambda x: (1 - 2 * x[..., :k]).prod(-1)


@pytest.mark.parametrize("bits", [8, 12])
@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_a_parity_of_k_bits_has_all_its_weight_at_degree_k(of_bits, value, bits, k):
    found = value("walsh_spectrum", of_bits(parity(k), bits))
    shares = [found[f"degree_{d}_share"] for d in range(1, 5)]
    assert shares == pytest.approx([float(d == k) for d in range(1, 5)], abs=1e-9)
    assert found["high_degree_share"] == pytest.approx(float(k > 1), abs=1e-9)
    assert found["mean_degree"] == pytest.approx(k, abs=1e-9)


def test_of_forty_bits_the_weights_are_those_of_a_sample(of_bits):
    for k in (1, 2, 3):
        view = of_bits(parity(k), 40)
        shares = weights(view)[0]
        errors = [4 * math.sqrt(2 * math.comb(40, d)) / 4096 for d in range(1, 4)]
        expected = [float(d == k) for d in range(1, 4)]
        assert all(abs(a - b) < e for a, b, e in zip(shares.tolist(), expected, errors, strict=False))
        assert influences(view)[0].tolist() == pytest.approx([1.0] * k + [0.0] * (40 - k), abs=1e-2)


def test_a_conjunction_of_three_bits_has_the_binomial_mixture(of_bits, value):
    # All seven coefficients of a conjunction of three bits are alike but for their sign: 3, 3 and 1 of each degree.
    found = value("walsh_spectrum", of_bits(lambda x: x[..., :3].prod(-1), 9))
    assert [found[f"degree_{d}_share"] for d in range(1, 5)] == pytest.approx([3 / 7, 3 / 7, 1 / 7, 0], abs=1e-9)
    assert found["mean_degree"] == pytest.approx(12 / 7)


def test_a_random_network_is_nearly_linear_and_few_bits_have_few_degrees(make_view, value):
    model = {"name": "mlp", "width": 64, "inputs": "real", "combine": "concat"}
    view = make_view(task={"name": "parity", "bits": 3, "samples": 8, "relevant": 2}, model=model)
    found = value("walsh_spectrum", view)
    assert list(found) == ["degree_1_share", "degree_2_share", "degree_3_share", "high_degree_share", "mean_degree"]
    assert found["degree_1_share"] > 0.7
    shares = [found[f"degree_{d}_share"] for d in (1, 2, 3)]
    assert sum(shares) == pytest.approx(1)
    assert found["mean_degree"] == pytest.approx(sum(d * share for d, share in enumerate(shares, start=1)))
