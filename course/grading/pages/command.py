"""`course report`, and what `course grade` does at its end."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from course.grading.errors import INTERRUPTED, Stopped

COURSE = Path("_build/nbgrader")
SHOWN = 20  # names in a list

__all__ = ["report_command", "show_pages"]


def report_command(
    slug: Annotated[str, typer.Argument(help="The assignment, such as 04-elman.")],
    course_folder: Annotated[
        Path, typer.Option("--course", help="nbgrader's course folder: autograded/ is read, pages are written into it.")
    ] = COURSE,
    db: Annotated[
        str | None, typer.Option(help="The gradebook, a file or a URL; not named, gradebook.db in the course folder.")
    ] = None,
) -> None:
    """Write feedback pages, the class report and the files for Canvas and Moodle.

    `course grade` does this at its end. Run it again after you have graded something by hand: pages whose content
    stays the same are not written again. Every page stands on its own, without scripts and without the network.

    feedback/STUDENT/SLUG/SLUG.html: for each student; `nbgrader release_feedback SLUG` hands them out.
    reports/SLUG/index.html: the class, with tables as CSV beside it; for instructors only.
    reports/SLUG/canvas.csv, moodle.csv: grades to import. Who has something left to be graded by hand is blank there.

    Exit codes: 0 written, 2 no such assignment or nothing graded yet, 4 gradebook or files cannot be used,
    130 interrupted.
    """
    console = Console(highlight=False)
    try:
        show_pages(course_folder, slug, db, console)
    except Stopped as error:
        console.print(f"[red]{escape(str(error))}[/red]", soft_wrap=True)
        raise typer.Exit(error.code) from None


def show_pages(root: Path, slug: str, database: str | None, console: Console) -> None:
    """Write all pages with a progress bar, and say what is there and what is left to do. Raises Stopped."""
    from course.grading.pages.report import make_pages

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        shown = bar.add_task("pages", total=None)
        try:
            summary = make_pages(root, slug, database, lambda total: bar.update(shown, total=total, advance=1))
        except KeyboardInterrupt:
            raise Stopped("Stopped. Pages that are written are kept: the same command goes on.", INTERRUPTED) from None
    unchanged = f", {summary.unchanged} are as they were" if summary.unchanged else ""
    console.print(f"{summary.written} feedback pages written{unchanged}. Class report:")
    console.print(escape(str(summary.report)), soft_wrap=True)
    _named("without an autograded notebook, so without a page", summary.missing, console)
    _named("blank in canvas.csv and moodle.csv, until a person has graded what is left", summary.blank, console)
    _named("to be found by hand in Canvas or Moodle, as a login begins like a formula", summary.strange, console)


def _named(what: str, students: list[str], console: Console) -> None:
    if students:
        more = f" and {len(students) - SHOWN} more" if len(students) > SHOWN else ""
        console.print(f"{len(students)} {what}: {escape(', '.join(students[:SHOWN]))}{more}", soft_wrap=True)
