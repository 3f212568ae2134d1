"""The likeliest text, looked for with a few hypotheses side by side.

Chapter: 15-language
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from rnnlib.types import Array

__all__ = ["beam_search"]


def beam_search(
    next_log_probs: Callable[[Any, int], tuple[Array, Any]],
    state: Any,
    start: int,
    end: int,
    width: int,
    max_length: int,
    length_power: float = 0.0,
) -> list[tuple[list[int], float]]:
    """Likely texts, by keeping the best few beginnings at each length.

        rank = log p(w_1 .. w_n) / n^length_power

    Parameters
    ----------
    next_log_probs  takes (state, last token), returns (log_probs (V,), new state), of all tokens that may come next.
    state           before the first token.
    start           the token that stands before the first; it is no part of a text and has no chance.
    end             the token that ends a text; it counts, and nothing comes after it.
    width           beginnings kept at each length, at least 1: of all that the unfinished ones can go on to, the best.
    max_length      a text has no more tokens; those that have no end by then are kept as they are. At least 1.
    length_power    0 ranks by the sum of the log-probabilities, 1 by their mean.

    Returns
    -------
    up to `width` pairs (tokens, log p), best rank first; a token without any chance is in none of them.

    Chapter: 15-language. Equation: beam. Source: Lowerre (1976), Graves (2012).
    """
    _check(width, max_length)
    unfinished: list[Any] = [([], 0.0, state)]
    done: list[Any] = []
    for _ in range(max_length):
        longer = []
        for tokens, total, before in unfinished:
            log_probs, after = next_log_probs(before, tokens[-1] if tokens else start)
            possible = np.flatnonzero(log_probs > -np.inf).tolist()
            longer += [([*tokens, w], total + float(log_probs[w]), after) for w in possible]
        best = sorted(longer, key=lambda text: text[1], reverse=True)[:width]
        done += [text for text in best if text[0][-1] == end]
        unfinished = [text for text in best if text[0][-1] != end]
    ranked = sorted(done + unfinished, key=lambda text: text[1] / len(text[0]) ** length_power, reverse=True)
    return [(tokens, total) for tokens, total, _ in ranked[:width]]


def _check(width: int, max_length: int) -> None:
    if width < 1 or max_length < 1:
        raise ValueError(f"beam_search: width is {width} and max_length is {max_length}, expected at least 1 each")
