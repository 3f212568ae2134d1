"""Inputs for 17-attention/additive_score, and PyTorch's layers on one key of one sequence at a time."""

import numpy as np
import torch

RETURNS = ("scores", ("query", "keys", "u"))


def inputs(rng):
    """Sizes that all differ, twice; one step of one sequence; all sizes equal."""
    for S, B, Q, K, A in ((5, 3, 4, 6, 2), (2, 4, 3, 5, 7), (1, 1, 2, 3, 4), (4, 4, 4, 4, 4)):
        params = {
            "W_q": rng.standard_normal((Q, A)),
            "W_k": rng.standard_normal((K, A)),
            "v": rng.standard_normal(A),
        }
        yield params, rng.standard_normal((B, Q)), rng.standard_normal((S, B, K))


def oracle(params, query, keys):
    W_q, W_k, v, q, k = map(torch.from_numpy, (params["W_q"], params["W_k"], params["v"], query, keys))
    u = torch.zeros((*keys.shape[:2], len(v)), dtype=torch.float64)
    for s, b in np.ndindex(*keys.shape[:2]):
        u[s, b] = torch.tanh(torch.nn.functional.linear(q[b], W_q.T) + torch.nn.functional.linear(k[s, b], W_k.T))
    return torch.matmul(u, v).numpy(), (query, keys, u.numpy())
