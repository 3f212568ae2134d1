"""Several cells on top of each other: each reads what the one below puts out.

Chapter: 08-bidirectional
"""

from collections.abc import Sequence
from typing import Any

from rnnlib.types import Array, Run, RunBack

__all__ = ["stacked", "stacked_backward"]


def stacked(run: Run, layers: Sequence[Any], xs: Array, states: Sequence[Any]) -> tuple[Array, list[Any], list[Any]]:
    """Run a stack of cells over a batch of sequences, layer by layer from below.

        hs^0 = xs,    hs^l = run(cell l, hs^{l-1})

    Parameters
    ----------
    run     runs a layer over a sequence, such as `partial(rnn_forward, lstm_step)`, or both ways
            with `partial(bidirectional, ...)`.
    layers  the layers' parameters, lowest first: it reads D numbers, each other one what is below it.
    xs      inputs, (T, B, D).
    states  the state of each layer before the first step.

    Returns
    -------
    (hs (T, B, H) of the top layer; the last state of each layer; the caches of each layer)

    Raises
    ------
    ValueError  no layer, not as many states as layers, or a shape that does not fit.

    Chapter: 08-bidirectional. Equation: stacked. Source: Graves et al. (2013).
    """
    if not layers or len(layers) != len(states):
        raise ValueError(f"stacked: {len(layers)} layers and {len(states)} states, expected one each, at least one")
    hs, lasts, caches = xs, [], []
    for params, state in zip(layers, states, strict=True):
        hs, last, kept = run(params, hs, state)
        lasts.append(last)
        caches.append(kept)
    return hs, lasts, caches


def stacked_backward(
    run_back: RunBack, layers: Sequence[Any], dhs: Array, dstates: Sequence[Any], caches: Sequence[Any]
) -> tuple[Array, list[Any], list[Any]]:
    """Gradients of `stacked`, from the top down: what a layer asks of its inputs is the dhs of the layer below.

    Parameters
    ----------
    run_back  the way back of `run`: takes (params, dhs, dlast, caches), returns (dxs, dstart, grads).
    layers    as in the forward pass.
    dhs       dL/dhs of the top layer, (T, B, H).
    dstates   gradient of each layer's last state that does not come through dhs; zeros if unused.
    caches    of `stacked`.

    Returns
    -------
    (dxs (T, B, D); gradients of the layers' first states; gradients of their parameters), lowest first

    Raises
    ------
    ValueError  layers, dstates and caches are not equally many, or a shape does not fit.

    Chapter: 08-bidirectional. Equation: stacked-backward. Source: Graves et al. (2013).
    """
    if not len(layers) == len(dstates) == len(caches):
        counts = f"{len(layers)} layers, {len(dstates)} gradients of states, {len(caches)} lists of caches"
        raise ValueError(f"stacked_backward: {counts}; expected as many of each")
    starts, grads = [], []
    for params, dstate, kept in reversed(list(zip(layers, dstates, caches, strict=True))):
        dhs, start, asked = run_back(params, dhs, dstate, kept)
        starts.append(start)
        grads.append(asked)
    return dhs, starts[::-1], grads[::-1]
