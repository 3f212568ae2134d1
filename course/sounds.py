"""English words and how they are said, as pairs for a net that reads letters and writes phonemes (CMU dictionary)."""

from functools import cache

import numpy as np

from course.datasets import phonemes
from course.pairs import END, PAD, START, Pairs
from rnnlib.batching import pad

__all__ = ["phoneme_pairs"]

SHORTEST, LONGEST = 2, 14  # letters


@cache
def phoneme_pairs() -> Pairs:
    """Every word of 2 to 14 letters from a to z: letters in, phonemes out, without stress; no word is in two parts."""
    texts = [
        (word, sounds)
        for word, sounds in phonemes().items()
        if SHORTEST <= len(word) <= LONGEST and word.isascii() and word.isalpha()
    ]
    texts = [texts[i] for i in np.random.default_rng(19).permutation(len(texts))]
    specials = ["<pad>", "<start>", "<end>"]
    letters, words = ([*specials, *sorted(set().union(*side))] for side in zip(*texts, strict=True))
    letter_ids, word_ids = ({symbol: i for i, symbol in enumerate(side)} for side in (letters, words))
    sources = pad([np.array([letter_ids[letter] for letter in word]) for word, _ in texts], PAD)
    targets = pad([np.array([START, *(word_ids[sound] for sound in sounds), END]) for _, sounds in texts], PAD)
    return Pairs("phonemes", texts, letters, words, (*sources, *targets))
