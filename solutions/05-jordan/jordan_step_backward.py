"""Inputs for 05-jordan/jordan_step_backward, and PyTorch's gradients of the same step."""

import numpy as np
import torch

RETURNS = ("dx", ("dy_prev",), "grads")


def inputs(rng):
    """All sizes different; every pair of phi and psi; a batch of one; all sizes equal, to show a transpose."""
    kinds = (("tanh", "linear"), ("relu", "linear"), ("tanh", "tanh"), ("relu", "tanh"), ("tanh",), ("tanh", "tanh"))
    sizes = ((4, 3, 5, 2), (4, 3, 5, 2), (4, 3, 5, 2), (2, 2, 4, 3), (1, 2, 3, 4), (3, 3, 3, 3))
    for (B, D, H, K), kind in zip(sizes, kinds, strict=True):
        shapes = {"W_xh": (D, H), "W_yh": (K, H), "b_h": (H,), "W_hy": (H, K), "b_y": (K,)}
        params = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
        x, y_prev, dy = rng.standard_normal((B, D)), rng.standard_normal((B, K)), rng.standard_normal((B, K))
        a = np.einsum("bd,dh->bh", x, params["W_xh"]) + np.einsum("bk,kh->bh", y_prev, params["W_yh"]) + params["b_h"]
        h = np.tanh(a) if kind[0] == "tanh" else a.clip(min=0)
        z = np.einsum("bh,hk->bk", h, params["W_hy"]) + params["b_y"]
        y = z if kind[1:] in ((), ("linear",)) else np.tanh(z)
        yield (params, (dy,), (x, y_prev, h, y), *kind)


def oracle(params, dstate, cache, phi="tanh", psi="linear"):
    weights = {name: torch.tensor(value, requires_grad=True) for name, value in params.items()}
    x, y_prev = (torch.tensor(value, requires_grad=True) for value in cache[:2])
    squash = {"tanh": torch.tanh, "relu": torch.relu, "linear": torch.nn.Identity()}
    h = squash[phi](x @ weights["W_xh"] + y_prev @ weights["W_yh"] + weights["b_h"])
    y = squash[psi](h @ weights["W_hy"] + weights["b_y"])
    y.backward(torch.from_numpy(dstate[0]))
    grads = {name: value.grad.numpy() for name, value in weights.items()}
    return x.grad.numpy(), (y_prev.grad.numpy(),), grads
