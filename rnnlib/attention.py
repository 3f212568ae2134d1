"""Attention: score every key against a query, turn the scores into weights, read the values by these weights.

Keys and values come one for each step of a source, (S, B, H), queries one for each step of a target, (B, H). All
functions here do one step of the target; scores and weights are (S, B), the source along the first axis.

Chapter: 17-attention
"""

from typing import Any

import numpy as np

from rnnlib.activations import sigmoid
from rnnlib.contracts import match_lengths, match_shapes, take
from rnnlib.types import Array, Cache, Params

__all__ = [
    "additive_score",
    "additive_score_backward",
    "attend",
    "attend_backward",
    "concat_score",
    "concat_score_backward",
    "dot_score",
    "dot_score_backward",
    "focus",
    "focus_backward",
    "general_score",
    "general_score_backward",
    "local_center",
    "local_center_backward",
    "local_window",
    "masked_softmax",
    "masked_softmax_backward",
    "score",
    "score_backward",
]


# --- from scores to weights


def masked_softmax(scores: Array, mask: Array) -> Array:
    """Weights over the steps of a source, none for its padding, safe for scores of any size.

        a_s = exp(e_s) / sum_{s' with m_{s'}} exp(e_{s'})  where m_s,   a_s = 0 elsewhere

    Parameters
    ----------
    scores  e, (S, B), floats; not changed. Where the mask is False anything may stand, NaN too.
    mask    m, (S, B), True where a step of the source may be read.

    Returns
    -------
    weights a (S, B), same dtype: 0 or more, exactly 0 where the mask is False, each column sums to 1.

    Raises
    ------
    ValueError  shapes differ, or a column of the mask has no True: there is nothing to read.

    Chapter: 17-attention. Equation: masked-softmax. Source: Bahdanau et al. (2015).
    """
    _check_mask("masked_softmax", scores, mask)
    masked = np.where(mask, scores, -np.inf)
    exps = np.exp(masked - masked.max(axis=0))
    return exps / exps.sum(axis=0)


def masked_softmax_backward(dweights: Array, weights: Array) -> Array:
    """Gradient of the scores: a step gains by how much better it is than the weighted mean of all.

        dL/de_s = a_s (dL/da_s - sum_{s'} a_{s'} dL/da_{s'})

    Parameters
    ----------
    dweights  dL/da, (S, B); not changed.
    weights   a, (S, B), from `masked_softmax`.

    Returns
    -------
    dscores (S, B), exactly 0 where the weight is.

    Raises
    ------
    ValueError  shapes differ.

    Chapter: 17-attention. Equation: masked-softmax-backward.
    """
    match_shapes("masked_softmax_backward", "weights: S B, dweights: S B", weights, dweights)
    return weights * (dweights - (weights * dweights).sum(axis=0))


# --- scores


def dot_score(query: Array, keys: Array, scaled: bool = False) -> tuple[Array, Cache]:
    """How well each key fits the query: their dot product.

        e_s = q . k_s,    scaled:  e_s = q . k_s / sqrt(H)

    Parameters
    ----------
    query   q, (B, H), what the target's step asks for.
    keys    k, (S, B, H), one for each step of the source.
    scaled  divide by the root of H, the number of products that are added up.

    Returns
    -------
    (scores (S, B), cache (query, keys))

    Raises
    ------
    ValueError  a shape does not fit.

    Chapter: 17-attention. Equation: dot-score. Source: Luong et al. (2015); scaled: Vaswani et al. (2017).
    """
    H = match_shapes("dot_score", "query: B H, keys: S B H", query, keys)["H"]
    scores = np.einsum("bh,sbh->sb", query, keys)
    return scores / scores.dtype.type(np.sqrt(H)) if scaled else scores, (query, keys)


