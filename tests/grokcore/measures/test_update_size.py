"""Update size: what the next step really does."""

import pytest
import torch

from grokcore.engine.cohort import Cohort
from grokcore.engine.devices.named import device_named


@pytest.mark.parametrize("optimizer", [{"name": "adamw", "decay": 1.0}, {"name": "sgd", "rate": 0.1}])
@pytest.mark.parametrize("transform", ["none", "grokfast_ema"])
def test_it_is_the_distance_of_the_next_step(make_config, value, optimizer, transform):
    cohort = Cohort([make_config(optimizer=optimizer, transform={"name": transform}, dtype="float64")])
    with device_named("cpu").computing(), torch.no_grad():
        cohort.train_to(7)
        before = cohort.flat.clone()
        expected = value("update_size", cohort.view())
        assert torch.equal(cohort.flat, before), "looking is not moving"
        cohort.train_to(8)
    assert expected == pytest.approx(float((cohort.flat - before).norm()), rel=1e-9)
