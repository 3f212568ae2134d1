"""How many numbers a net has to learn: of any parameter dict, and of two kinds of net by formula.

Chapter: 01-intuition
"""

from rnnlib.types import Params

__all__ = ["count_parameters", "recurrent_size", "window_mlp_size"]


def count_parameters(params: Params) -> int:
    """The number of entries of all arrays in a parameter dict.

    Examples
    --------
    >>> import numpy as np
    >>> count_parameters({"W_xh": np.zeros((3, 2)), "b_h": np.zeros(2)})
    8

    Chapter: 01-intuition.
    """
    return sum(array.size for array in params.values())


def window_mlp_size(window: int, inputs: int, hidden: int, outputs: int) -> int:
    """Parameters of a net with one hidden layer that sees the last few inputs side by side.

    Weights from every input in the window to every hidden unit, from every hidden unit to every
    output, and a bias for each hidden unit and each output.

    Parameters
    ----------
    window   how many inputs it sees, the newest one included.
    inputs   D, numbers in one input.
    hidden   H, hidden units.
    outputs  K, numbers in one output.

    Chapter: 01-intuition. Equation: window-size.
    """
    return (window * inputs + 1) * hidden + (hidden + 1) * outputs


def recurrent_size(inputs: int, hidden: int, outputs: int) -> int:
    """Parameters of a recurrent net with one hidden layer, whatever the length of what it reads.

    Weights from every input to every hidden unit, from every hidden unit to every hidden unit one
    step later, from every hidden unit to every output, and a bias for each hidden unit and each output.

    Parameters
    ----------
    inputs   D, numbers in one input.
    hidden   H, hidden units.
    outputs  K, numbers in one output.

    Chapter: 01-intuition. Equation: recurrent-size.
    """
    return (inputs + hidden + 1) * hidden + (hidden + 1) * outputs
