"""One student's feedback page: what she wrote, what it earned, and what the checks say, in words.

A page stands on its own: no script, nothing from the network, and a policy that forbids both. All that comes from a
student is escaped by Jinja2, or by Pygments where it is code.
"""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import pygments
from markupsafe import Markup
from nbconvert.exporters import Exporter
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer
from sqlalchemy import make_url
from traitlets import default

from course.exercises import Exercise
from course.grading.bundle import find_chapter
from course.grading.errors import GRADEBOOK, Stopped
from course.grading.pages.notebooks import Answer, Test, Work, plain, read_work
from course.grading.pages.records import Gradebook, Item, Mark, Record

HERE = Path(__file__).parent
MAKERS = ("feedback.py", "notebooks.py", "templates/base.html", "templates/feedback.html", "templates/style.css")
MADE_FROM = 'name="made-from" content="'
KINDS = ("check", "hidden")  # ends of grade_ids of test cells
RIGHT, PARTLY, WRONG = "right", "partly right", "wrong"
UNANSWERED, STOPPED, BY_HAND = "not answered", "stopped", "a person grades it"
BESIDE = ("timestamp.txt", "submission_secret.txt")  # what `nbgrader release_feedback` reads beside a page

__all__ = ["BY_HAND", "FeedbackExporter", "Part", "page", "page_path", "parts_of", "render", "write_page"]


@dataclass(frozen=True)
class Tested:
    """A test cell of a part: what it is called, what it earned, what it says."""

    label: str
    item: Item
    mark: Mark
    test: Test | None

    @property
    def passed(self) -> bool:
        return self.test is not None and not self.test.failed and bool(self.mark.auto)


@dataclass(frozen=True)
class Part:
    """An exercise of one student's page, or another graded cell."""

    name: str  # the answer cell's grade_id
    title: str
    id: str
    tested: tuple[Tested, ...]
    answer: Answer | None
    comment: str

    @property
    def got(self) -> float:
        return sum(tested.mark.score or 0.0 for tested in self.tested)

    @property
    def possible(self) -> float:
        return sum(tested.item.maximum for tested in self.tested)

    @property
    def by_person(self) -> bool:
        """Whether a person has given its points, or some of them."""
        return any(tested.mark.manual is not None or tested.mark.extra for tested in self.tested)

    @property
    def causes(self) -> list[str]:
        return list(
            dict.fromkeys(cause for t in self.tested if t.test and not t.test.hidden for cause in t.test.causes)
        )

    @property
    def state(self) -> str:
        if any(tested.mark.needs_person or tested.mark.score is None for tested in self.tested):
            return BY_HAND
        if self.got >= self.possible:
            return RIGHT
        if self.answer is not None and self.answer.unanswered and not self.by_person:
            return UNANSWERED
        if (self.answer and self.answer.stopped) or any(t.test and t.test.stopped for t in self.tested):
            return STOPPED
        return PARTLY if self.got > 0 else WRONG


def parts_of(record: Record, work: Work, exercises: Sequence[Exercise], items: dict[str, Item]) -> list[Part]:
    """The graded parts of an assignment, exercises first, in their order."""
    known = {exercise.token: exercise for exercise in exercises}
    grouped: dict[str, list[str]] = {token: [] for token in known}
    order = {name: i for i, name in enumerate([*work.answers, *work.tests])}
    for name in sorted(items, key=lambda name: (order.get(name, len(order)), name)):
        grouped.setdefault(_part_name(name), []).append(name)
    return [_part(name, names, known, record, work, items) for name, names in grouped.items() if names]


def _part_name(item: str) -> str:
    start, _, kind = item.rpartition("--")
    return start if kind in KINDS else item


def _part(
    name: str, names: list[str], known: dict[str, Exercise], record: Record, work: Work, items: dict[str, Item]
) -> Part:
    exercise = known.get(name)
    tested = tuple(
        Tested(_label(item, name), items[item], record.marks.get(item, Mark(None)), work.tests.get(item))
        for item in names
    )
    comments = [record.comments[cell] for cell in dict.fromkeys([name, *names]) if cell in record.comments]
    title, shown = (exercise.title, exercise.id) if exercise else (name, name)
    return Part(name, title, shown, tested, work.answers.get(name), "\n\n".join(comments))


def _label(item: str, part: str) -> str:
    return {"check": "Check", "hidden": "Hidden tests"}.get(item.removeprefix(f"{part}--"), "Points")


# --- the page


