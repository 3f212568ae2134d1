"""The Reber grammar, a small automaton that writes strings: data whose right answers are known.

Where two arcs leave a state, both are equally likely. In the embedded version an outer symbol, T or P,
stands before the inner string and comes back after it, whatever the length between: that takes memory.

Chapter: 04-elman. Sources: Reber (1967); Cleeremans, Servan-Schreiber and McClelland (1989).
"""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from rnnlib.contracts import match_shapes
from rnnlib.output import output_layer
from rnnlib.sequence import rnn_forward
from rnnlib.types import Array, Params, State, Step

__all__ = [
    "REBER_SYMBOLS",
    "ReberBatch",
    "is_reber",
    "legal_next",
    "one_hot",
    "predict_next",
    "reber_automaton",
    "reber_batch",
    "reber_encode",
    "reber_states",
    "reber_string",
]

REBER_SYMBOLS = "BTPSXVE"

Automaton = tuple[dict[str, int], ...]

# Entry s holds the arcs that leave state s: the symbol written on the way, and where it leads.
_PLAIN: Automaton = (
    {"B": 1},
    {"T": 2, "P": 3},
    {"S": 2, "X": 4},
    {"T": 3, "V": 5},
    {"X": 3, "S": 6},
    {"P": 4, "V": 6},
    {"E": 7},
    {},
)


def _embed(inner: Automaton) -> Automaton:
    """Two copies of an automaton, entered by T and by P, each left by the symbol that entered it."""
    size = len(inner)
    upper, lower = 2, 2 + size
    last = lower + size
    states: list[dict[str, int]] = [{"B": 1}, {"T": upper, "P": lower}]
    for start, symbol in ((upper, "T"), (lower, "P")):
        copy = [{s: start + target for s, target in arcs.items()} for arcs in inner]
        copy[-1] = {symbol: last}
        states += copy
    return (*states, {"E": last + 1}, {})


_EMBEDDED = _embed(_PLAIN)


class ReberBatch(NamedTuple):
    """Strings as arrays for next-symbol prediction; T is one less than the longest string's length.

    strings  the B strings.
    xs       one-hot inputs, (T, B, 7): every symbol but the last.
    targets  the symbol that follows, (T, B), integers; 0 where the mask is False.
    mask     (T, B), True where the string has a next symbol.
    legal    (T, B, 7), True for each symbol that the grammar allows next; all False where the mask is.
    states   the automaton's state after each input, (T, B); -1 where the mask is False.
    """

    strings: list[str]
    xs: Array
    targets: Array
    mask: Array
    legal: Array
    states: Array


def reber_automaton(embedded: bool = False) -> Automaton:
    """The arcs of each state, `{symbol: next state}`; state 0 is the start, the last one the end.

    The plain grammar has 8 states, the embedded one 20 (two copies of it and four around them).

    Chapter: 04-elman.
    """
    return tuple(dict(arcs) for arcs in (_EMBEDDED if embedded else _PLAIN))


def reber_string(rng: np.random.Generator, embedded: bool = False, length: int | None = None) -> str:
    """Walk through the automaton, each arc of a state equally likely, and write what is on the arcs.

    Parameters
    ----------
    rng       the only source of randomness.
    embedded  which of the two grammars.
    length    draw among the strings of this many symbols only, as likely as they are among all; None for any.

    Raises
    ------
    ValueError  the grammar has no string of that length.

    Examples
    --------
    >>> reber_string(np.random.default_rng(0))
    'BPTTTVVE'

    Chapter: 04-elman. Source: Reber (1967).
    """
    if length is not None and _chance_to_end(length, 0, embedded) == 0:
        raise ValueError(f"reber_string: no string has {length} symbols, the shortest has {9 if embedded else 5}")
    automaton, state = reber_automaton(embedded), 0
    symbols: list[str] = []
    while arcs := automaton[state]:
        symbol = next(iter(arcs))
        if len(arcs) > 1:
            symbol = _choose(rng, arcs, None if length is None else length - len(symbols) - 1, embedded)
        symbols.append(symbol)
        state = arcs[symbol]
    return "".join(symbols)


def _choose(rng: np.random.Generator, arcs: dict[str, int], left: int | None, embedded: bool) -> str:
    """One of two arcs; with `left` symbols to go after it, each as likely as the walks that end in time make it."""
    first, second = arcs  # no state of either grammar has more than two
    if left is None:
        return first if rng.random() < 0.5 else second
    chances = [_chance_to_end(left, target, embedded) for target in arcs.values()]
    return first if rng.random() * sum(chances) < chances[0] else second


@cache
def _chance_to_end(steps: int, state: int, embedded: bool) -> float:
    """The probability that a free walk from a state is complete after exactly so many symbols."""
    arcs = reber_automaton(embedded)[state]
    if steps <= 0 or not arcs:
        return float(steps == 0 and not arcs)
    return sum(_chance_to_end(steps - 1, target, embedded) for target in arcs.values()) / len(arcs)


