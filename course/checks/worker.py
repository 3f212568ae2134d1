"""`python -m course.checks.worker ROOT ID...`: the checks of each exercise on a workspace, a JSON line each."""

import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Any

from course.checks.run import run_checks
from course.exercises import Exercise, find


def outcome(exercise: Exercise, root: Path) -> dict[str, Any]:
    """The results of one exercise's checks, or why they could not run."""
    from course.workspace import answer

    try:
        with contextlib.redirect_stdout(io.StringIO()):
            results = run_checks(exercise, answer(exercise, root))
    except SyntaxError as error:
        return {"results": [], "problem": f"{Path(error.filename or '').name}, line {error.lineno}: {error.msg}"}
    except Exception as error:
        return {"results": [], "problem": f"{type(error).__name__}: {error}"}
    return {"results": [[r.name, r.passed, r.message] for r in results], "problem": ""}


def main(root: str, *ids: str) -> None:
    sys.path.insert(0, root)
    for exercise_id in ids:
        print(json.dumps(outcome(find(exercise_id), Path(root))), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
