"""Every layout that a class is handed in in: who handed in what, and nothing that a student made is followed."""

import os
import random
import zipfile
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from course.grading.collect import MAX_NAME, Submission, collect
from course.grading.errors import MISUSED, Stopped
from course.grading.rebuild import MAX_BYTES, Unreadable

SLUG = "04-elman"


def folder_of(root: Path, *names: str, **contents: bytes) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return root


def zip_of(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, name)
    return path


def gathered(source: Path, slug: str = SLUG) -> list[Submission]:
    submissions, strays = collect(source, slug)
    assert strays == []
    return submissions


def read(submission: Submission) -> str:
    try:
        return submission.read().decode()
    except Unreadable as error:
        return f"unreadable: {error}"


LAYOUTS = {
    "nbgrader": {
        f"ann/{SLUG}/{SLUG}.ipynb": "ann",
        f"bob/{SLUG}/{SLUG}.ipynb": "bob",
        f"bob/{SLUG}/data.csv": None,
        f"bob/{SLUG}/.ipynb_checkpoints/{SLUG}.ipynb": None,
        "bob/03-definition/03-definition.ipynb": None,
        "carla/03-definition/03-definition.ipynb": None,
    },
    "flat": {
        f"ann_{SLUG}.ipynb": "ann",
        f"van_der_berg_{SLUG}.ipynb": "van_der_berg",
        "ann_03-definition.ipynb": None,
        f"ernst_{SLUG}-1.ipynb": "ernst",
        "notes.txt": None,
    },
    "a folder each": {f"ann/{SLUG}.ipynb": "ann", f"bob/{SLUG}.ipynb": "bob", "bob/03-definition.ipynb": None},
    "groups": {f"monday/ann_{SLUG}.ipynb": "ann", f"friday/bob_{SLUG}.ipynb": "bob"},
    "canvas": {
        f"meieranna_4711_98765_{SLUG}.ipynb": "meieranna_4711",
        f"oneillbob_LATE_4712_98766_{SLUG}-1.ipynb": "oneillbob_4712",
    },
    "moodle, a folder each": {
        f"Anna Meier_17_assignsubmission_file/{SLUG}.ipynb": "Anna Meier_17",
        f"Zoë Öztürk_18_assignsubmission_file_/{SLUG}.ipynb": "Zoë Öztürk_18",
    },
    "moodle, no folders": {f"Anna Meier_17_assignsubmission_file_{SLUG}.ipynb": "Anna Meier_17"},
}


@pytest.mark.parametrize("below", ["", "submitted/"], ids=["at the top", "one folder down"])
@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(layout: str, packed: bool, below: str, tmp_path: Path) -> None:
    """Who, and which file; files of other assignments and other kinds are nobody's submission."""
    names = {below + name: student for name, student in LAYOUTS[layout].items()}
    source = zip_of(tmp_path / "all.zip", *names) if packed else folder_of(tmp_path / "all", *names)
    found = {submission.student: read(submission) for submission in gathered(source)}
    assert found == {student: name for name, student in names.items() if student}


@pytest.mark.parametrize(
    "name", [f"ann/{SLUG}/{SLUG}.ipynb", f"submitted/ann/{SLUG}/{SLUG}.ipynb", f"ann_{SLUG}.ipynb"]
)
def test_a_class_of_one(name: str, tmp_path: Path) -> None:
    """What all files have in common is then not only the folder around the class."""
    (submission,) = gathered(folder_of(tmp_path, name))
    assert (submission.student, read(submission)) == ("ann", name)


def test_at_the_top_a_name_is_enough(tmp_path: Path) -> None:
    """A folder of ANYTHING.ipynb is a class."""
    assert [submission.student for submission in gathered(folder_of(tmp_path, "ann.ipynb", "b_c.IPYNB"))] == [
        "ann",
        "b_c",
    ]


def test_the_learning_platforms_number_is_kept(tmp_path: Path) -> None:
    """Grades go back by it."""
    assert [s.lms_user_id for s in gathered(folder_of(tmp_path, *LAYOUTS["canvas"]))] == ["4711", "4712"]


def test_another_name_is_taken_if_it_is_the_only_one(tmp_path: Path) -> None:
    """Whatever the ending looks like, and with a note."""
    (submission,) = gathered(folder_of(tmp_path, f"ann/{SLUG}/my work.IPYNB"))
    assert read(submission) == f"ann/{SLUG}/my work.IPYNB"
    assert submission.notes == (f"The notebook is not called {SLUG}.ipynb: the only one there was taken.",)


