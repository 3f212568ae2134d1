"""A vector for each symbol, looked up by its number and learned like any weight.

Chapter: 10-bptt
"""

import numpy as np
from numpy.typing import DTypeLike

from rnnlib.contracts import match_shapes, take
from rnnlib.types import Array, Cache, Params

__all__ = ["embed", "embed_backward", "embedding_init"]


def embedding_init(
    rng: np.random.Generator, vocabulary_size: int, input_size: int, dtype: DTypeLike = np.float64
) -> Params:
    """A table of random vectors, with entries of size 1, as the cells' first weights expect of their inputs.

    Returns
    -------
    E (V, D) drawn from N(0, 1), in `dtype`.

    Raises
    ------
    ValueError  a size below 1.

    Chapter: 10-bptt. Source: Bengio et al. (2003).
    """
    if vocabulary_size < 1 or input_size < 1:
        raise ValueError(
            f"embedding_init: sizes must be at least 1, got vocabulary {vocabulary_size} and input {input_size}"
        )
    return {"E": rng.standard_normal((vocabulary_size, input_size)).astype(dtype)}


def embed(params: Params, tokens: Array) -> tuple[Array, Cache]:
    """Look up the vector of each symbol: the product of a one-hot row and the table, without the product.

        x_t = E[w_t] = onehot(w_t) E

    Parameters
    ----------
    params  E (V, D), a row for each symbol.
    tokens  w, integers in 0 .. V-1, of any shape (...), such as (T, B).

    Returns
    -------
    (xs (..., D), cache (tokens,))

    Raises
    ------
    ValueError  tokens are no integers, or one of them is outside 0 .. V-1.

    Chapter: 10-bptt. Equation: embedding. Source: Bengio et al. (2003).
    """
    (E,) = take("embed", params, "E")
    _check_tokens("embed", E, tokens)
    return E[tokens], (tokens,)


def embed_backward(params: Params, dxs: Array, cache: Cache) -> Params:
    """Gradient of the table: each row gets the sum of the gradients at all places where its symbol stood.

    Parameters
    ----------
    params  E (V, D).
    dxs     dL/dx, (..., D), as it comes out of the cell's backward pass.
    cache   (tokens,) from `embed`, tokens (...).

    Returns
    -------
    {"E": (V, D)}, zero in the rows of symbols that did not come up

    Raises
    ------
    ValueError  a shape does not fit, or a token is outside 0 .. V-1.

    Chapter: 10-bptt. Equation: embedding-backward.
    """
    (E,) = take("embed_backward", params, "E")
    (tokens,) = cache
    _check_tokens("embed_backward", E, tokens)
    match_shapes("embed_backward", "tokens: ..., dxs: ... D, E: V D", tokens, dxs, E)
    dE = np.zeros_like(E)
    np.add.at(dE, tokens, dxs)
    return {"E": dE}


def _check_tokens(where: str, E: Array, tokens: Array) -> None:
    V = match_shapes(where, "E: V D", E)["V"]
    match_shapes(where, "tokens: ...", tokens)
    if not np.issubdtype(tokens.dtype, np.integer):
        raise ValueError(f"{where}: tokens have dtype {tokens.dtype}, expected integers")
    if tokens.size and not 0 <= tokens.min() <= tokens.max() < V:
        raise ValueError(f"{where}: tokens run from {tokens.min()} to {tokens.max()}, expected 0 to {V - 1}")
