"""Inputs for 06-lstm/lstm_to_torch, and the same weights found by asking PyTorch's own cell."""

import numpy as np
import torch

RETURNS = "weights"


def inputs(rng):
    """All sizes different; one unit; D = H, so that no shape tells a transpose."""
    for D, H in ((3, 5), (2, 1), (3, 3), (1, 4)):
        yield (
            {
                "W_xh": rng.standard_normal((D, 4 * H)),
                "W_hh": rng.standard_normal((H, 4 * H)),
                "b_h": rng.standard_normal(4 * H),
            },
        )


def oracle(params):
    """Write each number where it belongs, and see that torch.nn.LSTMCell then computes the article's equations."""
    D, H = len(params["W_xh"]), len(params["W_hh"])
    row = {"i": 0, "f": H, "g": 2 * H, "o": 3 * H}
    column = {"i": 0, "f": H, "o": 2 * H, "g": 3 * H}
    out = {"weight_ih": np.zeros((4 * H, D)), "weight_hh": np.zeros((4 * H, H))}
    out |= {"bias_ih": np.zeros(4 * H), "bias_hh": np.zeros(4 * H)}
    for gate in "ifgo":
        for unit in range(H):
            out["weight_ih"][row[gate] + unit] = params["W_xh"][:, column[gate] + unit]
            out["weight_hh"][row[gate] + unit] = params["W_hh"][:, column[gate] + unit]
            out["bias_ih"][row[gate] + unit] = params["b_h"][column[gate] + unit]
    cell = torch.nn.LSTMCell(D, H, dtype=torch.float64)
    cell.load_state_dict({name: torch.from_numpy(value) for name, value in out.items()})
    x, h, c = (torch.linspace(-1, 1, 2 * n, dtype=torch.float64).reshape(2, n) for n in (D, H, H))
    with torch.no_grad():
        a = x.numpy() @ params["W_xh"] + h.numpy() @ params["W_hh"] + params["b_h"]
        i, f, o = (1 / (1 + np.exp(-a[:, k * H : (k + 1) * H])) for k in range(3))
        new = f * c.numpy() + i * np.tanh(a[:, 3 * H :])
        gap = np.abs(cell(x, (h, c))[0].numpy() - o * np.tanh(new)).max()
    if not gap < 1e-12:
        raise AssertionError(f"torch's cell is off by {gap}")
    return out
