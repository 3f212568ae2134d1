"""Inputs for 15-language/nucleus, and a loop that takes symbols until the mass is reached."""

import numpy as np

RETURNS = "p"


def inputs(rng):
    """A row and batches; little mass and nearly all; one symbol that holds it alone; equal chances; all of it."""
    yield rng.dirichlet(np.ones(6), size=4), 0.7
    yield rng.dirichlet(np.ones(5)), 0.9
    yield rng.dirichlet(np.ones(4), size=(2, 3)), 0.3
    yield np.array([[0.05, 0.85, 0.1], [0.4, 0.35, 0.25]]), 0.8
    yield np.array([[0.25, 0.25, 0.25, 0.25], [0.125, 0.5, 0.25, 0.125]]), 0.5
    yield rng.dirichlet(np.ones(7), size=2), 1.0


def oracle(p, mass):
    rows = []
    for row in p.reshape(-1, p.shape[-1]).tolist():
        kept, held = [], 0.0
        for w in sorted(range(len(row)), key=lambda w: -row[w]):
            if held >= mass:
                break
            kept.append(w)
            held += row[w]
        rows.append([row[w] / held if w in kept else 0.0 for w in range(len(row))])
    return np.array(rows).reshape(p.shape)
