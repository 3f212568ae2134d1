"""All that grading one assignment needs, as pure data: it travels to any worker, and has a fingerprint."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path

import nbformat
from nbgrader.preprocessors import ClearHiddenTests, ClearOutput, ComputeChecksums, LockCells

from course.build import NameTheExercise, source_notebook
from course.exercises import Exercise, catalogue, chapter_number
from course.grading.errors import Stopped
from course.grading.sandbox import Limits
from course.library import reference, staged_files
from course.sources import Chapter, chapters

__all__ = ["Bundle", "code_digest", "find_chapter", "make_bundle", "own_submission"]

# What decides a score besides the bundle. A change in any of it makes journals and workers out of date.
_DECIDES = (
    *(f"course/{name}.py" for name in ("exercises", "implement", "library", "plain")),
    "course/checks/*.py",
    "course/checks/data/*",
    *(f"course/grading/{name}.py" for name in ("alarm", "wire", "student", "referee", "rebuild", "task")),
    *(f"course/grading/{name}.py" for name in ("sandbox", "zygote", "provisioner", "confine")),
    "rnnlib/*.py",
)


@dataclass(frozen=True)
class Bundle:
    """One assignment, ready to grade submissions of it anywhere."""

    slug: str
    skeleton: str  # the notebook: answers out, hidden tests in, nbgrader's metadata with checksums
    released: dict[str, str]  # locked cells by grade_id, as learners have them: hidden tests out
    exercises: tuple[Exercise, ...]
    files: dict[str, bytes]  # what lies beside the notebook: rnnlib with this chapter's functions as stubs
    limits: Limits
    code: str  # fingerprint of the code that grades
    digest: str = field(init=False)  # fingerprint of all of this

    def __post_init__(self) -> None:
        exercises = [exercise.as_dict() for exercise in self.exercises]
        parts = (self.slug, self.skeleton, sorted(self.files.items()), exercises, asdict(self.limits), self.code)
        object.__setattr__(self, "digest", hashlib.sha256(repr(parts).encode()).hexdigest())

    @property
    def points(self) -> dict[str, float]:
        """The maximum of each graded cell, by grade_id."""
        metadata = [cell.metadata.get("nbgrader", {}) for cell in self.notebook().cells]
        return {meta["grade_id"]: float(meta["points"]) for meta in metadata if meta.get("grade")}

    def notebook(self) -> nbformat.NotebookNode:
        """The skeleton, a copy of its own each time."""
        return nbformat.from_dict(json.loads(self.skeleton))  # it is ours: nbformat's slow schema check is not needed


def find_chapter(slug: str) -> Chapter:
    """The chapter of that name."""
    known = {chapter.slug: chapter for chapter in chapters()}
    if slug not in known:
        raise Stopped(f"there is no assignment {slug!r}; there are: {', '.join(known)}")
    return known[slug]


def make_bundle(chapter: Chapter, limits: Limits | None = None) -> Bundle:
    """Everything from the instructor's side; nothing of it is read again while grading."""
    notebook = source_notebook(chapter)
    # nbgrader's own steps up to where it saves cells in the gradebook, so that sources and checksums are the same.
    for step in (LockCells, NameTheExercise, ClearOutput, ComputeChecksums):
        notebook, _ = step().preprocess(notebook, {"language": "python"})
    skeleton = json.dumps(notebook)
    released, _ = ClearHiddenTests().preprocess(notebook, {})
    locked = [cell for cell in released.cells if cell.metadata.get("nbgrader", {}).get("locked")]
    files = staged_files(chapter_number(chapter.slug), catalogue().values())
    return Bundle(
        slug=chapter.slug,
        skeleton=skeleton,
        released={cell.metadata.nbgrader.grade_id: cell.source for cell in locked},
        exercises=tuple(chapter.exercises),
        files={f"rnnlib/{path.as_posix()}": text.encode() for path, text in files},
        limits=limits or Limits(),
        code=code_digest(),
    )


def own_submission(chapter: Chapter, bundle: Bundle) -> bytes:
    """What the course's own answers would be as a submission: every test must pass them."""
    named = {cell.metadata.get("nbgrader", {}).get("grade_id"): cell for cell in source_notebook(chapter).cells}
    notebook = bundle.notebook()
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("solution"):
            cell.source = named[cell.metadata.nbgrader.grade_id].source
    return json.dumps(notebook).encode()


@cache
def code_digest() -> str:
    """Fingerprint of the code in this process that decides scores; workers compare theirs with the bundle's."""
    digest = hashlib.sha256()
    for path in _deciding_files(reference().parent):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _deciding_files(root: Path) -> Iterator[Path]:
    for pattern in _DECIDES:
        yield from sorted(path for path in root.glob(pattern) if path.is_file())
