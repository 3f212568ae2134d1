"""One look for every figure: the Matplotlib style, the colors by role, and a small grammar for diagrams.

Style
-----
A chapter or notebook calls `use_style()` once, before its first figure. Colors are Okabe-Ito's and are asked for by
what they stand for, `COLORS["state"]`; lines without a role take the same colors in a fixed order. Images of numbers
use viridis, and `SIGNED` where zero is the middle. Figures are SVG, the same bytes on every run, on white paper that
the theme keeps in dark mode.

A figure in the book
--------------------
A code cell says in its own header what its figure shows; MyST-NB reads it there. `alt` is for a reader who cannot
see it (what is plotted, and what it shows), the caption is for everybody (what to look at), `name` is for references:

    ```{code-cell} ipython3
    ---
    mystnb:
      image:
        alt: Two curves of loss against step. The RNN's stays at 0.69, the LSTM's falls to 0.02.
      figure:
        caption: Only the gated cell learns. Look at where the curves part, near step 300.
        name: fig-06-loss
    tags: [hide-input]
    ---
    fig, ax = plt.subplots()
    ...
    ```

- ``{numref}`fig-06-loss` `` prints "Fig. 6.1" as a link. A name is unique in the whole book.
- The last expression of a cell is printed too: end with `;` or `plt.show()`, so that only the figure stands there.
- One figure for each such cell: a second one in the same cell would get the same caption and alt text.
- `width: 60%` under `image` narrows a figure. A cell without `figure:` still needs `image: {alt: ...}`; the check of
  the built site fails where an image has no alt text.

Diagrams
--------
Inputs below, outputs above, time to the right; states blue, gates orange, gradients dashed and red. A `Diagram` sizes
itself to what was drawn into it:

    d = Diagram()
    x, h = d.box(0, 0, "$x_t$", "input"), d.box(0, 1.5, "$h_t$", "state")
    d.arrow(x, h, "$W_{xh}$")
    d.gradient(h, x)
    d.finish()

`draw_cell`, `draw_compact`, `draw_unrolled` and `draw_patterns` are the drawings that several chapters share.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib as mpl
import matplotlib.pyplot as plt
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, Patch
from matplotlib.path import Path as Curve

__all__ = [
    "COLORS",
    "SIGNED",
    "Diagram",
    "Node",
    "draw_cell",
    "draw_compact",
    "draw_patterns",
    "draw_unrolled",
    "use_style",
]

# Okabe and Ito's palette, told apart by readers with any of the usual kinds of color vision.
COLORS = {
    "state": "#0072B2",
    "gate": "#E69F00",
    "output": "#009E73",
    "gradient": "#D55E00",
    "input": "#56B4E9",
    "loss": "#CC79A7",
    "memory": "#F0E442",
    "neutral": "#5F6672",
    "ink": "#1B1F27",
}
CYCLE = ("state", "gradient", "output", "gate", "loss", "input", "neutral")
SIGNED = "RdBu_r"
PAPER = "#FFFFFF"
UNIT = 0.72  # inches that one unit of a diagram measures

STYLE = {
    "figure.figsize": (6.4, 3.4),
    "figure.dpi": 100,
    "figure.facecolor": PAPER,
    "figure.constrained_layout.use": True,
    "savefig.facecolor": PAPER,
    "font.size": 11,
    "mathtext.fontset": "cm",
    "text.color": COLORS["ink"],
    "axes.facecolor": PAPER,
    "axes.edgecolor": COLORS["neutral"],
    "axes.labelcolor": COLORS["ink"],
    "axes.titlesize": 12,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.prop_cycle": cycler(color=[COLORS[role] for role in CYCLE]),
    "xtick.color": COLORS["neutral"],
    "ytick.color": COLORS["neutral"],
    "xtick.labelcolor": COLORS["ink"],
    "ytick.labelcolor": COLORS["ink"],
    "grid.color": "#E3E6EA",
    "grid.linewidth": 0.8,
    "lines.linewidth": 1.8,
    "legend.frameon": False,
    "image.cmap": "viridis",
    "svg.hashsalt": "rnn-course",  # ids inside an SVG are random without it
    "svg.fonttype": "path",  # letters as outlines: no reader needs our font
}


def use_style() -> None:
    """Set the course's style for every figure that follows, and SVG output where this runs in a notebook."""
    mpl.style.use(STYLE)
    try:
        from IPython import get_ipython
        from matplotlib_inline.backend_inline import set_matplotlib_formats
    except ImportError:
        return  # a plain script: nothing shows figures in cells
    if get_ipython() is not None:
        set_matplotlib_formats("svg", metadata={"Date": None})


