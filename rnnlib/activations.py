"""The logistic sigmoid, which opens and shuts gates.

Chapter: 06-lstm
"""

import numpy as np

from rnnlib.types import Array

__all__ = ["sigmoid"]


def sigmoid(a: Array) -> Array:
    """Squash every entry into (0, 1), without overflow for any input.

        sigma(a) = 1 / (1 + exp(-a))

    Parameters
    ----------
    a  floats of any shape.

    Returns
    -------
    an array like a; its slope is s (1 - s), where s is what comes back.

    Chapter: 06-lstm. Equation: sigmoid.
    """
    return 0.5 * (1 + np.tanh(0.5 * a))
