"""How surprised a language model was, in numbers that models and texts can be compared by.

Chapter: 15-language
"""

import math

import numpy as np

from rnnlib.contracts import match_shapes
from rnnlib.types import Array

__all__ = ["bits_per_token", "perplexity"]

LARGEST = 700.0  # the exponential of more is beyond a float64


def perplexity(log_probs: Array, mask: Array | None = None) -> float:
    """Among how many equally likely symbols the model seemed to choose: exp of the mean surprise.

        PP = exp(-(1/N) sum_n log p(w_n | w_1 .. w_{n-1}))

    Parameters
    ----------
    log_probs  (...), natural logarithms of the chances that the model gave to what came.
    mask       (...), True where a symbol counts, or None if all do; N is how many count, over all texts together.

    Returns
    -------
    a number from 1 on; infinite where a symbol had no chance.

    Raises
    ------
    ValueError  shapes differ, no symbol counts, or a logarithm that counts is above 0.

    Chapter: 15-language. Equation: perplexity. Source: Jelinek et al. (1977).
    """
    told = _that_count("perplexity", log_probs, mask)
    surprise = -told.mean(dtype=np.float64)
    return math.exp(surprise) if surprise < LARGEST else math.inf


def bits_per_token(log_probs: Array, mask: Array | None = None) -> float:
    """The same surprise in bits: the base-2 logarithm of the perplexity, what an ideal code needs for a symbol.

    Parameters
    ----------
    log_probs  as in `perplexity`: natural logarithms.
    mask       as in `perplexity`.

    Chapter: 15-language. Equation: bits. Source: Shannon (1951).
    """
    told = _that_count("bits_per_token", log_probs, mask)
    return -float(told.mean(dtype=np.float64)) / math.log(2)


def _that_count(where: str, log_probs: Array, mask: Array | None) -> Array:
    """The logarithms at the places that count, in one row."""
    match_shapes(where, "log_probs: ...", log_probs)
    if mask is not None:
        match_shapes(where, "log_probs: ..., mask: ...", log_probs, mask)
        log_probs = log_probs[mask.astype(bool)]
    if log_probs.size == 0:
        raise ValueError(f"{where}: no symbol counts, so there is no mean")
    if log_probs.max() > 0:
        raise ValueError(f"{where}: a logarithm is {log_probs.max():.4g}, expected none above 0; is it a chance?")
    return log_probs.ravel()
