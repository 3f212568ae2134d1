"""What an autograded notebook shows its author: sources, text, pictures of dots. Nothing in it can run.

HTML, SVG, scripts and widgets are left out, whoever graded it. Nor does a source line of the hidden tests get through:
their cell is told of in the words of the check only, and outputs that quote it lose those lines.
"""

import base64
import html
import io
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import nbformat.v4
from nbconvert.filters import strip_ansi
from nbgrader.utils import compute_checksum
from PIL import Image

from course.grading.task import CAUSES

MAX_BYTES = 100_000_000  # of a notebook: what `course grade` writes is far smaller
MAX_SOURCE, MAX_TEXT, MAX_WORDS, MAX_MESSAGE = 20_000, 20_000, 6_000, 1_000  # characters that are shown
MAX_OUTPUTS, MAX_PICTURES, MAX_ADDED = 30, 8, 40  # of one cell; of one page
MAX_PICTURE, MAX_DOTS = 3_000_000, 40_000_000  # base64 characters, dots
PICTURES = ("image/png", "image/jpeg")
TELLING = 16  # characters of a line of hidden tests that are enough to know it again
_OURS = re.compile(r"cell-\d{3,}|grading-notes")  # ids of cells that are no student's
_STOPPED = re.compile(r"(TimeoutError: |Stopped: )|cannot be called: |kernel (has )?(ended|closed)")
_SAID = re.compile(r"rnnlib\.[\w.]+ is (yours now for this session|not written yet)\.\n?")  # by %%implement
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")

__all__ = ["Added", "Answer", "Line", "Output", "Test", "Work", "plain", "read_work"]


@dataclass(frozen=True)
class Line:
    """A line of what a check says: plain, or a check that holds ("pass") or does not ("fail")."""

    kind: str
    text: str


@dataclass(frozen=True)
class Output:
    """One output of a cell: "text", "error", "picture" (a data URI), or "note" on what is not shown."""

    kind: str
    text: str


@dataclass(frozen=True)
class Answer:
    """A cell that the student wrote for an exercise."""

    source: str
    is_code: bool
    unanswered: bool  # as it was handed out
    outputs: list[Output]
    stopped: bool


@dataclass(frozen=True)
class Test:
    """What a test cell came to."""

    __test__ = False  # nothing for pytest

    hidden: bool
    failed: bool
    words: list[Line]
    causes: list[str]  # the misconceptions that the answer shows
    stopped: bool


@dataclass(frozen=True)
class Added:
    """A cell that the student added."""

    source: str
    is_code: bool
    outputs: list[Output]


@dataclass(frozen=True)
class Work:
    """One student's notebook."""

    notes: list[str] = field(default_factory=list)
    answers: dict[str, Answer] = field(default_factory=dict)  # by grade_id, in the notebook's order
    tests: dict[str, Test] = field(default_factory=dict)
    added: list[Added] = field(default_factory=list)
    dropped: int = 0  # added cells that are not shown


def read_work(data: bytes) -> Work:
    """The work in an autograded notebook's bytes."""
    try:
        if len(data) > MAX_BYTES:
            raise ValueError
        return _Reader(nbformat.v4.reads(data.decode())["cells"]).work()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):  # no notebook, or a broken one
        return Work(["The autograded notebook cannot be read. Grade the submission again."])


def plain(text: str) -> str:
    """Text without colors, control characters and what turns the direction of writing."""
    text = strip_ansi(text).encode("utf-8", "replace").decode()
    lines = (line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))  # a progress bar's last state
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", "\n".join(lines))