Point = tuple[float, float]


@dataclass(frozen=True)
class Node:
    """A shape in a diagram: its middle, its size, and the patch that arrows stop at."""

    x: float
    y: float
    width: float
    height: float
    patch: Patch

    @property
    def top(self) -> Point:
        """The middle of the upper edge."""
        return self.x, self.y + self.height / 2

    @property
    def bottom(self) -> Point:
        """The middle of the lower edge."""
        return self.x, self.y - self.height / 2

    @property
    def left(self) -> Point:
        """The middle of the left edge."""
        return self.x - self.width / 2, self.y

    @property
    def right(self) -> Point:
        """The middle of the right edge."""
        return self.x + self.width / 2, self.y


class Diagram:
    """A drawing board in the book's visual grammar; call `finish()` when everything is on it.

    Parameters
    ----------
    ax     where to draw; a new figure if None.
    scale  inches per unit; smaller for a diagram with many steps.
    """

    def __init__(self, ax: Axes | None = None, scale: float = UNIT) -> None:
        self.own_figure = ax is None
        self.ax = plt.figure().add_axes((0.0, 0.0, 1.0, 1.0)) if ax is None else ax
        self.ax.set_axis_off()
        self.ax.set_aspect("equal")
        self.scale = scale
        self.extent: list[float] = []  # x0, y0, x1, y1 of everything drawn

    def box(self, x: float, y: float, text: str, role: str = "state", width: float = 0.95, height: float = 0.7) -> Node:
        """A rounded box around a quantity: an input, a state, an output, a gate."""
        patch = FancyBboxPatch(
            (x - width / 2, y - height / 2), width, height, boxstyle="round,pad=0,rounding_size=0.14", **_paint(role)
        )
        return self._add(Node(x, y, width, height, patch), text)

    def circle(self, x: float, y: float, text: str, role: str = "neutral", radius: float = 0.27) -> Node:
        """A circle around an operation on arrays, such as + or a product."""
        return self._add(Node(x, y, 2 * radius, 2 * radius, Circle((x, y), radius, **_paint(role))), text)

    def point(self, x: float, y: float) -> Node:
        """A dot where a line branches."""
        patch = Circle((x, y), 0.05, facecolor=COLORS["ink"], edgecolor="none", zorder=4)
        return self._add(Node(x, y, 0.1, 0.1, patch), "")

    def arrow(
        self,
        start: Node | Point,
        end: Node | Point,
        text: str = "",
        role: str = "ink",
        bend: float = 0.0,
        side: Literal["left", "right", "above", "below"] = "right",
        dashed: bool = False,
    ) -> None:
        """From one node (or point) to another; `bend` curves it, `side` is where its label stands."""
        (x0, y0), (x1, y1) = _middle(start), _middle(end)
        self.ax.add_patch(
            FancyArrowPatch(
                (x0, y0),
                (x1, y1),
                patchA=start.patch if isinstance(start, Node) else None,
                patchB=end.patch if isinstance(end, Node) else None,
                connectionstyle=f"arc3,rad={bend}",
                shrinkA=1.5,
                shrinkB=1.5,
                zorder=2,
                **_line(role, dashed),
            )
        )
        # The middle of a quadratic curve lies half as far out as its control point.
        x, y = (x0 + x1) / 2 + bend * (y1 - y0) / 2, (y0 + y1) / 2 - bend * (x1 - x0) / 2
        self.reach(x, y)
        if text:
            dx, dy = {"left": (-0.12, 0.0), "right": (0.12, 0.0), "above": (0.0, 0.1), "below": (0.0, -0.1)}[side]
            self.label(x + dx, y + dy, text, role, anchor=side)

    def gradient(
        self, start: Node | Point, end: Node | Point, text: str = "", bend: float = 0.35, side: str = "right"
    ) -> None:
        """Where a gradient flows: dashed, red, against the forward arrow and bent away from it."""
        self.arrow(start, end, text, "gradient", bend, side, dashed=True)  # type: ignore[arg-type]

    def loop(self, node: Node, text: str = "", role: str = "ink") -> None:
        """An arrow from a node back to itself, on its right: the value comes back one step later."""
        x, reach, dy = node.right[0], 0.85, node.height * 0.3
        path = Curve(
            [(x, node.y + dy), (x + reach, node.y + 3.2 * dy), (x + reach, node.y - 3.2 * dy), (x, node.y - dy)],
            [Curve.MOVETO, Curve.CURVE4, Curve.CURVE4, Curve.CURVE4],
        )
        self.ax.add_patch(FancyArrowPatch(path=path, shrinkA=0, shrinkB=1.5, zorder=2, **_line(role, False)))
        self.reach(x + reach, node.y)
        if text:
            self.label(x + reach * 0.75 + 0.12, node.y, text, role, anchor="right")

    def label(self, x: float, y: float, text: str, role: str = "ink", anchor: str = "center", size: float = 11) -> None:
        """Words beside a drawing; `anchor="right"` puts them to the right of the point."""
        horizontal = {"left": "right", "right": "left"}.get(anchor, "center")
        vertical = {"above": "bottom", "below": "top"}.get(anchor, "center")
        self.ax.text(x, y, text, color=COLORS[role], ha=horizontal, va=vertical, fontsize=size, zorder=5)
        self.reach(x, y)

    def frame(self, x0: float, y0: float, x1: float, y1: float, text: str = "", role: str = "neutral") -> None:
        """A pale field behind the parts of one cell, named in its upper left corner."""
        style = "round,pad=0,rounding_size=0.2"
        field = FancyBboxPatch((x0, y0), x1 - x0, y1 - y0, boxstyle=style, zorder=0, linewidth=1.0)
        field.set(facecolor=_mix(COLORS[role], 0.07), edgecolor=_mix(COLORS[role], 0.4))
        self.ax.add_patch(field)
        self.reach(x0, y0)
        self.reach(x1, y1)
        if text:
            self.label(x0 + 0.15, y1 - 0.24, text, role, anchor="right", size=10)

    def time_axis(self, x0: float, x1: float, y: float, text: str = "time") -> None:
        """A thin arrow to the right below everything, so that nobody has to guess."""
        self.arrow((x0, y), (x1, y), "", "neutral")
        self.label(x1 + 0.08, y, text, "neutral", anchor="right", size=10)

    def finish(self) -> Figure:
        """Set the limits to what was drawn and, on a figure of its own, the size; returns the figure."""
        x0, y0, x1, y1 = self.extent or [0.0, 0.0, 1.0, 1.0]
        margin = 0.2
        self.ax.set_xlim(x0 - margin, x1 + margin)
        self.ax.set_ylim(y0 - margin, y1 + margin)
        figure = self.ax.get_figure(root=True)
        assert figure is not None, "an axes that was removed from its figure cannot be finished"
        if self.own_figure:
            figure.set_layout_engine("none")
            figure.set_size_inches((x1 - x0 + 2 * margin) * self.scale, (y1 - y0 + 2 * margin) * self.scale)
        return figure

    def _add(self, node: Node, text: str) -> Node:
        self.ax.add_patch(node.patch)
        if text:
            self.ax.text(node.x, node.y, text, ha="center", va="center", fontsize=12.5, color=COLORS["ink"], zorder=5)
        self.reach(node.x - node.width / 2, node.y - node.height / 2)
        self.reach(node.x + node.width / 2, node.y + node.height / 2)
        return node

    def reach(self, x: float, y: float) -> None:
        """Make room for a point."""
        x0, y0, x1, y1 = self.extent or [x, y, x, y]
        self.extent = [min(x0, x), min(y0, y), max(x1, x), max(y1, y)]


