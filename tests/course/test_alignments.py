"""The truth about German number words: every pair of chapter 16's data has it, and what is no number word has none."""

import numpy as np
import pytest

from course.alignments import SAID_AS, number_parts, part_links, part_weights
from course.pairs import number_pairs
from course.runs.attention import shifted


def test_every_pair_is_aligned_by_the_rule():
    """Each English word but "and" has one part, each part but "und" one word, that says the same; all 10,000 fit."""
    for german, words in number_pairs().texts:
        parts = number_parts(german)
        sure, possible = part_links(parts, words)
        assert (sure <= possible).all()
        for t, word in enumerate(words):
            assert [SAID_AS[parts[s]] for s in np.flatnonzero(sure[t])] == ([] if word == "and" else [word])
            assert possible[t].any()
        assert [sure[:, s].sum() for s in range(len(parts))] == [part != "und" for part in parts]


def test_worked_by_hand():
    """The unit stands before the ten in German and behind it in English; und and "and" may be linked."""
    parts = number_parts("zweihundertsiebenundneunzig")
    assert parts == ["zwei", "hundert", "sieben", "und", "neunzig"]
    sure, possible = part_links(parts, ["two", "hundred", "and", "ninety", "seven"])
    assert np.argwhere(sure).tolist() == [[0, 0], [1, 1], [3, 4], [4, 2]]
    assert np.argwhere(possible & ~sure).tolist() == [[2, 1], [2, 4], [3, 3], [4, 3]]


@pytest.mark.parametrize("german", ["siebenund neunzig", "sixty", "einsz"])
def test_what_is_no_number_word_is_refused(german):
    """Letters between or behind the parts are an error that says which parts were found."""
    with pytest.raises(ValueError, match="not made of German number words"):
        number_parts(german)


@pytest.mark.parametrize(
    ("words", "said"),
    [(["seven", "ninety"], "no part says 'seven'"), (["ninety"], "left over"), (["ninety", "seven", "one"], "'one'")],
)
def test_words_that_do_not_fit_are_refused(words, said):
    """Another order, a missing word, a word too many."""
    with pytest.raises(ValueError, match=said):
        part_links(number_parts("siebenundneunzig"), words)


def test_weights_of_letters_become_weights_of_parts():
    """A part has the weight of all its letters, and moving loses none."""
    weights = np.random.default_rng(0).dirichlet(np.ones(16), size=2)
    parts = number_parts("siebenundneunzig")
    summed = part_weights(weights, parts)
    np.testing.assert_allclose(summed, [[w[:6].sum(), w[6:9].sum(), w[9:].sum()] for w in weights])
    for letters in (0, 1, 5, 16):
        moved = shifted(weights, letters)
        np.testing.assert_allclose(moved.sum(axis=1), 1)
        np.testing.assert_allclose(moved[:, 1 : 16 - letters], weights[:, 1 + letters :])
