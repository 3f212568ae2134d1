"""Inputs for 10-bptt/embed, and PyTorch's embedding of the same symbols."""

import numpy as np
import torch

RETURNS = ("xs", ("tokens",))


def inputs(rng):
    """A batch with repeats; a vector; three axes; a table as wide as it is long; one symbol alone."""
    for V, D, shape in ((5, 3, (4, 3)), (4, 2, (6,)), (3, 4, (2, 3, 2)), (4, 4, (4, 4)), (3, 2, ())):
        yield {"E": rng.standard_normal((V, D))}, np.array(rng.integers(V, size=shape))


def oracle(params, tokens):
    return torch.nn.functional.embedding(torch.from_numpy(tokens), torch.from_numpy(params["E"])).numpy(), (tokens,)
