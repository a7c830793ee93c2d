"""What figures say is held by their `info()`; that they draw at all, and in grey too, by their files."""

import dataclasses
import re

import numpy as np
import pandas as pd
import pytest

from analysis import RegimeMap, RegimeRule
from analysis.exports import paper
from analysis.figures import base, laws, marks, plane, profile, regime_map, run_curves, uncertainty
from grokcore.errors import ConfigError, DataError
from grokcore.records.regimes import REGIMES, Regime

RULE = RegimeRule(budget=3000, ratio=5.0)
CONFIG = {"task.name": "modular_addition", "task.modulus": 31, "model.name": "mlp", "fraction": 0.5, "steps": 1000}


def learned_at(train, val, last=1000):
    steps = np.array([0, 1, 3, 10, 30, 100, 300, last])
    columns = {"step": steps, "train_loss": 1.0, "val_loss": 2.0}
    columns |= {"train_accuracy": (steps >= train) * 1.0, "val_accuracy": (steps >= val) * 1.0}
    return pd.DataFrame(columns).assign(weight_norm=np.nan, effective_rank=steps * 1.0)


def lightness(colour):
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return 116 * (linear @ [0.2126, 0.7152, 0.0722]) ** (1 / 3) - 16


@pytest.fixture(scope="module")
def fitted(synthetic_runs):
    return RegimeMap.fit(
        synthetic_runs(64, 0).assign(outcome="finished"),
        axes={"fraction": "linear", "decay": "log", "rate": "log"},
        rule=RULE,
        seed=0,
    )


# Style ----------------------------------------------------------------------------------------------------------------


def test_regime_colours_keep_apart_in_grey_and_their_text_stays_readable():
    ground = [lightness(base.REGIME_COLOURS[regime]) for regime in REGIMES]
    assert np.all(np.diff(ground) > 15)
    for regime, ink in base.REGIME_INK.items():
        assert abs(lightness(ink) - lightness(base.REGIME_COLOURS[regime])) > 40


def test_an_unknown_style_is_answered_with_the_list():
    with pytest.raises(ConfigError, match=r"'papr'.*Did you mean 'paper'.*paper, screen"):
        base.style_named("papr")


def test_drawing_leaves_the_process_settings_alone():
    import matplotlib

    before = dict(matplotlib.rcParams)
    with base.drawing(base.STYLES["paper"]):
        assert matplotlib.rcParams["font.size"] == 7.5
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (3000, "3,000"), (0.05, "0.05"), (1e-5, "1e−5"), (2.5e-4, "0.00025"), (1.234567, "1.23")],
)
def test_numbers_are_written_as_a_reader_would(value, text):
    assert base.number(value) == text


# One run --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("train", "val", "regime", "says"),
    [
        (10, 300, Regime.GROKKING, "generalised 290 steps after it memorised, ×30"),
        (10, 30, Regime.COMPREHENSION, "generalised 20 steps after"),
        (10, 5000, Regime.MEMORIZATION, r"not reached 0.9 by step 1,000 \(censored\)"),
        (5000, 5000, Regime.CONFUSION, "training accuracy had not reached 0.9 by step 1,000"),
    ],
)
def test_a_run_is_told_with_its_milestones_and_its_censoring(train, val, regime, says):
    run = run_curves.info(learned_at(train, val), CONFIG, RegimeRule(budget=1000, ratio=5))
    assert run.regime is regime
    assert re.search(says, run.delay)
    assert run.title == "modular addition mod 31, MLP"
    assert run.details == "training fraction 0.5"


def test_a_run_shows_the_measures_it_has_and_no_step_zero():
    run = run_curves.info(learned_at(10, 300), CONFIG)
    assert run.measures == ("effective_rank",)
    assert run.curves["step"].min() == 1
    assert run.rule == RegimeRule(budget=1000, ratio=5.0)


def test_a_run_without_curves_says_which_are_missing():
    with pytest.raises(DataError, match="no column val_accuracy"):
        run_curves.info(learned_at(10, 300).drop(columns="val_accuracy"), CONFIG)
    with pytest.raises(DataError, match="ended before its first evaluation"):
        run_curves.info(learned_at(10, 300).iloc[:0], CONFIG)