def test_the_right_name_goes_before_others(tmp_path: Path) -> None:
    (submission,) = gathered(folder_of(tmp_path, f"ann/{SLUG}/a.ipynb", f"ann/{SLUG}/{SLUG}.ipynb"))
    assert read(submission) == f"ann/{SLUG}/{SLUG}.ipynb"
    assert submission.notes == (f"There are 2 notebooks: {SLUG}.ipynb was taken.",)


def test_of_canvas_tries_the_last_one_counts(tmp_path: Path) -> None:
    names = [f"ann_1_{n}_{SLUG}{again}.ipynb" for n, again in ((5, ""), (9, "-2"), (7, "-1"), (8, "-10"))]
    (submission,) = gathered(folder_of(tmp_path, *names))
    assert read(submission) == f"ann_1_8_{SLUG}-10.ipynb"


def test_two_notebooks_neither_of_the_right_name(tmp_path: Path) -> None:
    """Nobody guesses; the student is told what to do."""
    (submission,) = gathered(folder_of(tmp_path, f"ann/{SLUG}/a.ipynb", f"ann/{SLUG}/b.ipynb"))
    assert read(submission) == (
        f"unreadable: 2 notebooks were handed in (a.ipynb, b.ipynb); keep one, or name it {SLUG}.ipynb"
    )


@pytest.mark.parametrize("name", [f"ann/{SLUG}/answers.docx", f"ann/{SLUG}/all.zip"])
def test_something_else_was_handed_in(name: str, tmp_path: Path) -> None:
    (submission,) = gathered(folder_of(tmp_path, name))
    assert "no notebook was handed in" in read(submission)


def test_an_empty_folder_was_handed_in(tmp_path: Path) -> None:
    """Its student has a result, too."""
    folder_of(tmp_path, f"bob/{SLUG}/{SLUG}.ipynb")
    (tmp_path / "ann" / SLUG).mkdir(parents=True)
    assert [submission.student for submission in gathered(tmp_path)] == ["ann", "bob"]


@pytest.mark.parametrize("member", ["", f".{SLUG}.ipynb", f".ipynb_checkpoints/{SLUG}.ipynb"])
def test_an_empty_folder_in_a_zip(member: str, tmp_path: Path) -> None:
    """Or one with hidden files alone: its student has a result, too; what a Mac adds is nobody's."""
    names = [f"ann/{SLUG}/{member}", f"bob/{SLUG}/{SLUG}.ipynb", f"__MACOSX/eve/{SLUG}/._{SLUG}.ipynb"]
    submissions = gathered(zip_of(tmp_path / "all.zip", *names))
    assert [(submission.student, read(submission)[:11]) for submission in submissions] == [
        ("ann", "unreadable:"),
        ("bob", f"bob/{SLUG}"[:11]),
    ]


@pytest.mark.parametrize(
    ("stamp", "found"),
    [
        (b"2026-03-01 12:30:00 UTC", datetime(2026, 3, 1, 12, 30)),
        (b"2026-03-01 12:30:00 +0200", None),
        (b"yesterday evening", None),
        (b"\xff\xfe\x00", None),
        (b"9" * 10_000, None),
        (b"", None),
    ],
)
def test_the_time_of_handing_in(stamp: bytes, found: datetime | None, tmp_path: Path) -> None:
    """As nbgrader reads it; one that cannot be read is noted, and nothing else happens."""
    folder_of(tmp_path, f"ann/{SLUG}/{SLUG}.ipynb")
    (tmp_path / "ann" / SLUG / "timestamp.txt").write_bytes(stamp)
    (submission,) = gathered(tmp_path)
    assert submission.timestamp == found or b"+0200" in stamp
    assert bool(submission.notes) == (submission.timestamp is None)


