"""First weights that keep a message's length, forward and back: orthogonal, identity, Xavier.

Chapter: 11-gradients
"""

import numpy as np
from numpy.typing import DTypeLike

from rnnlib.types import Array

__all__ = ["identity", "orthogonal", "xavier_uniform"]


def orthogonal(
    rng: np.random.Generator, rows: int, columns: int, gain: float = 1.0, dtype: DTypeLike = np.float64
) -> Array:
    """A random matrix that turns vectors without stretching them; every such turn is equally likely.

    Parameters
    ----------
    rng      the only source of randomness.
    rows     at least 1.
    columns  at least 1.
    gain     all singular values are this.
    dtype    of the array returned.

    Returns
    -------
    (rows, columns): gain times a matrix with orthonormal columns, or orthonormal rows where there are
    fewer rows than columns.

    Raises
    ------
    ValueError  a size below 1.

    Chapter: 11-gradients. Equation: orthogonal. Source: Saxe et al. (2014), Mezzadri (2007).
    """
    _check("orthogonal", rows, columns)
    tall = rng.standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(tall)
    q = q * np.sign(np.diag(r))
    return (gain * (q if rows >= columns else q.T)).astype(dtype)


def identity(size: int, scale: float = 1.0, dtype: DTypeLike = np.float64) -> Array:
    """A multiple of the identity: the new state starts as a copy of the old one.

    Parameters
    ----------
    size   rows and columns, at least 1.
    scale  what stands on the diagonal.
    dtype  of the array returned.

    Returns
    -------
    (size, size), an array that may be written into.

    Raises
    ------
    ValueError  a size below 1.

    Chapter: 11-gradients. Equation: identity. Source: Le et al. (2015).
    """
    _check("identity", size, size)
    return scale * np.eye(size, dtype=dtype)


def xavier_uniform(
    rng: np.random.Generator, rows: int, columns: int, gain: float = 1.0, dtype: DTypeLike = np.float64
) -> Array:
    """Uniform weights whose variance is between what the way forward wants and what the way back wants.

        W_ij from U(-a, a),  a = gain * sqrt(6 / (rows + columns)),  so that Var W_ij = gain^2 * 2 / (rows + columns)

    Parameters
    ----------
    rng      the only source of randomness.
    rows     how many numbers come in, at least 1.
    columns  how many go out, at least 1.
    gain     factor for the squashing function that follows.
    dtype    of the array returned.

    Returns
    -------
    (rows, columns)

    Raises
    ------
    ValueError  a size below 1.

    Chapter: 11-gradients. Equation: xavier-uniform. Source: Glorot & Bengio (2010).
    """
    _check("xavier_uniform", rows, columns)
    limit = gain * np.sqrt(6 / (rows + columns))
    return rng.uniform(-limit, limit, (rows, columns)).astype(dtype)


def _check(where: str, rows: int, columns: int) -> None:
    if rows < 1 or columns < 1:
        raise ValueError(f"{where}: sizes must be at least 1, got {rows} rows and {columns} columns")
