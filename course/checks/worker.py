"""`python -m course.checks.worker ROOT ID...`: the checks of each exercise on a workspace, a JSON line each."""

import contextlib
import io
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from course.checks.run import run_checks
from course.exercises import Exercise, find


def outcome(exercise: Exercise, root: Path) -> dict[str, Any]:
    """The results of one exercise's checks, or why they could not run."""
    from course.workspace import WorkspaceError, answer

    try:
        with contextlib.redirect_stdout(io.StringIO()):
            results = run_checks(exercise, answer(exercise, root))
    except WorkspaceError as error:
        return {"results": [], "problem": str(error)}
    except SyntaxError as error:
        return {"results": [], "problem": f"{_file(error.filename or '')}, line {error.lineno}: {error.msg}"}
    except Exception as error:
        return {"results": [], "problem": f"{_place(error)}{type(error).__name__}: {error}"}
    return {"results": [[r.name, r.passed, r.message] for r in results], "problem": ""}


def _file(name: str) -> str:
    return Path(name).name.strip("<>")


def _place(error: Exception) -> str:
    """Where in the learner's files an error came up, if it did."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if Path(f.filename).parent.name == "rnnlib" or f.filename.endswith(".ipynb>")]
    return f"{_file(own[-1].filename)}, line {own[-1].lineno}: " if own else ""


def main(root: str, *ids: str) -> None:
    sys.path.insert(0, root)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # whatever the learner's code prints, and however, is no answer
    for exercise_id in ids:
        print(json.dumps(outcome(find(exercise_id), Path(root))), file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
