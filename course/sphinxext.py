"""The book's own Sphinx extension: what a page of this course needs beyond Jupyter Book.

- MathJax is served by the site itself, see `course.vendor`; scripts from elsewhere are taken out of every page.
- The released notebooks, `exercises/NN-slug/NN-slug.ipynb`, are copied to `book/exercises/` before Sphinx
  reads, so that each renders under its chapter. A copy is only rewritten when its content changed.
- ``{exercise}`04-elman/elman_step_backward` `` links to that exercise. A name that no released notebook
  declares in `metadata.course.exercises` is a warning.
- `:::{exercise-table}` is the table of all released exercises, made from the same metadata.
- `:::{flashcards} 04-elman` and `:::{quiz} 04-elman` show `book/_study/04-elman.yml`, see `course.study`.
- A chapter's number is the one in its file name, so that 03-definition is chapter 3 before 01 and 02 exist.
- The cache of executed cells also depends on the code that the cells import: change `rnnlib` and every
  chapter runs again. Pages of the instructor's guide run again when their data or the grading code changes.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment
from sphinx.environment.collectors.toctree import TocTreeCollector
from sphinx.errors import ExtensionError
from sphinx.roles import XRefRole
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective
from sphinx_external_toc.collectors import TocTreeCollectorWithStyles

from course import cells, study, vendor
from course.archives import FetchError
from course.exercises import Exercise

__all__ = ["copy_exercises", "released_exercises", "setup"]

LOGGER = logging.getLogger(__name__)
CHAPTER = re.compile(r"(?:exercises/)?(\d\d)-[\w-]+")


class study_node(nodes.General, nodes.Element):
    """Where a page shows cards or a quiz; marks the page as one that needs their scripts."""


# --- the exercises


def released_exercises(folder: Path) -> dict[str, list[Exercise]]:
    """Chapter -> the exercises that its released notebook declares, in the notebook's order.

    Raises
    ------
    ValueError  a notebook is not JSON, or declares an exercise that is none.
    """
    found = {}
    for path in _notebooks(folder):
        try:
            declared = json.loads(path.read_text(encoding="utf-8"))["metadata"].get("course", {}).get("exercises", {})
            found[path.stem] = [Exercise(**record) for record in declared.values()]
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise ValueError(f"{path.name} is not a released notebook: {error!r}") from error
    return found


def copy_exercises(source: Path, target: Path) -> list[str]:
    """Bring `target` in line with the released notebooks in `source`; returns the names of files that changed."""
    changed = []
    notebooks = {path.name: path.read_bytes() for path in _notebooks(source)}
    for old in sorted(target.glob("*.ipynb")):
        if old.name not in notebooks:
            old.unlink()
            changed.append(old.name)
    for name, content in notebooks.items():
        copy = target / name
        if not copy.is_file() or copy.read_bytes() != content:
            target.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(content)
            changed.append(name)
    return changed


def _notebooks(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.glob("*/*.ipynb")) if path.stem == path.parent.name)


def _bring_exercises(app: Sphinx, config: Config) -> None:
    source = Path(app.srcdir).parent / "exercises"
    changed = copy_exercises(source, Path(app.srcdir) / "exercises")
    if changed:
        LOGGER.info("exercise pages brought in: %s", ", ".join(changed))
    app.course_exercises = released_exercises(source)  # type: ignore[attr-defined]


class ExerciseRole(XRefRole):
    """``{exercise}`04-elman/elman_step` ``: the function's name, linked to its place in the exercise page."""

    def process_link(
        self, env: BuildEnvironment, refnode: nodes.Element, has_explicit_title: bool, title: str, target: str
    ) -> tuple[str, str]:
        return (title if has_explicit_title else title.rpartition("/")[2]), target


def _resolve_exercise(app: Sphinx, env: BuildEnvironment, node: addnodes.pending_xref, text: nodes.Node) -> Any:
    if node.get("reftype") != "exercise":
        return None
    exercise = _exercises(app).get(node["reftarget"])
    if exercise is None or f"exercises/{exercise.slug}" not in env.found_docs:
        return None
    page = app.builder.get_relative_uri(node["refdoc"], f"exercises/{exercise.slug}")
    return nodes.reference("", "", text, internal=True, refuri=f"{page}#{exercise.id}", classes=["exercise-link"])