@pytest.mark.parametrize("style", base.STYLES)
def test_a_run_is_drawn_with_one_panel_a_curve(tmp_path, style):
    look = base.style_named(style)
    figure = run_curves.draw(run_curves.info(learned_at(10, 300), CONFIG), look)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["accuracy", "loss", "effective rank"]
    assert figure.get_figwidth() == look.width
    assert all(axes.get_xscale() == "log" for axes in figure.axes)
    (path,) = base.save(figure, [tmp_path / "run.png"], look)
    assert path.stat().st_size > 10_000


# The map --------------------------------------------------------------------------------------------------------------


def test_every_run_stands_in_exactly_one_slice(fitted):
    figure = regime_map.info(fitted, resolution=21)
    assert len(figure.panels) == 3
    drawn = pd.concat([panel.runs for panel in figure.panels])
    assert sorted(drawn["run_id"]) == sorted(fitted.runs["run_id"])
    rates = [panel.at["optimizer.rate"] for panel in figure.panels]
    assert rates == sorted(rates)
    for panel in figure.panels:
        nearest = [min(rates, key=lambda cut: abs(np.log(cut / rate))) for rate in panel.runs["optimizer.rate"]]
        assert set(nearest) <= {panel.at["optimizer.rate"]}


def test_the_caption_names_rule_runs_slices_and_model(fitted):
    caption = regime_map.info(fitted, at={"rate": 0.005}, resolution=21).caption
    assert RULE.sentence() in caption
    assert "64 runs, 3 seeds" in caption
    assert "learning rate = 0.005" in caption
    assert fitted.weight_sentence in caption


def test_a_map_of_one_regime_says_that_it_has_no_boundary(known):
    frame = known.runs(32, 0).assign(t_mem=100, t_mem_event=True, t_gen=10_000, t_gen_event=False)
    what = regime_map.info(RegimeMap.fit(frame, known.scales(), rule=known.rule), resolution=21)
    assert "No boundary in this box." in what.caption
    assert "Lines" not in what.caption
    drawn = regime_map.draw(what)
    assert "boundary" not in [text.get_text() for text in drawn.legends[0].get_texts()]


def test_boundaries_are_those_of_neighbours_in_the_slice(fitted):
    figure = regime_map.info(fitted, "decay", "fraction", {"rate": 0.005}, resolution=31)
    assert (figure.x.short, figure.y.short) == ("decay", "fraction")
    (panel,) = figure.panels
    pairs = {(boundary.first, boundary.second) for boundary in panel.boundaries}
    assert ("memorization", "grokking") in pairs
    regimes = {str(REGIMES[index]) for index in np.unique(panel.cells.regime)}
    assert {name for pair in pairs for name in pair} <= regimes


def test_marks_tell_censored_unstable_and_lost_runs_apart():
    rows = [
        ("finished", True, "grokking", True),
        ("unstable", True, "comprehension", True),
        ("forgotten", True, "grokking", True),
        ("finished", True, "memorization", False),
        ("finished", True, "confusion", False),
        ("stopped", False, "memorization", False),
        ("finished", False, "grokking", True),
        ("diverged", True, "confusion", False),
        ("failed", False, "confusion", False),
    ]
    found = marks.mark_of(pd.DataFrame(rows, columns=["outcome", "known", "regime", "t_gen_event"]))
    assert list(found) == [*marks.MARKS, list(marks.MARKS)[-1]]
    looks = [(look["marker"], look["filled"]) for look in marks.MARKS.values()]
    assert len(set(looks)) == len(looks)


@pytest.mark.parametrize("width", ["80mm", "89mm", "165mm", "double"])
@pytest.mark.parametrize("kinds", range(1, len(marks.MARKS) + 1))
def test_a_legend_of_any_marks_lies_inside_the_figure(width, kinds):
    style = base.style_named("paper", width)
    with base.drawing(style):
        handles = marks.legend(set(list(marks.MARKS)[:kinds]), style, list(REGIMES))
        figure, _ = base.new_figure((style.width, 2))
        base.furnish(figure, base.Words(caption=""), style, handles, columns=3)
        figure.draw_without_rendering()
        (drawn,) = figure.legends
        assert drawn.get_window_extent().x1 <= figure.bbox.x1
        assert drawn.get_window_extent().y0 >= -1