def render(gradebook: Gradebook, record: Record, data: bytes, exercises: Sequence[Exercise]) -> str:
    """A student's page, made from her autograded notebook and the gradebook."""
    made_from = _made_from(gradebook, record, data)
    work = read_work(data)
    return page(gradebook, record, work, parts_of(record, work, exercises, gradebook.items), made_from)


def page(gradebook: Gradebook, record: Record, work: Work, parts: list[Part], made_from: str) -> str:
    template = environment().get_template("feedback.html")
    return template.render(record=record, work=work, parts=parts, gradebook=gradebook, made_from=made_from)


def write_page(root: Path, gradebook: Gradebook, record: Record, data: bytes, work: Work, parts: list[Part]) -> bool:
    """Write a student's page where nbgrader looks for it; False if the one that is there is of the same content."""
    path, made_from = page_path(root, record.student, gradebook.slug), _made_from(gradebook, record, data)
    if _is_made_from(path, made_from):
        return False
    text = page(gradebook, record, work, parts, made_from)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for name in BESIDE:
            _copy(root / "submitted" / record.student / gradebook.slug / name, path.parent / name)
        replace(path, text)
    except OSError as error:
        raise Stopped(f"{path} cannot be written: {error.strerror or error}", GRADEBOOK) from None
    return True


def page_path(root: Path, student: str, slug: str) -> Path:
    return root / "feedback" / student / slug / f"{slug}.html"


def replace(path: Path, text: str) -> None:
    """Write a file: whoever looks meanwhile sees the old one or the new one."""
    new = path.with_name(f".{path.name}.new")
    new.write_text(text, encoding="utf-8", newline="")
    os.replace(new, path)


def _copy(source: Path, target: Path) -> None:
    if source.is_file() and not source.is_symlink() and source.stat().st_size < 10_000 and not target.exists():
        target.write_bytes(source.read_bytes())


def _made_from(gradebook: Gradebook, record: Record, data: bytes) -> str:
    """What a page's content depends on, as a fingerprint that it carries."""
    marks = sorted(record.marks.items()), sorted(record.comments.items()), sorted(gradebook.items.items())
    about = (gradebook.slug, record.student, record.name, record.penalty, marks, _look())
    return hashlib.sha256(repr(about).encode("utf-8", "replace") + b"\0" + data).hexdigest()


@cache
def _look() -> str:
    """Fingerprint of what makes pages out of it."""
    return hashlib.sha256(
        b"\0".join((HERE / name).read_bytes() for name in MAKERS) + pygments.__version__.encode()
    ).hexdigest()


def _is_made_from(path: Path, made_from: str) -> bool:
    try:
        with path.open("rb") as file:
            return f'{MADE_FROM}{made_from}"'.encode() in file.read(1000)
    except OSError:
        return False


# --- templates


@cache
def environment() -> jinja2.Environment:
    """Templates in which everything is escaped that does not say it is HTML."""
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: plain(value) if type(value) is str else value,
    )
    style = (HERE / "templates" / "style.css").read_text(encoding="utf-8")
    found.globals |= {"style": Markup(style), "BY_HAND": BY_HAND}
    found.filters |= {"number": number, "highlight": _highlight}
    return found


def number(value: float | None, digits: int = 2) -> str:
    """A number for people: no more digits than it needs."""
    if value is None:
        return ""
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


_lexer, _formatter = PythonLexer(stripnl=False, ensurenl=False), HtmlFormatter(nowrap=True)


def _highlight(source: str) -> Markup:
    return Markup(pygments.highlight(plain(source), _lexer, _formatter))  # it escapes


# --- nbgrader's command


class FeedbackExporter(Exporter):
    """`nbgrader generate_feedback` writes the same pages with it (`GenerateFeedback.exporter_class`)."""

    @default("file_extension")
    def _html(self) -> str:
        return ".html"

    def from_filename(self, filename: str, resources: Any = None, **kw: Any) -> tuple[Any, Any]:
        """The page of the notebook in this file; nothing of the notebook is run or rendered otherwise."""
        found = self._init_resources(resources)
        about = found["nbgrader"]
        slug, notebook = about["assignment"], about["notebook"]
        with Gradebook(make_url(about["db_url"]), slug, notebook) as gradebook:
            record = gradebook.student(about["student"])
            return render(gradebook, record, Path(filename).read_bytes(), exercises_of(slug)), found


@cache
def exercises_of(slug: str) -> tuple[Exercise, ...]:
    """The exercises of an assignment; none if it is no chapter's, as in a course folder with assignments of its own."""
    try:
        return tuple(find_chapter(slug).exercises)
    except Stopped:
        return ()
