"""Parts of one's own: a member of every family, one file each, in a folder of one's own, and nothing else touched.

The folder is tests/contracts/components; what it adds is held to what the package's own members are held to.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from analysis.exports.map import export_map
from grokcore import ConfigError, RunConfig, train
from grokcore.config import folders, registry
from grokcore.engine.cohort import Cohort
from grokcore.engine.kernels.autograd import AutogradKernel
from grokcore.errors import SweepExistsError
from grokcore.losses.base import LOSSES
from grokcore.measures.base import MEASURES, measures
from grokcore.models.base import MODELS
from grokcore.records.run_record import Outcome
from grokcore.tasks.base import TASKS
from sweeps import Choice, Range, RegimeRule, SweepSpec
from sweeps.finished_runs.reproduce import reproduce
from sweeps.stopping.base import judge_of, told
from sweeps.store.run_store import Asked, Store, read_records

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


@pytest.fixture
def own_spec(monkeypatch):
    """Return a function from a folder of components to a sweep of parts that only it has."""
    monkeypatch.setattr(folders, "_folders", [])

    def make(folder, **changes):
        fields = {
            "name": "owned",
            "run": {"task": {"name": "modular_maximum", "modulus": 5}, "model": "bilinear", "optimizer": "signed"}
            | {"loss": "logit_gap", "transform": "clipped", "initialisation": "halved", "steps": 20},
            "space": {"fraction": Range(low=0.3, high=0.8), "rate": Range(low=0.001, high=0.1, log=True)},
            "rule": RegimeRule(budget=20, ratio=5),
            "runs": 4,
            "sampler": "corners",
            "measures": "largest_weight",
        }
        return SweepSpec(**{**fields, "components": folder, **changes})

    yield make
    folders._use([])


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
    assert "unknown model 'bilinaer'. Did you mean 'bilinear'? Known: bilinear, bounded_sphere, decoder" in said
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


@pytest.mark.usefixtures("own")
def test_a_rule_of_stopping_of_ones_own_stops_runs():
    rule = RegimeRule(budget=60, ratio=5)
    records = Cohort(three(), judge=judge_of(told("halfway", {}, rule))).advance()
    late = [record for record in records if not record.milestone("val", 0.9).within(30)]
    assert late
    assert all((record.outcome, record.steps) == (Outcome.STOPPED, 30) for record in late)


@pytest.mark.usefixtures("own")
def test_a_figure_of_ones_own_is_drawn_with_the_map(tmp_path):
    rng = np.random.default_rng(0)
    fractions = rng.uniform(0.2, 0.9, 40)
    frame = pd.DataFrame({"fraction": fractions, "t_mem": 10, "t_mem_event": True})
    frame = frame.assign(t_gen=np.where(fractions > 0.5, 30, 100), t_gen_event=fractions > 0.5)
    paths = export_map(frame, tmp_path, RegimeRule(budget=100, ratio=5), axes={"fraction": "linear"})
    for suffix in ("png", "svg", "pdf"):
        assert paths[f"finished_{suffix}"].name == f"map-finished.{suffix}"
        assert paths[f"finished_{suffix}"].stat().st_size > 1000
    (tmp_path / "more" / "figures").mkdir(parents=True)
    (tmp_path / "more/figures/broken.py").write_text(
        "from analysis.figures.own import MapFigure\nclass Broken(MapFigure):\n"
        "    def draw(self, fitted, style):\n        return 1 / 0\n"
    )
    folders.use_folder(tmp_path / "more")
    with pytest.raises(ConfigError, match=r"figure 'broken' could not be drawn .ZeroDivisionError"):
        export_map(frame, tmp_path / "b", RegimeRule(budget=100, ratio=5), axes={"fraction": "linear"})
    assert (tmp_path / "b" / "map.html").exists()


def test_a_sweep_keeps_its_components_and_is_gone_on_with_and_read_without_the_folder(own_spec, tmp_path):
    folder = tmp_path / "my_parts"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "tasks" / "table.txt").write_text("numbers that a task may read")
    with Store(own_spec(folder), tmp_path) as store:
        params = {"fraction": 0.5, "optimizer.rate": 0.01}
        config = store.spec.whole_space.config(params)
        store.ask([Asked(number=0, params=params, run_id=config.run_id)])
        store.add(train([config], measures="none"))
        kept = store.path / "components"
    assert (kept / "tasks" / "table.txt").exists()
    shutil.rmtree(folder)
    with folders.folders_kept():
        folders._use([])
        again = SweepSpec.from_toml(store.path / "spec.toml")
        assert again.definition() == own_spec(kept).definition()
        assert again.to_toml() == own_spec(str(kept)).to_toml()
    with folders.folders_kept():
        folders._use([])
        (record,) = read_records(store.path)
        assert record.config.run_id == config.run_id
    with folders.folders_kept():
        folders._use([])
        (found,) = reproduce(record.run_id, tmp_path, 1)
        assert found.apart is None
        assert found.environment == {}


def test_a_sweep_whose_components_changed_is_refused_but_a_new_figure_is_not(own_spec, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (second / "figures" / "other.py").write_text((FOLDER / "figures/finished.py").read_text())
    with Store(own_spec(first), tmp_path) as store:
        store.ask([Asked(number=0, params={"fraction": 0.5, "optimizer.rate": 0.01}, run_id="0" * 16)])
    with Store(own_spec(second), tmp_path) as store:
        assert (store.path / "components" / "figures" / "other.py").exists()
    third = tmp_path / "third"
    shutil.copytree(second, third)
    (third / "tasks" / "another.py").write_text((FOLDER / "tasks/modular_maximum.py").read_text())
    with pytest.raises(SweepExistsError, match=r"components: .* → "):
        Store(own_spec(third), tmp_path)


def test_files_that_import_one_another_are_not_mixed_between_two_versions_of_a_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "_folders", [])
    text = (FOLDER / "tasks/modular_maximum.py").read_text()
    for name in ("one", "two"):
        (tmp_path / name / "tasks").mkdir(parents=True)
        (tmp_path / name / "shared_numbers.py").write_text(f"NUMBER = {len(name) + (name == 'two')}")
        (tmp_path / name / "tasks" / "numbered.py").write_text(f"import shared_numbers\n{text}")
    folders.use_folder(tmp_path / "one")
    TASKS.member("numbered")
    with pytest.raises(ConfigError, match=r"shared_numbers.py differ, and this process has imported"):
        folders.use_folder(tmp_path / "two")
    monkeypatch.delitem(sys.modules, "shared_numbers")
    with folders.folders_kept():
        folders.use_folder(tmp_path / "two")
        assert TASKS.member("numbered").__module__.startswith("grokmap_components.")
        assert sys.modules["shared_numbers"].NUMBER == 4
    monkeypatch.delitem(sys.modules, "shared_numbers")
    folders._use([])


def test_a_folder_that_changed_or_is_too_large_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "_folders", [])
    (tmp_path / "tasks").mkdir()
    path = tmp_path / "tasks" / "mine.py"
    path.write_text((FOLDER / "tasks/modular_maximum.py").read_text())
    folders.use_folder(tmp_path)
    path.write_text(path.read_text() + "\n")
    with pytest.raises(ConfigError, match="has changed since it was imported; start Python anew"):
        folders.use_folder(tmp_path)
    monkeypatch.setattr(folders, "LARGEST_FOLDER", 10)
    with pytest.raises(ConfigError, match="holds more than"):
        folders.use_folder(tmp_path)
    folders._use([])


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
