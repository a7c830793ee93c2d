"""A sweep is cited with what it used, and archived in one file that opens again with the same commands."""

import dataclasses
import hashlib
import re
import sys
import zipfile
from pathlib import Path

import optuna
import pandas as pd
import pytest
import yaml

from grokcore.errors import DataError, OutputError
from sweeps import cli
from sweeps.finished_runs.load import load
from sweeps.finished_runs.reproduce import reproduce
from sweeps.publishing import bibliography
from sweeps.publishing.archive import archive
from sweeps.publishing.methods import methods
from sweeps.recipes.recipe import names as recipe_names
from sweeps.recipes.recipe import recipe
from sweeps.spec.space import Choice
from sweeps.store.run_store import Asked, Store

ROOT = Path(__file__).parents[3]


@pytest.fixture
def sweep(spec, pretend, tmp_path):
    """Make a sweep's folder of records that nobody trained, in a folder with a blank in its name."""
    space = dict(spec.space) | {"transform": Choice(values=("none", "grokfast_ema"))}
    spec = dataclasses.replace(spec, space=space, measures="weight_norm")
    study = optuna.create_study(sampler=spec.built_sampler.build(spec.problem))
    with Store(spec, tmp_path / "my results") as store:
        for number in range(spec.runs):
            params = study.ask(spec.whole_space.distributions).params
            config = spec.whole_space.config(params)
            store.ask([Asked(number=number, params=params, run_id=config.run_id)])
            store.add([pretend(config)])
    return load("small", tmp_path / "my results")


NAMED = re.compile(r"arXiv(?:\.org/abs/|[\s:.]+)(\d{4}\.\d{4,5})", re.IGNORECASE)


def test_every_paper_that_is_named_anywhere_is_in_the_bibliography():
    known = bibliography.known()
    named = {}
    for top in ("grokcore", "sweeps", "analysis", "cluster", "benchmarks", "docs", "README.md", "pyproject.toml"):
        found = [ROOT / top, *(ROOT / top).rglob("*")]
        for path in found:
            if path.suffix in (".py", ".toml", ".md", ".ipynb", ".cff"):
                for number in NAMED.findall(path.read_text(encoding="utf-8")):
                    named[number] = path.relative_to(ROOT)
    assert len(named) > 25
    assert {number: path for number, path in named.items() if number not in known} == {}
    keys = [reference.key for reference in known.values()]
    assert len(set(keys)) == len(keys)


def test_a_recipe_names_the_authors_that_the_bibliography_has():
    for name in recipe_names():
        found = recipe(name)
        for number in NAMED.findall(found.link):
            authors = re.search(r"author = \{(.*)\}", bibliography.known()[number].bibtex)[1].split(" and ")
            surnames = ", ".join(author.partition(",")[0].replace("{\\i}", "ı") for author in authors)
            assert found.authors in (surnames, "often stated (for instance by Nanda et al.)"), name


def test_the_software_is_cited_as_its_own_file_says():
    own = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    entry = bibliography.software().bibtex
    assert own["title"] in entry
    assert own["authors"][0]["name"] in entry
    assert f"version = {{{own['version']}}}" in entry


def test_an_unknown_paper_is_given_by_its_number_alone():
    (one,) = bibliography.chosen(["9901.00001"])
    assert "eprint = {9901.00001}" in one.bibtex
    assert one.short == "arXiv 9901.00001"


def test_the_methods_say_what_was_used_and_cite_that_and_nothing_else(sweep):
    made = methods(sweep)
    text = made.text()
    assert "24 runs were made over fraction 0.3 to 0.9" in text
    assert sweep.rule.sentence() in text
    assert "The transform is grokfast_ema: amplifies the slow part" in text
    assert "Lee et al. 2024" in text
    assert text.count("modulus") == text.count("(modulus 7)") == 1
    keys = {reference.key for reference in made.references}
    assert {"grokmap", "power2022grokking", "liu2022towards", "loshchilov2017decoupled", "lee2024grokfast"} <= keys
    assert "merrill2023tale" not in keys
    cited = {key for keys in re.findall(r"\\cite\{([^}]*)\}", made.latex()) for key in keys.split(",")}
    assert cited == set(re.findall(r"^@\w+\{([^,]+),", made.bibtex(), re.MULTILINE)) == keys