def _warn_exercise(app: Sphinx, domain: Any, node: addnodes.pending_xref) -> bool | None:
    if node.get("reftype") != "exercise":
        return None
    LOGGER.warning(
        "no released notebook in the table of contents has the exercise %r; there are: %s",
        node["reftarget"],
        ", ".join(_exercises(app)) or "none",
        location=node,
        type="ref",
        subtype="exercise",
    )
    return True


def _exercises(app: Sphinx) -> dict[str, Exercise]:
    chapters: dict[str, list[Exercise]] = app.course_exercises  # type: ignore[attr-defined]
    return {exercise.id: exercise for exercises in chapters.values() for exercise in exercises}


class ExerciseTable(SphinxDirective):
    """`:::{exercise-table}`: all exercises, with what each asks for, linked."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        for path in _notebooks(Path(self.env.srcdir).parent / "exercises"):
            self.env.note_dependency(str(path))
        exercises = _exercises(self.env.app).values()
        if not exercises:
            return []
        rows = [
            f"| {int(e.slug[:2])} | {{exercise}}`{e.id}` | {e.title}{' ★' if e.star else ''} "
            f"| {'●' * e.difficulty}{'○' * (5 - e.difficulty)} | {e.minutes} | {e.total_points} |"
            for e in exercises
        ]
        minutes, points = sum(e.minutes for e in exercises), sum(e.total_points for e in exercises)
        head = ["| chapter | function | exercise | difficulty | minutes | points |", "|---|---|---|---|---|---|"]
        text = "\n".join([*head, *rows, f"| | | **together** | | **{minutes}** | **{points}** |"])
        holder = nodes.container(classes=["exercise-table"])
        self.state.nested_parse(StringList(text.splitlines(), source=""), 0, holder)
        return [holder]


def _mark_cards(app: Sphinx, doctree: nodes.document) -> None:
    """Tell the style sheet which tables are an exercise's card: those whose first heading is `exercise`."""
    if app.env.docname.startswith("exercises/"):
        for table in doctree.findall(nodes.table):
            first = next(table.findall(nodes.entry), None)
            if first is not None and first.astext().strip() == "exercise":
                table["classes"].append("exercise-card")


# --- cards and quizzes


class _Study(SphinxDirective):
    required_arguments = 1
    has_content = True
    part = ""

    def run(self) -> list[nodes.Node]:
        chapter = self.arguments[0]
        path = Path(self.env.srcdir) / "_study" / f"{chapter}.yml"
        self.env.note_dependency(str(path))
        try:
            data = study.load_study(path)
        except study.StudyError as error:
            for line in str(error).splitlines():
                LOGGER.warning("%s", line, location=self.get_location(), type="course", subtype="study")
            return []
        # Cards are typeset after the page is loaded: MathJax has to be there even if the text has no formula.
        self.env.get_domain("math").data["has_equations"][self.env.docname] = True
        make = {"cards": study.cards_html, "quiz": study.quiz_html}[self.part]
        return [study_node("", nodes.raw("", make(chapter, data[self.part]), format="html"))]


class Flashcards(_Study):
    """`:::{flashcards} NN-slug`: the chapter's recall cards."""

    part = "cards"


class Quiz(_Study):
    """`:::{quiz} NN-slug`: the chapter's questions."""

    part = "quiz"


