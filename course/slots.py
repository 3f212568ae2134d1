"""Requests to an assistant, made up from templates, with what fills their slots marked in BIO.

Names, companies and cities are Faker's. Everything is in small letters, as a recognizer of speech would put it out, so
that no capital gives a name away; and what fills one slot looks much like what fills another: people and companies
share their surnames, cities are named after people, and june smith is no date.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import date

import numpy as np

from rnnlib.batching import pad
from rnnlib.types import Array

__all__ = ["LABELS", "TEMPLATES", "TYPES", "Request", "as_batch", "known_words", "slot_requests"]

TYPES = ("person", "company", "city", "date")
LABELS = ("O", *(f"{place}-{kind}" for kind in TYPES for place in "BI"))
TEMPLATES = (
    "book a flight from {city} to {city} on {date}",
    "book a table for {person} in {city}",
    "call {person}",
    "call {company} in {city}",
    "call {person} and {person} {date}",
    "send the invoice to {company} before {date}",
    "send {person} of {company} a message",
    "remind {person} to call {company} {date}",
    "meet {person} , {person} and {person} in {city}",
    "move the meeting with {company} from {date} to {date}",
    "what is the weather in {city} {date}",
    "who is {person} of {company}",
    "is {company} or {company} in {city}",
    "ask {company} , {city} , for an offer",
    "{person} and {company} meet {date} in {city}",
    "{company} called {date} and asked for {person}",
)
UNKNOWN = 0  # the number of every word that is not known

Request = tuple[list[str], list[str]]


def slot_requests(seed: int, count: int) -> list[Request]:
    """So many requests, the same for the same seed: the words of each, and a label for each word."""
    from faker import Faker

    faker = Faker("en_US")
    faker.seed_instance(seed)
    rng = np.random.default_rng(seed)
    return [_fill(TEMPLATES[rng.integers(len(TEMPLATES))], faker, rng) for _ in range(count)]


def known_words(requests: Sequence[Request], least: int = 2) -> list[str]:
    """The words that come up at least so often, sorted, behind one place for all others."""
    counts = Counter(word for words, _ in requests for word in words)
    return ["?", *sorted(word for word, count in counts.items() if count >= least)]


def as_batch(requests: Sequence[Request], words: Sequence[str]) -> tuple[Array, Array, Array]:
    """Numbers of words (T, B), 0 for one that is not known; numbers of labels (T, B), both padded with 0; lengths."""
    number = {word: k for k, word in enumerate(words)}
    tokens, lengths = pad([np.array([number.get(word, UNKNOWN) for word in said]) for said, _ in requests])
    labels, _ = pad([np.array([LABELS.index(label) for label in marked]) for _, marked in requests])
    return tokens, labels, lengths


def _fill(template: str, faker, rng: np.random.Generator) -> Request:  # type: ignore[no-untyped-def]
    words, labels = [], []
    for part in template.split():
        kind = part.strip("{}") if part.startswith("{") else ""
        said = _say(kind, faker, rng) if kind else [part]
        words += said
        labels += [f"B-{kind}", *[f"I-{kind}"] * (len(said) - 1)] if kind else ["O"]
    return words, labels


def _say(kind: str, faker, rng: np.random.Generator) -> list[str]:  # type: ignore[no-untyped-def]
    if kind == "date":
        return _date(faker.date_between(date(2020, 1, 1), date(2029, 12, 31)), rng)
    if kind == "person":
        text = (faker.last_name, faker.first_name, faker.name_nonbinary)[rng.choice(3, p=(0.2, 0.2, 0.6))]()
    else:
        text = {"company": faker.company, "city": faker.city}[kind]()
    return text.lower().replace(",", " ,").replace("-", " ").split()


def _date(day: date, rng: np.random.Generator) -> list[str]:
    forms = ("%A", "next %A", "%B {day}", "{day} %B", "{day} %B %Y", "in %B", "tomorrow")
    form = forms[rng.integers(len(forms))].format(day=day.day)
    return day.strftime(form).lower().split()
