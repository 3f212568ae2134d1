"""Inputs for 07-gru/gru_from_torch; the answer is found by hand and must compute what torch's cell computes."""

import numpy as np
import torch

RETURNS = "params"


def inputs(rng):
    """All sizes different, all equal, one unit; neither bias is zero."""
    for D, H in ((3, 5), (4, 4), (2, 1)):
        yield (
            {
                "weight_ih": rng.standard_normal((3 * H, D)),
                "weight_hh": rng.standard_normal((3 * H, H)),
                "bias_ih": rng.standard_normal(3 * H),
                "bias_hh": rng.standard_normal(3 * H),
            },
        )


def oracle(weights):
    params = _moved(weights)
    _must_compute_the_same(params, weights)
    return params


def _moved(weights):
    H = weights["weight_hh"].shape[1]
    rows, sign = np.r_[H : 2 * H, 0:H, 2 * H : 3 * H], np.repeat([-1.0, 1.0, 1.0], H)
    both = weights["bias_ih"] + np.r_[weights["bias_hh"][: 2 * H], np.zeros(H)]
    return {
        "W_xh": np.ascontiguousarray(weights["weight_ih"][rows].T * sign),
        "W_hh": np.ascontiguousarray(weights["weight_hh"][rows].T * sign),
        "b_h": both[rows] * sign,
        "b_hh": weights["bias_hh"][2 * H :].copy(),
    }


def _must_compute_the_same(params, weights):
    """The equations with these parameters against torch's cell, on random inputs."""
    (D, _), H = params["W_xh"].shape, len(params["W_hh"])
    cell = torch.nn.GRUCell(D, H, dtype=torch.float64)
    cell.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in weights.items()})
    x, h = torch.randn(4, D, dtype=torch.float64), torch.randn(4, H, dtype=torch.float64)
    ours = {name: torch.from_numpy(value) for name, value in params.items()}
    (x_z, x_r, x_n), (h_z, h_r, h_n) = (x @ ours["W_xh"] + ours["b_h"]).chunk(3, 1), (h @ ours["W_hh"]).chunk(3, 1)
    z, r = torch.sigmoid(x_z + h_z), torch.sigmoid(x_r + h_r)
    ours_h = (1 - z) * h + z * torch.tanh(x_n + r * (h_n + ours["b_hh"]))
    with torch.no_grad():
        torch.testing.assert_close(ours_h, cell(x, h), rtol=0, atol=1e-12)
