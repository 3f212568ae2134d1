"""Inputs for 14-labeling/messages_ahead, and the sums over all beginnings of paths, each written out."""

import itertools

import numpy as np
import torch

RETURNS = "messages"


def chain(rng, K, scale=1.0):
    return {
        name: scale * rng.standard_normal((K,) * axes) for name, axes in (("transitions", 2), ("start", 1), ("stop", 1))
    }


def inputs(rng):
    """As many steps as sequences as labels; one step; one label; large scores; forbidden ways, one label closed."""
    for T, B, K, scale in ((3, 3, 3, 1.0), (5, 2, 4, 1.0), (1, 3, 2, 1.0), (4, 2, 1, 1.0), (4, 2, 3, 1e4)):
        yield chain(rng, K, scale), scale * rng.standard_normal((T, B, K))
    params = chain(rng, 3)
    params["start"][0] = params["transitions"][1, 2] = -np.inf
    params["transitions"][:, 1] = -np.inf
    yield params, rng.standard_normal((4, 2, 3))


def every_path(K, n):
    """All paths of n labels, one in each row."""
    return np.array(list(itertools.product(range(K), repeat=int(n))))


def worth(params, scores, paths):
    """The score of each beginning of a path, through n steps of one sequence (n, K)."""
    total = params["start"][paths[:, 0]]
    for t in range(paths.shape[1]):
        total = total + scores[t, paths[:, t]]
    for t in range(1, paths.shape[1]):
        total = total + params["transitions"][paths[:, t - 1], paths[:, t]]
    return total


def oracle(params, scores):
    T, B, K = scores.shape
    found = np.empty((T, B, K))
    for t, b in np.ndindex(T, B):
        paths = every_path(K, t + 1)
        values = worth(params, scores[: t + 1, b], paths)
        for k in range(K):
            found[t, b, k] = torch.logsumexp(torch.from_numpy(values[paths[:, -1] == k]), dim=0)
    return found
