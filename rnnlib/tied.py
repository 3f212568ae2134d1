"""An output layer that uses the table of the inputs again: one vector for each symbol, on the way in and out.

Chapter: 15-language
"""

from rnnlib.contracts import match_shapes, take
from rnnlib.types import Array, Cache, Params

__all__ = ["tied_output", "tied_output_backward"]


def tied_output(params: Params, h: Array) -> tuple[Array, Cache]:
    """Scores by how well a state fits each symbol's own vector.

        z_t = E h_t + b_y

    Parameters
    ----------
    params  E (V, D), the table of `embed`; b_y (V,).
    h       (..., D): as many units as the table's vectors have entries.

    Returns
    -------
    (logits (..., V), cache (h,))

    Raises
    ------
    ValueError  a shape does not fit.

    Chapter: 15-language. Equation: tied-output. Source: Press & Wolf (2017), Inan et al. (2017).
    """
    E, b_y = take("tied_output", params, "E", "b_y")
    match_shapes("tied_output", "h: ... D, E: V D, b_y: V", h, E, b_y)
    return h @ E.T + b_y, (h,)


def tied_output_backward(params: Params, d_logits: Array, cache: Cache) -> tuple[Array, Params]:
    """Gradients of `tied_output`: of the states, of the bias, and of the table for its use here.

    Parameters
    ----------
    params    E (V, D), b_y (V,).
    d_logits  dL/dz, (..., V).
    cache     (h,) from `tied_output`, h (..., D).

    Returns
    -------
    (dh (..., D), {"E": (V, D), "b_y": (V,)}); what the table gets for its use in `embed` comes on top of this.

    Raises
    ------
    ValueError  a shape does not fit.

    Chapter: 15-language. Equation: tied-output-backward.
    """
    (E,) = take("tied_output_backward", params, "E")
    (h,) = cache
    match_shapes("tied_output_backward", "h: ... D, d_logits: ... V, E: V D", h, d_logits, E)
    rows, d_rows = h.reshape(-1, h.shape[-1]), d_logits.reshape(-1, d_logits.shape[-1])
    return d_logits @ E, {"E": d_rows.T @ rows, "b_y": d_rows.sum(axis=0)}
