"""From the symbols of a text to numbers, and back.

A vocabulary is a list of strings; the number of a symbol is its place in the list.

Chapter: 15-language
"""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from rnnlib.types import Array

__all__ = ["make_vocabulary", "to_ids", "to_tokens"]


def make_vocabulary(tokens: Iterable[str], least: int = 1, specials: Sequence[str] = ()) -> list[str]:
    """The symbols that a text uses often enough, the most frequent first.

    Parameters
    ----------
    tokens    characters or words, as a string or a list of strings.
    least     a symbol must stand in the text at least so often.
    specials  symbols that have a place whatever the text, such as "<unknown>"; they come first, in this order.

    Returns
    -------
    a list without repetition; symbols that are equally frequent stand in alphabetical order.

    Examples
    --------
    >>> make_vocabulary("to be or not to be", least=2, specials=["?"])
    ['?', ' ', 'o', 't', 'b', 'e']

    Chapter: 15-language.
    """
    counts = Counter(tokens)
    found = sorted(counts, key=lambda token: (-counts[token], token))
    first = list(dict.fromkeys(specials))
    return first + [token for token in found if counts[token] >= least and token not in first]


def to_ids(vocabulary: Sequence[str], tokens: Iterable[str], unknown: str | None = None) -> Array:
    """The number of each symbol of a text.

    Parameters
    ----------
    vocabulary  the symbols, in the order of their numbers.
    tokens      characters or words, as a string or a list of strings.
    unknown     the symbol of the vocabulary that stands in for all that it lacks; None where that is an error.

    Returns
    -------
    (N,) integers, dtype int64.

    Raises
    ------
    ValueError  a symbol is not in the vocabulary and there is no stand-in; or the stand-in is not in it.

    Chapter: 15-language. Equation: vocabulary.
    """
    number: dict[str | None, int] = {token: i for i, token in enumerate(vocabulary)}
    if unknown is not None and unknown not in number:
        raise ValueError(f"to_ids: the stand-in {unknown!r} is not in the vocabulary")
    ids = []
    for token in tokens:
        if token not in number and unknown is None:
            raise ValueError(f"to_ids: {token!r} is not in the vocabulary, and there is no stand-in for it")
        ids.append(number[token] if token in number else number[unknown])
    return np.array(ids, dtype=np.int64)


def to_tokens(vocabulary: Sequence[str], ids: Iterable[int]) -> list[str]:
    """The symbols that stand behind numbers; what `to_ids` undid, but for the unknown.

    Raises
    ------
    ValueError  a number outside 0 .. V-1.

    Chapter: 15-language.
    """
    found = []
    for i in ids:
        if not 0 <= i < len(vocabulary):
            raise ValueError(f"to_tokens: {i} is no number of a vocabulary of {len(vocabulary)}")
        found.append(vocabulary[i])
    return found
