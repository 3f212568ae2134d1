"""Inputs for 14-labeling/viterbi, and the best of all paths, each scored."""

import itertools

import numpy as np

RETURNS = ("labels", "scores")


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
    """As many steps as sequences as labels; lengths out of order; one step; large scores; forbidden ways; a trap."""
    for T, K, lengths, scale in (
        (3, 3, [3, 1, 2], 1.0),
        (5, 4, [2, 5, 4, 1], 1.0),
        (1, 2, [1, 1], 1.0),
        (4, 3, [3, 4], 1e4),
    ):
        yield chain(rng, K, scale), padded(rng, T, K, lengths, scale), np.array(lengths)
    params = chain(rng, 3)
    params["start"][1] = params["stop"][0] = params["transitions"][1, 2] = -np.inf
    yield params, padded(rng, 4, 3, [4, 2], junk=1000.0), np.array([4, 2])
    # The most probable labels are 0, 0; the best path is 1, 0.
    moves = np.log(np.array([[0.33, 0.34, 0.33], [0.9, 0.05, 0.05], [0.35, 0.33, 0.32]]))
    start = np.log(np.array([0.4, 0.35, 0.25])) + 0.01 * rng.standard_normal(3)
    yield {"transitions": moves, "start": start, "stop": np.zeros(3)}, np.zeros((2, 1, 3)), np.array([2])


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
    labels, best = np.zeros(scores.shape[:2], int), np.zeros(len(lengths))
    for b, n in enumerate(lengths):
        paths = every_path(scores.shape[2], n)
        values = worth(params, scores[:n, b], paths)
        labels[:n, b], best[b] = paths[values.argmax()], values.max()
    return labels, best