def dot_score_backward(dscores: Array, cache: Cache, scaled: bool = False) -> tuple[Array, Array]:
    """Gradients of the query and of every key.

        dL/dq = sum_s dL/de_s k_s,    dL/dk_s = dL/de_s q;    scaled: both over sqrt(H)

    Parameters
    ----------
    dscores  dL/de, (S, B).
    cache    (query (B, H), keys (S, B, H)) from `dot_score`.
    scaled   as in the forward step.

    Returns
    -------
    (dquery (B, H), dkeys (S, B, H))

    Raises
    ------
    ValueError  a shape does not fit.

    Chapter: 17-attention. Equation: dot-score-backward.
    """
    query, keys = cache
    spec = "query: B H, keys: S B H, dscores: S B"
    H = match_shapes("dot_score_backward", spec, query, keys, dscores)["H"]
    dscores = dscores / dscores.dtype.type(np.sqrt(H)) if scaled else dscores
    return np.einsum("sb,sbh->bh", dscores, keys), dscores[..., None] * query


def general_score(params: Params, query: Array, keys: Array) -> tuple[Array, Cache]:
    """A dot product across two spaces: the query is carried over to where the keys live.

        e_s = q^T W k_s

    Parameters
    ----------
    params  W (H_q, H_k).
    query   q, (B, H_q).
    keys    k, (S, B, H_k).

    Returns
    -------
    (scores (S, B), cache (query, keys))

    Raises
    ------
    ValueError  a shape does not fit.

    Chapter: 17-attention. Equation: general-score. Source: Luong et al. (2015).
    """
    (W,) = take("general_score", params, "W")
    match_shapes("general_score", "query: B Q, keys: S B K, W: Q K", query, keys, W)
    return dot_score(query @ W, keys)[0], (query, keys)


def general_score_backward(params: Params, dscores: Array, cache: Cache) -> tuple[Array, Array, Params]:
    """Gradients of `general_score`.

        dL/dq = W sum_s dL/de_s k_s,    dL/dk_s = dL/de_s W^T q,    dL/dW = q (sum_s dL/de_s k_s)^T

    Parameters
    ----------
    params   W (H_q, H_k).
    dscores  dL/de, (S, B).
    cache    (query (B, H_q), keys (S, B, H_k)) from `general_score`.

    Returns
    -------
    (dquery (B, H_q), dkeys (S, B, H_k), {"W": (H_q, H_k)})

    Raises
    ------
    ValueError  a shape does not fit.

    Chapter: 17-attention. Equation: general-score-backward.
    """
    (W,), (query, keys) = take("general_score_backward", params, "W"), cache
    match_shapes("general_score_backward", "query: B Q, keys: S B K, W: Q K", query, keys, W)
    dcarried, dkeys = dot_score_backward(dscores, (query @ W, keys))
    return dcarried @ W.T, dkeys, {"W": query.T @ dcarried}


def additive_score(params: Params, query: Array, keys: Array) -> tuple[Array, Cache]:
    """A small net with one hidden layer looks at query and key together.

        e_s = v . tanh(W_q q + W_k k_s)

    Parameters
    ----------
    params  W_q (H_q, A), W_k (H_k, A), v (A,).
    query   q, (B, H_q).
    keys    k, (S, B, H_k).

    Returns
    -------
    (scores (S, B), cache (query, keys, u)), u = tanh(...), (S, B, A)

    Raises
    ------
    ValueError  a shape does not fit.

    Chapter: 17-attention. Equation: additive-score. Source: Bahdanau et al. (2015).
    """
    W_q, W_k, v = _check_additive("additive_score", params, query, keys)
    u = np.tanh(query @ W_q + keys @ W_k)
    return u @ v, (query, keys, u)


