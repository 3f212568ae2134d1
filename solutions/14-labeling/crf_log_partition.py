"""Inputs for 14-labeling/crf_log_partition, and the sum over every path there is."""

import itertools

import numpy as np
import torch

RETURNS = "log Z"


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
    alone = [worth(params, scores[:n, b], every_path(scores.shape[2], n)) for b, n in enumerate(lengths)]
    return np.array([float(torch.logsumexp(torch.from_numpy(values), dim=0)) for values in alone])
