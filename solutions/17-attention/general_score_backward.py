"""Inputs for 17-attention/general_score_backward, and PyTorch's gradients of its bilinear form."""

import torch

RETURNS = ("dquery", "dkeys", "grads")


def inputs(rng):
    """Sizes that all differ, twice; one step of one sequence; all sizes equal, where no shape helps."""
    for S, B, Q, K in ((5, 3, 4, 6), (2, 4, 7, 3), (1, 1, 2, 3), (4, 4, 4, 4)):
        cache = rng.standard_normal((B, Q)), rng.standard_normal((S, B, K))
        yield {"W": rng.standard_normal((Q, K))}, rng.standard_normal((S, B)), cache


def oracle(params, dscores, cache):
    weight = torch.tensor(params["W"], requires_grad=True)
    query, keys = (torch.tensor(array, requires_grad=True) for array in cache)
    scores = torch.stack([torch.nn.functional.bilinear(query, key, weight[None])[:, 0] for key in keys])
    scores.backward(torch.from_numpy(dscores))
    return query.grad.numpy(), keys.grad.numpy(), {"W": weight.grad.numpy()}
