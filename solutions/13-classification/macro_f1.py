"""Inputs for 13-classification/macro_f1, and the mean of each class's own F1 from precision and recall."""

import numpy as np

RETURNS = "macro-F1"


def inputs(rng):
    """Any; classes of very different size; one never guessed; one never there; one in neither; all right; all wrong."""
    yield (rng.integers(1, 9, size=(4, 4)),)
    yield (np.array([[90, 0, 2], [3, 4, 0], [6, 0, 1]]),)
    yield (np.array([[1, 1, 0], [0, 1, 0], [0, 1, 0]]),)
    yield (np.array([[5, 2, 1], [1, 3, 2], [0, 0, 0]]),)
    yield (np.array([[4, 0, 1, 0], [0, 0, 0, 0], [2, 0, 3, 0], [1, 0, 0, 2]]),)
    yield (np.diag([3, 1, 7]),)
    yield (np.array([[0, 5], [2, 0]]),)
    yield (rng.integers(0, 30, size=(6, 6)) * (rng.random((6, 6)) < 0.5) + np.eye(6, dtype=int),)


def oracle(confusion):
    scores = []
    for k in range(len(confusion)):
        right, there, told = confusion[k, k], confusion[k].sum(), confusion[:, k].sum()
        if there + told == 0:
            continue
        precision, recall = (right / told if told else 0.0), (right / there if there else 0.0)
        scores.append(2 * precision * recall / (precision + recall) if right else 0.0)
    return float(np.mean(scores))
