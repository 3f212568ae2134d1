"""A student's page says what she got and why; no script, no hidden test, nothing from elsewhere is in it."""

import base64
import io
import os
import subprocess
import sys
import zlib
from pathlib import Path

import made_submissions as made
import pytest
from bs4 import BeautifulSoup
from made_classes import BUNDLE, CHECK, HIDDEN, SOFTMAX, Student, error, failed, make_class, shown, text
from made_submissions import SLUG
from PIL import Image

from course.grading.pages.feedback import page_path
from course.grading.pages.notebooks import plain, read_work
from course.grading.pages.report import make_pages

OUTPUT = f"{SLUG}--output_layer"
CAUSE = "exp overflows for large scores: subtract the row's maximum first."
WORDS = (
    f"{SLUG}/softmax",
    "  ✓ keeps float32",
    "  ✗ each row sums to 1",
    "      the row sums to 7",
    f"Likely cause: {CAUSE}",
)


def pages(root: Path, *students: Student) -> dict[str, str]:
    make_class(root, students)
    make_pages(root, SLUG)
    return {s.id: page_path(root, s.id, SLUG).read_text(encoding="utf-8") for s in students}


def told(page: str) -> str:
    """What a reader sees, on one line."""
    soup = BeautifulSoup(page, "html.parser")
    soup.style.extract()
    return " ".join(soup.get_text(" ").split())


def hidden_lines() -> list[str]:
    """The lines of hidden tests that nothing else has."""
    notebook = BUNDLE.notebook()
    lines = [
        line.strip()
        for cell in notebook.cells
        if "BEGIN HIDDEN TESTS" in cell.source
        for line in cell.source.partition("BEGIN HIDDEN TESTS")[2].splitlines()
    ]
    return [line for line in lines if len(line) >= 20 and "import" not in line and "END HIDDEN" not in line]


def test_a_page_says_what_she_got_and_why(tmp_path: Path) -> None:
    """Name, score, notes, state of each exercise, the words of the check, the misconception, her code."""
    hidden = failed(f"{SLUG}/softmax: on fresh inputs (array (4, 5)):", "row 2 is 7")
    ann = Student(
        "ann",
        scores={CHECK: 0.0, HIDDEN: 0.0},
        source={SOFTMAX: "def softmax(logits):\n    return logits  # my idea"},
        outputs={CHECK: [failed(*WORDS)], HIDDEN: [hidden], SOFTMAX: [text("it ran")]},
        notes=("The notebook is not called so: the only one there was taken.",),
        person={"first_name": "Ann", "last_name": "Lee"},
    )
    page = pages(tmp_path, ann)["ann"]
    said = told(page)
    for words in (
        "Ann Lee",
        "11 of 15 points",
        "The notebook is not called so",
        "✗ wrong , 0 of 4 points",
        "each row sums to 1 the row sums to 7",
        f"Likely cause {CAUSE[0].upper()}{CAUSE[1:]}",
        "on fresh inputs (array (4, 5)): row 2 is 7",
        "chapter 03-definition",
        "return logits # my idea",
        "it ran",
    ):
        assert words in said, words
    assert said.count("✓ right") == 4  # two exercises, in the table and in their sections
    assert said.count(CAUSE[1:]) == 1  # set apart, and not once more among the words
    assert page.count('<div class="cause">') == 1


def test_the_state_of_an_exercise(tmp_path: Path) -> None:
    """Not answered, stopped, partly right, waiting for a person."""
    late = failed("TimeoutError: softmax took longer than 10 seconds")
    states = {
        "blank": Student("blank", dict.fromkeys((CHECK, HIDDEN), 0.0), answers={}, outputs={CHECK: [failed("x")]}),
        "slow": Student("slow", {CHECK: 0.0, HIDDEN: 0.0}, outputs={CHECK: [late]}),
        "half": Student("half", {HIDDEN: 0.0}, outputs={HIDDEN: [failed("x")]}),
        "wait": Student("wait", {CHECK: None}),
    }
    found = pages(tmp_path, *states.values())
    rows = {
        name: BeautifulSoup(page, "html.parser").select("tbody tr")[0].get_text(" ") for name, page in found.items()
    }
    states_of = {name: " ".join(row.split()) for name, row in rows.items()}
    assert states_of["blank"].endswith("0 of 4 – not answered")
    assert states_of["slow"].endswith("0 of 4 ■ stopped")
    assert states_of["half"].endswith("3 of 4 ◐ partly right")
    assert states_of["wait"].endswith("1 of 4 … a person grades it")
    assert "12 of 15 points, so far" in told(found["wait"]).replace("points , so", "points, so")


def test_what_a_person_entered_is_there(tmp_path: Path) -> None:
    """Manual score, comment and late penalty."""
    ann = Student(
        "ann", {CHECK: 0.0}, manual={CHECK: 2.5}, comments={SOFTMAX: "Good idea,\n<b>but</b> late."}, penalty=1.25
    )
    said = told(pages(tmp_path, ann)["ann"])
    assert "13.25 of 15 points" in said
    assert "1.25 points are taken off because it was late" in said
    assert "Good idea, <b>but</b> late." in said
    assert "A person gave 2.5 points; the tests gave 0." in said
    assert "◐ partly right , 3.5 of 4 points (a person looked at it)" in said


