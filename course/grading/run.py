"""`course grade`: the command. What does the work is imported when it is called, so that other commands start fast."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from course.grading.errors import FAILED, Stopped
from course.grading.workers import prepare_workers

if TYPE_CHECKING:
    from course.grading.batch import Order, Tally
    from course.grading.task import Outcome

COURSE = Path("_build/nbgrader")
SHOWN = 20  # names in a list
console = Console(highlight=False)

__all__ = ["grade_command"]


def grade_command(
    slug: Annotated[str, typer.Argument(help="The assignment, such as 04-elman.")],
    submitted: Annotated[
        Path | None, typer.Option(help="Folder or zip of submissions; not named, submitted/ in the course folder.")
    ] = None,
    course_folder: Annotated[
        Path, typer.Option("--course", help="nbgrader's course folder: results go to autograded/ in it.")
    ] = COURSE,
    db: Annotated[
        str | None, typer.Option(help="The gradebook, a file or a URL; not named, gradebook.db in the course folder.")
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="Only this student; may be given several times.")] = None,
    regrade: Annotated[bool, typer.Option("--regrade", help="Also what is graded already.")] = False,
    failed: Annotated[
        bool, typer.Option("--failed", help="Also what could not be read, or wore out its kernel.")
    ] = False,
    workers: Annotated[int, typer.Option(min=1, help="Processes on this machine.")] = os.cpu_count() or 1,
    scheduler: Annotated[str | None, typer.Option(help="Grade on a Dask cluster instead: tcp://HOST:8786.")] = None,
    no_sandbox: Annotated[
        bool, typer.Option("--no-sandbox", help="Run submissions with all your rights. Only for work that you trust.")
    ] = False,
    no_pages: Annotated[
        bool, typer.Option("--no-pages", help="Scores only; `course report` writes feedback and class report later.")
    ] = False,
) -> None:
    """Grade submissions that nobody should trust, into nbgrader's gradebook.

    Killed or interrupted, the same command goes on where it stopped. Manual scores and comments stay.

    Exit codes: 0 all graded, 1 some could not be, 2 no such assignment or submissions, 3 no sandbox here,
    4 the gradebook cannot be used, 5 the workers are lost, 6 the tests fail for the
    course's own answers, 130 interrupted.
    """
    if scheduler is None:
        prepare_workers()  # these imports take seconds there and here: at the same time
    from course.grading.batch import Order, grade_all

    order = Order(
        slug=slug,
        submitted=submitted or course_folder / "submitted",
        root=course_folder,
        database=db,
        only=tuple(only or ()),
        regrade=regrade,
        failed=failed,
        workers=workers,
        scheduler=scheduler,
        no_sandbox=no_sandbox,
    )
    if no_sandbox:
        console.print("[yellow]--no-sandbox: every submission can read and change all that you can.[/yellow]")
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    try:
        with Progress(*columns, console=console, transient=True) as bar:
            shown = bar.add_task(slug, total=None, rate="")

            def tell(total: int, outcome: "Outcome | None") -> None:
                speed = bar.tasks[shown].speed
                bar.update(shown, total=total, advance=1, rate=f"{speed:.1f}/s" if speed else "")

            tally = grade_all(order, tell)
    except Stopped as error:
        console.print(f"[red]{escape(str(error))}[/red]", soft_wrap=True)
        raise typer.Exit(error.code) from None
    _summary(tally, order.root)
    if not no_pages:
        _pages(order)
    if tally.failures:
        raise typer.Exit(FAILED)


def _pages(order: "Order") -> None:
    from course.grading.pages.command import show_pages

    try:
        show_pages(order.root, order.slug, order.database, console)
    except Stopped as error:
        console.print(f"[red]{escape(str(error))}[/red]", soft_wrap=True)
        console.print(f"All scores are kept; write the pages later: course report {order.slug}")
        raise typer.Exit(error.code) from None


def _summary(tally: "Tally", root: Path) -> None:
    counts = ", ".join(f"{count} {status}" for status, count in sorted(tally.statuses.items())) or "nothing new"
    before = f"; {tally.skipped} had their result before" if tally.skipped else ""
    rate = f" ({tally.graded / tally.seconds:.1f} a second)" if tally.graded and tally.seconds else ""
    console.print(f"{counts}{before}. {tally.seconds:.1f} s{rate}.")
    _listed([f"{student}: {reason}" for student, reason in tally.failures])
    if tally.strays:
        console.print("Notebooks that are nobody's, as their names say nothing of student or assignment:")
        _listed(tally.strays)
    if tally.graded:
        console.print(f"Look at them: nbgrader formgrader, in a JupyterLab for the course folder {escape(str(root))}")


def _listed(lines: list[str]) -> None:
    for line in [*lines[:SHOWN], *([f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else [])]:
        console.print(f"  [red]{escape(line)}[/red]", soft_wrap=True)
