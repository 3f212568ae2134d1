"""How good a classifier is, class by class: who is taken for whom, and one number that gives each class the same say.

Chapter: 13-classification
"""

import numpy as np

from rnnlib.contracts import match_shapes
from rnnlib.types import Array

__all__ = ["confusion_matrix", "macro_f1"]


def confusion_matrix(truth: Array, guess: Array, classes: int) -> Array:
    """How often each class was taken for each class.

        C_{ij} = #{n : truth_n = i, guess_n = j}

    Parameters
    ----------
    truth    (N,), integers in 0 .. K-1.
    guess    (N,), integers in 0 .. K-1.
    classes  K.

    Returns
    -------
    C (K, K), integers: a row for each true class, a column for each guess; the sum is N.

    Raises
    ------
    ValueError  shapes differ, or an entry is no integer in 0 .. K-1.

    Chapter: 13-classification. Equation: confusion.
    """
    match_shapes("confusion_matrix", "truth: N, guess: N", truth, guess)
    _check_labels("truth", truth, classes)
    _check_labels("guess", guess, classes)
    confusion = np.zeros((classes, classes), int)
    np.add.at(confusion, (truth, guess), 1)
    return confusion


def macro_f1(confusion: Array) -> float:
    """The mean over the classes of F1, the harmonic mean of precision and recall.

        F1_k = 2 C_kk / (sum_j C_kj + sum_i C_ik)

    Parameters
    ----------
    confusion  C (K, K), counts that are not negative, row = truth.

    Returns
    -------
    a number from 0 to 1. A class that is neither in the truth nor among the guesses is left out of the mean.

    Raises
    ------
    ValueError  C is not square, or holds no count above zero.

    Chapter: 13-classification. Equations: f1, macro-f1. Source: van Rijsbergen (1979).
    """
    match_shapes("macro_f1", "confusion: K K", confusion)
    there = confusion.sum(axis=1) + confusion.sum(axis=0)
    seen = there > 0
    if not seen.any():
        raise ValueError("macro_f1: no example was counted (the matrix holds nothing but zeros), so there is no mean")
    return float((2 * np.diag(confusion)[seen] / there[seen]).mean())


def _check_labels(name: str, labels: Array, classes: int) -> None:
    if not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"confusion_matrix: {name} has dtype {labels.dtype}, expected integers")
    if labels.size and not 0 <= labels.min() <= labels.max() < classes:
        raise ValueError(
            f"confusion_matrix: {name} runs from {labels.min()} to {labels.max()}, expected 0 to {classes - 1}"
        )
