"""Products by either library: right, the same in any company, and with what is not a number still in them."""

from __future__ import annotations

import itertools

import pytest
import torch

from grokcore.engine.cohort import Cohort
from grokcore.engine.kernels.autograd import AutogradKernel
from grokcore.errors import ConfigError
from grokcore.numerics import loops
from grokcore.numerics import matmul as matmul_module
from grokcore.numerics.matmul import matmul, matmul_into

LIBRARIES = ("mkl", "tiles")
SIZES = ((320, 200, 200), (96, 64, 97), (113, 388, 128), (32, 1, 5), (3, 600, 5), (7, 20, 49))
FORMS = {
    "one_hot": {"depth": 2, "inputs": "one_hot", "combine": "concat"},
    "embedding": {},
    "gelu": {"activation": "gelu"},
}
MODELS = [{"name": "mlp", "width": 24, **form} for form in FORMS.values()] + [
    {"name": "transformer", "width": 16, "heads": 4, "mlp_width": 24},
    {"name": "transformer", "width": 16, "heads": 4, "mlp_width": 24, "layers": 2, "norm": "post", "tied": True},
]


@pytest.fixture(params=LIBRARIES)
def library(request, monkeypatch):
    """Send every product to one library after the other."""
    monkeypatch.setenv(matmul_module.CHOICE, request.param)
    monkeypatch.setattr(loops, "loops_by", lambda: "compiled")
    matmul_module.matmul_library.cache_clear()
    assert matmul_module.matmul_library() == request.param
    yield request.param
    matmul_module.matmul_library.cache_clear()


def drawn(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def additions(n, m):
    return {"nothing": None, "full": drawn(3, n, m), "row": drawn(3, 1, m), "column": drawn(3, n, 1)}


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("addition", additions(1, 1))
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("turned", [*itertools.product((False, True), repeat=2)], ids=str)
def test_every_form_is_the_exact_product_to_rounding(size, addition, turned):
    n, w, m = size
    a = drawn(3, w, n).mT if turned[0] else drawn(3, n, w)
    b = drawn(3, m, w).mT if turned[1] else drawn(3, w, m)
    plus = additions(n, m)[addition]
    exact = a.double() @ b.double() + (0 if plus is None else plus.double())
    for k in (1, 3):
        added = None if plus is None else plus[:k]
        torch.testing.assert_close(matmul(a[:k], b[:k], added).double(), exact[:k], rtol=1e-4, atol=1e-4)
        strided = torch.zeros(k, n, m + 3)[:, :, :m]
        matmul_into(strided, a[:k], b[:k], added)
        torch.testing.assert_close(strided.double(), exact[:k], rtol=1e-4, atol=1e-4)
    total = exact.float()
    matmul_into(total, a, b, total)
    torch.testing.assert_close(total.double(), exact + (a.double() @ b.double()), rtol=1e-4, atol=1e-4)


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_no_bit_depends_on_company_or_address(size):
    n, w, m = size
    a, b, plus = drawn(n, w), drawn(w, m), drawn(n, m)
    alone = matmul(a[None], b[None], plus[None])[0].clone()
    for shift in range(1, 17):
        moved = []
        for matrix in (a, b, plus):
            place = torch.empty(matrix.numel() + shift)[shift:].view(matrix.shape)
            moved.append(place.copy_(matrix))
        stacked = matmul(*(torch.stack([torch.ones_like(x), x, -x]) for x in moved))
        assert torch.equal(stacked[1], alone)
        assert torch.equal(matmul(*(x[None] for x in moved))[0], alone)


@pytest.mark.usefixtures("library")
def test_what_is_not_a_number_stays():
    a, b = drawn(1, 64, 64), drawn(1, 64, 64)
    a[0, 3, 5] = torch.nan
    b[0, 5, 7] = torch.inf
    result = matmul(a, b, drawn(1, 64, 64))
    assert result[0, 3].isnan().all()
    assert not result[0, :3, 7].isfinite().any()
    assert result[0, 4:, 8:].isfinite().all()


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("model", MODELS, ids=lambda model: "-".join(map(str, model.values())))
@torch.no_grad()
def test_kernels_have_the_gradients_of_the_plain_form(make_config, model):
    configs = [make_config(model=model, seed=seed) for seed in range(3)]
    for members in (configs[:1], configs):
        cohort = Cohort(members)
        exact = Cohort([make_config(model=model, seed=seed, dtype="float64") for seed in range(len(members))])
        exact.flat.copy_(cohort.flat)
        cohort.kernel.gradients(cohort.parameters, cohort.stack.examples.training_set(), cohort.stack.gradients)
        AutogradKernel(exact.model, exact.task, exact.kernel.loss).gradients(
            exact.parameters, exact.stack.examples.training_set(), exact.stack.gradients
        )
        assert exact.stack.gradient.abs().max() > 1e-3
        torch.testing.assert_close(cohort.stack.gradient.double(), exact.stack.gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("model", MODELS, ids=lambda model: "-".join(map(str, model.values())))
def test_neighbours_change_no_bit(make_config, model):
    configs = [make_config(model=model, seed=seed) for seed in range(3)]
    alone, crowd = Cohort(configs[1:2]), Cohort(configs)
    alone.train_to(20)
    crowd.train_to(20)
    assert torch.equal(alone.flat[0], crowd.flat[1])


@pytest.mark.parametrize(
    ("capability", "vendor", "asked", "expected"),
    [
        ("AVX512", "AuthenticAMD", "", "tiles"),
        ("AVX512", "GenuineIntel", "", "mkl"),
        ("AVX2", "AuthenticAMD", "", "mkl"),
        ("AVX2", "GenuineIntel", "tiles", "tiles"),
        ("AVX512", "AuthenticAMD", "mkl", "mkl"),
    ],
)
def test_the_processor_decides_unless_somebody_does(monkeypatch, capability, vendor, asked, expected):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(matmul_module, "vendor", lambda: vendor)
    monkeypatch.setenv(matmul_module.CHOICE, asked)
    monkeypatch.setattr(loops, "loops_by", lambda: "compiled")
    matmul_module.matmul_library.cache_clear()
    try:
        assert matmul_module.matmul_library() == expected
    finally:
        matmul_module.matmul_library.cache_clear()


def test_a_library_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setenv(matmul_module.CHOICE, "openblas")
    matmul_module.matmul_library.cache_clear()
    with pytest.raises(ConfigError, match="by mkl or tiles; or unset it"):
        matmul_module.matmul_library()
    matmul_module.matmul_library.cache_clear()