def test_nothing_but_plain_files_is_opened(tmp_path: Path) -> None:
    """A link to another's work, a link to a folder, a pipe that would wait forever."""
    class_of = folder_of(tmp_path / "class", f"ann/{SLUG}/{SLUG}.ipynb")
    for student in ("bob", "carl", "dora"):
        (class_of / student / SLUG).mkdir(parents=True)
    (class_of / "bob" / SLUG / f"{SLUG}.ipynb").symlink_to(class_of / "ann" / SLUG / f"{SLUG}.ipynb")
    os.mkfifo(class_of / "carl" / SLUG / f"{SLUG}.ipynb")
    (class_of / "dora" / SLUG / "in").symlink_to(class_of / "ann" / SLUG)
    found = {submission.student: read(submission)[:10] for submission in gathered(class_of)}
    assert found == {"ann": f"ann/{SLUG}"[:10], **dict.fromkeys(("bob", "carl", "dora"), "unreadable")}


def test_a_file_that_became_a_link_meanwhile(tmp_path: Path) -> None:
    folder_of(tmp_path, f"ann/{SLUG}/{SLUG}.ipynb", "secret")
    submissions = gathered(tmp_path)
    path = tmp_path / "ann" / SLUG / f"{SLUG}.ipynb"
    path.unlink()
    path.symlink_to(tmp_path / "secret")
    assert "cannot be read" in read(submissions[0])


def test_a_notebook_that_is_nobodys_is_told(tmp_path: Path) -> None:
    """Neither its folder nor its name says whose it is, or of which assignment."""
    folder_of(tmp_path, f"ann/{SLUG}/{SLUG}.ipynb", "late/work.ipynb", "late/readme.md")
    submissions, strays = collect(tmp_path, SLUG)
    assert ([submission.student for submission in submissions], strays) == (["ann"], ["late/work.ipynb"])


STRANGE = [
    f"{'x' * 300}_{SLUG}.ipynb",
    f"=cmd|' /C calc'!A0_{SLUG}.ipynb",
    f"a\nb_{SLUG}.ipynb",
    f"a\tb_{SLUG}.ipynb",
    f"..._{SLUG}.ipynb",
    f"a+b_{SLUG}.ipynb",
    f"_{SLUG}.ipynb",
    ".._.ipynb",
]


def test_strange_names_stay_apart_and_are_safe(tmp_path: Path) -> None:
    """Each student has a name of her own that can stand in a path and in the gradebook."""
    students = [submission.student for submission in gathered(zip_of(tmp_path / "all.zip", *STRANGE))]
    assert len(set(students)) == len(students) == len(STRANGE) - 2  # all but the hidden ones
    for student in students:
        assert student == student.strip(" .")
        assert 0 < len(student) <= MAX_NAME
        assert student.isprintable()
        assert not set(student) & set('/\\:*?"<>|+')


@pytest.mark.parametrize(
    "name", [f"../../evil_{SLUG}.ipynb", f"/etc/evil/{SLUG}/{SLUG}.ipynb", f"..\\evil_{SLUG}.ipynb"]
)
def test_paths_in_a_zip_lead_nowhere(name: str, tmp_path: Path) -> None:
    """Nothing is unpacked, and no student's name has a path in it."""
    before = sorted(tmp_path.parent.rglob("*"))
    for submission in gathered(zip_of(tmp_path / "all.zip", name, f"ann_{SLUG}.ipynb")):
        assert not {"/", "\\"} & set(submission.student)
        assert submission.student not in ("", ".", "..")
        read(submission)
    assert set(tmp_path.parent.rglob("*")) - set(before) == {tmp_path / "all.zip"}


IMPERSONATIONS = {
    "Moodle, by a file's name": (
        f"Ann Lee_17_assignsubmission_file_Bob Orr_18_assignsubmission_file_{SLUG}.ipynb",
        f"Bob Orr_18_assignsubmission_file_{SLUG}.ipynb",
    ),
    "Moodle, by a folder in her folder": (
        f"Ann Lee_17_assignsubmission_file/Bob Orr_18_assignsubmission_file/{SLUG}.ipynb",
        f"Bob Orr_18_assignsubmission_file/{SLUG}.ipynb",
    ),
    "Moodle, by nbgrader's folders in hers": (
        f"Ann Lee_17_assignsubmission_file/Bob Orr_18/{SLUG}/{SLUG}.ipynb",
        f"Bob Orr_18_assignsubmission_file/{SLUG}.ipynb",
    ),
    "Canvas, by a file's name": (f"leeann_17_1_orrbob_18_2_{SLUG}.ipynb", f"orrbob_18_2_{SLUG}.ipynb"),
    "nbgrader, by nbgrader's folders in hers": (f"lee/{SLUG}/orr/{SLUG}/{SLUG}.ipynb", f"orr/{SLUG}/{SLUG}.ipynb"),
    "nbgrader, by a file's name": (f"lee/{SLUG}/orr_{SLUG}-9.ipynb", f"orr/{SLUG}/{SLUG}.ipynb"),
}


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
@pytest.mark.parametrize("way", IMPERSONATIONS)
def test_nobody_hands_in_for_another(way: str, packed: bool, tmp_path: Path) -> None:
    """What a student names as she likes is below, or behind, what says whose it is."""
    hers, his = IMPERSONATIONS[way]
    source = zip_of(tmp_path / "all.zip", hers, his) if packed else folder_of(tmp_path / "all", hers, his)
    ann, bob = gathered(source)
    assert "lee" in ann.student.lower()
    assert "orr" in bob.student.lower()
    assert [read(ann), read(bob)] == [hers, his]


