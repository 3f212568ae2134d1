"""Inputs for 10-bptt/embed_backward, and PyTorch's gradient of the table."""

import numpy as np
import torch

RETURNS = "grads"


def inputs(rng):
    """Symbols that come again in a step, over the steps, and not at all; three axes; each symbol once."""
    for V, D, tokens in (
        (5, 3, [[1, 1, 3], [3, 0, 1], [1, 1, 1], [0, 3, 2]]),
        (4, 2, [2, 2, 0, 2, 0, 2]),
        (3, 4, [[[0, 1], [1, 0]], [[0, 0], [2, 1]]]),
        (4, 4, [[0, 1], [2, 3]]),
        (6, 1, [[5, 5, 5]]),
    ):
        tokens = np.array(tokens)
        yield {"E": rng.standard_normal((V, D))}, rng.standard_normal((*tokens.shape, D)), (tokens,)


def oracle(params, dxs, cache):
    E = torch.tensor(params["E"], requires_grad=True)
    torch.nn.functional.embedding(torch.from_numpy(cache[0]), E).backward(torch.from_numpy(dxs))
    return {"E": E.grad.numpy()}
