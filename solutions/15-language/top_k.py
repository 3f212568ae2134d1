"""Inputs for 15-language/top_k, and each row sorted with Python's own stable sort."""

import numpy as np

RETURNS = "p"


def inputs(rng):
    """A row and batches, k from 1 to more than there are; rows with equal chances."""
    yield rng.dirichlet(np.ones(6), size=4), 3
    yield rng.dirichlet(np.ones(5)), 1
    yield rng.dirichlet(np.ones(4), size=(2, 3)), 2
    yield rng.dirichlet(np.ones(3), size=2), 7
    yield np.array([[0.2, 0.2, 0.2, 0.2, 0.2], [0.1, 0.3, 0.3, 0.0, 0.3]]), 2


def oracle(p, k):
    rows = []
    for row in p.reshape(-1, p.shape[-1]).tolist():
        kept = sorted(range(len(row)), key=lambda w: -row[w])[:k]
        total = sum(row[w] for w in kept)
        rows.append([row[w] / total if w in kept else 0.0 for w in range(len(row))])
    return np.array(rows).reshape(p.shape)
