"""Which letters of a German number word say which English word: the truth, by rule.

A German number word below a million is a row of parts, each a word of its own, and every part but "und" is said by one
English word. German puts the unit before the ten, "siebenundneunzig", English behind it, "ninety seven".
"""

import re
from collections.abc import Sequence

import numpy as np

from rnnlib.types import Array

__all__ = ["number_parts", "part_links", "part_weights"]

UNITS = {
    **{"ein": "one", "eins": "one", "zwei": "two", "drei": "three", "vier": "four", "fünf": "five", "sechs": "six"},
    **{"sieben": "seven", "acht": "eight", "neun": "nine"},
}
TEENS = {
    **{"zehn": "ten", "elf": "eleven", "zwölf": "twelve", "dreizehn": "thirteen", "vierzehn": "fourteen"},
    **{"fünfzehn": "fifteen", "sechzehn": "sixteen", "siebzehn": "seventeen", "achtzehn": "eighteen"},
    "neunzehn": "nineteen",
}
TENS = {
    **{"zwanzig": "twenty", "dreißig": "thirty", "vierzig": "forty", "fünfzig": "fifty", "sechzig": "sixty"},
    **{"siebzig": "seventy", "achtzig": "eighty", "neunzig": "ninety"},
}
SAID_AS = UNITS | TEENS | TENS | {"hundert": "hundred", "tausend": "thousand"}
_PART = re.compile("|".join(sorted([*SAID_AS, "und"], key=len, reverse=True)))  # the longest one that fits


def number_parts(german: str) -> list[str]:
    """The words that a German number word is made of, in order; a ValueError where something else stands in it."""
    parts = _PART.findall(german)
    if "".join(parts) != german:
        raise ValueError(f"number_parts: {german!r} is not made of German number words; found {parts}")
    return parts


def part_links(parts: Sequence[str], words: Sequence[str]) -> tuple[Array, Array]:
    """Which part each English word comes from, (words, parts), and which links may be there besides.

    Sure is a word with its own part. Possible is "und" with the words of both of its neighbors, and the English "and",
    which no German part says, with the parts that the words around it come from.
    """
    sure = np.zeros((len(words), len(parts)), bool)
    spoken = iter(_spoken(parts))
    for t, word in enumerate(words):
        if word != "and":
            s = next(spoken, None)
            if s is None or SAID_AS[parts[s]] != word:
                raise ValueError(f"part_links: {''.join(parts)!r} is not {' '.join(words)!r}: no part says {word!r}")
            sure[t, s] = True
    if next(spoken, None) is not None:
        raise ValueError(f"part_links: {''.join(parts)!r} is not {' '.join(words)!r}: a part is left over")
    possible = sure.copy()
    for s, part in enumerate(parts):
        if part == "und":
            possible[:, s] = sure[:, s - 1] | sure[:, s + 1]
    for t, word in enumerate(words):
        if word == "and":
            possible[t] = sure[t - 1] | sure[t + 1]
    return sure, possible


def _spoken(parts: Sequence[str]) -> list[int]:
    """The parts' numbers in the order in which English says them: a ten before the unit that German puts first."""
    order: list[int] = []
    for s, part in enumerate(parts):
        if s >= 2 and parts[s - 1] == "und":
            order.insert(len(order) - 1, s)
        elif part != "und":
            order.append(s)
    return order


def part_weights(weights: Array, parts: Sequence[str]) -> Array:
    """The weight of each part: that of all its letters. From (words, letters) to (words, parts)."""
    ends = np.cumsum([len(part) for part in parts])
    return np.stack([letters.sum(axis=1) for letters in np.split(weights[:, : ends[-1]], ends[:-1], axis=1)], axis=1)
