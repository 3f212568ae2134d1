"""Is a hand-written gradient right? Compare it with differences of the function itself.

Chapter: 10-bptt
"""

from collections.abc import Callable

import numpy as np

from rnnlib.types import Array

__all__ = ["gradient_check", "numerical_gradient"]


def numerical_gradient(f: Callable[[Array], float], x: Array, eps: float = 1e-5) -> Array:
    """The gradient of a scalar function by central differences, one coordinate at a time.

        df/dx_i = (f(x + eps e_i) - f(x - eps e_i)) / (2 eps) + O(eps^2)

    Parameters
    ----------
    f    takes an array like x, returns a number.
    x    where to differentiate, float64; handed to `f` as copies, never changed.
    eps  the half-width of the difference, relative to max(1, |x_i|).

    Returns
    -------
    an array like x.

    Raises
    ------
    TypeError  x is not float64: in float32 the difference drowns in rounding.

    Chapter: 10-bptt. Equation: central-difference.
    """
    if not isinstance(x, np.ndarray) or x.dtype != np.float64:
        kind = f"an array of {x.dtype}" if isinstance(x, np.ndarray) else f"a {type(x).__name__}"
        raise TypeError(f"numerical_gradient: x is {kind}, expected an array of float64")
    grad = np.empty_like(x)
    for i in np.ndindex(x.shape):
        h = eps * max(1.0, abs(float(x[i])))
        up, down = x.copy(), x.copy()
        up[i] += h
        down[i] -= h
        width = up[i] - down[i]  # before f sees the copies: it may write into them
        grad[i] = (f(up) - f(down)) / width
    return grad


def gradient_check(f: Callable[[Array], float], x: Array, grad: Array, eps: float = 1e-5) -> float:
    """The largest relative error of `grad` against central differences of `f` at `x`.

        max_i |g_i - n_i| / max(|g_i| + |n_i|, 1e-4 * largest of all |n|, tiny)

    The floor keeps coordinates whose gradient is nearly zero from deciding by their rounding alone.
    Below 1e-6 is what a right gradient gives in float64; 1e-2 is a bug.

    Raises
    ------
    ValueError  grad and x differ in shape.
    TypeError   x is not float64.

    Chapter: 10-bptt. Equation: relative-error.
    """
    if np.shape(grad) != np.shape(x):
        raise ValueError(f"gradient_check: the gradient has shape {np.shape(grad)}, x has {np.shape(x)}")
    numeric = numerical_gradient(f, x, eps)
    floor = max(1e-4 * float(np.abs(numeric).max(initial=0.0)), np.finfo(np.float64).tiny)
    error = np.abs(grad - numeric) / np.maximum(np.abs(grad) + np.abs(numeric), floor)
    return float(error.max(initial=0.0))
