"""Gradients that are too long, made shorter before a step is taken.

Chapter: 11-gradients
"""

import math

import numpy as np

from rnnlib.types import Params

__all__ = ["clip_by_norm", "clip_by_value", "clipped_step"]


def clip_by_norm(grads: Params, max_norm: float) -> tuple[Params, float]:
    """Shorten all gradients together, as one long vector, if it is longer than allowed; its direction stays.

        g <- g * min(1, max_norm / ||g||)

    Parameters
    ----------
    grads     gradients by name; not changed.
    max_norm  the length allowed, above 0.

    Returns
    -------
    (new gradients with the names, shapes and dtypes of grads; the length before, in float64, a number).
    A length that is not finite is returned as it is: look at it before you use the gradients.

    Raises
    ------
    ValueError  max_norm is not above 0.

    Chapter: 11-gradients. Equation: clip-by-norm. Source: Pascanu et al. (2013).
    """
    if not max_norm > 0:
        raise ValueError(f"clip_by_norm: max_norm is {max_norm}, expected a number above 0")
    norm = math.sqrt(sum(float(np.square(grad, dtype=np.float64).sum()) for grad in grads.values()))
    scale = min(1.0, max_norm / norm) if norm > 0 else 1.0
    return {name: grad * scale for name, grad in grads.items()}, norm


def clip_by_value(grads: Params, limit: float) -> Params:
    """Cut each entry of each gradient off at a limit, on both sides; the direction may change.

    Parameters
    ----------
    grads  gradients by name; not changed.
    limit  the largest size of an entry, above 0.

    Returns
    -------
    new gradients with the names, shapes and dtypes of grads.

    Raises
    ------
    ValueError  limit is not above 0.

    Chapter: 11-gradients. Equation: clip-by-value. Source: Mikolov (2012).
    """
    if not limit > 0:
        raise ValueError(f"clip_by_value: limit is {limit}, expected a number above 0")
    return {name: np.clip(grad, -limit, limit) for name, grad in grads.items()}


def clipped_step(params: Params, grads: Params, rate: float, max_norm: float) -> tuple[Params, float]:
    """One step of gradient descent that is never longer than rate times max_norm.

        W <- W - rate * clipped gradient

    Parameters
    ----------
    params    parameters by name; not changed.
    grads     a gradient for each of them; not changed.
    rate      the rate of learning.
    max_norm  as in `clip_by_norm`.

    Returns
    -------
    (new parameters with the names, shapes and dtypes of params; the gradient's length before clipping)

    Chapter: 11-gradients. Equation: clipped-step. Source: Pascanu et al. (2013).
    """
    clipped, norm = clip_by_norm(grads, max_norm)
    return {name: value - rate * clipped[name] for name, value in params.items()}, norm
