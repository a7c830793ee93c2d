"""The gallery: recipes are run once, kept, judged from what is kept, and a killed or damaged one costs only itself."""

import re
from dataclasses import replace

import numpy as np
import pytest

from grokcore import RunConfig
from grokcore.errors import ConfigError, DataError
from sweeps.cli import recipes as recipes_command
from sweeps.gallery import experiment as experiments
from sweeps.gallery import page
from sweeps.gallery.exhibit import chosen, exhibit, kept
from sweeps.gallery.experiment import conduct, is_of, load, members, save
from sweeps.recipes.recipe import names, parse, recipe

NAME = "gromov-analytic"


@pytest.fixture(scope="module")
def experiment():
    return conduct(recipe(NAME), quick=True)


def test_what_is_kept_reads_back_equal(experiment, tmp_path):
    read = load(save(tmp_path / "a.parquet", experiment))
    assert read.settings == experiment.settings
    assert read.curves.reset_index(drop=True).equals(experiment.curves)
    assert (read.recipe, read.quick, read.steps, read.command) == (
        NAME,
        True,
        experiment.steps,
        f"grokmap reproduce --published {NAME} --quick",
    )
    assert page.text([read]) == page.text([load(save(tmp_path / "b.parquet", read))])


def test_the_members_are_the_sweeps_points():
    ids = [config.run_id for config in members(recipe("prieto-orthograd").spec)]
    assert len(ids) == len(set(ids)) == 6
    assert len(members(recipe("liu-phase-rates").spec)) == 100


def test_a_kept_recipe_is_not_run_again_unless_it_changed(experiment, tmp_path, monkeypatch):
    save(tmp_path / f"{NAME}.parquet", experiment)
    monkeypatch.setattr("sweeps.gallery.exhibit._run", None)  # trying to run anything would fail
    (there,) = exhibit([recipe(NAME)], tmp_path, quick=True, again=False, slots=1)
    assert there.seconds == pytest.approx(experiment.seconds, abs=0.06)
    assert (tmp_path / f"{NAME}-1.png").stat().st_size > 1000
    assert not is_of(experiment, recipe(NAME), quick=False)
    assert not is_of(experiment, recipe("merrill-parity"), quick=True)


@pytest.mark.parametrize("change", [{"retire": False}, {"retire": 4.0}, {"measures": "light"}])
def test_a_recipe_whose_runs_are_followed_or_measured_otherwise_is_run_again(experiment, change):
    now = recipe(NAME)
    assert is_of(experiment, now, quick=True)
    assert not is_of(experiment, replace(now, quick=replace(now.quick, **change)), quick=True)


def test_a_page_says_claim_published_ours_and_verdict(experiment):
    (one,) = page.judged(experiment)
    assert one.row[2:] == ("1 (1 to 1)", "3", "agrees")
    text = page.text([experiment])
    for said in (one.claim.says, one.claim.published, "2301.02679", one.picture, experiment.command, "1 agrees"):
        assert said in text


def test_a_claim_that_differs_is_told_as_such(experiment, tmp_path):
    worse = load(save(tmp_path / "a.parquet", experiment))
    worse.curves["val_accuracy"] = np.float32(0.2) + worse.curves["val_accuracy"] * 0
    (one,) = page.judged(worse)
    assert one.row[4] == "differs"


@pytest.mark.parametrize("content", [b"", b"PAR1 nonsense", None])
def test_a_damaged_file_is_named(content, tmp_path):
    path = tmp_path / f"{NAME}.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=NAME):
        load(path)


def test_a_damaged_file_of_another_recipe_is_named_before_anything_runs(tmp_path, monkeypatch):
    monkeypatch.setattr("sweeps.gallery.exhibit._run", None)
    (tmp_path / "merrill-parity.parquet").write_bytes(b"PAR1 nonsense")
    with pytest.raises(DataError, match=r"merrill-parity.* remove it, to run its recipe again"):
        list(exhibit([recipe(NAME)], tmp_path, quick=True, again=False, slots=1))
    assert not (tmp_path / f"{NAME}.parquet").exists()


