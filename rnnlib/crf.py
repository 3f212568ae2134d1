"""A chain over the labels of a sequence (a linear-chain conditional random field), and what can be asked of it.

Its parameters are `transitions` (K, K), from the label of the row to that of the column, `start` (K,) and `stop` (K,).
An entry may be -inf: that way is forbidden. Everything is computed with logarithms, for scores of any size.
`scores` (T, B, K) come from a net and are finite; behind the end of a sequence may stand anything, NaN too.

Chapter: 14-labeling
"""

import numpy as np
from numpy.typing import DTypeLike

from rnnlib.batching import mask_from_lengths
from rnnlib.bidirectional import reverse_sequences
from rnnlib.contracts import match_lengths, match_shapes, take
from rnnlib.types import Array, Params

__all__ = [
    "crf_init",
    "crf_log_partition",
    "crf_loss",
    "crf_score",
    "log_sum_exp",
    "marginals",
    "messages_ahead",
    "messages_back",
    "viterbi",
]


def crf_init(label_count: int, dtype: DTypeLike = np.float64) -> Params:
    """A chain that prefers nothing: all scores of transitions, starts and stops are zero.

    Returns
    -------
    transitions (K, K), start (K,), stop (K,), in `dtype`.

    Raises
    ------
    ValueError  there is no label.

    Chapter: 14-labeling.
    """
    if label_count < 1:
        raise ValueError(f"crf_init: label_count is {label_count}, expected at least 1")
    K = label_count
    return {"transitions": np.zeros((K, K), dtype), "start": np.zeros(K, dtype), "stop": np.zeros(K, dtype)}


def log_sum_exp(values: Array, axis: int = -1) -> Array:
    """The logarithm of a sum of exponentials, safe for values of any size, -inf among them.

        log sum_k exp(v_k) = m + log sum_k exp(v_k - m),    m = max_k v_k

    Parameters
    ----------
    values  floats, none of them inf or NaN; -inf is the logarithm of nothing.
    axis    which axis is summed over.

    Returns
    -------
    an array without that axis, same dtype; -inf where all values are.

    Chapter: 14-labeling. Equation: log-sum-exp.
    """
    most = values.max(axis=axis, keepdims=True)
    most = np.where(np.isneginf(most), np.zeros((), values.dtype), most)
    with np.errstate(divide="ignore"):  # log(0) is the right answer where nothing is allowed
        logs = np.log(np.exp(values - most).sum(axis=axis))
    return logs + np.squeeze(most, axis)


def crf_score(params: Params, scores: Array, labels: Array, lengths: Array) -> Array:
    """The score of one path of labels through each sequence.

        s(y) = start[y_1] + sum_{t=1}^n scores_t[y_t] + sum_{t=2}^n transitions[y_{t-1}, y_t] + stop[y_n]

    Parameters
    ----------
    params   transitions (K, K), from row to column, start (K,), stop (K,).
    scores   (T, B, K), one for each label at each step.
    labels   y, (T, B), integers in 0 .. K-1; behind the end of a sequence may stand any.
    lengths  n, (B,) integers from 1 to T.

    Returns
    -------
    (B,); -inf where a path uses a forbidden transition, start or stop.

    Raises
    ------
    ValueError  shapes do not fit, lengths are not B integers from 1 to T, or a label that counts is out of range.

    Chapter: 14-labeling. Equation: crf-score. Source: Lafferty et al. (2001).
    """
    mask = _check("crf_score", params, scores, lengths)
    labels = _check_labels("crf_score", scores, labels, mask)
    of_steps = np.take_along_axis(scores, labels[..., None], axis=-1)[..., 0]
    moves = params["transitions"][labels[:-1], labels[1:]]
    zero = np.zeros((), scores.dtype)
    inner = np.where(mask, of_steps, zero).sum(axis=0) + np.where(mask[1:], moves, zero).sum(axis=0)
    last = labels[lengths - 1, np.arange(len(lengths))]
    return params["start"][labels[0]] + inner + params["stop"][last]


def messages_ahead(params: Params, scores: Array) -> Array:
    """What all beginnings of a path that end in a label at a step are worth together, as a logarithm.

        ahead_1[j] = start[j] + scores_1[j]
        ahead_t[j] = scores_t[j] + log sum_i exp(ahead_{t-1}[i] + transitions[i, j])

    Parameters
    ----------
    params  transitions (K, K), from row to column, start (K,), stop (K,).
    scores  (T, B, K), T at least 1.

    Returns
    -------
    (T, B, K), the score of its own step included.

    Raises
    ------
    ValueError  shapes do not fit.

    Chapter: 14-labeling. Equation: messages-ahead. Source: Rabiner (1989), Lafferty et al. (2001).
    """
    _check("messages_ahead", params, scores)
    ahead = [params["start"] + scores[0]]
    for step in scores[1:]:
        ahead.append(step + log_sum_exp(ahead[-1][:, :, None] + params["transitions"], axis=1))
    return np.stack(ahead)


