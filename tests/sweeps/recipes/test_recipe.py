"""Recipes: each parses, runs, names what is open and costs less than it says; mistakes are answered in a sentence."""

import pytest

from benchmarks.recipes import estimate
from grokcore import RunConfig, train
from grokcore.errors import ConfigError
from grokcore.measures.base import columns_of, defined_measures
from sweeps.cli import options, recipes
from sweeps.cli.runs import _config_of
from sweeps.gallery.experiment import UNSAID, members
from sweeps.recipes.find import recipe_named, specification, with_runs
from sweeps.recipes.recipe import names, parse, recipe

TINY = ("gromov-analytic", "delay-law-sgd", "liu-phase-regression", "prieto-orthograd")


def cheapest(name):
    return recipe(name).quick or recipe(name).spec


def test_there_are_at_least_twenty_and_a_page_with_all_of_them():
    page = recipes.page()
    assert len(names()) >= 20
    assert all(f"\n## `{name}`\n" in page for name in names())


@pytest.mark.parametrize("name", names())
def test_a_recipe_says_all_that_a_reader_needs(name):
    found = recipe(name)
    assert found.claims
    assert all(len(choice) > 5 for choice in found.ours)
    assert found.link.startswith("https://")
    for spec in filter(None, (found.spec, found.quick)):
        for claim in found.claims:
            unknown = set(claim.question.where) - {*spec.whole_space.ends()[0].to_flat(), *UNSAID}
            assert not unknown, f"{name}: {claim.says} is asked where {unknown}"
    assert found.quick is None or found.quick_cost <= found.cost


@pytest.mark.parametrize("name", names())
def test_what_a_claim_asks_of_a_run_is_measured(name):
    for spec in filter(None, (recipe(name).spec, recipe(name).quick)):
        run = spec.whole_space.ends()[0]
        measured = columns_of(defined_measures(run.task, run.model, spec.measures), run.task, run.model)
        for claim in recipe(name).claims:
            fields = ("column", "beside", "first", "then")
            asked = {value for field in fields if (value := getattr(claim.question, field, None))}
            assert asked <= {"train_accuracy", "val_accuracy", "train_loss", "val_loss", *measured}, claim.says


@pytest.mark.parametrize("name", [name for name in names() if cheapest(name).runs < 500])
def test_every_side_of_a_claim_has_runs(name):
    """In the cheap form where there is one, since that is what most people run."""
    found = recipe(name)
    runs = [{**UNSAID, **config.to_flat()} for config in members(cheapest(name))]
    if found.donor:
        runs += [{**settings, "initialisation.name": "transferred"} for settings in runs]
    for claim in found.claims:
        sides = [
            getattr(claim.question, side) for side in ("slow", "fast", "one", "other") if hasattr(claim.question, side)
        ]
        for side in sides or [{}]:
            wanted = {**claim.question.where, **side}
            assert any(wanted.items() <= settings.items() for settings in map(hashable, runs)), (claim.says, wanted)


def hashable(settings):
    return {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}


@pytest.mark.parametrize("name", names())
def test_a_recipe_reads_back_equal_as_a_sweeps_specification(name, tmp_path):
    for spec in filter(None, (recipe(name).spec, recipe(name).quick)):
        (tmp_path / "spec.toml").write_text(spec.to_toml())
        assert specification(tmp_path / "spec.toml").to_dict() == spec.to_dict()


@pytest.mark.parametrize("name", TINY)
def test_a_recipe_can_be_trained(name):
    config = recipe(name).spec.whole_space.ends()[-1]
    (record,) = train([RunConfig.from_dict(config.to_dict() | {"steps": min(3, config.steps)})], measures="none")
    assert record.steps == min(3, config.steps)


@pytest.mark.parametrize("name", ["gromov-analytic", "merrill-parity", "power-no-structure"])
def test_a_recipe_costs_less_than_it_says(name):
    assert estimate(recipe(name).spec) < recipe(name).cost


def test_a_run_of_a_recipe_is_one_of_its_sweep():
    config, _ = _config_of(["nanda-twin"])
    assert config == recipe("nanda-twin").spec.whole_space.ends()[0]
    config, _ = _config_of(["sgd-map", "optimizer.rate=0.1", "optimizer.decay=1e-3", "seed=4"])
    assert (config.optimizer.rate, config.optimizer.decay, config.seed, config.steps) == (0.1, 1e-3, 4, 24000)
    config, _ = _config_of(["tveit-muon", "optimizer=muon"])
    assert config.optimizer.momentum == 0.95


