"""The Hopfield network: patterns become the valleys of an energy, and recall is a walk downhill.

Chapter: 02-history
"""

from collections.abc import Iterable

import numpy as np

from rnnlib.contracts import match_shapes
from rnnlib.types import Array

__all__ = ["hopfield_energy", "hopfield_recall", "hopfield_store"]


def hopfield_store(patterns: Array) -> Array:
    """Weights that hold patterns: each pair of units is tied by how often they agree, minus how often they differ.

        W = sum_p x_p x_p^T, with a diagonal of zeros

    Parameters
    ----------
    patterns  x, (P, N), floats that are all 1 or -1.

    Returns
    -------
    W, (N, N), same dtype: symmetric, whole numbers. (Physicists divide by N; recall is the same.)

    Raises
    ------
    ValueError  patterns is not (P, N), or an entry is neither 1 nor -1.

    Examples
    --------
    >>> hopfield_store(np.array([[1.0, -1.0]]))
    array([[ 0., -1.],
           [-1.,  0.]])

    Chapter: 02-history. Equation: hopfield-store. Source: Hopfield (1982).
    """
    _check_patterns("hopfield_store", patterns)
    weights = patterns.T @ patterns
    np.fill_diagonal(weights, 0)
    return weights


def hopfield_energy(weights: Array, state: Array) -> Array:
    """The energy of a state, low where the units agree with what the weights ask of them.

        E = -1/2 sum_ij s_i W_ij s_j

    Parameters
    ----------
    weights  W, (N, N), symmetric with a diagonal of zeros.
    state    s, (..., N): one state, or any number of them.

    Returns
    -------
    E, (...), same dtype: one number for each state.

    Raises
    ------
    ValueError  a shape does not fit.

    Chapter: 02-history. Equation: hopfield-energy. Source: Hopfield (1982).
    """
    match_shapes("hopfield_energy", "state: ... N, weights: N N", state, weights)
    return -0.5 * (state @ weights * state).sum(axis=-1)


def hopfield_recall(weights: Array, state: Array, order: Array | np.random.Generator, max_sweeps: int = 100) -> Array:
    """Let the units look one after the other, each taking the sign of its field, until a sweep changes nothing.

        s_i <- sign(sum_j W_ij s_j), and s_i stays where the sum is 0

    Parameters
    ----------
    weights     W, (N, N), symmetric with a diagonal of zeros.
    state       s, (..., N), entries 1 or -1; rows are recalled side by side in one order; not changed.
    order       which units look, one after the other, in every sweep: a list of integers as an array, or
                a Generator, from which each sweep draws a new permutation of all units.
    max_sweeps  stop after this many in any case.

    Returns
    -------
    the last state, (..., N), same dtype.

    Raises
    ------
    ValueError  a shape does not fit, an entry is neither 1 nor -1, or order names a unit that there is not.

    Chapter: 02-history. Equation: hopfield-update. Source: Hopfield (1982).
    """
    _check_state("hopfield_recall", weights, state)
    state = state.copy()
    for _ in range(max_sweeps):
        before = state.copy()
        for i in _sweep(order, len(weights)):
            field = state @ weights[i]
            state[..., i] = np.where(field == 0, state[..., i], np.sign(field))
        if np.array_equal(state, before):
            break
    return state


def _sweep(order: Array | np.random.Generator, size: int) -> Iterable[int]:
    """The units that look in the next sweep, in order: drawn anew from a Generator, or as the array says."""
    if isinstance(order, np.random.Generator):
        return order.permutation(size)
    match_shapes("hopfield_recall", "order: steps", order)
    if order.dtype.kind not in "iu" or not np.all((order >= 0) & (order < size)):
        raise ValueError(
            f"hopfield_recall: order is {order.dtype} with {order}, expected integers from 0 to {size - 1}"
        )
    return order


def _check_patterns(where: str, patterns: Array) -> None:
    match_shapes(where, "patterns: P N", patterns)
    _check_signs(where, "patterns", patterns)


def _check_state(where: str, weights: Array, state: Array) -> None:
    match_shapes(where, "state: ... N, weights: N N", state, weights)
    _check_signs(where, "state", state)


def _check_signs(where: str, name: str, array: Array) -> None:
    if not np.all(np.abs(array) == 1):
        found = ", ".join(f"{value:g}" for value in np.unique(array)[:4])
        raise ValueError(f"{where}: {name} has entries {found}, expected 1 and -1 only")