def additive_score_backward(params: Params, dscores: Array, cache: Cache) -> tuple[Array, Array, Params]:
    """Gradients of `additive_score`; the query was used for every key, so its gradients add up over them.

    Parameters
    ----------
    params   W_q (H_q, A), W_k (H_k, A), v (A,).
    dscores  dL/de, (S, B).
    cache    (query (B, H_q), keys (S, B, H_k), u (S, B, A)) from `additive_score`.

    Returns
    -------
    (dquery (B, H_q), dkeys (S, B, H_k), grads with the names and shapes of params)

    Raises
    ------
    ValueError  a shape does not fit.

    Chapter: 17-attention. Equation: additive-score-backward.
    """
    query, keys, u = cache
    W_q, W_k, v = _check_additive("additive_score_backward", params, query, keys)
    match_shapes("additive_score_backward", "u: S B A, dscores: S B", u, dscores)
    da = dscores[..., None] * v * (1 - u * u)
    da_q = da.sum(axis=0)
    dW_k = np.einsum("sbk,sba->ka", keys, da, optimize=True)
    grads = {"W_q": query.T @ da_q, "W_k": dW_k, "v": np.einsum("sb,sba->a", dscores, u)}
    return da_q @ W_q.T, da @ W_k.T, grads


def concat_score(params: Params, query: Array, keys: Array) -> tuple[Array, Cache]:
    """The additive score with one matrix over query and key, end to end.

        e_s = v . tanh(W [q; k_s])

    Parameters
    ----------
    params  W (H_q + H_k, A), the query's rows first, v (A,).
    query   q, (B, H_q).
    keys    k, (S, B, H_k).

    Returns
    -------
    (scores (S, B), cache (query, keys, u)), u = tanh(...), (S, B, A)

    Raises
    ------
    ValueError  a shape does not fit.

    Chapter: 17-attention. Equation: concat-score. Source: Luong et al. (2015).
    """
    return additive_score(_split("concat_score", params, query, keys), query, keys)


def concat_score_backward(params: Params, dscores: Array, cache: Cache) -> tuple[Array, Array, Params]:
    """Gradients of `concat_score`.

    Parameters
    ----------
    params   W (H_q + H_k, A), v (A,).
    dscores  dL/de, (S, B).
    cache    (query (B, H_q), keys (S, B, H_k), u (S, B, A)) from `concat_score`.

    Returns
    -------
    (dquery (B, H_q), dkeys (S, B, H_k), grads with the names and shapes of params)

    Raises
    ------
    ValueError  a shape does not fit.

    Chapter: 17-attention. Equation: concat-score.
    """
    halves = _split("concat_score_backward", params, *cache[:2])
    dquery, dkeys, grads = additive_score_backward(halves, dscores, cache)
    return dquery, dkeys, {"W": np.concatenate([grads["W_q"], grads["W_k"]]), "v": grads["v"]}


def score(params: Params, query: Array, keys: Array) -> tuple[Array, Cache]:
    """The score that the weights are for: `dot_score` for none, else general, concat or additive.

    Parameters
    ----------
    params  {}, {"W"}, {"W", "v"} or {"W_q", "W_k", "v"}, as the four functions take them.
    query   (B, H_q).
    keys    (S, B, H_k).

    Returns
    -------
    (scores (S, B), cache)

    Raises
    ------
    ValueError  no score has weights of these names, or a shape does not fit.

    Chapter: 17-attention.
    """
    kind = _kind("score", params)
    forms = {"general": general_score, "concat": concat_score, "additive": additive_score}
    return dot_score(query, keys) if kind == "dot" else forms[kind](params, query, keys)


def score_backward(params: Params, dscores: Array, cache: Cache) -> tuple[Array, Array, Params]:
    """Gradients of `score`.

    Parameters
    ----------
    params   {}, {"W"}, {"W", "v"} or {"W_q", "W_k", "v"}.
    dscores  dL/de, (S, B).
    cache    from `score`.

    Returns
    -------
    (dquery (B, H_q), dkeys (S, B, H_k), grads with the names and shapes of params)

    Raises
    ------
    ValueError  no score has weights of these names, or a shape does not fit.

    Chapter: 17-attention.
    """
    kind = _kind("score_backward", params)
    if kind == "dot":
        return (*dot_score_backward(dscores, cache), {})
    forms = {
        "general": general_score_backward,
        "concat": concat_score_backward,
        "additive": additive_score_backward,
    }
    return forms[kind](params, dscores, cache)


# --- reading


