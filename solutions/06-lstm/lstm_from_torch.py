"""Inputs for 06-lstm/lstm_from_torch, and the same parameters number by number."""

import numpy as np

RETURNS = "params"


def inputs(rng):
    """All sizes different; one unit; D = H, so that no shape tells a transpose; both biases random."""
    for D, H in ((3, 5), (2, 1), (3, 3), (1, 4)):
        yield (
            {
                "weight_ih": rng.standard_normal((4 * H, D)),
                "weight_hh": rng.standard_normal((4 * H, H)),
                "bias_ih": rng.standard_normal(4 * H),
                "bias_hh": rng.standard_normal(4 * H),
            },
        )


def oracle(weights):
    D, H = weights["weight_ih"].shape[1], weights["weight_hh"].shape[1]
    row = {"i": 0, "f": H, "g": 2 * H, "o": 3 * H}
    out = {"W_xh": np.zeros((D, 4 * H)), "W_hh": np.zeros((H, 4 * H)), "b_h": np.zeros(4 * H)}
    for block, gate in enumerate("ifog"):
        for unit in range(H):
            there, here = row[gate] + unit, block * H + unit
            out["W_xh"][:, here] = weights["weight_ih"][there]
            out["W_hh"][:, here] = weights["weight_hh"][there]
            out["b_h"][here] = weights["bias_ih"][there] + weights["bias_hh"][there]
    return out
