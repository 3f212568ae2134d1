"""Inputs for 13-classification/confusion_matrix, and the examples counted one by one."""

import numpy as np

RETURNS = "C"


def inputs(rng):
    """Pairs that repeat; a class that nobody guesses; one that does not occur; all right; one example; none."""
    truth = rng.integers(4, size=30)
    yield truth, np.where(rng.random(30) < 0.6, truth, rng.integers(4, size=30)), 4
    yield np.array([0, 0, 1, 2]), np.array([0, 1, 1, 1]), 3
    yield rng.integers(2, size=12), rng.integers(3, size=12), 5
    yield np.array([2, 0, 2, 1, 2]), np.array([2, 0, 2, 1, 2]), 3
    yield np.array([1]), np.array([0]), 2
    yield np.zeros(0, int), np.zeros(0, int), 2


def oracle(truth, guess, classes):
    pairs = list(zip(truth.tolist(), guess.tolist(), strict=True))
    return np.array([[pairs.count((i, j)) for j in range(classes)] for i in range(classes)])
