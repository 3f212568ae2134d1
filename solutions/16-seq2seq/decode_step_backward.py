"""Inputs for 16-seq2seq/decode_step_backward, and PyTorch's gradients."""

import numpy as np
import torch

RETURNS = (("ds_prev",), "grads")


def inputs(rng):
    """Gradient from the scores and from the steps that follow; from one of them alone; a word that comes twice."""
    for B, D, H, V, scores, later in ((4, 3, 5, 6, 1, 1), (3, 2, 4, 3, 0, 1), (2, 4, 4, 7, 1, 0), (1, 4, 2, 5, 1, 1)):
        cell = {
            "W_xh": rng.standard_normal((D, 3 * H)) / np.sqrt(D),
            "W_hh": rng.standard_normal((H, 3 * H)) / np.sqrt(H),
            "b_h": rng.standard_normal(3 * H),
        }
        out = {"W_hy": rng.standard_normal((H, V)), "b_y": rng.standard_normal(V)}
        words, h = rng.integers(V, size=B), rng.standard_normal((B, H))
        words[-1] = words[0]
        params = {"embedding": {"E": rng.standard_normal((V, D))}, "cell": cell, "out": out}
        dlogits, ds = scores * rng.standard_normal((B, V)), later * rng.standard_normal((B, H))
        yield params, dlogits, (ds,), (words, *_step(params, words, h))


def _step(params, words, h):
    """What the forward step keeps."""
    cell, x = params["cell"], params["embedding"]["E"][words]
    W_z, W_r, W_n = np.split(cell["W_hh"], 3, axis=1)
    a_z, a_r, a_n = np.split(x @ cell["W_xh"] + cell["b_h"], 3, axis=1)
    z, r = 1 / (1 + np.exp(-a_z - h @ W_z)), 1 / (1 + np.exp(-a_r - h @ W_r))
    n = np.tanh(a_n + (r * h) @ W_n)
    return x, h, z, r, n, (1 - z) * h + z * n


def oracle(params, dlogits, dstate, cache):
    words, h = torch.from_numpy(cache[0]), torch.tensor(cache[2], requires_grad=True)
    leaves = {p: {k: torch.tensor(v, requires_grad=True) for k, v in part.items()} for p, part in params.items()}
    cell, out = leaves["cell"], leaves["out"]
    W_z, W_r, W_n = cell["W_hh"].chunk(3, dim=1)
    a_z, a_r, a_n = (leaves["embedding"]["E"][words] @ cell["W_xh"] + cell["b_h"]).chunk(3, dim=1)
    z, r = torch.sigmoid(a_z + h @ W_z), torch.sigmoid(a_r + h @ W_r)
    s = (1 - z) * h + z * torch.tanh(a_n + (r * h) @ W_n)
    logits = s @ out["W_hy"] + out["b_y"]
    torch.autograd.backward([logits, s], [torch.from_numpy(dlogits), torch.from_numpy(dstate[0])])
    return (h.grad.numpy(),), {p: {k: v.grad.numpy() for k, v in part.items()} for p, part in leaves.items()}