def test_a_run_of_a_sweeps_file_is_one_of_its_sweep(spec, tmp_path):
    path = tmp_path / "spec.toml"
    path.write_text(spec.to_toml(), encoding="utf-8")
    first, *_ = spec.whole_space.ends()
    said = [f"{name}={value}" for name, value in first.to_flat().items() if name in spec.whole_space.dimensions]
    config, _ = _config_of([str(path), *said])
    assert config == first
    with pytest.raises(ConfigError, match=r"spec.toml varies .*: say which run is meant"):
        _config_of([str(path)])


def test_what_a_recipe_varies_must_be_said():
    with pytest.raises(ConfigError, match=r"varies optimizer\.rate, optimizer\.decay: .* grokmap sweep sgd-map"):
        _config_of(["sgd-map"])


def test_more_runs_than_a_grid_over_seeds_has_are_more_seeds():
    more = with_runs(recipe("nanda-twin").spec, 12)
    assert more.space["seed"].values == tuple(range(12))
    assert with_runs(recipe("prieto-orthograd").spec, 9).space["seed"].values == (0, 1, 2, 3, 4)
    assert with_runs(recipe("nanda-twin").spec, 2).space == recipe("nanda-twin").spec.space


def test_a_file_is_not_taken_for_a_recipe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert recipe_named("mine.toml") is None
    assert recipe_named("folder/mine") is None
    (tmp_path / "nanda-twin").write_text("")
    assert recipe_named("nanda-twin") is None


def test_mistakes_are_answered_in_a_sentence(grokmap):
    for words, sentence in (
        (("sweep", "nanda-twn"), "Did you mean 'nanda-twin'?"),
        (("recipes", "show", "pover-figure-1"), "Did you mean 'power-figure-1'?"),
        (("run", "nanda-twn"), "Did you mean 'nanda-twin'?"),
        (
            ("sweep", "sgd-map", "--budget", "1h"),
            "more than the budget of 3,600. Cheaper: grokmap sweep sgd-map --runs",
        ),
        (("sweep", "prieto-collapse", "--budget", "500"), "--quick ("),
        (("sweep", "widths-60", "--quick"), "has no cheap form"),
        (("sweep", "mine.toml", "--quick"), "--quick is for recipes"),
        (("sweep", "nanda-twin", "--budget", "soon"), "write core time as 90s, 30min or 2h"),
    ):
        code, _, said = grokmap(*words)
        assert code == 2
        assert sentence in said
        assert "Traceback" not in said


def test_recipes_are_listed_and_shown(grokmap):
    for words in (("recipes",), ("list", "recipes")):
        listed = grokmap(*words)[1]
        assert all(name in listed for name in names())
    shown = grokmap("recipes", "show", "merrill-parity")[1]
    assert shown == grokmap("list", "recipes", "merrill-parity")[1]
    for said in ("2303.11873", "two outputs", "100 %", "core-seconds", "[run.task]"):
        assert said in shown


def test_core_time_is_read():
    assert [options.core_seconds(text) for text in (None, "90", "90s", "1.5min", "2h")] == [None, 90, 90, 90, 7200]


GOOD = """
runs = 2
sampler = "grid"
[recipe]
paper = "p"
authors = "a"
year = 2022
link = "https://x"
figure = "f"
shows = "s"
ours = ["one"]
cost = 1.0
[run]
task = {name = "modular_addition", modulus = 7}
model = "mlp"
optimizer = "adamw"
fraction = 0.5
steps = 10
[space]
seed = [0, 1]
[rule]
budget = 10
ratio = 2.0
[[claims]]
says = "x"
published = "y"
source = "z"
question = { kind = "time", low = 1 }
"""


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('ours = ["one"]', "ours = []", "name the choices that the paper leaves open"),
        ('kind = "time"', 'kind = "tiem"', "Did you mean 'time'?"),
        ("low = 1 }", "low = 2, high = 1 }", "low must not be above high"),
        (", low = 1 }", "}", "give at least one of the two"),
        ("cost = 1.0", "", "recipe.cost is missing"),
        ("modulus = 7", "modulus = 1", "modulus"),
        ("[[claims]]", "[quick]\nruns = 1\n[[claims]]", "quick_cost"),
        ("runs = 2", "runs =", "is not a TOML file"),
    ],
)
def test_a_wrong_recipe_says_what_is_wrong(old, new, sentence):
    assert parse("good", GOOD).spec.name == "good"
    with pytest.raises(ConfigError, match="recipe wrong:") as error:
        parse("wrong", GOOD.replace(old, new))
    assert sentence in str(error.value)
