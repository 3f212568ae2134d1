"""Inputs for 06-lstm/peephole_lstm_step_backward, and PyTorch's gradients of the same step."""

import numpy as np
import torch

RETURNS = ("dx", ("dh_prev", "dc_prev"), "grads")


def inputs(rng):
    """All sizes different; a batch of one; all sizes equal; gradient through h alone, and through c alone."""
    for B, D, H, h_counts, c_counts in (
        (4, 3, 5, 1, 1),
        (1, 2, 3, 1, 1),
        (3, 3, 3, 1, 1),
        (2, 4, 3, 1, 0),
        (2, 3, 4, 0, 1),
    ):
        params = {
            "W_xh": rng.standard_normal((D, 4 * H)),
            "W_hh": rng.standard_normal((H, 4 * H)),
            "b_h": rng.standard_normal(4 * H),
        }
        params |= {name: rng.standard_normal(H) for name in ("p_i", "p_f", "p_o")}
        x, h_prev, c_prev = rng.standard_normal((B, D)), rng.uniform(-1, 1, (B, H)), rng.standard_normal((B, H))
        a = np.einsum("bd,dh->bh", x, params["W_xh"]) + np.einsum("bg,gh->bh", h_prev, params["W_hh"]) + params["b_h"]
        a_i, a_f, a_o, a_g = (a[:, k * H : (k + 1) * H] for k in range(4))
        i, f = (1 / (1 + np.exp(-s - params[p] * c_prev)) for s, p in ((a_i, "p_i"), (a_f, "p_f")))
        c = f * c_prev + i * np.tanh(a_g)
        o = 1 / (1 + np.exp(-a_o - params["p_o"] * c))
        dstate = h_counts * rng.standard_normal((B, H)), c_counts * rng.standard_normal((B, H))
        yield params, dstate, (x, h_prev, c_prev, i, f, o, np.tanh(a_g), c)


def oracle(params, dstate, cache):
    p = {name: torch.tensor(value, requires_grad=True) for name, value in params.items()}
    x, h_prev, c_prev = (torch.tensor(value, requires_grad=True) for value in cache[:3])
    W, U, b = (p[name].chunk(4, dim=-1) for name in ("W_xh", "W_hh", "b_h"))
    a = [x @ W[k] + h_prev @ U[k] + b[k] for k in range(4)]
    i, f = torch.sigmoid(a[0] + p["p_i"] * c_prev), torch.sigmoid(a[1] + p["p_f"] * c_prev)
    c = f * c_prev + i * torch.tanh(a[3])
    h = torch.sigmoid(a[2] + p["p_o"] * c) * torch.tanh(c)
    torch.autograd.backward([h, c], [torch.from_numpy(d) for d in dstate])
    grads = {name: value.grad.numpy() for name, value in p.items()}
    return x.grad.numpy(), (h_prev.grad.numpy(), c_prev.grad.numpy()), grads