def attend(weights: Array, values: Array) -> tuple[Array, Cache]:
    """Read: the mean of the values by their weights, for each sequence of the batch.

        c = sum_s a_s v_s

    Parameters
    ----------
    weights  a, (S, B).
    values   v, (S, B, H); finite, also where the weight is 0.

    Returns
    -------
    (context c (B, H), cache (weights, values))

    Raises
    ------
    ValueError  a shape does not fit.

    Chapter: 17-attention. Equation: attend. Source: Bahdanau et al. (2015).
    """
    match_shapes("attend", "weights: S B, values: S B H", weights, values)
    return np.einsum("sb,sbh->bh", weights, values), (weights, values)


def attend_backward(dcontext: Array, cache: Cache) -> tuple[Array, Array]:
    """Gradients of the weights and of every value.

        dL/da_s = v_s . dL/dc,    dL/dv_s = a_s dL/dc

    Parameters
    ----------
    dcontext  dL/dc, (B, H).
    cache     (weights (S, B), values (S, B, H)) from `attend`.

    Returns
    -------
    (dweights (S, B), dvalues (S, B, H))

    Raises
    ------
    ValueError  a shape does not fit.

    Chapter: 17-attention. Equation: attend-backward.
    """
    weights, values = cache
    match_shapes("attend_backward", "weights: S B, values: S B H, dcontext: B H", weights, values, dcontext)
    return np.einsum("sbh,bh->sb", values, dcontext), weights[..., None] * dcontext


# --- local attention


def local_window(centers: Array, lengths: Array, S: int, half: float) -> Array:
    """Which steps of the source lie in a window around a center: the mask of local attention.

        m_s = 1  for |s - p| <= D and s < n,   p first drawn into 0 .. n - 1

    Parameters
    ----------
    centers  p, (B,), numbers, not always whole; the same t for all sequences is Luong's local-m.
    lengths  n, (B,) integers from 1 to S.
    S        how many steps the source's batch has.
    half     D, half the width of the window, at least 0.5: so some step always lies in it.

    Returns
    -------
    booleans (S, B), for `masked_softmax`.

    Raises
    ------
    ValueError  a shape does not fit, lengths are not from 1 to S, or half is below 0.5.

    Chapter: 17-attention. Equation: local-window. Source: Luong et al. (2015).
    """
    match_shapes("local_window", "centers: B, lengths: B", centers, lengths)
    match_lengths("local_window", lengths, S, least=1)
    if not half >= 0.5:
        raise ValueError(f"local_window: half is {half}, expected at least 0.5")
    places = np.arange(S)[:, None]
    return (np.abs(places - np.clip(centers, 0, lengths - 1)) <= half) & (places < lengths)


def local_center(params: Params, query: Array, lengths: Array) -> tuple[Array, Cache]:
    """Where to look, guessed from the query alone: Luong's local-p.

        p = (n - 1) sigma(v_p . tanh(W_p q))

    Parameters
    ----------
    params   W_p (H, A), v_p (A,).
    query    q, (B, H).
    lengths  n, (B,) integers, at least 1.

    Returns
    -------
    (centers p (B,), each from 0 to n - 1; cache (query, lengths, u, g)), u the tanh, g the sigma

    Raises
    ------
    ValueError  a shape does not fit.

    Chapter: 17-attention. Equation: local-center. Source: Luong et al. (2015).
    """
    W_p, v_p = take("local_center", params, "W_p", "v_p")
    match_shapes("local_center", "query: B H, lengths: B, W_p: H A, v_p: A", query, lengths, W_p, v_p)
    u = np.tanh(query @ W_p)
    g = sigmoid(u @ v_p)
    return (lengths - 1).astype(g.dtype) * g, (query, lengths, u, g)


