"""Inputs for 07-gru/gru_step, and PyTorch's answer: its own cell for the form "after", its operations for "before"."""

import numpy as np
import torch

RETURNS = (("h",), ("x", "h_prev", "z", "r", "n"))


def inputs(rng):
    """Both forms, all sizes different; a batch of one; all sizes equal; sums so large that the gates saturate."""
    for B, D, H, reset, scale in (
        (4, 3, 5, "before", 1),
        (4, 3, 5, "after", 1),
        (1, 2, 3, "before", 1),
        (3, 3, 3, "after", 1),
        (2, 3, 3, "before", 30),
    ):
        params = {
            "W_xh": scale * rng.standard_normal((D, 3 * H)),
            "W_hh": scale * rng.standard_normal((H, 3 * H)),
            "b_h": rng.standard_normal(3 * H),
        }
        if reset == "after":
            params["b_hh"] = rng.standard_normal(H)
        arguments = (params, rng.standard_normal((B, D)), (rng.uniform(-1, 1, (B, H)),))
        yield arguments if reset == "before" else (*arguments, reset)


def torch_cell(params):
    """A GRUCell with these weights: blocks r, z, n, and a z that keeps where ours writes."""
    D, H = params["W_xh"].shape[0], params["W_hh"].shape[0]
    columns = np.r_[H : 2 * H, 0:H, 2 * H : 3 * H]
    sign = np.repeat([1.0, -1.0, 1.0], H)
    cell = torch.nn.GRUCell(D, H, dtype=torch.float64)
    values = {
        "weight_ih": (params["W_xh"][:, columns] * sign).T,
        "weight_hh": (params["W_hh"][:, columns] * sign).T,
        "bias_ih": params["b_h"][columns] * sign,
        "bias_hh": np.concatenate([np.zeros(2 * H), params["b_hh"]]),
    }
    cell.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in values.items()})
    return cell


def oracle(params, x, state, reset="before"):
    (h_prev,) = state
    tx, th = torch.from_numpy(x), torch.from_numpy(h_prev)
    W_xh, W_hh, b_h = (torch.from_numpy(params[name]) for name in ("W_xh", "W_hh", "b_h"))
    (x_z, x_r, x_n), (W_z, W_r, W_n) = (tx @ W_xh + b_h).chunk(3, dim=1), W_hh.chunk(3, dim=1)
    z, r = torch.sigmoid(x_z + th @ W_z), torch.sigmoid(x_r + th @ W_r)
    if reset == "before":
        n = torch.tanh(x_n + (r * th) @ W_n)
        h = th + z * (n - th)
    else:
        n = torch.tanh(x_n + r * (th @ W_n + torch.from_numpy(params["b_hh"])))
        with torch.no_grad():
            h = torch_cell(params)(tx, th)
    return (h.numpy(),), (x, h_prev, z.numpy(), r.numpy(), n.numpy())
