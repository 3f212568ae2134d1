"""A recurrent language model: symbols in, scores of the next symbol out, along a stream that has no end.

Its parameters are one dictionary: the table E (V, D), the cell's own, and for the output W_hy (H, V) and b_y (V,).
Without W_hy the output is tied: it uses the table again (`rnnlib.tied`), and D = H.

Chapter: 15-language
"""

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import DTypeLike

from rnnlib.clipping import clip_by_norm
from rnnlib.contracts import match_shapes
from rnnlib.embedding import embed, embed_backward, embedding_init
from rnnlib.losses import cross_entropy
from rnnlib.optimizers import OptimizerState, adam
from rnnlib.output import output_init, output_layer, output_layer_backward
from rnnlib.runs import TrainingRun
from rnnlib.tied import tied_output, tied_output_backward
from rnnlib.types import Array, Params, Run, RunBack, State, Step

__all__ = ["language_init", "language_log_probs", "language_loss", "language_step", "train_stateful"]

OUTSIDE = ("E", "W_hy", "b_y")  # parameters that are not the cell's


def language_init(
    rng: np.random.Generator,
    vocabulary_size: int,
    cell: Params,
    tied: bool = False,
    dtype: DTypeLike = np.float64,
) -> Params:
    """First weights of a language model around a cell.

    Parameters
    ----------
    rng              the only source of randomness.
    vocabulary_size  V.
    cell             the cell's first weights, as `lstm_init` gives them: W_xh (D, ...), W_hh (H, ...), ...
    tied             without W_hy; the table's entries are then of size D^(-1/4), which is half way, as factors go,
                     from 1, right for inputs, to D^(-1/2), right for an output.
    dtype            of the table and the output.

    Returns
    -------
    E (V, D), b_y (V,), W_hy (H, V) unless tied, and the cell's parameters.

    Raises
    ------
    ValueError  tied, and D is not H.

    Chapter: 15-language.
    """
    D, H = len(cell["W_xh"]), len(cell["W_hh"])
    table, out = embedding_init(rng, vocabulary_size, D, dtype), output_init(rng, H, vocabulary_size, dtype)
    if not tied:
        return table | cell | out
    if D != H:
        raise ValueError(f"language_init: tied, with inputs of {D} and states of {H} entries; they must be as many")
    return {"E": (table["E"] / D**0.25).astype(dtype), "b_y": out["b_y"]} | cell


def language_loss(
    run: Run, run_back: RunBack, params: Params, tokens: Array, targets: Array, state: State
) -> tuple[float, State, Params]:
    """Mean cross-entropy of the next symbols in a window, and the gradients of all parameters.

        z_t = output(cell(E[w_t], state_{t-1})),    L = -(1/TB) sum_t,b log softmax(z_t)[w_{t+1}]

    Parameters
    ----------
    run       runs the cell, such as `lstm_forward` or `partial(rnn_forward, lstm_step)`.
    run_back  the way back of `run`: takes (params, dhs, dlast, caches), returns (dxs, dstart, grads).
    params    E, b_y, W_hy unless the output is tied, and the cell's own.
    tokens    (T, B), integers: what is read.
    targets   (T, B), integers: what comes next.
    state     before the first step; no gradient goes back into it.

    Returns
    -------
    (loss in nats; the state after the last step; gradients with the names of params)

    Chapter: 15-language. Equations: language-loss, tied-gradient. Source: Mikolov et al. (2010).
    """
    cell = _cell(params)
    xs, seen = embed(params, tokens)
    hs, last, caches = run(cell, xs, state)
    tied = "W_hy" not in params
    logits, kept = tied_output(params, hs) if tied else output_layer(params, hs)
    loss, d_logits = cross_entropy(logits, targets)
    dhs, d_out = (tied_output_backward if tied else output_layer_backward)(params, d_logits, kept)
    dxs, _, d_cell = run_back(cell, dhs, tuple(map(np.zeros_like, last)), caches)
    dE = embed_backward(params, dxs, seen)["E"]
    return loss, last, d_cell | d_out | {"E": dE + d_out["E"] if tied else dE}


def train_stateful(
    run: Run,
    run_back: RunBack,
    training: TrainingRun,
    batches: Iterable[tuple[Array, Array]],
    state: State,
    schedule: Callable[[int], float],
    max_norm: float = float("inf"),
    optimizer: Callable[[Params, Params, OptimizerState, float], tuple[Params, OptimizerState]] = adam,
) -> tuple[TrainingRun, State, list[float]]:
    """Learn from one window of a stream after the other; the state goes on, the gradient does not.

    Parameters
    ----------
    run        as in `language_loss`.
    run_back   as in `language_loss`.
    training   a run of chapter 12 (`new_run`): params, optimizer, step; it goes on where it stands. Not changed.
    batches    of `stateful_batches`: (tokens (T, B), targets (T, B)), in order of time.
    state      before the first window.
    schedule   takes the number of a step, 1 for the first of the run, returns its rate.
    max_norm   longer gradients are cut to this length, all parameters taken together.
    optimizer  such as `adam`.

    Returns
    -------
    (training after the last window; the state there; the loss of each window before its step)

    Chapter: 15-language. Equation: train-stateful.
    """
    losses = []
    for tokens, targets in batches:
        step = training["step"] + 1
        loss, state, grads = language_loss(run, run_back, training["params"], tokens, targets, state)
        grads, _ = clip_by_norm(grads, max_norm)
        params, memory = optimizer(training["params"], grads, training["optimizer"], schedule(step))
        training = training | {"params": params, "optimizer": memory, "step": step}
        losses.append(loss)
    return training, state, losses


def language_log_probs(run: Run, params: Params, tokens: Array, targets: Array, state: State) -> tuple[Array, State]:
    """How likely the model thought what came next, and its state after it.

    Parameters
    ----------
    run      as in `language_loss`.
    params   as in `language_loss`.
    tokens   (T, B), integers: what is read.
    targets  (T, B), integers: what came next.
    state    before the first step.

    Returns
    -------
    (log p (T, B), natural logarithms; the state after the last step)

    Chapter: 15-language.
    """
    match_shapes("language_log_probs", "tokens: T B, targets: T B", tokens, targets)
    hs, last, _ = run(_cell(params), embed(params, tokens)[0], state)
    logits = _scores(params, hs)
    logits = logits - logits.max(axis=-1, keepdims=True)
    log_p = np.take_along_axis(logits, targets[..., None], axis=-1)[..., 0] - np.log(np.exp(logits).sum(axis=-1))
    return log_p, last


def language_step(step: Step, params: Params, tokens: Array, state: State) -> tuple[Array, State]:
    """Read one symbol of each sequence: scores of the next one.

    Parameters
    ----------
    step    the cell's step, such as `lstm_step`.
    params  as in `language_loss`.
    tokens  (B,), integers.
    state   before this step.

    Returns
    -------
    (logits (B, V), the state after it)

    Chapter: 15-language.
    """
    state, _ = step(_cell(params), embed(params, tokens)[0], state)
    return _scores(params, state[0]), state


def _cell(params: Params) -> Params:
    return {name: value for name, value in params.items() if name not in OUTSIDE}


def _scores(params: Params, h: Array) -> Array:
    return output_layer(params, h)[0] if "W_hy" in params else tied_output(params, h)[0]
