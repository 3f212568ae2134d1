"""Inputs for 06-lstm/clamp_gate, and the answer column by column."""

RETURNS = "clamped"


def inputs(rng):
    """Each gate, open and shut; once with an output layer among the parameters."""
    for D, H, gate, is_open in (
        (3, 4, "f", True),
        (2, 3, "i", False),
        (3, 2, "o", False),
        (2, 2, "i", True),
        (1, 3, "f", False),
    ):
        params = {
            "W_xh": rng.standard_normal((D, 4 * H)),
            "W_hh": rng.standard_normal((H, 4 * H)),
            "b_h": rng.standard_normal(4 * H),
        }
        if D == 3:
            params |= {"W_hy": rng.standard_normal((H, 2)), "b_y": rng.standard_normal(2)}
        yield params, gate, is_open


def oracle(params, gate, is_open):
    H = params["W_hh"].shape[0]
    out = {name: value.copy() for name, value in params.items()}
    for unit in range(H):
        column = {"i": 0, "f": 1, "o": 2}[gate] * H + unit
        for row in range(len(params["W_xh"])):
            out["W_xh"][row, column] = 0.0
        for row in range(H):
            out["W_hh"][row, column] = 0.0
        out["b_h"][column] = 40.0 if is_open else -40.0
    return out
