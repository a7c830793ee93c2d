"""The forest of ratios: a row a method, a panel a problem, and what lies off the axis is an arrow at its edge."""

from analysis.figures import forest
from analysis.figures.base import style_named

ROWS = ["one", "two"]
SEEN = forest.Mark(2.0, 1.5, 3.0, True)
BEYOND = forest.Mark(0.001, 0.0, 0.002, False)


def marks(panel):
    """Yield (x, y, shape, filled) of every mark, apart from lines."""
    for line in panel.lines:
        if line.get_marker() not in ("None", ""):
            x, y = line.get_data()
            filled = line.get_markerfacecolor() != "white"
            yield float(x[0]), round(float(y[0]), 2), line.get_marker(), filled


def test_marks_stand_in_their_rows():
    figure = forest.draw(ROWS, {"a": {"one": [SEEN, BEYOND]}, "b": {"two": [SEEN]}}, style_named("screen"), "ratio")
    first, second = figure.axes
    assert [label.get_text() for label in first.get_yticklabels()] == ROWS
    assert list(marks(first)) == [(2.0, -0.18, "o", True), (1 / forest.WIDEST, 0.18, "<", False)]
    assert list(marks(second)) == [(2.0, 1.0, "o", True)]
    assert first.get_xlabel() == "ratio"
    assert (first.get_title("left"), second.get_title("left")) == ("a", "b")


def test_shifts_stand_in_their_rows():
    (panel,) = forest.draw_shifts({"one": SEEN, "two": BEYOND}, style_named("screen"), "shift").axes
    assert [label.get_text() for label in panel.get_yticklabels()] == ROWS
    assert list(marks(panel)) == [(2.0, 0.0, "o", True), (0.001, 1.0, "o", False)]
