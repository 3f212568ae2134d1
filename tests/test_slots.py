"""Requests made up from templates: legal marks, the same for the same seed, and numbers that lead back to the words."""

import numpy as np

from course.slots import LABELS, TYPES, as_batch, known_words, slot_requests
from rnnlib.bio import spans


def test_every_request_is_marked_legally_and_every_type_comes_up():
    """As many labels as words, read alike leniently and strictly; spans of each type, some of them of several words."""
    requests = slot_requests(0, 200)
    found = [span for _, labels in requests for span in spans(labels, strict=True)]
    for words, labels in requests:
        assert len(words) == len(labels) > 0
        assert spans(labels) == spans(labels, strict=True)
        assert all(word and word == word.lower() and " " not in word for word in words)
    assert {kind for kind, _, _ in found} == set(TYPES)
    assert any(end - first > 2 for _, first, end in found)


def test_a_type_cannot_be_told_from_the_words_alone():
    """Some words come up in spans of different types, and outside of any: a table of words is no tagger."""
    seen: dict[str, set[str]] = {}
    for words, labels in slot_requests(0, 300):
        for word, label in zip(words, labels, strict=True):
            seen.setdefault(word, set()).add(label.partition("-")[2])
    several = [word for word, kinds in seen.items() if len(kinds) > 1]
    assert len(several) > 20
    assert {"and", ","} <= set(several)


def test_a_seed_gives_the_same_requests_and_another_one_others():
    """All randomness, Faker's too, comes from the seed; a longer list begins like a shorter one."""
    assert slot_requests(3, 20) == slot_requests(3, 20) == slot_requests(3, 40)[:20]
    assert slot_requests(3, 20) != slot_requests(4, 20)


def test_a_batch_leads_back_to_words_and_labels():
    """Numbers of known words, 0 for others and behind the ends; labels by their places in LABELS."""
    requests = slot_requests(5, 30)
    words = known_words(requests)
    tokens, labels, lengths = as_batch(requests, words)
    assert tokens.shape == labels.shape == (lengths.max(), 30)
    for b, (said, marked) in enumerate(requests):
        n = lengths[b]
        assert n == len(said)
        assert [LABELS[k] for k in labels[:n, b]] == marked
        for word, token in zip(said, tokens[:n, b], strict=True):
            assert words[token] == word if word in words[1:] else token == 0
        assert not np.any(tokens[n:, b])
        assert not np.any(labels[n:, b])
    counts = [sum(said.count(word) for said, _ in requests) for word in words[1:]]
    assert min(counts) == 2
