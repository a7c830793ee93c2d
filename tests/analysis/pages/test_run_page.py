"""The page of a run: whole, self-contained, and honest about what is missing."""

import base64
import functools
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from analysis.figures import base, run_inspection
from analysis.pages.run_page import write_run_page
from grokcore import RunConfig, train
from grokcore.inspection.inspection import inspection
from grokcore.records.weight_snapshots import SnapshotFolder

RUNS = {
    "residues": ({"name": "modular_addition", "modulus": 11}, {"name": "mlp", "width": 16}),
    "layers": (
        {"name": "group_composition", "group": "S3"},
        {"name": "transformer", "width": 8, "heads": 2, "mlp_width": 12, "layers": 2, "norm": "post"},
    ),
    "bits": (
        {"name": "parity", "bits": 6, "relevant": 2, "samples": 60},
        {"name": "mlp", "width": 16, "depth": 2, "inputs": "real", "combine": "concat"},
    ),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return a maker of the record and the inspection of one of the runs, each made once."""

    @functools.cache
    def make(kind):
        folder = tmp_path_factory.mktemp(kind)
        task, model = RUNS[kind]
        optimizer = {"name": "adamw", "rate": 1e-2, "decay": 0.5}
        values = {"task": task, "model": model, "optimizer": optimizer, "fraction": 0.6, "steps": 60}
        (record,) = train([RunConfig.from_dict(values)], on_snapshot=SnapshotFolder(folder))
        return record, inspection(folder, record)

    return make


class Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.links, self.text = [], []

    def handle_starttag(self, _tag, attrs):
        self.links += [value for name, value in attrs if name in ("src", "href", "srcset")]

    def handle_data(self, data):
        self.text.append(data)


def read(path):
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    return reader


@pytest.mark.parametrize("kind", RUNS)
def test_the_page_carries_everything_and_asks_nobody(trained, tmp_path, kind):
    record, inside = trained(kind)
    paths = write_run_page(record, inside, tmp_path, skipped={"rqi": "no line <here>"})
    assert {path.suffix for path in paths.values()} == {".png", ".svg", ".pdf", ".html"}
    page = read(paths["html"])
    assert page.links
    assert all(link.startswith("data:") for link in page.links)
    text = " ".join(page.text)
    for words in (record.run_id, str(record.regime), "weight norm", "no line <here>", "grokmap run --keep-weights"):
        assert words in text
    assert "nan" not in re.findall(r"\b\w+\b", text.lower())


def test_without_weights_there_are_curves_and_a_note(trained, tmp_path):
    record, _ = trained("residues")
    paths = write_run_page(record, None, tmp_path, notes=["Only the curves are shown: none kept."])
    assert "Only the curves are shown" in " ".join(read(paths["html"]).text)
    assert paths["png"].stat().st_size > 10_000


@pytest.mark.parametrize("style", base.STYLES)
def test_the_same_run_gives_the_same_figure(trained, tmp_path, style):
    record, inside = trained("residues")
    paths = [tmp_path / name for name in ("a.png", "b.png")]
    for path in paths:
        figure = run_inspection.draw(run_inspection.info(record, inside), base.STYLES[style])
        base.save(figure, [path], base.STYLES[style])
    assert paths[0].read_bytes() == paths[1].read_bytes()


def panels(inside, record):
    figure = run_inspection.draw(run_inspection.info(record, inside))
    return {axis.get_title(loc="left").split("$  ")[-1]: axis for axis in figure.axes}


def test_functions_of_bits_show_their_degrees_and_what_each_bit_matters(trained):
    record, inside = trained("bits")
    found = panels(inside, record)
    influence = found["influence of each bit"]
    heights = [bar.get_height() for bar in influence.patches]
    assert heights == pytest.approx([*inside.influences[0], *inside.influences[1]])
    assert "share of the function in each degree" in found
    assert not any("before" in title for title in found), "two symbols span no plane"


def test_parts_are_drawn_layer_by_layer_as_shares_of_the_whole_damage(trained):
    record, inside = trained("layers")
    heads = panels(inside, record)["share of the damage: heads, layer by layer"]
    heights = np.array([bar.get_height() for bar in heads.patches]).reshape(2, 4)
    before, after = inside.damage["head"]
    np.testing.assert_allclose(heights, [before / before.sum(), after / after.sum()])
    assert [label.get_text() for label in heads.get_xticklabels()] == ["1", "2", "1", "2"]


def test_measures_that_do_not_move_have_no_panel(trained):
    record, inside = trained("bits")
    shown = run_inspection.info(record, inside).shown
    assert "effective_rank" not in shown
    assert "mean_degree" in shown


def test_the_figure_on_the_page_needs_no_fonts(trained, tmp_path):
    paths = write_run_page(*trained("residues"), tmp_path, style="paper")
    (figure,) = (link for link in read(paths["html"]).links if link.startswith("data:image/svg"))
    drawn = base64.b64decode(figure.partition(",")[2]).decode()
    assert "<text" not in drawn
    assert "<text" in paths["svg"].read_text(encoding="utf-8"), "the file beside it can be searched and edited"
