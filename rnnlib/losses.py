"""From scores to probabilities, and from probabilities to one number that says how wrong they are.

Chapter: 03-definition
"""

import numpy as np

from rnnlib.contracts import match_shapes
from rnnlib.types import Array

__all__ = ["cross_entropy", "softmax"]


def softmax(logits: Array) -> Array:
    """Probabilities from scores, along the last axis, safe for scores of any size.

        p_k = exp(z_k) / sum_j exp(z_j)

    Parameters
    ----------
    logits  z, (..., K), floats; not changed.

    Returns
    -------
    p, (..., K), same dtype: positive, each row sums to 1.

    Examples
    --------
    >>> softmax(np.array([1000.0, 1000.0]))
    array([0.5, 0.5])

    Chapter: 03-definition. Equation: softmax. Source: Bridle (1990).
    """
    exps = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exps / exps.sum(axis=-1, keepdims=True)


def cross_entropy(logits: Array, targets: Array, mask: Array | None = None) -> tuple[float, Array]:
    """Mean of -log p(target) over the positions that count, and its gradient.

        L = -(1/N) sum_n log softmax(z_n)[target_n]

    Parameters
    ----------
    logits   z, (..., K), floats: raw scores, not probabilities.
    targets  (...), integers in 0 .. K-1.
    mask     (...), True where the position counts, or None if all do; N is the number that count.

    Returns
    -------
    (loss in nats, dL/dz (..., K) in the dtype of the logits; zero where the mask is False)

    Raises
    ------
    ValueError  shapes do not fit, a target that counts is out of range, or no position counts.

    Chapter: 03-definition. Equations: cross-entropy, cross-entropy-gradient.
    """
    match_shapes("cross_entropy", "logits: ... K, targets: ...", logits, targets)
    if mask is not None:
        match_shapes("cross_entropy", "targets: ..., mask: ...", targets, mask)
    counts = np.ones(targets.shape, dtype=bool) if mask is None else mask.astype(bool)
    _check_targets(targets[counts], logits.shape[-1])
    logits = np.where(counts[..., None], logits, 0)  # padding may hold anything, NaN too: it must not matter
    shifted = logits - logits.max(axis=-1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    index = np.where(counts, targets, 0)[..., None]
    weight = counts.astype(logits.dtype)[..., None] / logits.dtype.type(counts.sum())
    loss = -(weight * np.take_along_axis(log_p, index, axis=-1)).sum()
    d_logits = np.exp(log_p)
    np.put_along_axis(d_logits, index, np.take_along_axis(d_logits, index, axis=-1) - 1, axis=-1)
    return float(loss), d_logits * weight


def _check_targets(targets: Array, classes: int) -> None:
    if targets.size == 0:
        raise ValueError("cross_entropy: no position counts (the mask is False everywhere), so there is no mean")
    if not np.issubdtype(targets.dtype, np.integer):
        raise ValueError(f"cross_entropy: targets have dtype {targets.dtype}, expected integers")
    if targets.min() < 0 or targets.max() >= classes:
        raise ValueError(
            f"cross_entropy: targets run from {targets.min()} to {targets.max()}, expected 0 to {classes - 1}"
        )
