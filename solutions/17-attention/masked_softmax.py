"""Inputs for 17-attention/masked_softmax, and PyTorch's softmax of each sequence's own scores, taken alone."""

import numpy as np
import torch

RETURNS = "weights"


def inputs(rng):
    """Padding behind the ends, gaps, none, one step; junk in the padding; scores large, far below 0, far apart."""
    for S, lengths, junk, size in (
        (5, [5, 2, 3], 1e9, 1),
        (4, [4, 4], 0.0, 1),
        (3, [3, 1, 2, 3], np.nan, 1),
        (6, [2, 5, 6], np.inf, 300),
        (1, [1, 1], 0.0, 1),
    ):
        mask = np.arange(S)[:, None] < np.array(lengths)
        yield np.where(mask, size * rng.standard_normal(mask.shape), junk), mask
    scores, mask = rng.standard_normal((4, 3)), np.array([[0, 1, 1], [1, 0, 1], [0, 1, 0], [1, 0, 0]], bool)
    yield np.where(mask, scores - 1e10, 0.0), mask
    yield rng.standard_normal((2, 3)) + np.array([900.0, 0, -900]), np.ones((2, 3), bool)


def oracle(scores, mask):
    weights = np.zeros_like(scores)
    for b in range(scores.shape[1]):
        weights[mask[:, b], b] = torch.softmax(torch.from_numpy(scores[mask[:, b], b]), dim=0).numpy()
    return weights