def local_center_backward(params: Params, dcenters: Array, cache: Cache) -> tuple[Array, Params]:
    """Gradients of `local_center`.

    Parameters
    ----------
    params    W_p (H, A), v_p (A,).
    dcenters  dL/dp, (B,).
    cache     (query, lengths, u, g) from `local_center`.

    Returns
    -------
    (dquery (B, H), grads with the names and shapes of params)

    Raises
    ------
    ValueError  a shape does not fit.

    Chapter: 17-attention. Equation: local-center.
    """
    W_p, v_p = take("local_center_backward", params, "W_p", "v_p")
    query, lengths, u, g = cache
    match_shapes("local_center_backward", "query: B H, dcenters: B, W_p: H A", query, dcenters, W_p)
    dg = dcenters * (lengths - 1).astype(g.dtype) * g * (1 - g)
    da = dg[:, None] * v_p * (1 - u * u)
    return da @ W_p.T, {"W_p": query.T @ da, "v_p": dg @ u}


def focus(weights: Array, centers: Array, half: float) -> tuple[Array, Cache]:
    """Weights that fall off around a center, so that the center has a gradient.

        b_s = a_s exp(-(s - p)^2 / (2 (D / 2)^2))

    Parameters
    ----------
    weights  a, (S, B); they need not sum to 1 afterwards.
    centers  p, (B,).
    half     D, half the width of the window; the spread is half of it.

    Returns
    -------
    (focused b (S, B), cache (weights, centers, bell)), bell (S, B) the factor

    Raises
    ------
    ValueError  a shape does not fit.

    Chapter: 17-attention. Equation: focus. Source: Luong et al. (2015).
    """
    S = match_shapes("focus", "weights: S B, centers: B", weights, centers)["S"]
    bell = np.exp(-2 * ((np.arange(S, dtype=weights.dtype)[:, None] - centers) / weights.dtype.type(half)) ** 2)
    return weights * bell, (weights, centers, bell)


def focus_backward(dfocused: Array, cache: Cache, half: float) -> tuple[Array, Array]:
    """Gradients of `focus`.

    Parameters
    ----------
    dfocused  dL/db, (S, B).
    cache     (weights (S, B), centers (B,), bell (S, B)) from `focus`.
    half      as in the forward step.

    Returns
    -------
    (dweights (S, B), dcenters (B,))

    Raises
    ------
    ValueError  a shape does not fit.

    Chapter: 17-attention. Equation: focus.
    """
    weights, centers, bell = cache
    S = match_shapes("focus_backward", "weights: S B, centers: B, dfocused: S B", weights, centers, dfocused)["S"]
    slope = 4 * (np.arange(S, dtype=weights.dtype)[:, None] - centers) / weights.dtype.type(half**2)
    return dfocused * bell, (dfocused * weights * bell * slope).sum(axis=0)


def _check_mask(where: str, scores: Array, mask: Array) -> None:
    match_shapes(where, "scores: S B, mask: S B", scores, mask)
    empty = np.flatnonzero(~mask.astype(bool).any(axis=0))
    if len(empty):
        raise ValueError(f"{where}: the mask has no True in column {empty[0]}: that sequence has nothing to read")


def _check_additive(where: str, params: Params, query: Array, keys: Array) -> tuple[Array, ...]:
    weights = take(where, params, "W_q", "W_k", "v")
    match_shapes(where, "query: B Q, keys: S B K, W_q: Q A, W_k: K A, v: A", query, keys, *weights)
    return weights


def _split(where: str, params: Params, query: Array, keys: Array) -> Params:
    """The one matrix of the concat score as the two of the additive score."""
    W, v = take(where, params, "W", "v")
    sizes = match_shapes(where, "query: B Q, keys: S B K, W: R A, v: A", query, keys, W, v)
    if sizes["Q"] + sizes["K"] != sizes["R"]:
        raise ValueError(f"{where}: W has {sizes['R']} rows, expected {sizes['Q']} + {sizes['K']}, query and keys")
    return {"W_q": W[: sizes["Q"]], "W_k": W[sizes["Q"] :], "v": v}


def _kind(where: str, params: dict[str, Any]) -> str:
    kinds = {(): "dot", ("W",): "general", ("W", "v"): "concat", ("W_k", "W_q", "v"): "additive"}
    names = tuple(sorted(params))
    if names not in kinds:
        raise ValueError(f"{where}: no score has weights {', '.join(names)}; see dot, general, concat, additive")
    return kinds[names]