def _add_study_assets(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    if doctree is None or not next(doctree.findall(study_node), None):
        return
    for name in ("study-cards.css", "study-quiz.css"):
        app.add_css_file(name, priority=400)  # before course.css, which has the last word
    for name in ("study-cards.js", "study-quiz.js", "study.js"):
        app.add_js_file(name)


# --- what the site carries


def _add_static_files(app: Sphinx) -> None:
    if app.builder.format != "html":
        return
    try:
        mathjax = vendor.mathjax()
    except FetchError as error:
        raise ExtensionError(str(error)) from error
    assets = Path(app.outdir).parent / "study"
    study.write_assets(assets)
    app.config.html_static_path += [str(mathjax), str(assets)]
    app.config.mathjax_path = "mathjax/es5/tex-svg.js"


def _drop_outside_files(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Take out of a page every script and style that would be fetched from elsewhere, or starts such a fetch."""
    for key in ("script_files", "css_files"):
        context[key] = [file for file in context.get(key, []) if not _outside(file)]


def _outside(file: Any) -> bool:
    name = str(getattr(file, "filename", file) or "")
    body = str(getattr(file, "attributes", {}).get("body") or "")
    return name.startswith(("http:", "https:", "//")) or "thebe" in name or "thebe" in body.lower()


# --- numbers and caches


def _number_as_files(self: TocTreeCollector, env: BuildEnvironment) -> list[str]:
    """Sphinx's count of sections, with the number of the file name in place of the chapter's count.

    Figures and equations take their numbers from these, so this stands in for the collector's own method.
    """
    before = {name: dict(numbers) for name, numbers in env.toc_secnumbers.items()}
    TocTreeCollector.assign_section_numbers(self, env)
    for docname, numbers in env.toc_secnumbers.items():
        if match := CHAPTER.fullmatch(docname):
            _renumber(env, docname, numbers, int(match[1]))
    return [name for name, numbers in env.toc_secnumbers.items() if numbers != before.get(name)]


def _renumber(env: BuildEnvironment, docname: str, numbers: dict[str, Any], chapter: int) -> None:
    for anchor, number in numbers.items():
        numbers[anchor] = number and (chapter, *number[1:])
    titles = [env.titles[docname], env.longtitles.get(docname, env.titles[docname])]
    for holder in [*titles, *env.tocs[docname].findall(nodes.reference)]:
        if holder.get("secnumber"):
            holder["secnumber"] = [chapter, *holder["secnumber"][1:]]


def _tie_cache_to_the_library(app: Sphinx, config: Config) -> None:
    if not config.nb_execution_cache_path:
        config.nb_execution_cache_path = str(cells.cache_folder(Path(app.outdir).parent))


def _note_what_the_guide_reads(app: Sphinx, docname: str, source: list[str]) -> None:
    """The instructor's pages show data files and facts of the code; they say `execution_mode: force` themselves."""
    if docname.startswith("instructors/"):
        root = Path(app.srcdir).parent
        places = (
            "book/instructors/_data/*.json",
            "course/checks/data/*.json",
            "course/grading/*.py",
            "course/guide.py",
        )
        for path in (path for place in places for path in sorted(root.glob(place))):
            app.env.note_dependency(str(path))


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect everything above to Sphinx."""
    app.connect("config-inited", _tie_cache_to_the_library)
    app.connect("config-inited", _bring_exercises)
    app.connect("builder-inited", _add_static_files)
    app.connect("source-read", _note_what_the_guide_reads)
    app.connect("doctree-read", _mark_cards)
    app.connect("missing-reference", _resolve_exercise)
    app.connect("warn-missing-reference", _warn_exercise)
    app.connect("html-page-context", _add_study_assets)
    app.connect("html-page-context", _drop_outside_files, priority=900)
    app.add_role("exercise", ExerciseRole(warn_dangling=True))
    app.add_directive("exercise-table", ExerciseTable)
    app.add_directive("flashcards", Flashcards)
    app.add_directive("quiz", Quiz)
    app.add_node(study_node, html=(_pass, _pass), latex=(_pass, _pass), text=(_pass, _pass))
    # The collector that Jupyter Book uses; Sphinx has no event between the numbers of sections and of figures.
    TocTreeCollectorWithStyles.assign_section_numbers = _number_as_files  # type: ignore[method-assign]
    return {"version": "1", "parallel_read_safe": False, "parallel_write_safe": True}


def _pass(visitor: Any, node: nodes.Element) -> None:
    """The node is only a mark: what it holds renders itself."""
