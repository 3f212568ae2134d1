"""Inputs for 14-labeling/crf_loss, and PyTorch's derivative of what it computes from every path there is."""

import itertools

import numpy as np
import torch

RETURNS = ("loss", "dscores", "grads")


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
    """As many steps as sequences as labels; lengths out of order; one step; large scores; a forbidden way."""
    for T, K, lengths, scale in (
        (3, 3, [3, 1, 2], 1.0),
        (5, 4, [2, 5, 4], 1.0),
        (1, 2, [1, 1], 1.0),
        (4, 3, [3, 4], 1e4),
    ):
        labels = rng.integers(K, size=(T, len(lengths)))
        labels[np.arange(T)[:, None] >= np.array(lengths)] = 99
        yield chain(rng, K, scale), padded(rng, T, K, lengths, scale), labels, np.array(lengths)
    params = chain(rng, 2)
    params["transitions"][0, 1] = -np.inf
    labels = np.array([[1, 1], [0, 1], [0, 7], [0, 7]])
    yield params, padded(rng, 4, 2, [4, 2], junk=1000.0), labels, np.array([4, 2])


def oracle(params, scores, labels, lengths):
    weights = {name: torch.tensor(value, requires_grad=True) for name, value in params.items()}
    given, total = torch.tensor(np.nan_to_num(scores), requires_grad=True), 0
    for b, n in enumerate(lengths):
        paths = torch.tensor(list(itertools.product(range(scores.shape[2]), repeat=int(n))))
        values = weights["start"][paths[:, 0]] + weights["stop"][paths[:, -1]] + 0 * weights["transitions"][0, 0]
        for t in range(n):
            values = values + given[t, b, paths[:, t]]
        for t in range(1, n):
            values = values + weights["transitions"][paths[:, t - 1], paths[:, t]]
        right = (paths == torch.from_numpy(labels[:n, b])).all(dim=1)
        total = total + torch.logsumexp(values, dim=0) - values[right][0]
    loss = total / int(lengths.sum())
    loss.backward()
    return loss.item(), given.grad.numpy(), {name: weight.grad.numpy() for name, weight in weights.items()}
