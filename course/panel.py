"""A training run to look at while it runs: a bar, and a panel of five curves in one figure.

`rnnlib.training.fit` calls its `report` after every step. Both of these are such reports:

    panel = Panel(watch=saturation, live=20)         # redrawn every 20 steps; live=0: only when `draw()` is called
    with progress(200, "training") as bar:
        run = fit(new_run(params, rng), loss_and_grads, 200, rates, report=together(bar, panel))
    panel.draw()

`draw_panels({"as it should be": panel, "rate too high": other})` puts several runs side by side, a column for each.
"""

import html
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from course.figures import COLORS

__all__ = ["Panel", "draw_panels", "progress", "together"]

Report = Callable[[dict[str, Any], dict[str, Any]], None]
WINDOW = 20  # steps over which the share of clipped gradients is taken
DEPTH = 1e-5  # what is a smaller share of a row's largest value than this is not told from nothing
ROWS = (  # what is drawn: key, label, role, logarithmic
    ("loss", "loss", "loss", True),
    ("norm", "gradient\nlength", "gradient", True),
    ("clipped", "share\nclipped", "gate", False),
    ("saturation", "gates\nsaturated", "state", False),
    ("ratio", "update /\nweights", "output", True),
)


class Panel:
    """Collects the numbers of each step, and draws them.

    Parameters
    ----------
    watch  takes parameters, returns the share of saturated gates; None for a net without gates.
    live   redraw after so many steps, where this runs in a notebook; 0 for never.
    every  ask `watch` after so many steps.
    """

    def __init__(self, watch: Callable[[dict[str, Any]], float] | None = None, live: int = 0, every: int = 10) -> None:
        self.watch, self.live, self.every = watch, live, every
        self.numbers: dict[str, list[float]] = {key: [] for key, *_ in ROWS}
        self.steps: list[int] = []
        self._shown: Any = None

    def __call__(self, run: dict[str, Any], numbers: dict[str, Any]) -> None:
        """Take in one step, as `fit` reports it."""
        step = int(run["step"])
        self.steps.append(step)
        for key in ("loss", "norm", "clipped", "ratio"):
            self.numbers[key].append(float(numbers[key]))
        asked = self.watch is not None and (step == 1 or step % self.every == 0)
        self.numbers["saturation"].append(self.watch(run["params"]) if asked and self.watch else float("nan"))
        if self.live and step % self.live == 0:
            self._show()

    def curve(self, key: str) -> tuple[np.ndarray, np.ndarray]:
        """Steps and values of one row, as they are drawn."""
        steps, values = np.array(self.steps), np.array(self.numbers[key])
        if key == "clipped":
            values = np.array([values[max(0, i + 1 - WINDOW) : i + 1].mean() for i in range(len(values))])
        there = np.isfinite(values)
        return steps[there], values[there]

    def draw(self) -> Figure:
        """The panel of this run as it stands."""
        return draw_panels({"": self})

    def _show(self) -> None:
        from IPython import get_ipython
        from IPython.display import display

        if get_ipython() is None:
            return
        figure = self.draw()
        plt.close(figure)  # or it would be shown once more when the cell ends
        if self._shown is None:
            self._shown = display(figure, display_id=True)
        else:
            self._shown.update(figure)


def draw_panels(panels: Mapping[str, Panel], mark: Mapping[str, str] | None = None) -> Figure:
    """Several runs in one figure: a column for each, a row for each number, the same axes along a row.

    `mark` names for a run the row that gives it away; its field is tinted.
    """
    rows = [
        row for row in ROWS if row[0] != "saturation" or any(p.curve("saturation")[0].size for p in panels.values())
    ]
    size = (max(4.8, 2.35 * len(panels)), 1.15 * len(rows) + 0.6)
    figure, axes = plt.subplots(len(rows), len(panels), figsize=size, sharex="col", sharey="row", squeeze=False)
    for j, (name, panel) in enumerate(panels.items()):
        axes[0, j].set_title(name, fontsize=11)
        axes[-1, j].set_xlabel("step")
        for i, (key, label, role, logarithmic) in enumerate(rows):
            ax = axes[i, j]
            ax.plot(*panel.curve(key), color=COLORS[role], linewidth=1.2)
            if mark and mark.get(name) == key:
                ax.set_facecolor("#FFF4DC")
            if logarithmic:
                ax.set_yscale("log")
            else:
                ax.set_ylim(-0.05, 1.05)
            if j == 0:
                ax.set_ylabel(label, fontsize=9)
            ax.tick_params(labelsize=8)
    for ax, (_, _, _, logarithmic) in zip(axes[:, 0], rows, strict=True):
        if logarithmic:  # the rate of the last step may be 0, and so the step
            low, high = ax.get_ylim()
            ax.set_ylim(bottom=max(low, high * DEPTH))
    figure.align_ylabels(axes[:, 0])
    return figure


def together(*reports: Report) -> Report:
    """One report that hands each step to all of them, in order."""

    def report(run: dict[str, Any], numbers: dict[str, Any]) -> None:
        for one in reports:
            one(run, numbers)

    return report


@contextmanager
def progress(steps: int, text: str = "training") -> Iterator[Report]:
    """A bar that moves with the steps that `fit` reports: in the notebook if there is one, in the terminal else."""
    from IPython import get_ipython

    if get_ipython() is None:
        from rich.progress import Progress

        with Progress(transient=True) as bar:
            task = bar.add_task(text, total=steps)
            yield lambda run, numbers: bar.update(task, completed=run["step"], description=_words(text, run, numbers))
        return
    from IPython.display import HTML, display

    shown = display(HTML(_bar(0, steps, text)), display_id=True)

    def report(run: dict[str, Any], numbers: dict[str, Any]) -> None:
        step = int(run["step"])
        if step == steps or step % max(1, steps // 100) == 0:
            shown.update(HTML(_bar(step, steps, _words(text, run, numbers))))

    yield report


def _words(text: str, run: dict[str, Any], numbers: dict[str, Any]) -> str:
    return f"{text}: step {run['step']}, loss {numbers['loss']:.3f}"


def _bar(step: int, steps: int, text: str) -> str:
    return f'<progress value="{step}" max="{steps}" style="width: 50%"></progress> {html.escape(text)}'
