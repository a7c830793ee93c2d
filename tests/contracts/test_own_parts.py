"""Parts of one's own: a member of every family, one file each, in a folder of one's own, and nothing else touched.

The folder is tests/contracts/components; what it adds is held to what the package's own members are held to.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from grokcore import ConfigError, RunConfig, train
from grokcore.config import folders, registry
from grokcore.engine.cohort import Cohort
from grokcore.engine.kernels.autograd import AutogradKernel
from grokcore.losses.base import LOSSES
from grokcore.measures.base import MEASURES, measures
from grokcore.models.base import MODELS
from grokcore.tasks.base import TASKS
from sweeps import Choice, Range, RegimeRule, SweepSpec

FOLDER = Path(__file__).parent / "components"

RUN = {
    "task": {"name": "modular_maximum", "modulus": 9},
    "model": {"name": "bilinear", "width": 24},
    "loss": {"name": "logit_gap", "gap": 2.0},
    "optimizer": {"name": "signed", "rate": 0.01, "decay": 0.1},
    "transform": {"name": "clipped", "length": 0.05},
    "initialisation": "halved",
    "fraction": 0.6,
    "steps": 60,
}


@pytest.fixture
def own(monkeypatch):
    """Use the folder, for one test."""
    monkeypatch.setattr(folders, "_folders", [])
    folders.use_folder(FOLDER)


def three():
    changes = ((0.01, 2.0, 0.6), (0.02, 2.0, 0.61), (0.005, 2.0, 0.6))
    return [
        RunConfig.from_dict({**RUN, "optimizer.rate": rate, "transform.length": 0.05 + rate, "fraction": f, "seed": i})
        for i, (rate, _, f) in enumerate(changes)
    ]


@pytest.mark.usefixtures("own")
def test_a_run_of_ones_own_parts_trains_alone_together_and_after_a_pause_with_the_same_bits():
    runs = three()
    alone = {run.run_id: train([run], measures=["largest_weight", "activation_rank"])[0] for run in runs}
    cohort = Cohort(runs, measures=["largest_weight", "activation_rank"])
    assert isinstance(cohort.kernel, AutogradKernel)
    cohort.advance(seconds=0)
    cohort = Cohort.from_bytes(cohort.to_bytes(), runs, measures=["largest_weight", "activation_rank"])
    for record in cohort.advance():
        for name, values in record.columns.items():
            np.testing.assert_array_equal(values, alone[record.run_id].columns[name], err_msg=name)
    (record,) = train([RunConfig.from_dict({**RUN, "steps": 400, "loss": "cross_entropy"})], measures="none")
    assert record.final["train_accuracy"] == 1
    (record,) = train([RunConfig.from_dict({**RUN, "steps": 400})], measures=["largest_weight"])
    assert record.columns["train_loss"][-1] < 0.1 * record.columns["train_loss"][0]
    assert record.final["largest_weight"] > 0
    assert record.environment["components"]


@pytest.mark.usefixtures("own")
def test_every_part_does_something():
    plain = {
        "task": {"name": "modular_addition", "modulus": 9},
        "model": "mlp",
        "loss": "cross_entropy",
        "optimizer": "adamw",
        "transform": "none",
        "initialisation": "default",
    }
    base = train([RunConfig.from_dict(RUN)], measures="none")[0].final["train_loss"]
    for name, value in plain.items():
        other = train([RunConfig.from_dict({**RUN, name: value})], measures="none")[0].final["train_loss"]
        assert other != base, name


@pytest.mark.usefixtures("own")
def test_ones_own_gradient_is_the_derivative_of_its_values():
    loss = LOSSES.member("logit_gap")(gap=2.0)
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(2, 32, 5, dtype=torch.float64, generator=generator).requires_grad_()
    targets = torch.randint(5, (2, 32), generator=generator)
    weights = torch.rand(2, 32, dtype=torch.float64, generator=generator)
    (slope,) = torch.autograd.grad((loss.values(outputs, targets) * weights).sum(), outputs)
    torch.testing.assert_close(loss.gradient_(outputs.detach().clone(), targets, weights), slope)


@pytest.mark.usefixtures("own")
def test_a_configuration_with_ones_own_parts_reads_back_and_says_what_is_wrong():
    config = RunConfig.from_dict(RUN)
    assert RunConfig.from_dict(config.to_dict()) == config
    assert RunConfig.from_dict(config.to_flat()).run_id == config.run_id
    with pytest.raises(ConfigError) as caught:
        RunConfig.from_dict({**RUN, "model": "bilinaer", "loss": {"name": "logit_gap", "gap": -1}})
    said = str(caught.value)
    assert "unknown model 'bilinaer'. Did you mean 'bilinear'? Known: bilinear, decoder" in said
    assert "loss.gap = -1: input should be greater than 0" in said


@pytest.mark.usefixtures("own")
def test_a_sampler_of_ones_own_chooses_runs():
    spec = SweepSpec(
        name="corners",
        run={"task": {"name": "modular_maximum"}, "model": "bilinear", "optimizer": "signed", "steps": 20},
        space={
            "fraction": Range(low=0.3, high=0.8),
            "optimizer.rate": Range(low=0.001, high=0.1, log=True),
            "loss": Choice(values=("logit_gap", "cross_entropy")),
        },
        rule=RegimeRule(budget=20, ratio=5),
        runs=8,
        sampler="corners",
    )
    import optuna

    study = optuna.create_study(sampler=spec.built_sampler.build(spec.problem))
    distributions = spec.whole_space.distributions
    chosen = [study.ask(distributions).params for _ in range(8)]
    assert {params["fraction"] for params in chosen} == {0.3, 0.8}
    assert {spec.whole_space.config(params).loss for params in chosen} == {
        LOSSES.member("logit_gap")(),
        LOSSES.member("cross_entropy")(),
    }


def test_without_the_folder_nothing_of_it_is_known(monkeypatch):
    monkeypatch.setattr(folders, "_folders", [])
    assert "bilinear" not in MODELS.names
    assert "modular_maximum" not in TASKS.names
    assert "largest_weight" not in measures()
    with pytest.raises(ConfigError, match="unknown task 'modular_maximum'"):
        RunConfig.from_dict(RUN)


def test_members_of_installed_packages_are_found_by_their_entry_points(tmp_path, monkeypatch):
    site = tmp_path / "site"
    (site / "their_grok").mkdir(parents=True)
    (site / "their_grok" / "__init__.py").write_text("")
    (site / "their_grok" / "tasks.py").write_text((FOLDER / "tasks/modular_maximum.py").read_text())
    (site / "their_grok" / "norms.py").write_text((FOLDER / "measures/largest_weight.py").read_text())
    meta = site / "their_grok-1.0.dist-info"
    meta.mkdir()
    (meta / "METADATA").write_text("Metadata-Version: 2.1\nName: their-grok\nVersion: 1.0\n")
    (meta / "entry_points.txt").write_text(
        "[grokmap.tasks]\ntheir_maximum = their_grok.tasks:ModularMaximum\n"
        "[grokmap.measures]\nlargest_of_theirs = their_grok.norms\n"
    )
    monkeypatch.syspath_prepend(str(site))
    # Registries look installed packages up once in a process.
    tasks = registry.ComponentRegistry("grokcore.tasks", TASKS.base, "task")
    assert "their_maximum" in tasks.names
    task = tasks.member("their_maximum")(modulus=5)
    assert task.table.targets.max() == 4
    assert tasks.name_of(task) == "their_maximum"
    assert tasks.to_section(task)["name"] == "their_maximum"
    assert "largest_of_theirs" in registry.Registry("grokcore.measures", MEASURES.base, "measure").names


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("tasks/parity.py", "", "there is a task 'parity' already; rename the file"),
        ("tasks/broken.py", "import nothing_of_the_kind", "could not be imported"),
        ("tasks/empty.py", "x = 1", "should define exactly one subclass of Task, found none"),
    ],
)
def test_a_file_that_is_no_member_is_named(tmp_path, monkeypatch, name, text, said):
    monkeypatch.setattr(folders, "_folders", [])
    path = tmp_path / name
    path.parent.mkdir()
    path.write_text(text)
    folders.use_folder(tmp_path)
    with pytest.raises(ConfigError, match=said):
        TASKS.member(path.stem)


def test_a_folder_that_is_not_there_or_holds_nothing_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "_folders", [])
    with pytest.raises(ConfigError, match="there is no such folder"):
        folders.use_folder(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="holds no Python file"):
        folders.use_folder(tmp_path / "empty")