class _Reader:
    """Reads the cells of one notebook."""

    def __init__(self, cells: list[Any]) -> None:
        self.cells: list[Any] = [cell for cell in cells if isinstance(cell, dict)]
        self.secret = _secret(_hidden_lines(self.cells))
        self.pictures = 0

    def work(self) -> Work:
        work = Work(_notes(self.cells))
        added: list[Any] = []
        for cell in self.cells:
            about = cell.get("metadata", {}).get("nbgrader")
            if about and about.get("solution"):
                work.answers[about.grade_id] = self._answer(cell)
            elif about and about.get("grade"):
                work.tests[about.grade_id] = self._test(cell)
            elif not about and not _OURS.fullmatch(cell.get("id", "")) and _source(cell).strip():
                added.append(cell)
        shown = [
            Added(_cut(_source(c), MAX_SOURCE), c.cell_type == "code", self._outputs(c)) for c in added[:MAX_ADDED]
        ]
        return Work(work.notes, work.answers, work.tests, shown, len(added) - len(shown))

    def _answer(self, cell: Any) -> Answer:
        source = _source(cell)
        unanswered = cell.metadata.nbgrader.get("checksum") == compute_checksum(cell)
        stopped = any(o.get("ename") == "TimeoutError" for o in cell.get("outputs", []))
        return Answer(_cut(source, MAX_SOURCE), cell.cell_type == "code", unanswered, self._outputs(cell), stopped)

    def _test(self, cell: Any) -> Test:
        hidden = "BEGIN HIDDEN TESTS" in _source(cell)
        errors = [output for output in cell.get("outputs", []) if output.get("output_type") == "error"]
        said = "\n".join(_hidden_words(e) if hidden else _words(e) for e in errors)
        lines = [line for line in self._safe(_cut(said, MAX_WORDS)).split("\n") if line.strip()]
        causes = [cause for line in lines if (cause := _cause(line))]
        words = [_line(line) for line in lines if not _cause(line) and not _is_name(line)]
        return Test(hidden, bool(errors), words, list(dict.fromkeys(causes)), bool(_STOPPED.search(said)))

    def _outputs(self, cell: Any) -> list[Output]:
        outputs, left = [], MAX_TEXT
        for output in cell.get("outputs", [])[:MAX_OUTPUTS]:
            for shown in self._shown(output):
                if shown.kind in ("text", "error"):
                    shown = Output(shown.kind, _cut(self._safe(shown.text), left))
                    left = max(0, left - len(shown.text))
                if shown.text.strip() and not _SAID.fullmatch(shown.text):
                    outputs.append(shown)
        if len(cell.get("outputs", [])) > MAX_OUTPUTS:
            outputs.append(Output("note", "More outputs are not shown."))
        return outputs

    def _shown(self, output: Any) -> Iterator[Output]:
        kind, data = output.get("output_type"), output.get("data", {})
        if kind == "stream":
            yield Output("text", _joined(output.get("text")))
        elif kind == "error":
            yield Output("error", _words(output))
        else:
            uris = [uri for mime in PICTURES if mime in data and (uri := _picture(_joined(data[mime])))]
            for uri in uris[: max(0, MAX_PICTURES - self.pictures)]:
                self.pictures += 1
                yield Output("picture", uri)
            if not uris and "text/plain" in data:
                yield Output("text", _joined(data["text/plain"]))
            elif not uris:
                yield Output("note", f"An output of the kind {', '.join(map(str, data))[:80]} is not shown.")

    def _safe(self, text: str) -> str:
        text = plain(text)
        return self.secret.sub("[a line of the hidden tests]", text) if self.secret else text


# --- sources


def _source(cell: Any) -> str:
    return _joined(cell.get("source"))


def _joined(value: Any) -> str:
    return "".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}\n[cut here]"


def _notes(cells: list[Any]) -> list[str]:
    """What grading had to say: the lines of the cell that it puts on top."""
    lines = [line for cell in cells if cell.get("id") == "grading-notes" for line in _source(cell).split("\n")]
    return [plain(html.unescape(line[2:])) for line in lines if line.startswith("- ")]


def _hidden_lines(cells: list[Any]) -> Iterator[str]:
    for cell in cells:
        inside = False
        for line in _source(cell).split("\n") if cell.get("metadata", {}).get("nbgrader", {}).get("grade") else ():
            inside = (inside or "BEGIN HIDDEN TESTS" in line) and "END HIDDEN TESTS" not in line
            if inside and len(line.strip()) >= TELLING:
                yield line.strip()


def _secret(lines: Iterator[str]) -> re.Pattern[str] | None:
    found = sorted(set(lines), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, found))) if found else None


# --- what checks and errors say


def _words(error: Any) -> str:
    lines = error.get("traceback")
    name = f"{error.get('ename', '')}: {error.get('evalue', '')}"
    return _cut("\n".join(map(str, lines)) if isinstance(lines, list) and lines else name, MAX_WORDS)


def _hidden_words(error: Any) -> str:
    """The words of the check, or name and message of the error: a kernel's traceback would quote the test cell."""
    name, said, lines = error.get("ename"), str(error.get("evalue", "")), error.get("traceback")
    of_referee = name == "Failed" and isinstance(lines, list) and lines[:1] == [said]
    if of_referee and not any("\x1b" in str(line) for line in lines):
        return _words(error)
    return _cut(said if name in ("Failed", "CheckFailed") else f"{name}: {said}", MAX_MESSAGE)


def _cause(line: str) -> str:
    return next((line.strip()[len(cause) :] for cause in CAUSES if line.strip().startswith(cause)), "")


def _is_name(line: str) -> bool:
    """Whether a line is only an exercise's id: the page has it as a heading."""
    return bool(re.fullmatch(r"\d\d-[a-z0-9-]+/\w+", line))


def _line(line: str) -> Line:
    mark = line.strip()[:1]
    text = re.sub(r"^\d\d-[a-z0-9-]+/\w+: ", "", line)
    kind = {"✓": "pass", "✗": "fail"}.get(mark, "plain")
    return Line(kind, text.strip()[1:].strip() if kind != "plain" else text)


# --- pictures


def _picture(value: str) -> str | None:
    """The data URI of a PNG or JPEG; None if it is not one."""
    if len(value) > MAX_PICTURE:
        return None
    try:
        data = base64.b64decode("".join(value.split()), validate=True)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as image:
                kind, (width, height) = image.format, image.size
                image.verify()
    except Exception:  # Pillow has an error of another kind for every way in which a picture can be broken
        return None
    if width * height > MAX_DOTS or kind is None:
        return None
    return f"data:image/{kind.lower()};base64,{base64.b64encode(data).decode()}"
