"""What becomes of a gradient on its way back: Jacobians of a step, their products, the length of the message.

Chapter: 11-gradients
"""

import numpy as np

from rnnlib.contracts import match_shapes, take
from rnnlib.types import Array, Cache, Params, State, Step, StepBackward

__all__ = ["elman_jacobian", "gradient_norm_profile", "product_norms", "state_jacobian"]


def elman_jacobian(params: Params, h: Array) -> Array:
    """How each unit of an Elman net's new state depends on each unit of its old one, by formula.

        dh_t / dh_{t-1} = diag(1 - h_t^2) W_hh,   with tanh

    Parameters
    ----------
    params  W_hh (H, H), stored for rows: `h_prev @ W_hh`.
    h       the new states, (B, H).

    Returns
    -------
    (B, H, H): entry [b, i, j] is the slope of new unit i in old unit j, for sequence b.

    Raises
    ------
    ValueError  a shape does not fit.

    Chapter: 11-gradients. Equation: elman-jacobian. Source: Pascanu et al. (2013).
    """
    (W_hh,) = take("elman_jacobian", params, "W_hh")
    match_shapes("elman_jacobian", "h: B H, W_hh: H H", h, W_hh)
    return (1 - h * h)[:, :, None] * W_hh.T


def state_jacobian(step: Step, step_backward: StepBackward, params: Params, x: Array, state: State) -> Array:
    """How a cell's new state depends on its old one, for any cell, read off its backward step.

    A backward step answers one question for each row: a row of the identity asks for a row of the Jacobian.
    A state of several arrays counts as one vector, its arrays side by side.

    Parameters
    ----------
    step           a cell's step, such as `lstm_step`.
    step_backward  its backward step.
    params         the cell's parameters.
    x              this step's input, (B, D).
    state          the state before the step, a tuple of (B, H) arrays; S numbers for each sequence.

    Returns
    -------
    (B, S, S): entry [b, i, j] is the slope of new number i in old number j, for sequence b.

    Chapter: 11-gradients. Equation: state-jacobian.
    """
    widths = [part.shape[1] for part in state]
    size = sum(widths)
    _, cache = step(params, np.repeat(x, size, axis=0), tuple(np.repeat(part, size, axis=0) for part in state))
    asked = np.tile(np.eye(size, dtype=state[0].dtype), (len(x), 1))
    dstate = tuple(np.split(asked, np.cumsum(widths)[:-1], axis=1))
    _, dstate_prev, _ = step_backward(params, dstate, cache)
    return np.concatenate(dstate_prev, axis=1).reshape(len(x), size, size)


def product_norms(jacobians: Array) -> Array:
    """The most that a message can be stretched on its way back, for one step, two steps, and so on.

        n_k = largest singular value of J_T J_{T-1} ... J_{T-k+1}        k = 1 .. T

    Parameters
    ----------
    jacobians  J_1 to J_T in order of time, (T, S, S), as `state_jacobian` gives them.

    Returns
    -------
    (T,), same dtype: entry k - 1 is n_k, for the k steps next to the end.

    Raises
    ------
    ValueError  the jacobians are not (T, S, S), or there is none.

    Chapter: 11-gradients. Equation: product-norms. Source: Pascanu et al. (2013).
    """
    match_shapes("product_norms", "jacobians: T S S", jacobians)
    if len(jacobians) == 0:
        raise ValueError(f"product_norms: jacobians has shape {jacobians.shape}, expected at least one step (T >= 1)")
    product, norms = np.eye(jacobians.shape[1], dtype=jacobians.dtype), []
    for jacobian in jacobians[::-1]:
        product = product @ jacobian
        norms.append(np.linalg.svd(product, compute_uv=False)[0])
    return np.array(norms)


def gradient_norm_profile(step_backward: StepBackward, params: Params, dstate: State, caches: list[Cache]) -> Array:
    """The length of a gradient that enters at the last state, after each step that it goes back.

    All arrays of a state count as one vector; each sequence has a message of its own.

    Parameters
    ----------
    step_backward  a cell's backward step.
    params         the cell's parameters.
    dstate         gradient of the last state, a tuple of (B, H) arrays.
    caches         the T caches of `rnn_forward`, in order of time.

    Returns
    -------
    (T + 1, B): entry [k, b] is the length k steps back for sequence b; row 0 is that of dstate.

    Chapter: 11-gradients. Equation: gradient-norm-profile. Source: Hochreiter (1991).
    """
    messages = [dstate]
    for cache in reversed(caches):
        _, dstate, _ = step_backward(params, dstate, cache)
        messages.append(dstate)
    return np.stack([np.linalg.norm(np.concatenate(parts, axis=1), axis=1) for parts in messages])
