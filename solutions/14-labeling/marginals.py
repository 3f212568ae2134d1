"""Inputs for 14-labeling/marginals, and the share of each label among all paths, path by path."""

import itertools

import numpy as np
import torch

RETURNS = "probabilities"


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
    """As many steps as sequences as labels; lengths out of order; one step; large scores; forbidden ways."""
    for T, K, lengths, scale in (
        (3, 3, [3, 1, 2], 1.0),
        (5, 4, [2, 5, 4], 1.0),
        (1, 2, [1, 1], 1.0),
        (4, 3, [3, 4], 1e4),
    ):
        yield chain(rng, K, scale), padded(rng, T, K, lengths, scale), np.array(lengths)
    params = chain(rng, 3)
    params["start"][1] = params["stop"][0] = params["transitions"][1, 2] = -np.inf
    yield params, padded(rng, 4, 3, [4, 2], junk=1000.0), np.array([4, 2])


def every_path(K, n):
    """All paths of n labels, one in each row."""
    return np.array(list(itertools.product(range(K), repeat=int(n))))


def worth(params, scores, paths):
    """The score of each path through one sequence (n, K)."""
    total = params["start"][paths[:, 0]] + params["stop"][paths[:, -1]]
    for t in range(paths.shape[1]):
        total = total + scores[t, paths[:, t]]
    for t in range(1, paths.shape[1]):
        total = total + params["transitions"][paths[:, t - 1], paths[:, t]]
    return total


def oracle(params, scores, lengths):
    found = np.zeros(scores.shape)
    for b, n in enumerate(lengths):
        paths = every_path(scores.shape[2], n)
        p = torch.softmax(torch.from_numpy(worth(params, scores[:n, b], paths)), dim=0).numpy()
        for t, k in np.ndindex(n, scores.shape[2]):
            found[t, b, k] = p[paths[:, t] == k].sum()
    return found
