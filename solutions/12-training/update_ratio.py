"""Inputs for 12-training/update_ratio, and the quotient of two lengths of one long vector."""

import numpy as np

RETURNS = "ratio"


def inputs(rng):
    """Arrays of very different sizes; a step that grows the weights much; none at all."""
    for shapes, scale, step in (
        ({"W_xh": (3, 4), "W_hh": (4, 4), "b_h": (4,)}, 1.0, 0.1),
        ({"W_xh": (2, 9), "b_h": (9,)}, 0.1, 0.5),
        ({"W_hy": (5, 2), "b_y": (2,)}, 10.0, 0.01),
        ({"b_y": (3,)}, 1.0, 0.0),
    ):
        before = {
            name: scale * (1 + 3 * (len(shape) > 1)) * rng.standard_normal(shape) for name, shape in shapes.items()
        }
        yield before, {name: W + step * rng.standard_normal(W.shape) for name, W in before.items()}


def oracle(before, after):
    one, two = (np.concatenate([tree[name].ravel() for name in before]) for tree in (before, after))
    return float(np.linalg.norm(two - one) / np.linalg.norm(one))
