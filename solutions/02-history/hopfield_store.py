"""Inputs for 02-history/hopfield_store, and the same weights by PyTorch."""

import numpy as np
import torch

RETURNS = "weights"


def inputs(rng):
    """More units than patterns, as many, fewer; one pattern; two units."""
    for P, N in ((3, 7), (5, 5), (6, 4), (1, 6), (2, 2)):
        yield (rng.choice([-1.0, 1.0], size=(P, N)),)


def oracle(patterns):
    x = torch.from_numpy(np.asarray(patterns, dtype=np.float64))
    outer = torch.einsum("pi,pj->ij", x, x)
    return (outer - torch.diag(torch.diagonal(outer))).numpy()
