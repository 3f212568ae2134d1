"""Pairs of sequences as padded batches of ids: German number words and English ones, written dates and ISO dates.

The input is read letter by letter, as it stands. What is written are words for numbers ("twenty", "seven": the hyphens
and commas are left out) and characters for dates. Ids 0, 1, 2 are padding, start and end on both sides; a target
begins with the start and ends with the end. What a pair's input looks like stands in no other pair, so that the test
part holds nothing that was trained on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from course import datasets
from rnnlib.batching import pad
from rnnlib.types import Array

__all__ = ["END", "PAD", "START", "TASKS", "Batch", "Pairs", "date_pairs", "number_pairs"]

SPECIALS = ("<pad>", "<start>", "<end>")
PAD, START, END = range(3)
TEST, VALID = 1000, 500  # pairs; the rest is for training
Batch = tuple[Array, Array, Array, Array]  # sources (S, B), source_lengths (B,), targets (T, B), target_lengths (B,)


@dataclass(frozen=True, eq=False)
class Pairs:
    """A task: its pairs in random order, as texts and as ids, and which of them are for what."""

    name: str
    texts: list[tuple[str, list[str]]]  # what is read, and the tokens to be written
    letters: list[str]  # the encoder's vocabulary
    words: list[str]  # the decoder's vocabulary
    whole: Batch
    joint: str = " "  # what stands between two tokens of the output

    @property
    def test(self) -> Array:
        """The numbers of the pairs that a net is judged by."""
        return np.arange(TEST)

    @property
    def valid(self) -> Array:
        """The numbers of the pairs for decisions along the way."""
        return np.arange(TEST, TEST + VALID)

    @property
    def train(self) -> Array:
        """The numbers of all other pairs."""
        return np.arange(TEST + VALID, len(self.texts))

    def batch(self, pick: Array) -> Batch:
        """The picked pairs, with no more padding than the longest of them asks for."""
        sources, source_lengths, targets, target_lengths = self.whole
        n, m = source_lengths[pick], target_lengths[pick]
        return sources[: n.max(), pick], n, targets[: m.max(), pick], m

    def read(self, text: str) -> Batch:
        """A batch of one from any text, with an empty target; a letter that is not in the vocabulary is a KeyError."""
        source = np.array([[_ids(self.letters)[letter]] for letter in text])
        return source, np.array([len(text)]), np.array([[START], [END]]), np.array([2])

    def wanted(self, pick: Array) -> list[list[int]]:
        """The ids to be written for each of the picked pairs, without start and end."""
        _, _, targets, lengths = self.whole
        return [targets[1 : lengths[b] - 1, b].tolist() for b in pick]

    def write(self, ids: Sequence[int]) -> str:
        """Ids of the output as text."""
        return self.joint.join(self.words[i] for i in ids)


@cache
def number_pairs(count: int = 10_000, largest: int = 999_999) -> Pairs:
    """Numbers from 1 on, about as many of each order of magnitude as there are: letters in, words out."""
    rng = np.random.default_rng(16)
    numbers: dict[int, None] = {}
    while len(numbers) < count:
        numbers[int(np.exp(rng.uniform(0, np.log(largest + 1))))] = None
    pairs = datasets.number_words(numbers)
    texts = [(german, english.replace("-", " ").replace(",", "").split()) for german, english in pairs]
    return _pairs("numbers", texts, " ")


@cache
def date_pairs(count: int = 10_000) -> Pairs:
    """Days of two centuries as seven languages write them: letters in, the characters of an ISO date out."""
    written = dict(datasets.dates(np.random.default_rng(17), 2 * count))
    return _pairs("dates", [(text, list(iso)) for text, iso in list(written.items())[:count]], "")


TASKS = {"numbers": number_pairs, "dates": date_pairs}


def _pairs(name: str, texts: list[tuple[str, list[str]]], joint: str) -> Pairs:
    texts = [texts[i] for i in np.random.default_rng(18).permutation(len(texts))]
    letters, words = ([*SPECIALS, *sorted(set().union(*side))] for side in zip(*texts, strict=True))
    to_letters, to_words = _ids(letters), _ids(words)
    sources = pad([np.array([to_letters[letter] for letter in text]) for text, _ in texts], PAD)
    targets = pad([np.array([START, *(to_words[word] for word in answer), END]) for _, answer in texts], PAD)
    return Pairs(name, texts, letters, words, (*sources, *targets), joint)


def _ids(vocabulary: list[str]) -> dict[str, int]:
    return {symbol: i for i, symbol in enumerate(vocabulary)}
