"""What an output may know: which inputs reach it, and what it would be if the future had not come yet.

Chapter: 08-bidirectional
"""

from collections.abc import Callable

import numpy as np

from rnnlib.contracts import match_shapes
from rnnlib.types import Array

__all__ = ["can_see", "stream_outputs"]

Read = Callable[[Array], Array]


def can_see(read: Read, xs: Array) -> Array:
    """Which inputs change which outputs, found by trying.

        sees[t, s] = does read(xs)[t] change if xs[s] does?

    Parameters
    ----------
    read  a net from inputs (T, B, D) to outputs (T, B, W), such as
          `lambda xs: bidirectional(run, params, xs, states)[0]`.
    xs    the inputs at which to try, (T, B, D), floats; not changed.

    Returns
    -------
    booleans (T, T), a row for each output step: True where adding 1 to all of an input changes any number of
    that output. A net that cannot see ahead has nothing above the diagonal.

    Raises
    ------
    ValueError  xs is not (T, B, D), or there is not one output for each step.

    Chapter: 08-bidirectional. Equation: can-see.
    """
    before = read(xs)
    T = match_shapes("can_see", "xs: T B D, outputs: T B W", xs, before)["T"]
    sees = np.zeros((T, T), dtype=bool)
    for s in range(T):
        nudged = xs.copy()
        nudged[s] += 1
        sees[:, s] = (read(nudged) != before).any(axis=(1, 2))
    return sees


def stream_outputs(read: Read, xs: Array) -> Array:
    """The output for the newest input, as often as a new one arrives: what a net puts out without its future.

        stream_outputs(read, xs)[t] = the last row of read(xs[: t + 1])

    Parameters
    ----------
    read  a net from inputs (T, B, D) to outputs (T, B, W), for any T.
    xs    inputs, (T, B, D), T at least 1.

    Returns
    -------
    (T, B, W), the same as read(xs) if and only if no output depends on a later input.

    Raises
    ------
    ValueError  xs is not (T, B, D), or has no step.

    Chapter: 08-bidirectional. Equation: stream-outputs.
    """
    if match_shapes("stream_outputs", "xs: T B D", xs)["T"] == 0:
        raise ValueError(f"stream_outputs: xs has shape {xs.shape}, expected at least one step (T >= 1)")
    return np.stack([read(xs[: t + 1])[-1] for t in range(len(xs))])
