"""Numbers to watch while a net is trained.

Chapter: 12-training
"""

import numpy as np

from rnnlib.types import Array, Params

__all__ = ["gate_saturation", "update_ratio"]


def update_ratio(before: Params, after: Params) -> float:
    """How far one step has moved the weights, as a share of their own length.

        |W_after - W_before| / |W_before|,   all parameters taken as one long vector

    Parameters
    ----------
    before  parameters before the step.
    after   the same names and shapes after it.

    Returns
    -------
    a float; about 0.001 to 0.01 in a healthy run.

    Raises
    ------
    ValueError  all weights are zero, so there is no share.

    Chapter: 12-training. Equation: update-ratio.
    """
    moved = sum(float(np.square(after[name] - W).sum()) for name, W in before.items())
    length = sum(float(np.square(W).sum()) for W in before.values())
    if length == 0:
        raise ValueError("update_ratio: all weights are zero before the step, so no step is a share of them")
    return float(np.sqrt(moved / length))


def gate_saturation(gates: Array, edge: float = 0.05) -> float:
    """The share of a gate's values that lie near 0 or 1, where its slope is nearly 0 and it hardly learns.

    Parameters
    ----------
    gates  values of gates, between 0 and 1, of any shape.
    edge   what counts as near.

    Returns
    -------
    a float from 0 to 1.

    Raises
    ------
    ValueError  there are no values.

    Chapter: 12-training.
    """
    if gates.size == 0:
        raise ValueError(f"gate_saturation: gates have shape {gates.shape}, so there are no values")
    return float(((gates < edge) | (gates > 1 - edge)).mean())
