"""Elman's temporal XOR: a stream in which two bits of three are random and the third one follows from them.

Chapter: 02-history
"""

import numpy as np

from rnnlib.contracts import match_shapes
from rnnlib.types import Array

__all__ = ["error_by_phase", "temporal_xor", "xor_guess_step"]


def temporal_xor(pairs: Array) -> Array:
    """Streams of bits: two of a pair, then their exclusive or, then the next pair.

    Parameters
    ----------
    pairs  (n, 2, ...), integers 0 and 1; further axes are separate streams.

    Returns
    -------
    the stream, (3n, ...), same dtype: time first.

    Raises
    ------
    ValueError  pairs is not (n, 2, ...), or an entry is neither 0 nor 1.

    Examples
    --------
    >>> temporal_xor(np.array([[1, 0], [0, 0], [0, 1]]))
    array([1, 0, 1, 0, 0, 0, 0, 1, 1])

    Chapter: 02-history. Equation: temporal-xor. Source: Elman (1990).
    """
    _check_pairs(pairs)
    triples = np.stack([pairs[:, 0], pairs[:, 1], pairs[:, 0] ^ pairs[:, 1]], axis=1)
    return triples.reshape(-1, *pairs.shape[2:])


def error_by_phase(errors: Array, period: int) -> Array:
    """The mean error at each place of a repeating pattern: entry k is the mean over all t with t mod period = k.

    Parameters
    ----------
    errors  (T, ...), time first; further axes (streams) are averaged too. T need not be a multiple of period.
    period  how many places there are, from 1 to T.

    Returns
    -------
    (period,), same dtype.

    Raises
    ------
    ValueError  period is below 1 or above T.

    Chapter: 02-history. Equation: error-by-phase.
    """
    if not 1 <= period <= len(errors):
        raise ValueError(f"error_by_phase: period is {period}, expected 1 to the number of steps, {len(errors)}")
    return np.array([errors[k::period].mean() for k in range(period)], errors.dtype)


def xor_guess_step(state: tuple[Array, int, int], bit: int) -> tuple[tuple[Array, int, int], float]:
    """One step, for `scan`, of the best guess at a temporal XOR whose start nobody told.

    Parameters
    ----------
    state  (belief, before, last). belief (3,): how probable it is that the coming bit is the first, second, third
           of its triple; before and last: the two bits read most recently.
    bit    the bit that comes.

    Returns
    -------
    (the state after it, the probability that the bit after it is a 1, a Python float)

    Raises
    ------
    ValueError  no place is left that allows this bit: the stream is no temporal XOR.

    Chapter: 02-history. Equation: xor-guess. Source: Bayes' rule.
    """
    belief, before, last = state
    _check_belief(belief)
    fits = np.array([0.5, 0.5, bit == before ^ last], belief.dtype)
    belief = np.roll(belief * fits, 1)
    if not belief.any():
        raise ValueError(f"xor_guess_step: no place allows bit {bit} after {before}, {last}; is this a temporal XOR?")
    belief = belief / belief.sum()
    return (belief, last, bit), float(0.5 * (belief[0] + belief[1]) + belief[2] * (last ^ bit))


def _check_pairs(pairs: Array) -> None:
    if not isinstance(pairs, np.ndarray) or pairs.ndim < 2 or pairs.shape[1] != 2:
        came = f"shape {pairs.shape}" if isinstance(pairs, np.ndarray) else f"type {type(pairs).__name__}"
        raise ValueError(f"temporal_xor: pairs has {came}, expected an array (n, 2, ...)")
    if pairs.dtype.kind not in "iu" or not np.isin(pairs, (0, 1)).all():
        raise ValueError(f"temporal_xor: pairs is {pairs.dtype} from {pairs.min()} to {pairs.max()}, expected 0 and 1")


def _check_belief(belief: Array) -> None:
    match_shapes("xor_guess_step", "belief: places", belief)
    if belief.shape != (3,):
        raise ValueError(f"xor_guess_step: belief has shape {belief.shape}, expected (3,)")
