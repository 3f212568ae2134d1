"""Inputs for 17-attention/dot_score_backward, and PyTorch's gradients."""

import torch

RETURNS = ("dquery", "dkeys")


def inputs(rng):
    """Sizes that all differ, twice; scaled; one step of one sequence; all sizes equal."""
    for S, B, H, scaled in ((5, 3, 4, False), (2, 4, 7, False), (6, 2, 5, True), (1, 1, 3, True), (4, 4, 4, True)):
        cache = rng.standard_normal((B, H)), rng.standard_normal((S, B, H))
        dscores = rng.standard_normal((S, B))
        yield (dscores, cache, True) if scaled else (dscores, cache)


def oracle(dscores, cache, scaled=False):
    query, keys = (torch.tensor(array, requires_grad=True) for array in cache)
    scores = (keys * query).sum(dim=-1)
    if scaled:
        scores = scores / query.shape[1] ** 0.5
    scores.backward(torch.from_numpy(dscores))
    return query.grad.numpy(), keys.grad.numpy()
