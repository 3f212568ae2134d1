"""Toy cells for checking functions that take a cell: no learner's code in them, numbers done by hand.

They have the shape of every cell of `rnnlib`, so a check of `rnn_forward` or `scan` does not hang on
whether `elman_step` is right already.
"""

import numpy as np

__all__ = [
    "count_and_last",
    "fading_echo",
    "fast_and_slow_step",
    "fast_and_slow_step_backward",
    "leaky_step",
    "running_total",
    "two_part_step",
]


def running_total(state, x):
    """A step for `scan`: adds up, and puts out twice the sum so far."""
    return state + x, 2 * (state + x)


def leaky_step(params, x, state):
    """A cell with one state array (B, H): keeps a share `keep` of it and adds the input, D = H."""
    (h,) = state
    new = params["keep"] * h + x
    return (new,), (x, h)


def two_part_step(params, x, state):
    """A cell with two state arrays, as an LSTM has: a sum, and a count of the steps."""
    total, count = state
    return (np.tanh(total + x * params["keep"]), count + 1), (x, total, count)


def fading_echo(state, x):
    """A step for `scan` that depends on order: halves what it has and adds; puts out the input less the old state."""
    return 0.5 * state + x, x - state


def count_and_last(state, x):
    """A step for `scan` whose state is a tuple: how many inputs there were, and the last; puts out the change."""
    count, last = state
    return (count + 1, x), x - last


def fast_and_slow_step(params, x, state):
    """A cell with a state of two arrays that both carry gradient, with its backward step below."""
    fast, slow = state
    slow = 0.9 * slow + x @ params["W"]
    return (0.5 * fast + slow, slow), (x,)


def fast_and_slow_step_backward(params, dstate, cache):
    """Undo `fast_and_slow_step`: the slow part was used twice, by the fast one and by the next step."""
    d_fast, d_slow = dstate
    (x,) = cache
    d_both = d_fast + d_slow
    return d_both @ params["W"].T, (0.5 * d_fast, 0.9 * d_both), {"W": x.T @ d_both}