def messages_back(params: Params, scores: Array, lengths: Array) -> Array:
    """What all ends of a path that begin with a label at a step are worth together, as a logarithm.

        back_n[i] = scores_n[i] + stop[i]
        back_t[i] = scores_t[i] + log sum_j exp(transitions[i, j] + back_{t+1}[j])

    Parameters
    ----------
    params   transitions (K, K), from row to column, start (K,), stop (K,).
    scores   (T, B, K).
    lengths  n, (B,) integers from 1 to T.

    Returns
    -------
    (T, B, K), the score of its own step included; zero behind the end of a sequence.

    Raises
    ------
    ValueError  shapes do not fit, or lengths are not B integers from 1 to T.

    Chapter: 14-labeling. Equation: messages-back. Source: Rabiner (1989), Lafferty et al. (2001).
    """
    mask = _check("messages_back", params, scores, lengths)[..., None]
    scores = np.where(mask, scores, np.zeros((), scores.dtype))
    turned = {"transitions": params["transitions"].T, "start": params["stop"], "stop": params["start"]}
    back = reverse_sequences(messages_ahead(turned, reverse_sequences(scores, lengths)), lengths)
    return np.where(mask, back, np.zeros((), back.dtype))


def crf_log_partition(params: Params, scores: Array, lengths: Array) -> Array:
    """The logarithm of what all paths through each sequence are worth together.

        log Z = log sum_y exp s(y) = log sum_i exp(ahead_n[i] + stop[i])

    Parameters
    ----------
    params   transitions (K, K), from row to column, start (K,), stop (K,).
    scores   (T, B, K).
    lengths  n, (B,) integers from 1 to T.

    Returns
    -------
    (B,); -inf where no path is allowed.

    Raises
    ------
    ValueError  shapes do not fit, or lengths are not B integers from 1 to T.

    Chapter: 14-labeling. Equation: log-partition. Source: Lafferty et al. (2001).
    """
    mask = _check("crf_log_partition", params, scores, lengths)
    ahead = messages_ahead(params, np.where(mask[..., None], scores, np.zeros((), scores.dtype)))
    return log_sum_exp(ahead[lengths - 1, np.arange(len(lengths))] + params["stop"])


def marginals(params: Params, scores: Array, lengths: Array) -> Array:
    """The probability of each label at each step, over all paths.

        P(y_t = k) = exp(ahead_t[k] + back_t[k] - scores_t[k] - log Z)

    Parameters
    ----------
    params   transitions (K, K), from row to column, start (K,), stop (K,).
    scores   (T, B, K).
    lengths  (B,) integers from 1 to T.

    Returns
    -------
    (T, B, K): each step of a sequence adds up to 1; zero behind its end.

    Raises
    ------
    ValueError  shapes do not fit, lengths are not B integers from 1 to T, or a sequence has no allowed path.

    Chapter: 14-labeling. Equation: marginals. Source: Rabiner (1989), Lafferty et al. (2001).
    """
    mask = _check("marginals", params, scores, lengths)[..., None]
    log_Z = crf_log_partition(params, scores, lengths)
    _check_possible("marginals", log_Z)
    scores = np.where(mask, scores, np.zeros((), scores.dtype))
    both = messages_ahead(params, scores) + messages_back(params, scores, lengths) - scores
    return np.exp(np.where(mask, both - log_Z[:, None], -np.inf))


