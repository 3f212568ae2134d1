"""Inputs for 07-gru/gru_to_torch; the answer is found by hand and must make torch's cell compute ours."""

import numpy as np
import torch

RETURNS = "weights"


def inputs(rng):
    """All sizes different, all equal, one unit."""
    for D, H in ((3, 5), (4, 4), (2, 1)):
        yield (
            {
                "W_xh": rng.standard_normal((D, 3 * H)),
                "W_hh": rng.standard_normal((H, 3 * H)),
                "b_h": rng.standard_normal(3 * H),
                "b_hh": rng.standard_normal(H),
            },
        )


def oracle(params):
    weights = _moved(params)
    _must_compute_the_same(params, weights)
    return weights


def _moved(params):
    H = len(params["W_hh"])
    columns, sign = np.r_[H : 2 * H, 0:H, 2 * H : 3 * H], np.repeat([1.0, -1.0, 1.0], H)
    return {
        "weight_ih": np.ascontiguousarray((params["W_xh"][:, columns] * sign).T),
        "weight_hh": np.ascontiguousarray((params["W_hh"][:, columns] * sign).T),
        "bias_ih": params["b_h"][columns] * sign,
        "bias_hh": np.r_[np.zeros(2 * H), params["b_hh"]],
    }


def _must_compute_the_same(params, weights):
    """Torch's cell with these weights against the equations, on random inputs."""
    (D, _), H = params["W_xh"].shape, len(params["W_hh"])
    cell = torch.nn.GRUCell(D, H, dtype=torch.float64)
    cell.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    x, h = torch.randn(4, D, dtype=torch.float64), torch.randn(4, H, dtype=torch.float64)
    ours = {name: torch.from_numpy(value) for name, value in params.items()}
    (x_z, x_r, x_n), (h_z, h_r, h_n) = (x @ ours["W_xh"] + ours["b_h"]).chunk(3, 1), (h @ ours["W_hh"]).chunk(3, 1)
    z, r = torch.sigmoid(x_z + h_z), torch.sigmoid(x_r + h_r)
    want = (1 - z) * h + z * torch.tanh(x_n + r * (h_n + ours["b_hh"]))
    with torch.no_grad():
        torch.testing.assert_close(cell(x, h), want, rtol=0, atol=1e-12)