def draw_compact(ax: Axes | None = None) -> Diagram:
    """The recurrent net as a graph with a cycle: input, state that feeds itself, output."""
    d = Diagram(ax)
    x, h, y = d.box(0, 0, "$x_t$", "input"), d.box(0, 1.5, "$h_t$", "state"), d.box(0, 3, "$y_t$", "output")
    d.arrow(x, h, "$W_{xh}$", side="left")
    d.arrow(h, y, "$W_{hy}$", side="left")
    d.loop(h, "$W_{hh}$, one step later")
    d.reach(3.1, 1.5)  # room for the words beside the loop
    return d


def draw_unrolled(
    steps: int = 4,
    inputs: Iterable[int] | None = None,
    outputs: Iterable[int] | None = None,
    ax: Axes | None = None,
    weights: bool = True,
    losses: bool = False,
    gradients: bool = False,
    start: bool = True,
) -> Diagram:
    """The same net with one copy for each step, weights shared by all.

    Parameters
    ----------
    steps      T, how many copies.
    inputs     at which steps (1 to T) an input comes in; all if None.
    outputs    at which steps an output is read; all if None.
    ax         where to draw; a new figure if None.
    weights    name the three weight matrices on the arrows of every step.
    losses     put a loss on top of every output.
    gradients  draw how the gradient flows back: down from each loss, and left from state to state.
    start      show the initial state, h_0.
    """
    every = range(1, steps + 1)
    reads, writes = set(inputs or every), set(outputs or every)
    d = Diagram(ax, scale=UNIT if steps <= 4 else 0.6)
    gap = 1.9
    before = d.box(0, 1.5, "$h_0$", "state") if start else None
    for t in every:
        x = gap * t
        state = d.box(x, 1.5, f"$h_{t}$", "state")
        if before is not None:
            d.arrow(before, state, "$W_{hh}$" if weights else "", side="above")
            if gradients:
                d.gradient(state, before, bend=-0.35)
        if t in reads:
            d.arrow(d.box(x, 0, f"$x_{t}$", "input"), state, "$W_{xh}$" if weights else "", side="right")
        if t in writes:
            _draw_output(d, state, t, weights, losses, gradients)
        before = state
    d.time_axis(gap * (1 - start) - 0.4 * start, gap * steps - 0.1, -0.75)
    return d


