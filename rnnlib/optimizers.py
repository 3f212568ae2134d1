"""From a gradient to a step: plain descent, momentum, RMSprop, Adam.

Every function takes parameters, their gradients, what it remembers of earlier steps, and a rate; it returns new
parameters and a new memory. The memory is a dictionary, empty before the first step. Nothing that comes in changes.

Chapter: 12-training
"""

from typing import Any

import numpy as np

from rnnlib.types import Params

__all__ = ["OptimizerState", "adam", "momentum", "rmsprop", "sgd"]

OptimizerState = dict[str, Any]  # by what is remembered; each an array for each parameter, or a count


def sgd(
    params: Params, grads: Params, state: OptimizerState, rate: float, weight_decay: float = 0.0
) -> tuple[Params, OptimizerState]:
    """One step downhill, and a pull of every weight towards zero.

        W <- W - rate * (g + weight_decay * W)

    Parameters
    ----------
    params        arrays by name; not changed.
    grads         their gradients, with the same names and shapes; not changed.
    state         handed on as it is: this optimizer remembers nothing.
    rate          how far one step goes, above 0 or 0.
    weight_decay  how strong the pull is; 0 for none.

    Returns
    -------
    (new parameters in their dtypes, state)

    Raises
    ------
    ValueError  names or shapes of params and grads differ.

    Chapter: 12-training. Equation: sgd. Source: Robbins & Monro (1951), Krogh & Hertz (1992).
    """
    _check("sgd", params, grads)
    return {name: W - rate * (grads[name] + weight_decay * W) for name, W in params.items()}, state


def momentum(
    params: Params, grads: Params, state: OptimizerState, rate: float, mu: float = 0.9, nesterov: bool = False
) -> tuple[Params, OptimizerState]:
    """A step along a velocity, to which every gradient adds.

        v <- mu * v + g        W <- W - rate * v,   with Nesterov   W <- W - rate * (g + mu * v)

    Parameters
    ----------
    params    arrays by name; not changed.
    grads     their gradients, with the same names and shapes; not changed.
    state     {} before the first step, then {"velocity": an array for each name}; not changed.
    rate      how far one step goes.
    mu        the share of the velocity that is left after a step, 0 <= mu < 1.
    nesterov  step with the velocity that the next step would have, if the gradient stayed.

    Returns
    -------
    (new parameters, new state)

    Raises
    ------
    ValueError  names or shapes of params and grads differ.

    Chapter: 12-training. Equation: momentum. Source: Polyak (1964), Nesterov (1983), Sutskever et al. (2013).
    """
    _check("momentum", params, grads)
    old = _memory(state, "velocity", params)
    velocity = {name: mu * old[name] + g for name, g in grads.items()}
    ahead = {name: g + mu * velocity[name] for name, g in grads.items()} if nesterov else velocity
    return {name: W - rate * ahead[name] for name, W in params.items()}, {"velocity": velocity}


def rmsprop(
    params: Params, grads: Params, state: OptimizerState, rate: float, keep: float = 0.99, eps: float = 1e-8
) -> tuple[Params, OptimizerState]:
    """A step in which each weight's gradient is divided by its usual size.

        s <- keep * s + (1 - keep) * g^2        W <- W - rate * g / (sqrt(s) + eps)

    Parameters
    ----------
    params  arrays by name; not changed.
    grads   their gradients, with the same names and shapes; not changed.
    state   {} before the first step, then {"square": an array for each name}; not changed.
    rate    the size of a typical step of one weight.
    keep    how slowly the usual size is forgotten, 0 <= keep < 1.
    eps     keeps a weight whose gradients are nearly zero from leaping.

    Returns
    -------
    (new parameters, new state)

    Raises
    ------
    ValueError  names or shapes of params and grads differ.

    Chapter: 12-training. Equation: rmsprop. Source: Tieleman & Hinton (2012).
    """
    _check("rmsprop", params, grads)
    old = _memory(state, "square", params)
    square = {name: keep * old[name] + (1 - keep) * g * g for name, g in grads.items()}
    new = {name: W - rate * grads[name] / (np.sqrt(square[name]) + eps) for name, W in params.items()}
    return new, {"square": square}


def adam(
    params: Params,
    grads: Params,
    state: OptimizerState,
    rate: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> tuple[Params, OptimizerState]:
    """Momentum over RMSprop, both freed of their start at zero; with weight decay it is AdamW.

    Parameters
    ----------
    params        arrays by name; not changed.
    grads         their gradients, with the same names and shapes; not changed.
    state         {} before the first step, then {"t": steps so far, "mean": ..., "square": ...}; not changed.
    rate          the size of a typical step of one weight.
    betas         how slowly mean and square are forgotten.
    eps           added to the root, not under it.
    weight_decay  W shrinks by rate * weight_decay of itself before the step; mean and square never see that.

    Returns
    -------
    (new parameters, new state)

    Raises
    ------
    ValueError  names or shapes of params and grads differ.

    Chapter: 12-training. Equation: adam. Source: Kingma & Ba (2015), Loshchilov & Hutter (2019).
    """
    _check("adam", params, grads)
    (b1, b2), t = betas, state.get("t", 0) + 1
    mean, square = _memory(state, "mean", params), _memory(state, "square", params)
    mean = {name: b1 * mean[name] + (1 - b1) * g for name, g in grads.items()}
    square = {name: b2 * square[name] + (1 - b2) * g * g for name, g in grads.items()}
    new = {}
    for name, W in params.items():
        size = np.sqrt(square[name] / (1 - b2**t)) + eps
        new[name] = W * (1 - rate * weight_decay) - rate * mean[name] / (1 - b1**t) / size
    return new, {"t": t, "mean": mean, "square": square}


def _memory(state: OptimizerState, key: str, params: Params) -> Params:
    """What is remembered under a key, by name; zeros before the first step."""
    return state.get(key) or {name: np.zeros_like(W) for name, W in params.items()}


def _check(where: str, params: Params, grads: Params) -> None:
    if set(params) != set(grads):
        raise ValueError(f"{where}: parameters {', '.join(sorted(params))}, gradients {', '.join(sorted(grads))}")
    for name, value in params.items():
        if grads[name].shape != value.shape:
            raise ValueError(f"{where}: the gradient of {name} has shape {grads[name].shape}, expected {value.shape}")
