"""The first two memories: an average that leaks, and a net of threshold units whose weights you set by hand.

Both are steps for `scan`: they take a state and an input, and return the next state and an output.

Chapter: 01-intuition
"""

from rnnlib.contracts import match_shapes, take
from rnnlib.types import Array, Params

__all__ = ["leaky_average_step", "threshold_step"]


def leaky_average_step(state: Array, x: Array, keep: float = 0.9) -> tuple[Array, Array]:
    """Keep a share of the state and fill up with the input: an average in which old inputs fade.

        m_t = keep m_{t-1} + (1 - keep) x_t

    Parameters
    ----------
    state  the average so far, an array shaped like x, or a number.
    x      this step's input.
    keep   the share that is kept, from 0 (only the newest input counts) to 1 (nothing is ever read).

    Returns
    -------
    (the new average, the same as output of the step)

    Raises
    ------
    ValueError  keep is not between 0 and 1.

    Chapter: 01-intuition. Equation: leaky-average. Source: Holt (1957).
    """
    if not 0 <= keep <= 1:
        raise ValueError(f"leaky_average_step: keep is {keep}, expected a number from 0 to 1")
    average = keep * state + (1 - keep) * x
    return average, average


def threshold_step(params: Params, state: Array, x: Array) -> tuple[Array, Array]:
    """One step of a net whose units are on (1) where their sum is above zero, and off (0) elsewhere.

        h_t = [W_xh x_t + W_hh h_{t-1} + b_h > 0],   y_t = [W_hy h_t + b_y > 0]

    Parameters
    ----------
    params  W_xh (D, H), W_hh (H, H), b_h (H,), W_hy (H, K), b_y (K,); W[i, j] leads from i to j.
    state   which units were on, (H,) or (..., H) for several sequences at once.
    x       this step's input, (D,) or (..., D).

    Returns
    -------
    (the new state, shaped like the old one; the output, (K,) or (..., K))

    Raises
    ------
    ValueError  a shape does not fit.

    Chapter: 01-intuition. Equation: threshold-net. Source: McCulloch and Pitts (1943).
    """
    W_xh, W_hh, b_h, W_hy, b_y = weights = take("threshold_step", params, "W_xh", "W_hh", "b_h", "W_hy", "b_y")
    spec = "x: ... D, state: ... H, W_xh: D H, W_hh: H H, b_h: H, W_hy: H K, b_y: K"
    match_shapes("threshold_step", spec, x, state, *weights)
    h = (x @ W_xh + state @ W_hh + b_h > 0).astype(x.dtype)
    return h, (h @ W_hy + b_y > 0).astype(x.dtype)
