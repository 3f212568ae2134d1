"""Layer normalization: each row gets mean 0 and variance 1, then a gain and a bias for each unit.

Chapter: 11-gradients
"""

import numpy as np

from rnnlib.contracts import match_shapes, take
from rnnlib.types import Array, Cache, Params

__all__ = ["layer_norm", "layer_norm_backward"]


def layer_norm(params: Params, x: Array, eps: float = 1e-5) -> tuple[Array, Cache]:
    """Normalize each row over its own entries; rows, and so sequences of a batch, do not see each other.

        y = gain * (x - mean) / sqrt(variance + eps) + bias

    Parameters
    ----------
    params  gain (H,), bias (H,).
    x       (..., H), H at least 1.
    eps     added to the variance, under the root.

    Returns
    -------
    (y (..., H), cache (normed (..., H), scale (..., 1))); scale is 1 / sqrt(variance + eps)

    Raises
    ------
    ValueError  a shape does not fit.

    Chapter: 11-gradients. Equation: layer-norm. Source: Ba et al. (2016).
    """
    gain, bias = take("layer_norm", params, "gain", "bias")
    match_shapes("layer_norm", "x: ... H, gain: H, bias: H", x, gain, bias)
    centered = x - x.mean(axis=-1, keepdims=True)
    scale = 1 / np.sqrt((centered * centered).mean(axis=-1, keepdims=True) + eps)
    normed = centered * scale
    return gain * normed + bias, (normed, scale)


def layer_norm_backward(params: Params, dy: Array, cache: Cache) -> tuple[Array, Params]:
    """Gradients of a layer norm; what a row asks in the direction of its mean or of its size is dropped.

        dn = gain * dy,   dx = scale * (dn - mean(dn) - normed * mean(dn * normed))

    Parameters
    ----------
    params  gain (H,), bias (H,).
    dy      dL/dy, (..., H); not changed.
    cache   (normed, scale) from `layer_norm`.

    Returns
    -------
    (dx (..., H), {"gain": (H,), "bias": (H,)})

    Raises
    ------
    ValueError  a shape does not fit.

    Chapter: 11-gradients. Equation: layer-norm-backward. Source: Ba et al. (2016).
    """
    (gain,), (normed, scale) = take("layer_norm_backward", params, "gain"), cache
    match_shapes("layer_norm_backward", "normed: ... H, dy: ... H, gain: H", normed, dy, gain)
    d_normed = gain * dy
    along = (d_normed * normed).mean(axis=-1, keepdims=True)
    dx = scale * (d_normed - d_normed.mean(axis=-1, keepdims=True) - normed * along)
    leading = tuple(range(dy.ndim - 1))
    return dx, {"gain": (dy * normed).sum(axis=leading), "bias": dy.sum(axis=leading)}
