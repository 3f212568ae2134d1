"""Inputs for 16-seq2seq/decode_step, and PyTorch's step."""

import numpy as np
import torch

RETURNS = ("logits", ("s",), "cache")


def inputs(rng):
    """Sizes that differ, a word that comes twice; as many words as sequences; one sequence."""
    for B, D, H, V in ((4, 3, 5, 6), (3, 2, 4, 3), (1, 4, 2, 5)):
        cell = {
            "W_xh": rng.standard_normal((D, 3 * H)) / np.sqrt(D),
            "W_hh": rng.standard_normal((H, 3 * H)) / np.sqrt(H),
            "b_h": rng.standard_normal(3 * H),
        }
        out = {"W_hy": rng.standard_normal((H, V)), "b_y": rng.standard_normal(V)}
        words = rng.integers(V, size=B)
        words[-1] = words[0]
        params = {"embedding": {"E": rng.standard_normal((V, D))}, "cell": cell, "out": out}
        yield params, words, (rng.standard_normal((B, H)),)


def oracle(params, words, state):
    E, h = torch.from_numpy(params["embedding"]["E"]), torch.from_numpy(state[0])
    cell, out = ({name: torch.from_numpy(v) for name, v in params[part].items()} for part in ("cell", "out"))
    x = E[torch.from_numpy(words)]
    W_z, W_r, W_n = cell["W_hh"].chunk(3, dim=1)
    a_z, a_r, a_n = (x @ cell["W_xh"] + cell["b_h"]).chunk(3, dim=1)
    z, r = torch.sigmoid(a_z + h @ W_z), torch.sigmoid(a_r + h @ W_r)
    n = torch.tanh(a_n + (r * h) @ W_n)
    s = (1 - z) * h + z * n
    logits = s @ out["W_hy"] + out["b_y"]
    x, h, z, r, n, s = (part.numpy() for part in (x, h, z, r, n, s))
    return logits.numpy(), (s,), (words, x, h, z, r, n, s)
