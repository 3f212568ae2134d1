"""Inputs for 04-elman/elman_step_backward, and PyTorch's gradients of the same step."""

import numpy as np
import torch

RETURNS = ("dx", ("dh_prev",), "grads")


def inputs(rng):
    """All sizes different; ReLU; a batch of one; all sizes equal, so that no shape tells a transpose."""
    for B, D, H, phi in ((4, 3, 5, "tanh"), (4, 3, 5, "relu"), (1, 2, 3, "tanh"), (3, 3, 3, "tanh")):
        params = {
            "W_xh": rng.standard_normal((D, H)),
            "W_hh": rng.standard_normal((H, H)),
            "b_h": rng.standard_normal(H),
        }
        x, h_prev, dh = rng.standard_normal((B, D)), rng.uniform(-1, 1, (B, H)), rng.standard_normal((B, H))
        a = np.einsum("bd,dh->bh", x, params["W_xh"]) + np.einsum("bg,gh->bh", h_prev, params["W_hh"]) + params["b_h"]
        h = np.tanh(a) if phi == "tanh" else a.clip(min=0)
        arguments = (params, (dh,), (x, h_prev, h))
        yield arguments if phi == "tanh" else (*arguments, phi)


def oracle(params, dstate, cache, phi="tanh"):
    weights = {name: torch.tensor(value, requires_grad=True) for name, value in params.items()}
    x, h_prev = (torch.tensor(value, requires_grad=True) for value in cache[:2])
    squash = {"tanh": torch.tanh, "relu": torch.relu}[phi]
    h = squash(x @ weights["W_xh"] + h_prev @ weights["W_hh"] + weights["b_h"])
    h.backward(torch.from_numpy(dstate[0]))
    grads = {name: value.grad.numpy() for name, value in weights.items()}
    return x.grad.numpy(), (h_prev.grad.numpy(),), grads
