"""Inputs for 14-labeling/crf_score, and the scores of paths added up one number after the other."""

import numpy as np

RETURNS = "scores of the paths"


def chain(rng, K, scale=1.0):
    return {
        name: scale * rng.standard_normal((K,) * axes) for name, axes in (("transitions", 2), ("start", 1), ("stop", 1))
    }


def padded(rng, T, K, lengths, scale=1.0, junk=np.nan):
    """Scores with something behind the ends."""
    scores = scale * rng.standard_normal((T, len(lengths), K))
    scores[np.arange(T)[:, None] >= np.array(lengths)] = junk
    return scores


def inputs(rng):
    """As many steps as sequences as labels; nonsense behind the ends; one step; large scores; a forbidden move."""
    for T, K, lengths, scale, junk in (
        (3, 3, [3, 1, 2], 1.0, 7.0),
        (5, 4, [2, 5, 4, 1], 1.0, np.nan),
        (1, 2, [1, 1], 1.0, np.nan),
        (4, 3, [4, 3], 1e4, np.nan),
    ):
        scores, labels = padded(rng, T, K, lengths, scale, junk), rng.integers(K, size=(T, len(lengths)))
        labels[np.arange(T)[:, None] >= np.array(lengths)] = 99
        yield chain(rng, K, scale), scores, labels, np.array(lengths)
    params = chain(rng, 2)
    params["transitions"][0, 1] = -np.inf
    labels = np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]])
    yield params, padded(rng, 3, 2, [3, 2, 3]), labels, np.array([3, 2, 3])


def oracle(params, scores, labels, lengths):
    found = []
    for b, n in enumerate(lengths):
        total = params["start"][labels[0, b]] + params["stop"][labels[n - 1, b]]
        for t in range(n):
            total += scores[t, b, labels[t, b]]
            if t > 0:
                total += params["transitions"][labels[t - 1, b], labels[t, b]]
        found.append(total)
    return np.array(found)
