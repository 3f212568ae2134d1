"""How many numbers a net has to learn: of any parameter dict, and of two kinds of net by formula; one dict of many.

Chapter: 01-intuition
"""

from typing import Any

from rnnlib.types import Params

__all__ = ["count_parameters", "flat", "nested", "recurrent_size", "window_mlp_size"]


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


def flat(net: Any) -> Params:
    """One parameter dict of a net that is made of several, so that any optimizer takes it; the arrays are the same.

    Parameters
    ----------
    net  dicts and tuples of dicts, with arrays at the bottom.

    Returns
    -------
    {"cell/W_xh": ..., "cell/W_hh": ..., "out/W_hy": ...}; a part of a tuple has its number for a name.

    Chapter: 13-classification.
    """
    parts = net.items() if isinstance(net, dict) else enumerate(net)
    params: Params = {}
    for name, part in parts:
        inner = flat(part) if isinstance(part, dict | tuple) else {"": part}
        params |= {f"{name}/{key}" if key else str(name): array for key, array in inner.items()}
    return params


def nested(params: Params) -> Any:
    """The net that `flat` made one dict of.

    Examples
    --------
    >>> nested({"cell/0/b_h": 1, "cell/1/b_h": 2, "out/b_y": 3})
    {'cell': ({'b_h': 1}, {'b_h': 2}), 'out': {'b_y': 3}}

    Chapter: 13-classification.
    """
    parts: dict[str, Any] = {}
    for path, array in params.items():
        name, _, rest = path.partition("/")
        if rest:
            parts.setdefault(name, {})[rest] = array
        else:
            parts[name] = array
    net = {name: nested(part) if isinstance(part, dict) else part for name, part in parts.items()}
    return tuple(net.values()) if list(net) == [str(i) for i in range(len(net))] else net
