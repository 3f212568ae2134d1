"""Inputs for 17-attention/dot_score, and one product at a time in PyTorch."""

import numpy as np
import torch

RETURNS = ("scores", ("query", "keys"))


def inputs(rng):
    """Sizes that all differ, twice; scaled; one step of one sequence; all sizes equal."""
    for S, B, H, scaled in ((5, 3, 4, False), (2, 4, 7, False), (6, 2, 5, True), (1, 1, 3, True), (4, 4, 4, True)):
        query, keys = rng.standard_normal((B, H)), rng.standard_normal((S, B, H))
        yield (query, keys, True) if scaled else (query, keys)


def oracle(query, keys, scaled=False):
    scores = torch.zeros(keys.shape[:2], dtype=torch.float64)
    for s, b in np.ndindex(*keys.shape[:2]):
        scores[s, b] = torch.dot(torch.from_numpy(query[b]), torch.from_numpy(keys[s, b]))
    return (scores / query.shape[1] ** 0.5 if scaled else scores).numpy(), (query, keys)