def _draw_output(d: Diagram, state: Node, t: int, weights: bool, losses: bool, gradients: bool) -> None:
    output = d.box(state.x, 3, f"$y_{t}$", "output")
    d.arrow(state, output, "$W_{hy}$" if weights else "", side="right")
    if losses:
        loss = d.circle(state.x, 4.2, f"$L_{t}$", "loss", radius=0.33)
        d.arrow(output, loss)
        if gradients:
            d.gradient(loss, output, bend=-0.5)
    if gradients:
        d.gradient(output, state, bend=-0.5)


PATTERNS: dict[str, dict[str, Any]] = {
    "one to many": {"inputs": [1]},
    "many to one": {"outputs": [4]},
    "many to many, aligned": {},
    "many to many, after reading": {"inputs": [1, 2], "outputs": [3, 4]},
}


def draw_patterns(patterns: Iterable[str] = tuple(PATTERNS)) -> Figure:
    """Side by side: which steps take an input and which give an output; names are keys of `PATTERNS`."""
    names = list(patterns)
    rows = (len(names) + 1) // 2
    figure, axes = plt.subplots(rows, 2, figsize=(7.6, 2.9 * rows), squeeze=False)
    for ax in axes.flat[len(names) :]:
        ax.set_axis_off()
    for ax, name in zip(axes.flat, names, strict=False):
        d = draw_unrolled(4, **PATTERNS[name], ax=ax, weights=False, start=False)
        for y in (0.0, 3.0):  # the same height for all, whatever is left out
            d.reach(1.9, y - 0.35)
            d.reach(1.9, y + 0.35)
        d.finish()
        ax.set_title(name)
    return figure


def draw_cell(ax: Axes | None = None, phi: str = r"$\tanh$", gradients: bool = False) -> Diagram:
    """Inside one step of an Elman cell: two products, a sum with the bias, a squashing function."""
    d = Diagram(ax)
    d.frame(1.15, 0.55, 6.05, 3.7, "one step")
    before, after = d.box(0, 2.1, "$h_{t-1}$", "state"), d.box(7.2, 2.1, "$h_t$", "state")
    x, by_input = d.box(3.5, -0.4, "$x_t$", "input"), d.box(3.5, 1.0, "$W_{xh}$", "neutral", height=0.55)
    by_state, bias = d.box(2.1, 2.1, "$W_{hh}$", "neutral"), d.box(3.5, 3.2, "$b_h$", "neutral", height=0.55)
    add, squash = d.circle(3.5, 2.1, "$+$"), d.box(5.1, 2.1, phi, "neutral")
    for start, end in ((before, by_state), (by_state, add), (x, by_input), (by_input, add), (bias, add)):
        d.arrow(start, end)
    d.arrow(add, squash, "$a_t$", side="above")
    d.arrow(squash, after)
    if gradients:
        path = ((after, squash), (squash, add), (add, by_state), (by_state, before), (add, by_input), (by_input, x))
        for start, end in path:
            d.gradient(start, end, bend=-0.4)
    return d


def _middle(place: Node | Point) -> Point:
    return (place.x, place.y) if isinstance(place, Node) else place


def _paint(role: str) -> dict[str, Any]:
    return {"facecolor": _mix(COLORS[role], 0.22), "edgecolor": COLORS[role], "linewidth": 1.6, "zorder": 3}


def _line(role: str, dashed: bool) -> dict[str, Any]:
    style = (0, (4, 2.5)) if dashed else "solid"
    return {"arrowstyle": "-|>", "mutation_scale": 12, "color": COLORS[role], "linewidth": 1.5, "linestyle": style}


def _mix(color: str, share: float) -> tuple[float, float, float]:
    """A color thinned with white; opaque, so that what lies behind does not show through."""
    red, green, blue = (1 - share + share * channel for channel in mpl.colors.to_rgb(color))
    return red, green, blue
