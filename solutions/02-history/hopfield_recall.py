"""Inputs for 02-history/hopfield_recall, and the same walk unit by unit in plain Python."""

import numpy as np

RETURNS = "state"


def inputs(rng):
    """Batches and single states; orders forward, shuffled, and of some units only; ties; one sweep, and many."""
    for shape, N, P in (((4,), 9, 2), ((), 8, 3), ((5,), 5, 2), ((2, 3), 6, 4)):
        x = rng.choice([-1.0, 1.0], size=(P, N))
        weights = np.einsum("pi,pj->ij", x, x) * (1 - np.eye(N))
        yield weights, rng.choice([-1.0, 1.0], size=(*shape, N)), rng.permutation(N)
    for size, sweeps in ((12, 1), (30, 100)):  # random couplings: the walk is longer, and one sweep is not enough
        upper = np.triu(rng.integers(-4, 5, size=(size, size)), 1).astype(float)
        yield upper + upper.T, rng.choice([-1.0, 1.0], size=(6, size)), rng.permutation(size), sweeps
    upper = np.triu(rng.integers(-2, 3, size=(7, 7)), 1).astype(float)
    yield upper + upper.T, rng.choice([-1.0, 1.0], size=(3, 7)), np.array([5, 2, 2, 0])


def oracle(weights, state, order, max_sweeps=100):
    rows = [[int(value) for value in row] for row in state.reshape(-1, state.shape[-1])]
    for row in rows:
        for _ in range(max_sweeps):
            changed = False
            for i in map(int, order):
                total = sum(float(weights[i, j]) * row[j] for j in range(len(row)))
                wanted = row[i] if total == 0 else (1 if total > 0 else -1)
                changed, row[i] = changed or wanted != row[i], wanted
            if not changed:
                break
    return np.array(rows, dtype=np.float64).reshape(state.shape)
