"""Inputs for 17-attention/additive_score_backward, and PyTorch's gradients of the same net."""

import numpy as np
import torch

RETURNS = ("dquery", "dkeys", "grads")


def inputs(rng):
    """Sizes that all differ, twice; one step of one sequence; all sizes equal."""
    for S, B, Q, K, A in ((5, 3, 4, 6, 2), (2, 4, 3, 5, 7), (1, 1, 2, 3, 4), (4, 4, 4, 4, 4)):
        params = {
            "W_q": rng.standard_normal((Q, A)),
            "W_k": rng.standard_normal((K, A)),
            "v": rng.standard_normal(A),
        }
        query, keys = rng.standard_normal((B, Q)), rng.standard_normal((S, B, K))
        a = np.einsum("bq,qa->ba", query, params["W_q"]) + np.einsum("sbk,ka->sba", keys, params["W_k"])
        yield params, rng.standard_normal((S, B)), (query, keys, np.tanh(a))


def oracle(params, dscores, cache):
    weights = {name: torch.tensor(value, requires_grad=True) for name, value in params.items()}
    query, keys = (torch.tensor(value, requires_grad=True) for value in cache[:2])
    scores = torch.tanh(query @ weights["W_q"] + keys @ weights["W_k"]) @ weights["v"]
    scores.backward(torch.from_numpy(dscores))
    return query.grad.numpy(), keys.grad.numpy(), {name: value.grad.numpy() for name, value in weights.items()}
