"""Every cell on sequences of unequal length, for the checks of chapter 09; nothing but NumPy and `rnnlib` in here."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

__all__ = [
    "CELLS",
    "both_runs",
    "cell_of",
    "first_state",
    "new_net",
    "pack_and_run",
    "pad_and_learn",
    "walk_back",
    "weights",
]

# How many blocks of H columns a cell's weights have, and how many arrays its state.
CELLS = {
    "Elman": (1, 1),
    "Jordan": (1, 1),
    "LSTM": (4, 2),
    "GRU, reset before": (3, 1),
    "GRU, reset after": (3, 1),
}


def cell_of(kind: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The step and the backward step of a kind of cell."""
    from rnnlib import elman, gru, jordan, lstm

    steps: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
        "Elman": (elman.elman_step, elman.elman_step_backward),
        "Jordan": (jordan.jordan_step, jordan.jordan_step_backward),
        "LSTM": (lstm.lstm_step, lstm.lstm_step_backward),
        "GRU, reset before": (gru.gru_step, gru.gru_step_backward),
        "GRU, reset after": (partial(gru.gru_step, reset="after"), partial(gru.gru_step_backward, reset="after")),
    }
    return steps[kind]


def weights(rng: np.random.Generator, kind: str, inputs: int, hidden: int) -> dict[str, np.ndarray]:
    """Random weights of a cell, no bias zero; a Jordan cell puts out as many numbers as it has units."""
    wide = hidden * CELLS[kind][0]
    shapes: dict[str, tuple[int, ...]] = {"W_xh": (inputs, wide), "b_h": (wide,)}
    if kind == "Jordan":
        shapes |= {"W_yh": (hidden, hidden), "W_hy": (hidden, hidden), "b_y": (hidden,)}
    else:
        shapes |= {"W_hh": (hidden, wide)}
    if kind == "GRU, reset after":
        shapes |= {"b_hh": (hidden,)}
    return {name: rng.standard_normal(shape) / np.sqrt(shape[0]) for name, shape in shapes.items()}


def first_state(rng: np.random.Generator, kind: str, batch: int, hidden: int) -> tuple[np.ndarray, ...]:
    """A random state to begin with."""
    return tuple(rng.standard_normal((batch, hidden)) for _ in range(CELLS[kind][1]))


def new_net(
    rng: np.random.Generator, kind: str, both: bool, batch: int, inputs: int, outputs: int, hidden: int = 4
) -> tuple[dict[str, Any], Any]:
    """A cell, or one for each direction, with an output layer on top; and where it starts."""
    ways = range(1 + both)
    cells = tuple(weights(rng, kind, inputs, hidden) for _ in ways)
    starts = tuple(first_state(rng, kind, batch, hidden) for _ in ways)
    out = {"W_hy": rng.standard_normal((hidden * len(ways), outputs)), "b_y": rng.standard_normal(outputs)}
    return {"cell": cells if both else cells[0], "out": out}, starts if both else starts[0]


def walk_back(
    step_backward: Callable[..., Any], params: dict[str, np.ndarray], dhs: np.ndarray, dlast: Any, caches: list[Any]
) -> tuple[Any, ...]:
    """From the last step of a batch to the first, as chapter 8 walks an Elman cell, for any cell."""
    state, asked, dxs = tuple(dlast), {name: np.zeros_like(value) for name, value in params.items()}, []
    for t in range(len(caches) - 1, -1, -1):
        here, state, own = step_backward(params, (state[0] + dhs[t], *state[1:]), caches[t])
        dxs.append(here)
        for name, grad in own.items():
            asked[name] = asked[name] + grad
    return np.stack(dxs)[::-1], state, asked


def both_runs(kind: str, both: bool, lengths: np.ndarray) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """A cell's run and its way back, in one direction or in both, for sequences of these lengths."""
    from rnnlib.bidirectional import bidirectional, bidirectional_backward
    from rnnlib.sequence import rnn_forward

    step, step_backward = cell_of(kind)
    run, back = partial(rnn_forward, step), partial(walk_back, step_backward)
    if not both:
        return run, back
    return partial(bidirectional, run, lengths=lengths), partial(bidirectional_backward, back, lengths=lengths)


def pack_and_run(function: Callable[..., Any], kind: str, way: int, *args: Any) -> tuple[Any, ...]:
    """What `packed_forward` (way 0) or `packed_backward` (way 1) makes of a kind of cell, caches left out."""
    found = function(cell_of(kind)[way], *args)
    return tuple(found) if way else tuple(found)[:2]


def pad_and_learn(
    padded_loss: Callable[..., Any],
    kind: str,
    both: bool,
    net: Any,
    xs: np.ndarray,
    targets: np.ndarray,
    lengths: np.ndarray,
    state: Any,
) -> tuple[Any, ...]:
    """What `padded_loss` makes of a batch, with a kind of cell, in one direction or in both."""
    return tuple(padded_loss(*both_runs(kind, both, lengths), net, xs, targets, lengths, state))
