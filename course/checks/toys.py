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
    "flat_floor",
    "leaky_step",
    "pool_sum",
    "pool_sum_back",
    "product_and_waves",
    "read_both_ways",
    "read_neighbors",
    "read_one_thread",
    "read_so_far",
    "read_to_come",
    "rising_rate",
    "run_fast_and_slow",
    "run_fast_and_slow_back",
    "run_leaky",
    "run_leaky_back",
    "run_two_part",
    "running_total",
    "speak_from_table",
    "spoils_its_input",
    "squares",
    "straight_line",
    "sum_of_cubes",
    "table_language",
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


# --- whole sequences, as directions of `bidirectional` and layers of `stacked` take them


def run_leaky(params, xs, state):
    """A `run` without squashing: h_t = keep * h_{t-1} + x_t W, with `keep` (H,) and `W` (D, H)."""
    (h,), hs, caches = state, [], []
    for x in xs:
        caches.append((x, h))
        h = params["keep"] * h + x @ params["W"]
        hs.append(h)
    return np.array(hs), (h,), caches


def run_leaky_back(params, dhs, dstate, caches):
    """The way back of `run_leaky`: gradients of the inputs, of the first state, of `keep` and `W`."""
    (sent,), d_keep, d_W = dstate, 0, 0
    dxs: list[np.ndarray] = []
    for dh, (x, h) in zip(dhs[::-1], caches[::-1], strict=True):
        whole = dh + sent
        dxs.insert(0, whole @ params["W"].T)
        d_keep, d_W = d_keep + (whole * h).sum(axis=0), d_W + x.T @ whole
        sent = params["keep"] * whole
    return np.array(dxs), (sent,), {"keep": d_keep, "W": d_W}


def run_fast_and_slow(params, xs, state):
    """A `run` whose state has two arrays that both carry gradient: `fast_and_slow_step` at every step."""
    hs, caches = [], []
    for x in xs:
        state, kept = fast_and_slow_step(params, x, state)
        hs.append(state[0])
        caches.append(kept)
    return np.array(hs), state, caches


def run_fast_and_slow_back(params, dhs, dstate, caches):
    """The way back of `run_fast_and_slow`: gradients of the inputs, of the first state, of `W`."""
    (d_fast, d_slow), d_W = dstate, 0
    dxs: list[np.ndarray] = []
    for dh, kept in zip(dhs[::-1], caches[::-1], strict=True):
        dx, (d_fast, d_slow), asked = fast_and_slow_step_backward(params, (d_fast + dh, d_slow), kept)
        dxs.insert(0, dx)
        d_W = d_W + asked["W"]
    return np.array(dxs), (d_fast, d_slow), {"W": d_W}


def run_two_part(params, xs, state):
    """A `run` whose state has two arrays: `two_part_step` at every step."""
    hs, caches = [], []
    for x in xs:
        state, kept = two_part_step(params, x, state)
        hs.append(state[0])
        caches.append(kept)
    return np.array(hs), state, caches


# --- a pooling that no exercise asks for


def pool_sum(hs, lengths):
    """The sum of each sequence's states, with a cache of its own: how many steps the batch has, and the lengths."""
    counts = np.arange(len(hs))[:, None] < lengths
    return np.where(counts[..., None], hs, 0).sum(axis=0), (np.array([len(hs)]), lengths)


def pool_sum_back(dpooled, cache):
    """The way back of `pool_sum`: the whole gradient to each step that counts."""
    (steps,), lengths = cache
    counts = np.arange(steps)[:, None] < lengths
    return np.where(counts[..., None], dpooled, 0)


# --- functions from inputs (T, B, D) to outputs (T, B, ...), for asking what an output depends on


def read_so_far(xs):
    """At each step the sum of the inputs up to it."""
    return np.cumsum(xs, axis=0)


def read_to_come(xs):
    """At each step the sum of the inputs from it to the end, and 1 for each of them."""
    return np.cumsum(xs[::-1] + 1, axis=0)[::-1]


def read_both_ways(xs):
    """The two above, side by side."""
    return np.concatenate([read_so_far(xs), read_to_come(xs)], axis=-1)


def read_neighbors(xs):
    """At each step its own input and those next to it; two units that cancel."""
    padded = np.concatenate([0 * xs[:1], xs, 0 * xs[:1]])
    near = padded[:-2] + padded[1:-1] + padded[2:]
    return np.concatenate([near, -near], axis=-1)


def read_one_thread(xs):
    """Only the last unit of the last sequence is alive: it puts out the input of the step before."""
    hs = np.zeros_like(xs)
    hs[1:, -1, -1] = xs[:-1, -1, -1]
    return hs


# --- functions from an array to a number, for asking what their slopes are


def squares(x):
    """Half the sum of the squares: the slope is x itself, and central differences of it are exact."""
    return float((x * x).sum() / 2)


def sum_of_cubes(x):
    """Curved: a one-sided difference is off by 3 x eps, a central one by eps squared."""
    return float((x**3).sum())


def product_and_waves(x):
    """Each slope depends on all other entries."""
    return float(np.prod(np.cos(x / 3)) + np.sin(x).sum() * x.sum())


def straight_line(x):
    """Slopes of 1, 2, 3, ... in the order of the entries."""
    return float((np.arange(1, x.size + 1) * x.ravel()).sum())


def flat_floor(x):
    """Only the first entry counts, by a slope of 1000."""
    return float(1000 * x.ravel()[0] + np.sin(1000.0))


def spoils_its_input(x):
    """The sum of the squares, by a function that overwrites what it is given."""
    value = float((x * x).sum())
    x[...] = 99.0
    return value


# --- what speaks, for what decodes


def speak_from_table(words, state):
    """A decoder without weights: each sequence has a table of what follows which word, and tires of what it heard.

    The state is (tables (B, V, V), tired (B, V)).
    """
    tables, tired = state
    rows = np.arange(len(words))
    logits = tables[rows, words] - tired
    tired = tired / 2
    tired[rows, words] += 1
    return logits, (tables, tired)


# --- language models and their training


def table_language(state, token):
    """A language whose next symbol depends on the last two; the state holds its table (V, V, V) and the symbol before.

    As `beam_search` takes it: log-probabilities (V,) after a state and a symbol, and the new state.
    """
    table, before = state
    return table[before, token], (table, token)


def rising_rate(step):
    """A schedule that tells its step: 0.015, 0.02, 0.025, ..."""
    return 0.01 + 0.005 * step