# --- hidden tests


def test_no_line_of_a_hidden_test_is_in_a_page(tmp_path: Path) -> None:
    """Neither from its cell, nor from a traceback that quotes it, nor from an output that found it out."""
    secret = hidden_lines()
    assert len(secret) > 20
    quoted = [f"---> {i} {line}" for i, line in enumerate(secret)]
    caught = {
        "traceback": {HIDDEN: [error("TypeError", "no", *quoted)]},
        "forged": {HIDDEN: [error("Failed", quoted[0], *quoted)]},
        "colored": {HIDDEN: [error("Failed", "\x1b[0;31m---", "\x1b[0;31m---", *quoted)]},
        "printed": {
            OUTPUT: [text("\n".join(secret)), error("E", "x", *secret), shown(text_plain=repr("\n".join(secret)))]
        },
        "message": {HIDDEN: [error("TypeError", "\n".join(secret))]},
    }
    students = [Student(name, {HIDDEN: 0.0, CHECK: 0.0}, outputs=outputs) for name, outputs in caught.items()]
    for name, page in pages(tmp_path, *students).items():
        said = BeautifulSoup(page, "html.parser").get_text()
        assert [line for line in secret if line in said] == [], name
        assert "BEGIN HIDDEN" not in page


def test_a_kernels_traceback_of_a_hidden_test_is_left_out(tmp_path: Path) -> None:
    """Stock nbgrader keeps it. Name and message of the error stay."""
    outputs = {HIDDEN: [error("ValueError", "shapes do not fit", "Traceback", "x = short(line)", "ValueError: …")]}
    said = told(pages(tmp_path, Student("ann", {HIDDEN: 0.0}, outputs=outputs))["ann"])
    assert "ValueError: shapes do not fit" in said
    assert "short(line)" not in said


# --- outputs


def picture(kind: str, size: tuple[int, int] = (3, 2)) -> str:
    file = io.BytesIO()
    Image.new("RGB", size).save(file, kind)
    return base64.b64encode(file.getvalue()).decode()


def large_picture(side: int) -> str:
    """A PNG that says of itself to be so large."""
    data = bytearray(base64.b64decode(picture("PNG")))
    data[16:24] = side.to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    return base64.b64encode(data).decode()


