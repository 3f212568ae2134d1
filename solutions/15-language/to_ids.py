"""Inputs for 15-language/to_ids, and the place of each symbol, looked for from the front."""

import numpy as np

RETURNS = "ids"


def inputs(rng):
    """Characters and words, with a stand-in first, in the middle, or not needed; a text without a symbol."""
    letters = [str(letter) for letter in rng.permutation(list("abcdefgh"))]
    yield letters, [str(letter) for letter in rng.choice(letters, 30)], None
    yield ["?", *letters[:4]], [str(letter) for letter in rng.choice(letters, 30)], "?"
    yield [*letters[:3], "?", *letters[3:6]], [str(letter) for letter in rng.choice(letters, 25)], "?"
    yield ["the", "<unknown>", "sea", "th"], ["the", "sea", "the", "th", "e", "", "sea"], "<unknown>"
    yield [*letters[:5], "?"], "".join(rng.choice(letters[:5], 12)), "?"
    yield letters, "", None


def oracle(vocabulary, tokens, unknown=None):
    places = [vocabulary.index(token if token in vocabulary else unknown) for token in tokens]
    return np.array(places, dtype=np.int64)
