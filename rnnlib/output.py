"""The output layer: a linear map from hidden state to scores, the same at every step.

Chapter: 03-definition
"""

import numpy as np
from numpy.typing import DTypeLike

from rnnlib.contracts import match_shapes, take
from rnnlib.types import Array, Cache, Params

__all__ = ["output_init", "output_layer", "output_layer_backward"]


def output_init(rng: np.random.Generator, hidden_size: int, output_size: int, dtype: DTypeLike = np.float64) -> Params:
    """Weights that keep the scores' spread near 1, and zero biases.

    Returns
    -------
    W_hy (H, K) drawn from N(0, 1/H), b_y (K,) of zeros, in `dtype`.

    Raises
    ------
    ValueError  a size below 1.

    Chapter: 03-definition.
    """
    if hidden_size < 1 or output_size < 1:
        raise ValueError(f"output_init: sizes must be at least 1, got hidden {hidden_size} and output {output_size}")
    W_hy = rng.standard_normal((hidden_size, output_size)) / np.sqrt(hidden_size)
    return {"W_hy": W_hy.astype(dtype), "b_y": np.zeros(output_size, dtype)}


def output_layer(params: Params, h: Array) -> tuple[Array, Cache]:
    """Scores from hidden states, for one step (B, H) or a whole sequence (T, B, H) at once.

        z_t = W_hy h_t + b_y

    Parameters
    ----------
    params  W_hy (H, K), b_y (K,).
    h       (..., H).

    Returns
    -------
    (logits (..., K), cache (h,))

    Chapter: 03-definition. Equation: output-layer.
    """
    W_hy, b_y = take("output_layer", params, "W_hy", "b_y")
    match_shapes("output_layer", "h: ... H, W_hy: H K, b_y: K", h, W_hy, b_y)
    return h @ W_hy + b_y, (h,)


def output_layer_backward(params: Params, d_logits: Array, cache: Cache) -> tuple[Array, Params]:
    """Gradients of the output layer; the weights' are summed over every position they were used at.

    Parameters
    ----------
    params    W_hy (H, K), b_y (K,).
    d_logits  dL/dlogits, (..., K).
    cache     (h,) from `output_layer`, h (..., H).

    Returns
    -------
    (dh (..., H), {"W_hy": (H, K), "b_y": (K,)})

    Chapter: 03-definition. Equation: output-layer-backward.
    """
    (W_hy,) = take("output_layer_backward", params, "W_hy")
    (h,) = cache
    match_shapes("output_layer_backward", "h: ... H, d_logits: ... K, W_hy: H K", h, d_logits, W_hy)
    rows, d_rows = h.reshape(-1, h.shape[-1]), d_logits.reshape(-1, d_logits.shape[-1])
    return d_logits @ W_hy.T, {"W_hy": rows.T @ d_rows, "b_y": d_rows.sum(axis=0)}
