"""One style for all figures: the same bytes each time, colors that can be told apart, nothing cut off."""

import io
import itertools

import matplotlib as mpl

mpl.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest

from course import figures
from course.figures import COLORS, Diagram, draw_cell, draw_compact, draw_patterns, draw_unrolled

DRAWINGS = {
    "compact": lambda: draw_compact().finish(),
    "unrolled": lambda: draw_unrolled(4).finish(),
    "gradients": lambda: draw_unrolled(6, losses=True, gradients=True, weights=False).finish(),
    "one to many": lambda: draw_unrolled(3, inputs=[1], start=False).finish(),
    "cell": lambda: draw_cell(gradients=True).finish(),
    "patterns": draw_patterns,
}


@pytest.fixture(autouse=True)
def _style():
    with mpl.rc_context():
        figures.use_style()
        yield
        plt.close("all")


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_drawing_is_the_same_bytes_each_time(name):
    """No date, no random id: an SVG only changes when the drawing does."""
    drawn = []
    for _ in range(2):
        out = io.BytesIO()
        DRAWINGS[name]().savefig(out, format="svg", metadata={"Date": None})
        drawn.append(out.getvalue())
    assert drawn[0] == drawn[1]
    assert b"<dc:date>" not in drawn[0]


@pytest.mark.parametrize("name", DRAWINGS)
def test_no_label_is_cut(name):
    """Every text of a drawing lies inside its figure."""
    figure = DRAWINGS[name]()
    figure.canvas.draw()
    paper = figure.bbox
    texts = [text for ax in figure.axes for text in ax.texts if text.get_text()]
    assert texts
    for text in texts:
        box = text.get_window_extent()
        assert paper.x0 <= box.x0 + 1, f"{text.get_text()!r} is cut at the left"
        assert box.x1 - 1 <= paper.x1, f"{text.get_text()!r} is cut at the right"
        assert paper.y0 <= box.y0 + 1, f"{text.get_text()!r} is cut below"
        assert box.y1 - 1 <= paper.y1, f"{text.get_text()!r} is cut above"


def test_roles_have_colors_that_can_be_told_apart():
    """No two roles share a color, not even nearly."""
    colors = np.array([mpl.colors.to_rgb(color) for color in COLORS.values()])
    assert min(np.abs(a - b).max() for a, b in itertools.combinations(colors, 2)) > 0.2


def test_an_unrolled_net_has_the_inputs_and_outputs_asked_for():
    """Inputs and outputs stand at the named steps and nowhere else."""
    labels = {text.get_text() for text in draw_unrolled(4, inputs=[1, 2], outputs=[4]).ax.texts}
    assert {"$x_1$", "$x_2$", "$y_4$", "$h_3$"} <= labels
    assert not {"$x_3$", "$x_4$", "$y_1$"} & labels


def test_gradients_are_dashed_and_red():
    """What flows back cannot be mistaken for what flows forward."""
    d = Diagram()
    d.gradient(d.box(2, 0, "b"), d.box(0, 0, "a"))
    (arrow,) = [patch for patch in d.ax.patches if isinstance(patch, mpl.patches.FancyArrowPatch)]
    assert mpl.colors.to_hex(arrow.get_edgecolor()).upper() == COLORS["gradient"]
    assert arrow.get_linestyle() not in ("-", "solid")
