"""The next symbol from the last few, by counting.

A table of order n is a pair: contexts (C, n-1), the different stretches of n-1 symbols that came up, sorted, and
counts (C, V), how often each symbol came after each of them. The table of order 1 has one context, the empty one.

Chapter: 15-language
"""

from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from rnnlib.contracts import match_shapes
from rnnlib.types import Array

__all__ = ["NgramTable", "ngram_counts", "ngram_log_probs", "ngram_probabilities"]

NgramTable = tuple[Array, Array]
ROWS = 2**14  # contexts that are looked up at a time, so that their probabilities fit in memory


def ngram_counts(tokens: Array, order: int, vocabulary_size: int) -> NgramTable:
    """Count what came after each context of order - 1 symbols.

        n(c, w) = how often the symbols c were followed by w

    Parameters
    ----------
    tokens           (N,), integers in 0 .. V-1, N at least the order.
    order            n, at least 1: of n symbols n-1 are the context.
    vocabulary_size  V.

    Returns
    -------
    (contexts (C, n-1), each that has a follower once, sorted; counts (C, V)), all int64

    Raises
    ------
    ValueError  a token out of range, fewer tokens than the order, an order below 1, or V^n beyond an int64.

    Chapter: 15-language. Equation: ngram-counts. Source: Shannon (1948).
    """
    V = vocabulary_size
    _check_tokens("ngram_counts", tokens, order, V)
    windows = sliding_window_view(tokens.astype(np.int64), order)
    codes, row = np.unique(_to_codes(windows[:, :-1], V), return_inverse=True)
    counts = np.bincount(row * V + windows[:, -1], minlength=len(codes) * V).reshape(-1, V)
    return _to_contexts(codes, order - 1, V), counts


def ngram_probabilities(tables: Sequence[NgramTable], contexts: Array, k: float) -> Array:
    """Chances of the next symbol: add-k with one table, interpolation with the tables of orders 1 to n.

        p_0(w) = 1 / V        p_i(w | c) = (n_i(c, w) + k V p_{i-1}(w | c)) / (n_i(c) + k V)

    Each table in turn corrects what the one before it says, by the last symbols of the context that it counts.

    Parameters
    ----------
    tables    of `ngram_counts`, at least one, all with one V; the last one decides last.
    contexts  (M, L), integers: what stands before the symbols asked for, L at least the last table's n-1.
    k         above 0: what is added to each count, on average.

    Returns
    -------
    p_n (M, V), float64: positive, each row sums to 1, also after a context that no table has.

    Raises
    ------
    ValueError  k is not above 0, no table, or shapes do not fit.

    Chapter: 15-language. Equation: interpolation. Source: MacKay & Peto (1995).
    """
    M, V = _check_tables("ngram_probabilities", tables, contexts, k)
    p = np.full((M, V), 1 / V)
    for found, counts in tables:
        asked = contexts[:, contexts.shape[1] - found.shape[1] :]
        n = _look_up(found, counts, asked)
        p = (n + k * V * p) / (n.sum(axis=1, keepdims=True) + k * V)
    return p


def ngram_log_probs(tables: Sequence[NgramTable], tokens: Array, k: float, skip: int | None = None) -> Array:
    """How likely each symbol of a text was, after those before it: log p of `ngram_probabilities`.

    Parameters
    ----------
    tables  as in `ngram_probabilities`.
    tokens  (N,), the text, integers in 0 .. V-1.
    k       as in `ngram_probabilities`.
    skip    how many symbols at the beginning are not asked for; as many as the longest context if None.

    Returns
    -------
    (N - skip,) natural logarithms

    Raises
    ------
    ValueError  as in `ngram_probabilities`, or skip is shorter than the longest context.

    Chapter: 15-language.
    """
    length = max((found.shape[1] for found, _ in tables), default=0)
    first = length if skip is None else skip
    if first < length:
        raise ValueError(f"ngram_log_probs: skip is {first}, but a context has {length} symbols")
    told = []
    for start in range(first, len(tokens), ROWS):
        stop = min(start + ROWS, len(tokens))
        contexts = (
            sliding_window_view(tokens[start - length : stop - 1], length) if length else tokens[start:stop, None]
        )
        p = ngram_probabilities(tables, contexts, k)
        told.append(np.log(p[np.arange(stop - start), tokens[start:stop]]))
    return np.concatenate(told) if told else np.zeros(0)


def _look_up(found: Array, counts: Array, asked: Array) -> Array:
    """The row of counts of each context, (M, V); zeros for a context that never came up."""
    V = counts.shape[1]
    codes, wanted = _to_codes(found, V), _to_codes(asked, V)
    place = np.minimum(np.searchsorted(codes, wanted), len(codes) - 1)
    return np.where((codes[place] == wanted)[:, None], counts[place], 0)


def _to_codes(contexts: Array, V: int) -> Array:
    """Each row of symbols as one number, written in base V; the empty context is 0."""
    return contexts @ V ** np.arange(contexts.shape[1] - 1, -1, -1, dtype=np.int64)


def _to_contexts(codes: Array, length: int, V: int) -> Array:
    """The rows of symbols that stand behind such numbers."""
    return codes[:, None] // V ** np.arange(length - 1, -1, -1, dtype=np.int64) % V


def _check_tokens(where: str, tokens: Array, order: int, V: int) -> None:
    N = match_shapes(where, "tokens: N", tokens)["N"]
    if order < 1 or V < 1 or V**order >= 2**63:
        raise ValueError(f"{where}: order {order} with a vocabulary of {V}, expected 1 or more, and V^order below 2^63")
    if order > N:
        raise ValueError(f"{where}: {N} tokens, expected at least the order, {order}")
    if not np.issubdtype(tokens.dtype, np.integer):
        raise ValueError(f"{where}: tokens have dtype {tokens.dtype}, expected integers")
    if tokens.min() < 0 or tokens.max() >= V:
        raise ValueError(f"{where}: tokens run from {tokens.min()} to {tokens.max()}, expected 0 to {V - 1}")


def _check_tables(where: str, tables: Sequence[NgramTable], contexts: Array, k: float) -> tuple[int, int]:
    if not k > 0:
        raise ValueError(f"{where}: k is {k}, expected above 0; without it what was never seen has no chance")
    if not tables:
        raise ValueError(f"{where}: no table to look into, expected at least one")
    sizes = match_shapes(where, "contexts: M L", contexts)
    for table in tables:
        n = match_shapes(where, "contexts of a table: C n, its counts: C V", *table)["n"]
        if n > sizes["L"]:
            raise ValueError(f"{where}: contexts of {sizes['L']} symbols, but a table looks at {n}")
    widths = {counts.shape[1] for _, counts in tables}
    if len(widths) > 1:
        raise ValueError(f"{where}: the tables count {sorted(widths)} different symbols, expected the same V in each")
    return sizes["M"], widths.pop()
