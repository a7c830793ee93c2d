"""`grokmap list` says of every part what is true of it: its fields, their defaults and ranges, and where it lies."""

import json
import re
from pathlib import Path

import pytest

from grokcore.config import folders
from grokcore.config.reference import describe
from grokcore.errors import ConfigError
from sweeps.cli import listing

ROOT = Path(__file__).parents[3]
FAMILIES = dict(listing.families())
PARTS = [pytest.param(family, name, id=f"{family} {name}") for family, one in FAMILIES.items() for name in one.names]
GIVEN = {
    **{"modulus": 7, "group": "S3", "bits": 40, "factory": "a:b", "path": "a.npy"},
    **{"first": "grokfast_ema", "second": "orthograd"},
}
"""A value for each field that has no default."""


def test_every_family_is_found():
    kinds = {
        "tasks",
        "models",
        "losses",
        "optimizers",
        "transforms",
        "initialisations",
        "measures",
        "samplers",
        "stopping",
    }
    assert kinds <= FAMILIES.keys()
    assert len(PARTS) > 70


@pytest.mark.parametrize(("family", "name"), PARTS)
def test_a_part_says_what_it_is_where_it_is_and_what_each_field_means(family, name):
    entry = describe(FAMILIES[family], name)
    assert len(entry.summary) > 10
    assert (ROOT / entry.file).is_file()
    for field in entry.fields:
        assert field.meaning.endswith((".", "!")), f"{field.name} has no line of documentation"
        assert field.values
    assert "object at" not in "".join(entry.facts.values())


@pytest.mark.parametrize(("family", "name"), [part for part in PARTS if part.values[0] != "measures"])
def test_defaults_are_the_parts_own_and_ranges_are_kept(family, name):
    own, entry = FAMILIES[family], describe(FAMILIES[family], name)
    plain = {field.name: GIVEN[field.name] for field in entry.fields if not field.default}

    def build(**fields):
        complaints = []
        return own.from_section({"name": name, **plain, **fields}, family, complaints), complaints

    if name != "transferred":  # looks for its file
        written = {
            field.name: json.loads(field.default) for field in entry.fields if field.default not in ("", "nothing")
        }
        built, complaints = build()
        assert complaints == []
        assert build(**written)[0] == built
    for field in entry.fields:
        for sign, limit in re.findall(r"([≥>≤<]) ([\d.,]*\d)", field.values):
            number = float(limit.replace(",", ""))
            outside = {"≥": number - 1, ">": number, "≤": number + 1, "<": number}[sign]
            outside = int(outside) if "whole" in field.values else outside
            pair = [outside, outside] if field.values.startswith("2 of") else outside
            _, complaints = build(**{field.name: "" if "length" in field.values else pair})
            assert [line for line in complaints if field.name in line], f"{field.name} = {pair} is not refused"


def test_the_command_lists_families_members_and_fields(grokmap):
    code, printed, _ = grokmap("list")
    out = " ".join(printed.split())
    assert code == 0
    assert "optimizers adam, adamw, muon, sgd" in out
    code, printed, _ = grokmap("list", "optimizers")
    out = " ".join(printed.split())
    assert code == 0
    assert "Muon: orthogonalised momentum" in out
    code, printed, _ = grokmap("list", "tasks", "modular_addition")
    out = " ".join(printed.split())
    assert code == 0
    assert "(grokcore/tasks/modular_addition.py)" in out
    assert re.search(r"modulus \(must be given\) whole number ≥", out)


@pytest.mark.parametrize(
    ("words", "said"),
    [(["optimzers"], "Did you mean 'optimizers'?"), (["tasks", "pariti"], "Did you mean 'parity'?")],
)
def test_a_wrong_name_is_answered_with_the_nearest(grokmap, words, said):
    code, _, error = grokmap("list", *words)
    assert code == 2
    assert said in error


def test_parts_of_ones_own_are_listed_with_their_file(monkeypatch):
    monkeypatch.setattr(folders, "_folders", [])
    folder = ROOT / "tests/contracts/components"
    folders.use_folder(folder)
    entry = describe(FAMILIES["losses"], "logit_gap")
    assert entry.file == str(folder / "losses/logit_gap.py")
    assert [(field.name, field.default, field.values) for field in entry.fields] == [("gap", "3.0", "number > 0")]
    assert entry.fields[0].meaning == "How far the target's logit should stand out."


def test_the_command_lists_the_parts_of_a_folder(capsys):
    with folders.folders_kept():
        listing.list_("losses", "logit_gap", ROOT / "tests/contracts/components")
    assert "How far the target's logit should" in " ".join(capsys.readouterr().out.split())


def test_the_page_has_every_part_and_every_field():
    page = listing.page()
    for part in PARTS:
        family, name = part.values
        section = re.search(
            rf"^### `{name}`\n(.*?)(?=^##|\Z)", page.partition(f"## {family.capitalize()}")[2], re.M | re.S
        )
        for field in describe(FAMILIES[family], name).fields:
            assert f"| `{field.name}` |" in section.group(1)


def test_an_unknown_part_is_an_error_of_the_projects_own():
    with pytest.raises(ConfigError, match="unknown loss"):
        describe(FAMILIES["losses"], "no such")