def test_a_folder_of_ones_own_goes_before_a_file_in_anothers(tmp_path: Path) -> None:
    """Where each has a folder, a file in one that is called as if it were another's is nobody's."""
    submissions, strays = collect(folder_of(tmp_path, f"ann/bob_{SLUG}-9.ipynb", f"bob/{SLUG}.ipynb"), SLUG)
    assert [(s.student, read(s)) for s in submissions] == [("bob", f"bob/{SLUG}.ipynb")]
    assert strays == [f"ann/bob_{SLUG}-9.ipynb"]


def test_a_member_that_is_in_a_zip_twice(tmp_path: Path) -> None:
    """The later one is there, as in any tool that unpacks it."""
    with pytest.warns(UserWarning, match="Duplicate"):
        zip_of(tmp_path / "all.zip", f"ann_{SLUG}.ipynb", f"ann_{SLUG}.ipynb")
    (submission,) = gathered(tmp_path / "all.zip")
    assert read(submission) == f"ann_{SLUG}.ipynb"


def test_a_member_that_needs_a_password(tmp_path: Path) -> None:
    """One student's trouble."""
    path = zip_of(tmp_path / "all.zip", f"ann_{SLUG}.ipynb", f"bob_{SLUG}.ipynb")
    data = bytearray(path.read_bytes())
    for magic, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(magic) + flags] |= 1
    path.write_bytes(data)
    ann, bob = gathered(path)
    assert "password required" in read(ann)
    assert read(bob) == f"bob_{SLUG}.ipynb"


def test_a_zip_bomb_is_read_no_further_than_a_submission_may_be_long(tmp_path: Path) -> None:
    path = tmp_path / "all.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open(f"ann_{SLUG}.ipynb", "w") as member:
        for _ in range(60):
            member.write(bytes(1 << 20))
    (submission,) = gathered(path)
    assert path.stat().st_size < 100_000
    assert len(submission.read()) == MAX_BYTES + 1


def test_a_damaged_member_is_one_students_trouble(tmp_path: Path) -> None:
    """Bytes changed at random anywhere in the zip: each submission is read or Unreadable, or the zip is no zip."""
    rng = random.Random(0)
    path = zip_of(tmp_path / "all.zip", *(f"s{i}_{SLUG}.ipynb" for i in range(5)))
    sound = path.read_bytes()
    for number in range(150):
        data = bytearray(sound)
        for _ in range(3):
            data[rng.randrange(len(data))] = rng.randrange(256)
        broken = tmp_path / f"{number}.zip"
        broken.write_bytes(data)
        try:
            submissions, _ = collect(broken, SLUG)
        except Stopped:
            continue
        assert all(read(submission) for submission in submissions)


@pytest.mark.parametrize("make", ["missing", "empty", "other assignment", "no zip"])
def test_what_cannot_be_collected_is_said(make: str, tmp_path: Path) -> None:
    """With the places that were expected, and exit code 2."""
    source = tmp_path / "class"
    if make == "empty":
        source.mkdir()
    if make == "other assignment":
        folder_of(source, "ann/03-definition/03-definition.ipynb")
    if make == "no zip":
        source.write_text("hello")
    said: dict[str, Any] = {"missing": "does not exist", "no zip": "not a zip"}
    with pytest.raises(Stopped, match=said.get(make, f"no submission of {SLUG}")) as stopped:
        gathered(source)
    assert stopped.value.code == MISUSED