def test_a_sweep_without_runs_has_nothing_to_cite_or_archive(spec, tmp_path):
    with Store(spec, tmp_path):
        pass
    empty = load("small", tmp_path)
    with pytest.raises(DataError, match="no finished run yet"):
        methods(empty)
    with pytest.raises(DataError, match="no finished run yet"):
        archive(empty, tmp_path / "small.zip")
    assert not (tmp_path / "small.zip").exists()


def test_an_archive_is_the_same_bytes_and_opens_again(sweep, tmp_path):
    first = archive(sweep, tmp_path / "a.zip")
    second = archive(sweep, tmp_path / "b.zip")
    assert first.read_bytes() == second.read_bytes()
    with zipfile.ZipFile(first) as file:
        assert file.testzip() is None
        assert all(name.startswith("small/") and ".." not in name for name in file.namelist())
        file.extractall(tmp_path / "elsewhere")
    folder = tmp_path / "elsewhere" / "small"
    for line in (folder / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    again = load(folder)
    assert again.spec == sweep.spec
    pd.testing.assert_frame_equal(again.runs, sweep.runs)
    pd.testing.assert_frame_equal(pd.read_parquet(folder / "curves.parquet"), sweep.curves, check_dtype=False)
    assert len(again.study.trials) == 24
    readme = (folder / "README.md").read_text()
    listed = set(re.findall(r"`([\w.]+)`", readme))
    assert {"spec.toml", "records.jsonl", "runs.parquet", "curves.parquet"} <= listed
    assert "checkpoints" not in {path.name for path in folder.iterdir()}


def test_an_archive_never_takes_the_place_of_what_it_holds(sweep):
    for name in ("records.jsonl", "spec.toml"):
        before = (sweep.folder / name).read_bytes()
        with pytest.raises(OutputError, match="is read, so it is not written over"):
            archive(sweep, sweep.folder / name)
        assert (sweep.folder / name).read_bytes() == before


def test_of_a_file_that_grows_the_whole_lines_are_kept(sweep, tmp_path):
    with (sweep.folder / "records.jsonl").open("ab") as file:
        file.write(b'{"run_id":"torn')
    archive(sweep, tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as file:
        lines = file.read("small/records.jsonl")
    assert lines.endswith(b"\n")
    assert len(lines.splitlines()) == 24


def test_an_archived_run_is_trained_again_to_the_same_bits(tmp_path, spec):
    import grokcore

    spec = dataclasses.replace(spec, runs=1)
    config = spec.whole_space.config({"fraction": 0.5, "optimizer.decay": 1.0, "optimizer.rate": 0.01, "seed": 0})
    with Store(spec, tmp_path) as store:
        store.add(grokcore.train([config]))
    archive(load("small", tmp_path), tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as file:
        file.extractall(tmp_path / "out")
    (found,) = reproduce(str(tmp_path / "out" / "small"), tmp_path / "none", 1)
    assert found.apart is None


def test_the_commands_print_and_write(sweep, tmp_path, monkeypatch, capsys):
    def typed(*words):
        monkeypatch.setattr(sys, "argv", ["grokmap", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert not ended.value.code
        return capsys.readouterr().out

    monkeypatch.chdir(tmp_path)
    assert "@misc{grokmap" in typed("cite", "small", "--results", "my results")
    printed = typed("cite", sweep.folder, "--out", "paper").split()
    assert [Path(name).name for name in printed] == ["methods.txt", "methods.tex", "references.bib"]
    assert "small.zip" in typed("archive", sweep.folder)
    assert zipfile.is_zipfile(tmp_path / "small.zip")
