"""Inputs for 17-attention/general_score, and PyTorch's bilinear form of one query and one key at a time."""

import numpy as np
import torch

RETURNS = ("scores", ("query", "keys"))


def inputs(rng):
    """Sizes that all differ, twice; one step of one sequence; all sizes equal, where no shape helps."""
    for S, B, Q, K in ((5, 3, 4, 6), (2, 4, 7, 3), (1, 1, 2, 3), (4, 4, 4, 4)):
        yield {"W": rng.standard_normal((Q, K))}, rng.standard_normal((B, Q)), rng.standard_normal((S, B, K))


def oracle(params, query, keys):
    S, B, _ = keys.shape
    weight = torch.from_numpy(params["W"])[None]
    scores = np.zeros((S, B))
    for s in range(S):
        q, k = torch.from_numpy(query), torch.from_numpy(keys[s])
        scores[s] = torch.nn.functional.bilinear(q, k, weight)[:, 0].numpy()
    return scores, (query, keys)
