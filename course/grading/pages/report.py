"""All that students and instructors get to see of one assignment, made in one pass over the class.

feedback/STUDENT/SLUG/SLUG.html    each student's page
reports/SLUG/index.html            the class report, and beside it:
reports/SLUG/*.csv                 its tables, and the grades for Canvas and Moodle
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

from course.grading.bundle import find_chapter
from course.grading.errors import GRADEBOOK, Stopped
from course.grading.gradebook import database_url
from course.grading.pages import same_answers
from course.grading.pages.exports import Grades, Table
from course.grading.pages.feedback import environment, page_path, parts_of, replace, write_page
from course.grading.pages.notebooks import Work, read_work
from course.grading.pages.records import Gradebook, Record, Results, nothing_graded
from course.grading.pages.same_answers import SameAnswers, groups
from course.grading.pages.statistics import ENOUGH, KINDS, SLOW, ClassStatistics, Entry
from course.sources import Chapter

PAIRS = 2_000  # on the page; the file has all
GROUPS = 50
WIDTH, HEIGHT = 640, 220  # of the picture of scores

__all__ = ["Summary", "make_pages"]


@dataclass
class Summary:
    """What has been written."""

    report: Path
    handed_in: int = 0
    written: int = 0  # pages
    unchanged: int = 0
    missing: list[str] = field(default_factory=list)  # handed in, but there is no autograded notebook
    blank: list[str] = field(default_factory=list)  # left out of the exports, as a person must grade something first
    strange: list[str] = field(default_factory=list)  # whom a platform will not find


def make_pages(
    root: Path,
    slug: str,
    database: str | None = None,
    tell: Callable[[int], None] = lambda total: None,
) -> Summary:
    """Write feedback pages, class report and exports. `tell` hears of each student, with how many there are.

    Raises Stopped where nothing is graded yet, or something cannot be read or written.
    """
    chapter = find_chapter(slug)
    folder = root / "reports" / slug
    place = database or str(root / "gradebook.db")
    if "://" not in place and not Path(place).exists():  # before a folder is made for it
        raise nothing_graded(slug, f"there is no gradebook {place}")
    url = database_url(place)
    with ExitStack() as stack:
        gradebook = stack.enter_context(Gradebook(url, slug))
        results = stack.enter_context(Results(root / "grading" / f"{slug}.jsonl"))
        people, handed_in = gradebook.count()
        if not handed_in:
            raise nothing_graded(slug, "the gradebook has no submission of it")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            maker = stack.enter_context(_Maker(root, folder, chapter, gradebook, results))
            for record in gradebook.students():
                maker.add(record)
                tell(people)
            return maker.finish()
        except OSError as error:
            raise Stopped(f"{folder} cannot be written: {error.strerror or error}", GRADEBOOK) from None


class _Maker:
    """Takes one student after the other."""

    def __init__(self, root: Path, folder: Path, chapter: Chapter, gradebook: Gradebook, results: Results) -> None:
        self.root, self.folder, self.chapter = root, folder, chapter
        self.gradebook, self.results = gradebook, results
        self.exercises = chapter.exercises
        self.summary = Summary(folder / "index.html")
        self.parts = parts_of(Record(""), Work(), self.exercises, gradebook.items)
        self.items = {tested.item.name: tested.item for part in self.parts for tested in part.tested}
        self.statistics = ClassStatistics(self.items, self.exercises, _misconceptions(chapter))
        self._stack = ExitStack()

    def __enter__(self) -> "_Maker":
        header = ("student", "name", "status", "total", "maximum", "late penalty", "needs a person", *self.items)
        with ExitStack() as stack:
            self.same = stack.enter_context(SameAnswers(_known_answers(self.chapter)))
            self.grades = stack.enter_context(Grades(self.folder, self.chapter.slug, self.gradebook.maximum))
            self.scores = stack.enter_context(self._table("scores", *header))
            self.times = stack.enter_context(self._table("times", "student", *KINDS, "total", "what happened"))
            self.attention = stack.enter_context(self._table("attention", "student", "status", "reason"))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def _table(self, name: str, *header: str) -> Table:
        return Table(self.folder / f"{name}.csv", header)

    def add(self, record: Record) -> None:
        """Everything about one student."""
        data = self._notebook(record)
        work = Work() if data is None else read_work(data)
        parts = parts_of(record, work, self.exercises, self.items) if record.submitted else []
        entry = self.statistics.add(record, work, parts, self.results.get(record.student))
        self.grades.add(record)
        self._rows(record, entry)
        answers = {p.id: p.answer.source for p in parts if p.answer and p.answer.is_code and not p.answer.unanswered}
        if answers:
            self.same.add(record.student, answers)
        if data is not None:
            written = write_page(self.root, self.gradebook, record, data, work, parts)
            self.summary.written += written
            self.summary.unchanged += not written

    def _notebook(self, record: Record) -> bytes | None:
        slug = self.chapter.slug
        try:
            if record.submitted:
                return (self.root / "autograded" / record.student / slug / f"{slug}.ipynb").read_bytes()
        except FileNotFoundError:
            self.summary.missing.append(record.student)
        return None

    def _rows(self, record: Record, entry: Entry) -> None:
        scores = [record.marks[name].score if name in record.marks else None for name in self.items]
        total, penalty = (record.total, record.penalty) if record.submitted else (None, None)
        about = (record.student, record.name, entry.status, total, self.gradebook.maximum, penalty)
        self.scores.row(*about, "yes" if record.needs_person else "", *scores)
        if entry.reason:
            self.attention.row(record.student, entry.status, entry.reason)
        if took := entry.seconds:
            self.times.row(took.student, *took.by_kind, took.total, took.what)

    def finish(self) -> Summary:
        """Write what is known only at the end."""
        with self._table("same-answers", "student", "other student", "exercise", "students with this answer") as table:
            for pair in self.same.pairs():
                for exercise, writers in pair.exercises.items():
                    table.row(*pair.students, exercise, writers)
        header = ("item", "maximum", "students", "mean share", "got it", "discrimination", "not answered", "waiting")
        with self._table("items", *header) as table:
            for name, item in self.statistics.items.items():
                found = (item.mean_share, item.difficulty, item.discrimination, item.unanswered, item.waiting)
                table.row(name, item.item.maximum, item.count, *found)
        with self._table("misconceptions", "exercise", "students", "misconception") as table:
            for exercise, counts in self.statistics.misconceptions.items():
                for says, count in counts.most_common():
                    table.row(exercise, count, says)
        replace(self.summary.report, self._page())
        self.summary.handed_in = self.statistics.handed_in
        self.summary.blank, self.summary.strange = self.grades.blank, self.grades.strange
        return self.summary

    def _page(self) -> str:
        alike = groups(islice(self.same.pairs(), PAIRS))
        template = environment().get_template("report.html")
        return template.render(
            slug=self.chapter.slug,
            chapter_title=self.chapter.notebook.metadata["course"]["title"],
            statistics=self.statistics,
            summary=self.summary,
            titles={exercise.id: exercise.title for exercise in self.exercises},
            parts=self.parts,
            bars=_bars(self.statistics.bins(), self.statistics.maximum),
            size=(WIDTH, HEIGHT),
            alike=alike[:GROUPS],
            more_alike=max(0, len(alike) - GROUPS),
            rules=same_answers,
            link=lambda student: quote(f"../../{page_path(Path(), student, self.chapter.slug).as_posix()}"),
            ENOUGH=ENOUGH,
            SLOW=SLOW,
        )


def _misconceptions(chapter: Chapter) -> dict[str, set[str]]:
    known: dict[str, set[str]] = {}
    for mutant in chapter.mutants:
        known.setdefault(mutant.exercise.id, set()).add(mutant.says)
    return known


def _known_answers(chapter: Chapter) -> dict[str, list[str]]:
    """Of each exercise the stub and the reference: nobody has these from a neighbor."""
    found = {}
    for exercise in chapter.exercises:
        header, body = chapter.header_and_body(exercise)
        stub = "\n".join([*header, f"    {exercise.stub}"])
        found[exercise.id] = [stub, "\n".join([*header, *body]), chapter.answer(exercise)]
    return found


# --- the page


@dataclass(frozen=True)
class Bar:
    """One bar of the picture of scores."""

    x: float
    y: float
    width: float
    height: float
    count: int
    label: str


def _bars(counts: Sequence[int], maximum: float) -> list[Bar]:
    step, top = WIDTH / len(counts), max([*counts, 1])
    return [
        Bar(
            i * step + 4,
            20 + (HEIGHT - 60) * (1 - count / top),
            step - 8,
            (HEIGHT - 60) * count / top,
            count,
            f"{maximum * i / len(counts):.3g}",
        )
        for i, count in enumerate(counts)
    ]
