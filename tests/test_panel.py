"""The panel of a training run draws what `fit` reported, and the bar moves with it."""

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest

from course.panel import Panel, draw_panels, progress, together
from rnnlib.optimizers import sgd
from rnnlib.runs import new_run
from rnnlib.training import fit


def _fitted(report, steps=30, max_norm=1.0):
    def loss_and_grads(params, rng):
        return float((params["w"] ** 2).sum() / 2), params

    return fit(new_run({"w": np.array([3.0, 4.0])}, np.random.default_rng(0)), loss_and_grads, steps,
               lambda step: 0.1, sgd, max_norm, report=report)  # fmt: skip


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def test_a_panel_holds_what_was_reported():
    """Loss, length, cut and ratio of each step are those of plain descent on a bowl, computed again here."""
    panel = Panel()
    _fitted(panel)
    w, losses, norms, ratios = np.array([3.0, 4.0]), [], [], []
    for _ in range(30):
        norm = float(np.linalg.norm(w))
        new = w - 0.1 * w / max(1.0, norm)
        losses.append(norm**2 / 2)
        norms.append(norm)
        ratios.append(np.linalg.norm(new - w) / norm)
        w = new
    assert panel.steps == list(range(1, 31))
    for key, want in (("loss", losses), ("norm", norms), ("ratio", ratios)):
        assert np.allclose(panel.curve(key)[1], want, rtol=1e-12), key
    assert panel.numbers["clipped"] == [float(norm > 1) for norm in norms]


def test_the_share_that_was_cut_is_taken_over_the_last_twenty_steps():
    """Cut at each of the first 5 of 30 steps: the share is 1, falls from 5/6 on, and is 0 after step 25."""
    panel = Panel()
    for step in range(1, 31):
        panel({"step": step, "params": {}}, {"loss": 1.0, "norm": 1.0, "clipped": step <= 5, "ratio": 0.1})
    _, shares = panel.curve("clipped")
    assert shares[4] == 1
    assert shares[5] == pytest.approx(5 / 6)
    assert shares[19] == pytest.approx(5 / 20)
    assert shares[23] == pytest.approx(1 / 20)
    assert shares[24:].max() == 0


def test_gates_are_looked_at_now_and_then():
    """`watch` is asked for the first step and every tenth, and its row is drawn only where there is one."""
    asked = []
    with_gates, without = Panel(watch=lambda params: asked.append(params) or 0.25), Panel()
    _fitted(together(with_gates, without))
    assert with_gates.curve("saturation")[0].tolist() == [1, 10, 20, 30]
    assert set(with_gates.curve("saturation")[1]) == {0.25}
    assert len(asked) == 4
    assert [len(draw_panels({"run": p}).axes) for p in (with_gates, without)] == [5, 4]


def test_several_runs_are_drawn_side_by_side_and_the_telling_row_is_tinted():
    """A column for each run with its curves in it; one field has another color than the paper."""
    panels = {"cut": Panel(), "not cut": Panel()}
    _fitted(panels["cut"])
    _fitted(panels["not cut"], max_norm=np.inf)
    figure = draw_panels(panels, {"not cut": "norm"})
    axes = np.array(figure.axes).reshape(4, 2)
    assert [ax.get_title() for ax in axes[0]] == ["cut", "not cut"]
    for j, panel in enumerate(panels.values()):
        for i, key in enumerate(("loss", "norm", "clipped", "ratio")):
            assert np.array_equal(axes[i, j].lines[0].get_ydata(), panel.curve(key)[1])
    tinted = [[ax.get_facecolor() != axes[0, 0].get_facecolor() for ax in row] for row in axes]
    assert tinted == [[False, False], [False, True], [False, False], [False, False]]


def test_a_step_of_nothing_does_not_stretch_the_axis():
    """A ratio of 0 at the last step leaves a logarithmic row with at most five decades."""
    panel = Panel()
    for step in range(1, 11):
        ratio = 0.01 if step < 10 else 1e-30
        panel({"step": step, "params": {}}, {"loss": 1.0, "norm": 1.0, "clipped": False, "ratio": ratio})
    low, high = panel.draw().axes[-1].get_ylim()
    assert high / low <= 1.0001e5


def test_the_bar_ends_where_the_training_ends(capsys):
    """In a terminal the bar is rich's; every step is handed on, in order, and the run comes back."""
    seen = []
    with progress(30, "a bowl") as bar:
        run = _fitted(together(bar, lambda run, numbers: seen.append(run["step"])))
    assert seen == list(range(1, 31))
    assert run["step"] == 30


def test_a_live_panel_outside_a_notebook_draws_nothing():
    """`live` needs a notebook; elsewhere the numbers are still collected and no figure is left open."""
    panel = Panel(live=5)
    _fitted(panel)
    assert len(panel.steps) == 30
    assert not plt.get_fignums()
