"""The journal keeps every finished result through any kill, and says which are not in the gradebook yet."""

import math
from pathlib import Path

import pytest

from course.grading.errors import GRADEBOOK, Stopped
from course.grading.journal import Journal, fingerprint
from course.grading.task import GRADED, NOTED, Outcome


def outcome(name: str, score: float = 1.5) -> Outcome:
    return Outcome(
        name,
        NOTED,
        {"a--check": score, "b": None},
        ["c"],
        ["a note\nof two lines"],
        [["x/y", "says"]],
        {"a": 0.1},
        True,
    )


def opened(path: Path, gradebook: str = "one") -> Journal:
    return Journal(path / "journal" / "04-elman.jsonl", gradebook)


def test_results_come_back_as_they_were(tmp_path: Path) -> None:
    """All but the notebook, which has a file of its own; the last line of a student counts."""
    names = ["ann", "Zoë Öztürk", 'q"\n', "ann"]
    with opened(tmp_path) as journal:
        for i, name in enumerate(names):
            journal.finish(f"of-{i}", "bundle", outcome(name, i))
    with opened(tmp_path) as journal:
        assert {name: found.of for name, found in journal.finished.items()} == {
            "ann": "of-3",
            "Zoë Öztürk": "of-1",
            'q"\n': "of-2",
        }
        assert list(journal.outcomes(["ann", "Zoë Öztürk"])) == [outcome("ann", 3), outcome("Zoë Öztürk", 1)]
        journal.finish("of-4", "bundle", Outcome("new", GRADED, {}, notebook="{}"))
        assert list(journal.outcomes(["new", "ann"])) == [Outcome("new", GRADED, {}), outcome("ann", 3)]


def test_scores_are_kept_to_the_last_bit(tmp_path: Path) -> None:
    """A resumed run writes the same number into the gradebook."""
    with opened(tmp_path) as journal:
        journal.finish("of", "bundle", outcome("ann", math.pi / 3))
    with opened(tmp_path) as journal:
        assert next(journal.outcomes(["ann"])).scores["a--check"] == math.pi / 3


def test_what_is_not_in_this_gradebook_is_known(tmp_path: Path) -> None:
    """A batch counts for the gradebook that it was written into, and a newer result is not in it."""
    with opened(tmp_path) as journal:
        for name in ("ann", "bob", "carl"):
            journal.finish("of", "bundle", outcome(name))
        journal.written(["ann", "bob"])
        journal.finish("new", "bundle", outcome("bob"))
        assert journal.unwritten == {"bob", "carl"}
    with opened(tmp_path) as journal:
        assert journal.unwritten == {"bob", "carl"}
    with opened(tmp_path, "another") as journal:
        assert journal.unwritten == {"ann", "bob", "carl"}


def test_cut_at_any_byte_it_loses_only_the_torn_line(tmp_path: Path) -> None:
    """As a kill in the middle of writing leaves it; and it can be written on."""
    with opened(tmp_path) as journal:
        journal.finish("of", "bundle", outcome("ann"))
        journal.finish("of", "bundle", outcome("bob"))
        journal.written(["ann", "bob"])
    path = tmp_path / "journal" / "04-elman.jsonl"
    data = path.read_bytes()
    ends = [i for i, byte in enumerate(data) if byte == ord("\n")]
    for cut in range(len(data)):
        path.write_bytes(data[:cut])
        expected = {name for name, end in zip(("ann", "bob"), ends, strict=False) if cut >= end}
        with opened(tmp_path) as journal:
            assert set(journal.finished) == expected
            assert journal.unwritten == (set() if cut >= ends[2] else expected)
            journal.finish("of", "bundle", outcome("new"))
        with opened(tmp_path) as journal:
            assert set(journal.finished) == expected | {"new"}
            assert [found.name for found in journal.outcomes(sorted(journal.finished))] == sorted(expected | {"new"})


@pytest.mark.parametrize(
    "line", [b"\xff\xfe\n", b"[1]\n", b"{}\n", b'{"of": 1, "result": {"name": "x"}}\n', b"null\n", b"7\n"]
)
def test_a_damaged_line_is_no_line(line: bytes, tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.finish("of", "bundle", outcome("ann"))
    path = tmp_path / "journal" / "04-elman.jsonl"
    path.write_bytes(line + path.read_bytes() + line)
    with opened(tmp_path) as journal:
        assert list(journal.outcomes(journal.finished)) == [outcome("ann")]


def test_one_run_at_a_time(tmp_path: Path) -> None:
    """The second says so, and does not wait."""
    with opened(tmp_path), pytest.raises(Stopped, match="another `course grade` is at work") as stopped:
        opened(tmp_path)
    assert stopped.value.code == GRADEBOOK
    with opened(tmp_path):
        pass


def test_a_fingerprint_is_of_submission_and_bundle() -> None:
    prints = {fingerprint(data, digest) for data in (b"", b"a", b"ab") for digest in ("", "a", "ab")}
    assert len(prints) == 9
