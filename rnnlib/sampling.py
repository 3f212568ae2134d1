"""From scores to one symbol: how bold, from how many, and the draw itself.

Chapter: 15-language
"""

import numpy as np

from rnnlib.contracts import match_shapes
from rnnlib.losses import softmax
from rnnlib.types import Array

__all__ = ["nucleus", "sample", "temper", "top_k"]


def temper(logits: Array, temperature: float) -> Array:
    """Chances from scores, sharper below temperature 1 and flatter above.

        p_w = exp(z_w / temperature) / sum_v exp(z_v / temperature)

    Parameters
    ----------
    logits       z, (..., V), floats of any size; log-probabilities will do. Not changed.
    temperature  0 or more; at 0, the limit, the highest scores share the chance evenly.

    Returns
    -------
    p, (..., V), same dtype, each row sums to 1.

    Raises
    ------
    ValueError  the temperature is below 0.

    Chapter: 15-language. Equation: temperature. Source: Ackley et al. (1985).
    """
    if not temperature >= 0:
        raise ValueError(f"temper: temperature is {temperature}, expected 0 or more")
    if temperature == 0:
        best = (logits == logits.max(axis=-1, keepdims=True)).astype(logits.dtype)
        return best / best.sum(axis=-1, keepdims=True)
    shifted = logits - logits.max(axis=-1, keepdims=True)  # before the division, which may be by very little
    return softmax(shifted / temperature)


def top_k(p: Array, k: int) -> Array:
    """The k most likely symbols alone, their chances scaled to sum to 1.

    Parameters
    ----------
    p  (..., V), chances; not changed.
    k  how many are kept, at least 1; all of them where there are no more. Of equal chances the first ones stay.

    Returns
    -------
    (..., V), same dtype: 0 for all others, each row sums to 1.

    Raises
    ------
    ValueError  k below 1.

    Chapter: 15-language. Equation: top-k. Source: Fan et al. (2018).
    """
    if k < 1:
        raise ValueError(f"top_k: k is {k}, expected at least 1")
    order = np.argsort(-p, axis=-1, kind="stable")
    kept = np.zeros_like(p)
    np.put_along_axis(kept, order[..., :k], np.take_along_axis(p, order[..., :k], axis=-1), axis=-1)
    return kept / kept.sum(axis=-1, keepdims=True)


def nucleus(p: Array, mass: float) -> Array:
    """The fewest symbols that hold a share of the chance together, scaled to sum to 1.

    From the most likely symbol on, as many are kept as it takes to reach the mass: the one that reaches it too.

    Parameters
    ----------
    p     (..., V), chances; not changed.
    mass  above 0, at most 1.

    Returns
    -------
    (..., V), same dtype: 0 for all others, each row sums to 1. Of equal chances the first ones stay.

    Raises
    ------
    ValueError  mass is not above 0 and at most 1.

    Chapter: 15-language. Equation: nucleus. Source: Holtzman et al. (2020).
    """
    if not 0 < mass <= 1:
        raise ValueError(f"nucleus: mass is {mass}, expected above 0 and at most 1")
    order = np.argsort(-p, axis=-1, kind="stable")
    falling = np.take_along_axis(p, order, axis=-1)
    before = np.cumsum(falling, axis=-1) - falling
    kept = np.zeros_like(p)
    np.put_along_axis(kept, order, np.where(before < mass, falling, 0), axis=-1)
    return kept / kept.sum(axis=-1, keepdims=True)


def sample(rng: np.random.Generator, p: Array) -> Array:
    """Draw a symbol for each row of chances, by one random number each.

    Parameters
    ----------
    rng  the only source of randomness.
    p    (..., V), chances.

    Returns
    -------
    (...), integers in 0 .. V-1

    Chapter: 15-language. Equation: sample.
    """
    match_shapes("sample", "p: ... V", p)
    reached = np.cumsum(p, axis=-1)
    drawn = rng.random(p.shape[:-1])[..., None] * reached[..., -1:]
    return (reached[..., :-1] <= drawn).sum(axis=-1)