def crf_loss(params: Params, scores: Array, labels: Array, lengths: Array) -> tuple[float, Array, Params]:
    """What the right paths cost, and its gradients: what the chain expects minus what is there.

        N L = sum_b (log Z_b - s(y_b)),    N = sum_b n_b

    Parameters
    ----------
    params   transitions (K, K), from row to column, start (K,), stop (K,).
    scores   (T, B, K).
    labels   y, (T, B), integers in 0 .. K-1; behind the end of a sequence may stand any.
    lengths  n, (B,) integers from 1 to T.

    Returns
    -------
    (L in nats for each step that counts; dL/dscores (T, B, K), zero behind the ends; gradients in the shape of params)

    Raises
    ------
    ValueError  as in `crf_score` and `marginals`, or the labels of a sequence are a forbidden path.

    Chapter: 14-labeling. Equations: crf-loss, crf-gradient. Source: Lafferty et al. (2001).
    """
    mask = _check("crf_loss", params, scores, lengths)
    labels, scores = _check_labels("crf_loss", scores, labels, mask), np.where(mask[..., None], scores, 0)
    log_Z, right = crf_log_partition(params, scores, lengths), crf_score(params, scores, labels, lengths)
    _check_possible("crf_loss", right, "its labels are a forbidden path")
    dscores = marginals(params, scores, lengths)
    ahead, back = messages_ahead(params, scores), messages_back(params, scores, lengths)
    pairs = ahead[:-1, :, :, None] + params["transitions"] + (back[1:] - log_Z[:, None])[:, :, None, :]
    d_moves = np.exp(np.where(mask[1:, :, None, None], pairs, -np.inf)).sum(axis=(0, 1))
    np.subtract.at(d_moves, (labels[:-1][mask[1:]], labels[1:][mask[1:]]), 1)
    t, b = np.nonzero(mask)
    dscores[t, b, labels[t, b]] -= 1
    N, last = scores.dtype.type(lengths.sum()), (lengths - 1, np.arange(len(lengths)))
    grads = {"transitions": d_moves, "start": dscores[0].sum(axis=0), "stop": dscores[last].sum(axis=0)}
    return float((log_Z - right).sum() / N), dscores / N, {name: grad / N for name, grad in grads.items()}


def viterbi(params: Params, scores: Array, lengths: Array) -> tuple[Array, Array]:
    """The best path through each sequence.

        best_1[j] = start[j] + scores_1[j]
        best_t[j] = scores_t[j] + max_i (best_{t-1}[i] + transitions[i, j])

    Parameters
    ----------
    params   transitions (K, K), from row to column, start (K,), stop (K,).
    scores   (T, B, K).
    lengths  (B,) integers from 1 to T.

    Returns
    -------
    (labels (T, B), integers, 0 behind the end of a sequence; their score (B,))

    Raises
    ------
    ValueError  shapes do not fit, lengths are not B integers from 1 to T, or a sequence has no allowed path.

    Chapter: 14-labeling. Equation: viterbi. Source: Viterbi (1967).
    """
    mask = _check("viterbi", params, scores, lengths)
    scores, (B, K) = np.where(mask[..., None], scores, np.zeros((), scores.dtype)), scores.shape[1:]
    best, came_from = params["start"] + scores[0], []
    for step, runs in zip(scores[1:], mask[1:, :, None], strict=True):
        ways = best[:, :, None] + params["transitions"]
        best = np.where(runs, step + ways.max(axis=1), best)
        came_from.append(np.where(runs, ways.argmax(axis=1), np.arange(K)))  # behind the end: where it is
    ends = best + params["stop"]
    _check_possible("viterbi", ends.max(axis=1))
    labels = [ends.argmax(axis=1)]
    for pointers in came_from[::-1]:
        labels.append(pointers[np.arange(B), labels[-1]])
    return np.where(mask, np.stack(labels[::-1]), 0), ends.max(axis=1)


def _check(where: str, params: Params, scores: Array, lengths: Array | None = None) -> Array:
    """Hold everything against everything; the mask (T, B) of the steps that count."""
    weights = take(where, params, "transitions", "start", "stop")
    match_shapes(where, "scores: T B K, transitions: K K, start: K, stop: K", scores, *weights)
    if lengths is None:
        lengths = np.full(scores.shape[1], len(scores))
    match_lengths(where, lengths, len(scores), scores.shape[1], least=1)
    return mask_from_lengths(lengths, len(scores))


def _check_labels(where: str, scores: Array, labels: Array, mask: Array) -> Array:
    """A copy of the labels with 0 behind the ends, if those that count are labels."""
    K = match_shapes(where, "scores: T B K, labels: T B", scores, labels)["K"]
    if not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"{where}: labels have dtype {labels.dtype}, expected integers")
    labels = np.where(mask, labels, 0)
    if labels.min() < 0 or labels.max() >= K:
        raise ValueError(f"{where}: labels run from {labels.min()} to {labels.max()}, expected 0 to {K - 1}")
    return labels


def _check_possible(where: str, log_values: Array, why: str = "no path through it is allowed") -> None:
    """An error that names the first sequence whose logarithm is -inf."""
    nothing = np.flatnonzero(np.isneginf(log_values))
    if nothing.size:
        raise ValueError(f"{where}: sequence {nothing[0]} has probability 0: {why}")