def test_recipes_are_chosen_by_name_cost_and_form():
    assert [one.name for one in chosen(["merrill-parity", NAME], quick=True, budget=None)] == [NAME, "merrill-parity"]
    assert {one.name for one in chosen([], quick=True, budget=None)} == {n for n in names() if recipe(n).quick}
    affordable = {one.name for one in chosen([], quick=False, budget=None)}
    assert NAME in affordable
    assert "transformer-map" not in affordable
    for named, quick, budget, sentence in (
        (["gromov-analitic"], False, None, "Did you mean 'gromov-analytic'"),
        (["widths-60"], True, None, "has no cheap form"),
        (["transformer-map"], False, 100.0, "more than the budget"),
        ([], True, 0.1, "no recipe is as cheap"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            chosen(named, quick=quick, budget=budget)


def test_the_command_prints_and_writes(experiment, tmp_path, grokmap):
    save(tmp_path / "here" / f"{NAME}.parquet", experiment) if (tmp_path / "here").mkdir() is None else None
    code, said, _ = grokmap("reproduce", "--published", NAME, "--quick", "--out", "here")
    assert code == 0
    for word in ("All pairs are right.", "published: 100 %", "ours: mean 1 (1 to 1), of 3 runs", "agrees", "index.md"):
        assert word in said
    assert [one.recipe for one in kept(tmp_path / "here")] == [NAME]
    assert re.search(r"\| agrees \|", (tmp_path / "here" / "index.md").read_text())


def test_options_of_one_form_are_refused_with_the_other(grokmap):
    for words, sentence in (
        (("reproduce", "abc", "--quick"), "go with --published"),
        (("reproduce",), "name one"),
        (("reproduce", "a", "b"), "2 runs or sweeps were named"),
        (("reproduce", "--published", "gromov"), "Did you mean"),
    ):
        code, _, said = grokmap(*words)
        assert code == 2
        assert sentence in said


def test_short_papers_are_cited():
    assert recipes_command.short(recipe("nanda-twin")) == "Nanda et al. 2023"


def test_a_recipe_that_grew_trains_only_what_is_new(experiment, monkeypatch):
    """And one that shrank nothing; what is taken over is bit for bit what was kept."""
    trained, real = [], experiments.train
    monkeypatch.setattr(
        experiments, "train", lambda configs, **more: trained.extend(c.seed for c in configs) or real(configs, **more)
    )
    seeds = dict(experiment.settings.items())
    gone = next(name for name, settings in seeds.items() if settings["seed"] == 1)
    part = replace(
        experiment,
        settings={name: settings for name, settings in seeds.items() if name != gone},
        curves=experiment.curves[experiment.curves["run_id"] != gone],
    )
    grown = conduct(recipe(NAME), quick=True, before=part)
    assert trained == [1]
    assert is_of(grown, recipe(NAME), quick=True)
    assert [one.row[2:] for one in page.judged(grown)] == [("1 (1 to 1)", "3", "agrees")]
    again = conduct(recipe(NAME), quick=True, before=grown)
    assert trained == [1]
    assert (again.settings, again.steps) == (grown.settings, experiment.steps)
    assert again.curves.equals(grown.curves)
    conduct(recipe(NAME), quick=True, before=replace(part, measures="light"))
    assert sorted(trained) == [0, 1, 1, 2]


TRANSFER = """
runs = 2
sampler = "grid"
measures = "none"
retire = false
[recipe]
paper = "p"
authors = "a"
year = 2025
link = "https://x"
figure = "f"
shows = "s"
ours = ["everything"]
cost = 1.0
[donor]
model = { width = 4 }
steps = 30
[run]
task = { name = "modular_addition", modulus = 7 }
model = { name = "mlp", width = 16 }
optimizer = { name = "adamw", rate = 1e-2 }
fraction = 0.5
steps = 5
[space]
seed = [0, 1]
[rule]
budget = 5
ratio = 2.0
[[claims]]
says = "x"
published = "y"
source = "z"
[claims.question]
kind = "ratio"
low = 1
slow = { "initialisation.name" = "default" }
fast = { "initialisation.name" = "transferred" }
"""


def test_each_run_of_a_recipe_with_a_donor_begins_with_a_smaller_ones_embedding_once_more(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = parse("transfer", TRANSFER)
    done = conduct(found, quick=False)
    begun = [settings for settings in done.settings.values() if settings["initialisation.name"] == "transferred"]
    assert sorted(settings["seed"] for settings in begun) == [0, 1]
    assert len(done.settings) == 4
    for settings in begun:
        donor = RunConfig.from_dict({**members(found.spec)[settings["seed"]].to_flat(), **found.donor})
        assert np.load(settings["initialisation.path"]).shape == (7, 4)
        assert settings["initialisation.path"].endswith(f"{donor.run_id}.npy")
        assert (donor.model.width, donor.steps, donor.seed) == (4, 30, settings["seed"])
    (claim,) = found.claims
    assert claim.question.find(done.runs).runs == 2
    assert is_of(load(save(tmp_path / "transfer.parquet", done)), found, quick=False)
    assert not is_of(done, parse("transfer", TRANSFER.replace("steps = 30", "steps = 40")), quick=False)
    assert not is_of(done, replace(found, donor={}), quick=False)
    assert not is_of(replace(done, settings=dict(list(done.settings.items())[:3])), found, quick=False)


def test_the_cheap_form_does_not_take_the_place_of_the_whole_one(experiment, tmp_path, monkeypatch):
    """Not even where all is run again: the whole form says more. Once the recipe has changed, it does."""
    whole = replace(experiment, quick=False)
    save(tmp_path / f"{NAME}.parquet", whole)
    monkeypatch.setattr("sweeps.gallery.exhibit._run", None)
    (there,) = exhibit([recipe(NAME)], tmp_path, quick=True, again=True, slots=1)
    assert not there.quick
    save(tmp_path / f"{NAME}.parquet", replace(whole, measures="light"))
    with pytest.raises(TypeError):
        list(exhibit([recipe(NAME)], tmp_path, quick=True, again=True, slots=1))


def test_runs_of_the_cheap_form_are_taken_into_the_whole_one(experiment, monkeypatch):
    trained, real = [], experiments.train
    monkeypatch.setattr(experiments, "train", lambda configs, **more: trained.extend(configs) or real(configs, **more))
    taken = conduct(recipe(NAME), quick=False, before=experiment)
    assert not trained  # the two forms of this recipe have the same runs
    assert not taken.quick
    assert taken.settings == experiment.settings
    assert is_of(taken, recipe(NAME), quick=False)
