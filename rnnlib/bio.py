"""Spans as labels of steps: B begins a span, I goes on with it, O is outside of any.

A label is "O", or "B-" or "I-" and the span's type, such as "B-city". Spans written so are found again, and scored.

Chapter: 14-labeling
"""

from collections.abc import Sequence

import numpy as np

from rnnlib.contracts import match_shapes, take
from rnnlib.types import Array, Params

__all__ = ["bio_allowed", "forbid", "span_f1", "spans"]

Span = tuple[str, int, int]  # type, first step, first step behind it
CHAIN = ("transitions", "start", "stop")


def bio_allowed(labels: Sequence[str]) -> dict[str, Array]:
    """Which transitions, starts and stops are legal: I-x stands only behind B-x or I-x of the same type.

    Parameters
    ----------
    labels  K names, "O", "B-x" or "I-x"; their places are the numbers that a chain knows them by.

    Returns
    -------
    booleans in the shape of a chain: transitions (K, K), from row to column, start (K,), stop (K,)

    Raises
    ------
    ValueError  a label is none of the three.

    Chapter: 14-labeling. Equation: bio-allowed. Source: Ramshaw & Marcus (1995).
    """
    parts = [_split("bio_allowed", label) for label in labels]
    inside = np.array([place == "I" for place, _ in parts], dtype=bool)
    same = np.array([[before == after for _, after in parts] for _, before in parts], dtype=bool)
    return {"transitions": same | ~inside, "start": ~inside, "stop": np.ones(len(parts), bool)}


def forbid(params: Params, allowed: dict[str, Array]) -> Params:
    """A chain in which what is not allowed has the score -inf, which no score of a net can outweigh.

    Parameters
    ----------
    params   transitions (K, K), start (K,), stop (K,); not changed.
    allowed  booleans of the same names and shapes.

    Returns
    -------
    new parameters, in their dtypes.

    Raises
    ------
    ValueError  shapes do not fit.

    Chapter: 14-labeling. Equation: forbid.
    """
    parts = [*take("forbid", params, *CHAIN), *take("forbid", allowed, *CHAIN)]
    spec = "transitions: K K, start: K, stop: K, allowed transitions: K K, allowed start: K, allowed stop: K"
    match_shapes("forbid", spec, *parts)
    return {name: np.where(allowed[name], params[name], params[name].dtype.type(-np.inf)) for name in CHAIN}


def spans(labels: Sequence[str], strict: bool = False) -> list[Span]:
    """The spans that a sequence of labels writes down, in order.

    A span begins with B, or with an I that cannot go on with an open span of its type (unless `strict`: then such an I
    belongs to no span). It goes on with I of the same type, and ends before anything else.

    Parameters
    ----------
    labels  names, "O", "B-x" or "I-x", legal or not.
    strict  whether only B begins a span.

    Returns
    -------
    a list of (type, first step, first step behind it), steps counted from 0.

    Raises
    ------
    ValueError  a label is none of the three.

    Chapter: 14-labeling. Equation: spans. Source: Tjong Kim Sang & De Meulder (2003).
    """
    found, begun, open_type = [], 0, ""
    for t, label in enumerate([*labels, "O"]):
        place, own_type = _split("spans", label)
        goes_on = place == "I" and own_type == open_type
        if open_type and not goes_on:
            found.append((open_type, begun, t))
            open_type = ""
        if place == "B" or (place == "I" and not goes_on and not strict):
            begun, open_type = t, own_type
    return found


def span_f1(
    truth: Sequence[Sequence[str]], guess: Sequence[Sequence[str]], strict: bool = False
) -> tuple[float, float, float]:
    """How many spans are found to the step and with their type, over all sequences together.

        P = hits / spans guessed,    R = hits / spans there,    F1 = 2 P R / (P + R)

    Parameters
    ----------
    truth   for each sequence its labels, "O", "B-x" or "I-x".
    guess   the same for what a tagger says: as many sequences, each as long.
    strict  as in `spans`.

    Returns
    -------
    (precision, recall, F1); a quotient with nothing below the line is 0.

    Raises
    ------
    ValueError  truth and guess have different lengths, or a label is none of the three.

    Chapter: 14-labeling. Equation: span-f1. Source: Tjong Kim Sang & De Meulder (2003).
    """
    sizes, sizes_guess = [len(one) for one in truth], [len(one) for one in guess]
    if sizes != sizes_guess:
        raise ValueError(f"span_f1: sequences of lengths {sizes} in truth and {sizes_guess} in guess")
    there = {(n, *span) for n, labels in enumerate(truth) for span in spans(labels, strict)}
    said = {(n, *span) for n, labels in enumerate(guess) for span in spans(labels, strict)}
    hits = len(there & said)
    precision, recall = hits / max(1, len(said)), hits / max(1, len(there))
    return precision, recall, 2 * hits / max(1, len(there) + len(said))


def _split(where: str, label: str) -> tuple[str, str]:
    """The place in the span ("B", "I" or "O") and the type of a label, "" for "O"."""
    place, dash, own_type = label.partition("-")
    if label != "O" and not (place in ("B", "I") and dash and own_type):
        raise ValueError(f"{where}: the label {label!r} is none of 'O', 'B-type', 'I-type'")
    return place, own_type