def test_pictures_are_shown_only_if_they_are_some(tmp_path: Path) -> None:
    """PNG and JPEG that can be opened; no SVG, no other file that says it is one, none of a billion dots."""
    real = picture("PNG")
    svg = base64.b64encode(b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>").decode()
    torn = base64.b64encode(base64.b64decode(real)[:-20]).decode()
    bad = [svg, picture("GIF"), "%%%", torn, large_picture(7_000), large_picture(100_000), "", "A" * 4_000_000]
    outputs = {
        OUTPUT: [shown(image_png=real), shown(image_jpeg=picture("JPEG")), shown(image_png=picture("JPEG"))],
        SOFTMAX: [shown(image_png=data) for data in bad]
        + [{"output_type": "display_data", "data": {"image/svg+xml": svg}}],
    }
    page = pages(tmp_path, Student("ann", outputs=outputs))["ann"]
    sources = [image["src"] for image in BeautifulSoup(page, "html.parser").select("img")]
    assert [source.partition(",")[0] for source in sources] == [
        "data:image/png;base64",
        "data:image/jpeg;base64",
        "data:image/jpeg;base64",
    ]
    assert sources[0].endswith(real)
    assert "image/svg+xml" in told(page)


def test_text_is_plain_and_bounded(tmp_path: Path) -> None:
    """No colors, control characters, changes of direction; a flood is cut."""
    assert plain("\x1b[31mred\x1b[0m \x07\u202egnirts\x00") == "red \ufffd\ufffdgnirts\ufffd"
    assert plain("10%\r50%\r100%\r\ndone") == "100%\ndone"
    assert plain("half \ud800") == "half ?"
    outputs = {OUTPUT: [text("x" * 3_000_000), *[text("y\n")] * 1_000], CHECK: [failed("z" * 100_000)]}
    page = pages(tmp_path, Student("ann", {CHECK: 0.0}, outputs=outputs, source={SOFTMAX: "s = 1\n" * 30_000}))["ann"]
    assert len(page) < 300_000
    assert "[cut here]" in page


def test_kinds_that_can_run_are_not_shown(tmp_path: Path) -> None:
    outputs = {
        OUTPUT: [
            shown(text_html="<b>bold</b>", text_plain="plain words"),
            shown(text_html="<script>1</script>"),
            {"output_type": "display_data", "data": {"application/javascript": "alert(1)"}},
            {"output_type": "display_data", "data": {"text/markdown": "<iframe>"}},
        ]
    }
    page = pages(tmp_path, Student("ann", outputs=outputs))["ann"]
    said = told(page)
    assert "plain words" in said
    assert "kind application/javascript is not shown" in said
    for word in ("<b>bold", "<script", "alert(1)", "<iframe"):
        assert word not in page


def test_a_page_is_made_of_itself(tmp_path: Path) -> None:
    """The policy forbids scripts and the network, and nothing in it asks for either."""
    page = pages(tmp_path, Student("ann"))["ann"]
    soup = BeautifulSoup(page, "html.parser")
    policy = soup.select_one("meta[http-equiv=Content-Security-Policy]")["content"]
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'")
    assert not soup.select("script, link, iframe, object, embed, form, base, [onload], [onerror], [onclick]")
    assert all(link["href"].startswith("#") for link in soup.select("[href]"))
    assert "@import" not in page
    assert "url(" not in page


@pytest.mark.parametrize(
    "data", [b"", b"no JSON", b"{}", b'{"cells": 1}', b'{"cells": [1, {}, {"metadata": 3}]}', b"[" * 9000]
)
def test_a_notebook_that_cannot_be_read_is_said_to_be(data: bytes) -> None:
    assert "cannot be read" in read_work(data).notes[0]


# --- files


def test_only_what_changed_is_written_again(tmp_path: Path) -> None:
    """A page whose content would be the same keeps its file; a comment, a score, a notebook make it new."""
    students = [Student(name) for name in ("ann", "bob", "cyd")]
    pages(tmp_path, *students)
    before = {s.id: page_path(tmp_path, s.id, SLUG).stat().st_ino for s in students}
    summary = make_pages(tmp_path, SLUG)
    assert (summary.written, summary.unchanged) == (0, 3)
    make_class(
        tmp_path, [Student("ann", comments={SOFTMAX: "See me."}), Student("cyd", outputs={OUTPUT: [text("new")]})]
    )
    summary = make_pages(tmp_path, SLUG)
    after = {s.id: page_path(tmp_path, s.id, SLUG).stat().st_ino for s in students}
    assert (summary.written, summary.unchanged) == (2, 1)
    assert [name for name in before if after[name] == before[name]] == ["bob"]
    assert "See me." in page_path(tmp_path, "ann", SLUG).read_text()


# --- nbgrader's commands

CONFIG = """
from course.build import nbgrader_config
c = get_config()
c.merge(nbgrader_config({root!r}))
c.Exchange.root = {exchange!r}
"""


def nbgrader(root: Path, *arguments: str) -> str:
    config = CONFIG.format(root=str(root), exchange=str(root / "exchange"))
    (root / "nbgrader_config.py").write_text(config)
    places = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(root), "JUPYTER_NO_CONFIG": "1"}
    command = [sys.executable, "-m", "nbgrader", *arguments]
    done = subprocess.run(command, cwd=root, env=os.environ | places, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stderr


def test_generate_feedback_writes_the_same_pages(tmp_path: Path) -> None:
    """nbgrader's own command, with our settings; and release_feedback hands them out."""
    hand_in = tmp_path / "submitted" / "ann" / SLUG
    hand_in.mkdir(parents=True)
    (hand_in / "timestamp.txt").write_text("2026-03-01 12:00:00 UTC")
    (hand_in / "submission_secret.txt").write_text("s3cret")
    students = [Student("ann", comments={SOFTMAX: "Well done."}), Student("bob", {CHECK: 0.0})]
    ours = pages(tmp_path, *students)
    (tmp_path / "exchange").mkdir()
    (tmp_path / "exchange").chmod(0o777)
    nbgrader(tmp_path, "release_feedback", SLUG, "--student=ann")
    (given,) = (tmp_path / "exchange").rglob("*.html")
    assert given.read_text(encoding="utf-8") == ours["ann"]
    for student in students:
        page_path(tmp_path, student.id, SLUG).unlink()
    nbgrader(tmp_path, "generate_feedback", SLUG, "--force")
    assert {s.id: page_path(tmp_path, s.id, SLUG).read_text(encoding="utf-8") for s in students} == ours


def test_feedback_on_what_stock_nbgrader_graded(tmp_path: Path) -> None:
    """`nbgrader autograde` leaves a traceback with lines of the hidden test in the notebook; they end there."""
    make_class(tmp_path, [])
    source = tmp_path / "source" / SLUG / f"{SLUG}.ipynb"
    source.parent.mkdir(parents=True)
    source.write_bytes(made.data_of(BUNDLE.notebook()))
    wrong = made.right() | {"softmax": "def softmax(logits):\n    return undefined_name"}
    hand_in = tmp_path / "submitted" / "ann" / SLUG / f"{SLUG}.ipynb"
    hand_in.parent.mkdir(parents=True)
    hand_in.write_bytes(made.data_of(made.answered(BUNDLE, wrong)))
    nbgrader(tmp_path, "autograde", SLUG)
    graded = (tmp_path / "autograded" / "ann" / SLUG / f"{SLUG}.ipynb").read_text()
    assert "undefined_name" in graded
    nbgrader(tmp_path, "generate_feedback", SLUG)
    page = page_path(tmp_path, "ann", SLUG).read_text()
    said = BeautifulSoup(page, "html.parser").get_text()
    assert "NameError" in said
    assert [line for line in hidden_lines() if line in said] == []
    assert make_pages(tmp_path, SLUG).unchanged == 1
