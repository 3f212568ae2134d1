"""Fold a step over a sequence: the one loop that every recurrent net is.

Chapter: 01-intuition
"""

from collections.abc import Callable, Iterable
from typing import TypeVar

__all__ = ["scan", "scan_chunks"]

S = TypeVar("S")
X = TypeVar("X")
Y = TypeVar("Y")


def scan(step: Callable[[S, X], tuple[S, Y]], state: S, xs: Iterable[X]) -> tuple[S, list[Y]]:
    """Carry a state along a sequence and collect what each step puts out.

        state, y_t = step(state, x_t)        for x_t in xs, in order

    Parameters
    ----------
    step   takes (state, x_t), returns (new state, output of this step).
    state  whatever `step` takes as its first argument; handed on untouched if `xs` is empty.
    xs     the inputs, first axis time: an array (T, ...) or any iterable.

    Returns
    -------
    (the state after the last step, a list of the T outputs)

    Examples
    --------
    >>> scan(lambda total, x: (total + x, total + x), 0, [1, 2, 3])
    (6, [1, 3, 6])

    Chapter: 01-intuition. Equation: scan.
    """
    outputs = []
    for x in xs:
        state, y = step(state, x)
        outputs.append(y)
    return state, outputs


def scan_chunks(step: Callable[[S, X], tuple[S, Y]], state: S, chunks: Iterable[Iterable[X]]) -> tuple[S, list[Y]]:
    """Read a sequence that arrives in pieces, and end where one pass over all of it ends.

        scan_chunks(step, s, [x, y, ...]) = scan(step, s, x followed by y followed by ...)

    Parameters
    ----------
    step    takes (state, x_t), returns (new state, output of this step).
    state   the state before the first input of the first chunk.
    chunks  any iterable of sequences, in order of time; a chunk may be empty, and each is read to its end
            before the next one is asked for.

    Returns
    -------
    (the state after the last input, one list of all outputs, as if the chunks had been one sequence)

    Chapter: 01-intuition. Equation: chunks.
    """
    outputs: list[Y] = []
    for chunk in chunks:
        state, ys = scan(step, state, chunk)
        outputs.extend(ys)
    return state, outputs