def reber_states(prefix: str, embedded: bool = False) -> list[int]:
    """The automaton's state before the first symbol and after each one, len(prefix) + 1 numbers.

    Raises
    ------
    ValueError  the prefix leaves the grammar; the message says where and what was legal there.

    Examples
    --------
    >>> reber_states("BTX")
    [0, 1, 2, 4]

    Chapter: 04-elman.
    """
    automaton, states = reber_automaton(embedded), [0]
    for position, symbol in enumerate(prefix):
        arcs = automaton[states[-1]]
        if symbol not in arcs:
            legal = " or ".join(arcs) or "nothing, the string was complete"
            raise ValueError(
                f"reber_states: {symbol!r} at position {position} of {prefix!r} leaves the "
                f"{'embedded' if embedded else 'plain'} grammar; legal there: {legal}"
            )
        states.append(arcs[symbol])
    return states


def legal_next(prefix: str, embedded: bool = False) -> frozenset[str]:
    """The symbols that may follow a prefix; empty after a complete string.

    Raises
    ------
    ValueError  the prefix itself leaves the grammar.

    Examples
    --------
    >>> sorted(legal_next("BT"))
    ['S', 'X']

    Chapter: 04-elman.
    """
    return frozenset(reber_automaton(embedded)[reber_states(prefix, embedded)[-1]])


def is_reber(string: str, embedded: bool = False) -> bool:
    """Does the grammar write this string, from its first symbol to its last?

    Examples
    --------
    >>> is_reber("BTXSE"), is_reber("BTXS"), is_reber("BTTSE")
    (True, False, False)

    Chapter: 04-elman.
    """
    automaton, state = reber_automaton(embedded), 0
    for symbol in string:
        if symbol not in automaton[state]:
            return False
        state = automaton[state][symbol]
    return not automaton[state]


def reber_encode(string: str) -> Array:
    """Each symbol's index in `REBER_SYMBOLS`, an array of integers (len(string),).

    Raises
    ------
    ValueError  a character that is not a symbol of the grammar.

    Chapter: 04-elman.
    """
    foreign = sorted(set(string) - set(REBER_SYMBOLS))
    if foreign:
        raise ValueError(
            f"reber_encode: {string!r} holds {', '.join(foreign)}, expected only {', '.join(REBER_SYMBOLS)}"
        )
    return np.array([REBER_SYMBOLS.index(symbol) for symbol in string], dtype=np.int64)


def one_hot(indices: Array, size: int, dtype: DTypeLike = np.float64) -> Array:
    """Rows of zeros with a single 1: (...) integers in 0 .. size-1 become (..., size).

    Raises
    ------
    ValueError  an index out of range, or not an integer.

    Examples
    --------
    >>> one_hot(np.array([2, 0]), 3)
    array([[0., 0., 1.],
           [1., 0., 0.]])

    Chapter: 04-elman.
    """
    match_shapes("one_hot", "indices: ...", indices)
    if not np.issubdtype(indices.dtype, np.integer):
        raise ValueError(f"one_hot: indices have dtype {indices.dtype}, expected integers")
    if indices.size and (indices.min() < 0 or indices.max() >= size):
        raise ValueError(f"one_hot: indices run from {indices.min()} to {indices.max()}, expected 0 to {size - 1}")
    return np.eye(size, dtype=dtype)[indices]


def reber_batch(strings: Sequence[str], embedded: bool = False, dtype: DTypeLike = np.float64) -> ReberBatch:
    """Pad strings to the longest, with what follows each symbol and what may follow it.

    Raises
    ------
    ValueError  no string, or one that the grammar does not write to its end.

    Chapter: 04-elman.
    """
    strings = list(strings)
    wrong = [string for string in strings if not is_reber(string, embedded)]
    if wrong or not strings:
        problem = f"{wrong[0]!r} is no string of the grammar" if wrong else "there is no string"
        raise ValueError(f"reber_batch: {problem}, expected complete {'embedded' if embedded else 'plain'} strings")
    shape = (max(map(len, strings)), len(strings))
    indices, states = np.zeros(shape, np.int64), np.full(shape, -1)
    for b, string in enumerate(strings):
        indices[: len(string), b] = reber_encode(string)
        states[: len(string) - 1, b] = reber_states(string[:-1], embedded)[1:]
    states = states[:-1]
    mask = states >= 0
    xs = one_hot(indices[:-1], len(REBER_SYMBOLS), dtype) * mask[..., None].astype(dtype)
    return ReberBatch(strings, xs, indices[1:] * mask, mask, _legal_table(embedded)[states], states)


def predict_next(step: Step, params: Params, xs: Array, state: State) -> Array:
    """After each symbol read, the most probable next one, by a net of any cell and an output layer.

        s_t = argmax_k z_{t,k},   z_t = W_hy h_t + b_y

    Parameters
    ----------
    step    a cell's step function, such as `elman_step`.
    params  the cell's parameters and the output layer's, in one dict.
    xs      inputs, (T, B, D), T at least 1.
    state   the state before the first step, a tuple of (B, H) arrays.

    Returns
    -------
    integers (T, B): the position of the largest score.

    Chapter: 04-elman. Equation: output-layer.
    """
    hs, _, _ = rnn_forward(step, params, xs, state)
    return output_layer(params, hs)[0].argmax(axis=-1)


def _legal_table(embedded: bool) -> Array:
    """Row s: which symbols may leave state s. The last state has none, so index -1 gives a row of False."""
    return np.array([[symbol in arcs for symbol in REBER_SYMBOLS] for arcs in reber_automaton(embedded)])
