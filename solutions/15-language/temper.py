"""Inputs for 15-language/temper, and PyTorch's softmax of the divided scores."""

import numpy as np
import torch

RETURNS = "p"


def inputs(rng):
    """A row and batches; cold, as it is, hot; scores of size 1000; none at all, with two highest scores."""
    yield 2 * rng.standard_normal((3, 5)), 0.5
    yield rng.standard_normal(6), 1.0
    yield rng.standard_normal((2, 3, 4)), 2.5
    yield 1000 * rng.standard_normal((3, 4)), 0.1
    yield np.log(rng.dirichlet(np.ones(5), size=2)), 0.8
    yield rng.integers(3, size=(4, 6)).astype(float), 0.0


def oracle(logits, temperature):
    scores = torch.from_numpy(logits)
    if temperature == 0:
        best = (scores == scores.max(dim=-1, keepdim=True).values).double()
        return (best / best.sum(dim=-1, keepdim=True)).numpy()
    return torch.softmax(scores / temperature, dim=-1).numpy()
