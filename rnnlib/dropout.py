"""Dropout for sequences: units are silenced for a whole sequence, not for a step.

Chapter: 12-training
"""

import numpy as np

from rnnlib.contracts import match_shapes
from rnnlib.types import Array

__all__ = ["variational_dropout", "variational_dropout_backward"]


def variational_dropout(rng: np.random.Generator, xs: Array, drop: float, training: bool = True) -> tuple[Array, Array]:
    """Silence some units of each sequence at all of its steps, and make up for it with the others.

        y_t = m * x_t,   m = 0 with the chance drop, else 1 / (1 - drop)

    Parameters
    ----------
    rng       the only source of randomness: one number for each unit of each sequence.
    xs        (T, B, D); not changed.
    drop      the chance to be silenced, 0 <= drop < 1.
    training  False when the net is used: then nothing is silenced, nothing scaled and nothing drawn.

    Returns
    -------
    (ys (T, B, D), mask (B, D)): the mask holds 0 and 1 / (1 - drop), or ones if not training.

    Raises
    ------
    ValueError  xs is not (T, B, D), or drop is not in that range.

    Chapter: 12-training. Equation: variational-dropout. Source: Gal & Ghahramani (2016).
    """
    match_shapes("variational_dropout", "xs: T B D", xs)
    if not 0 <= drop < 1:
        raise ValueError(f"variational_dropout: drop is {drop}, expected 0 <= drop < 1")
    mask = np.ones(xs.shape[1:], xs.dtype)
    if training:
        mask = (rng.random(xs.shape[1:]) >= drop).astype(xs.dtype) / xs.dtype.type(1 - drop)
    return xs * mask, mask


def variational_dropout_backward(dys: Array, mask: Array) -> Array:
    """The gradient of what went in: through the same mask, at every step.

        dL/dx_t = m * dL/dy_t

    Parameters
    ----------
    dys   dL/dy_t, (T, B, D); not changed.
    mask  (B, D) from `variational_dropout`.

    Returns
    -------
    dxs (T, B, D)

    Raises
    ------
    ValueError  a shape does not fit.

    Chapter: 12-training. Equation: variational-dropout. Source: Gal & Ghahramani (2016).
    """
    match_shapes("variational_dropout_backward", "mask: B D, dys: T B D", mask, dys)
    return dys * mask