def test_a_region_is_named_inside_it_and_off_the_runs():
    region = np.zeros((60, 60), dtype=bool)
    region[:, 30:] = True
    free = marks.label_place(region, np.zeros((0, 2)), (0.3, 0.05))
    assert free is not None
    assert free[0] - 0.15 >= 0.5 - 1 / 30
    crowd = np.column_stack([np.linspace(0.5, 1, 40), np.full(40, free[1])])
    moved = marks.label_place(region, crowd, (0.3, 0.05))
    assert moved is not None
    assert abs(moved[1] - free[1]) > 0.02
    assert marks.label_place(region, crowd, (0.7, 0.05)) is None


def test_colours_are_the_regimes_own_where_one_is_certain():
    from matplotlib.colors import to_rgb

    for index, regime in enumerate(REGIMES):
        np.testing.assert_allclose(regime_map.blend(np.eye(4)[index]), to_rgb(base.REGIME_COLOURS[regime]))


@pytest.mark.parametrize("style", base.STYLES)
def test_the_map_is_drawn_at_the_style_s_width(fitted, tmp_path, style):
    look = base.style_named(style)
    figure = regime_map.draw(regime_map.info(fitted, resolution=21), look)
    assert figure.get_figwidth() == look.wide
    single = regime_map.draw(regime_map.info(fitted, at={"rate": 0.005}, resolution=21), look)
    assert single.get_figwidth() == look.width
    assert len(base.save(single, [tmp_path / "map.svg", tmp_path / "map.pdf"], look)) == 2


def test_panels_stand_below_one_another_where_side_by_side_there_is_no_room(fitted):
    look = base.style_named("paper", "single")
    what = regime_map.info(fitted, resolution=9)
    for figure in (regime_map.draw(what, look), laws.draw(laws.info(fitted), look)):
        assert figure.get_figwidth() == base.COLUMNS["single"]
        panels = [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]
        assert len(panels) > 1
        assert {axes.get_subplotspec().colspan.start for axes in panels if axes.get_subplotspec()} == {0}


def test_the_uncertainty_of_several_slices_fits_one_column_of_a_page(fitted):
    figure = uncertainty.draw(regime_map.info(fitted, resolution=9), base.style_named("paper", "single"))
    places = [axes.get_subplotspec() for axes in figure.axes if axes.images]
    assert {(place.rowspan.start, place.colspan.start) for place in places if place} == {
        (row, column) for row in range(3) for column in range(2)
    }
    assert figure.get_figheight() < 8


@pytest.mark.parametrize("width", ["51mm", "single", "120mm", "305mm"])
def test_a_printed_figure_has_its_width_and_fits_a_page_with_its_caption(fitted, width):
    look = base.style_named("paper", width)
    what, survival = regime_map.info(fitted, resolution=9), laws.info(fitted)
    one = regime_map.info(fitted, at={"rate": 0.005}, resolution=9)
    four = dataclasses.replace(what, panels=(*what.panels, what.panels[0]), slices=1)
    drawn = [(regime_map.draw(some, look), f"{some.title}. {some.caption}") for some in (what, one, four)]
    drawn += [(uncertainty.draw(some, look), uncertainty.caption(some)) for some in (what, one, four)]
    for figure, caption in [*drawn, (laws.draw(survival, look), survival.caption)]:
        assert figure.get_figwidth() == look.wide
        assert paper.too_high("map", figure, caption) == ""


def test_a_figure_that_no_page_holds_is_said_with_what_to_do(fitted):
    what = regime_map.info(fitted, resolution=9)
    many = dataclasses.replace(what, panels=what.panels * 8)
    look = base.style_named("paper", "single")
    said = paper.too_high("map-uncertainty", uncertainty.draw(many, look), uncertainty.caption(many))
    assert re.fullmatch(r"map-uncertainty\.pdf is .* in high .* by --at, or give a larger --width\.", said)


