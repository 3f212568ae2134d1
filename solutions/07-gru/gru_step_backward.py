"""Inputs for 07-gru/gru_step_backward, and PyTorch's gradients of the same step."""

import torch

RETURNS = ("dx", ("dh_prev",), "grads")


def inputs(rng):
    """Both forms, all sizes different; a batch of one; all sizes equal, so that no shape tells a transpose."""
    for B, D, H, reset in ((4, 3, 5, "before"), (4, 3, 5, "after"), (1, 2, 3, "before"), (3, 3, 3, "after")):
        params = {
            "W_xh": rng.standard_normal((D, 3 * H)),
            "W_hh": rng.standard_normal((H, 3 * H)),
            "b_h": rng.standard_normal(3 * H),
        }
        if reset == "after":
            params["b_hh"] = rng.standard_normal(H)
        x, h_prev, dh = rng.standard_normal((B, D)), rng.uniform(-1, 1, (B, H)), rng.standard_normal((B, H))
        _, gates = _forward({name: torch.from_numpy(value) for name, value in params.items()}, x, h_prev, reset)
        arguments = (params, (dh,), (x, h_prev, *(gate.numpy() for gate in gates)))
        yield arguments if reset == "before" else (*arguments, reset)


def _forward(params, x, h_prev, reset):
    x, h_prev = torch.as_tensor(x), torch.as_tensor(h_prev)
    x_z, x_r, x_n = (x @ params["W_xh"] + params["b_h"]).chunk(3, dim=1)
    W_z, W_r, W_n = params["W_hh"].chunk(3, dim=1)
    z, r = torch.sigmoid(x_z + h_prev @ W_z), torch.sigmoid(x_r + h_prev @ W_r)
    recalled = (r * h_prev) @ W_n if reset == "before" else r * (h_prev @ W_n + params["b_hh"])
    n = torch.tanh(x_n + recalled)
    return h_prev + z * (n - h_prev), (z, r, n)


def oracle(params, dstate, cache, reset="before"):
    weights = {name: torch.tensor(value, requires_grad=True) for name, value in params.items()}
    x, h_prev = (torch.tensor(value, requires_grad=True) for value in cache[:2])
    h, _ = _forward(weights, x, h_prev, reset)
    h.backward(torch.from_numpy(dstate[0]))
    grads = {name: value.grad.numpy() for name, value in weights.items()}
    return x.grad.numpy(), (h_prev.grad.numpy(),), grads