def test_the_legend_names_the_regimes_that_are_there(fitted, known):
    named = marks.regimes_drawn([np.array([[0.95, 0.05, 0.0, 0.0]])], [pd.DataFrame({"regime": ["grokking"]})])
    assert named == [Regime.CONFUSION, Regime.GROKKING]
    drawn = regime_map.draw(regime_map.info(fitted, at={"rate": 0.005}, resolution=21))
    words = {text.get_text() for text in drawn.legends[0].get_texts()}
    assert {"memorization", "grokking"} <= words
    frame = known.runs(32, 0).assign(t_mem=100, t_mem_event=True, t_gen=10_000, t_gen_event=False)
    one = regime_map.draw(regime_map.info(RegimeMap.fit(frame, known.scales(), rule=known.rule), resolution=21))
    assert "confusion" not in {text.get_text() for text in one.legends[0].get_texts()}


def test_both_parts_of_the_uncertainty_are_drawn_on_one_scale(fitted):
    several = uncertainty.draw(regime_map.info(fitted, resolution=21))
    images = [image for axes in several.axes[:-1] for image in axes.images]
    assert len(images) == 6
    assert len({image.get_clim() for image in images}) == 1
    assert images[0].get_clim()[1] >= max(float(np.max(image.get_array())) for image in images)
    single = uncertainty.draw(regime_map.info(fitted, at={"rate": 0.005}, resolution=21))
    assert len([image for axes in single.axes[:-1] for image in axes.images]) == 2


def test_an_axis_with_zero_has_a_strip_for_it():
    from analysis.runs.axes import Axis

    axis = Axis(name="optimizer.decay", scale="log", low=0.01, high=10, zero=True)
    np.testing.assert_allclose(plane.position(axis, [0.01, 10, np.sqrt(0.1)]), [0, 1, 0.5])
    assert plane.ZERO_STRIP[0] < plane.position(axis, 0.0) < plane.ZERO_STRIP[1] < 0
    assert plane.value_at(axis, 1.0) == pytest.approx(10)
    major, _ = plane.ticks(axis, 5)
    assert major == [0.01, 0.1, 1, 10]


# One axis, and laws ---------------------------------------------------------------------------------------------------


def test_a_profile_has_the_map_s_probabilities(synthetic_runs):
    fitted = RegimeMap.fit(synthetic_runs(32, 1), axes={"decay": "log"}, rule=RULE, seed=0)
    shown = profile.info(fitted, resolution=31)
    np.testing.assert_allclose(shown.panels[0].probabilities.sum(1), 1)
    assert len(shown.panels[0].runs) == 32
    assert profile.draw(shown).axes[1].get_ylabel() == "probability"
    with pytest.raises(DataError, match="no plane to draw"):
        regime_map.info(fitted)


def test_survival_counts_every_run_once_an_axis_and_ends_at_those_that_never_did(fitted):
    survival = laws.info(fitted)
    for axis in survival.axes:
        assert sum(third.runs for third in axis.thirds) == 64
        for third in axis.thirds:
            assert third.curve["survival"].is_monotonic_decreasing
            assert 0 < third.mean.mean <= survival.horizon
    by_name = {axis.axis: axis for axis in survival.axes}
    low, _, high = by_name["fraction"].thirds
    assert low.mean.mean > high.mean.mean
    assert by_name["fraction"].test.p_value < 0.01
    assert len(laws.draw(survival).axes) == 3


def test_p_values_are_not_written_as_zero():
    assert laws.p_words(1e-9) == "p < 0.0001"
    assert laws.p_words(0.0312) == "p = 0.031"


def test_a_figure_is_laid_out_once_and_drawn_once_for_each_file(fitted, tmp_path, monkeypatch):
    figure = regime_map.draw(regime_map.info(fitted, resolution=9))
    drawn = []
    draw = type(figure).draw
    monkeypatch.setattr(type(figure), "draw", lambda self, renderer: (drawn.append(1), draw(self, renderer)))
    base.save(figure, [tmp_path / "map.png", tmp_path / "map.svg"], base.STYLES["screen"])
    assert len(drawn) == 3
