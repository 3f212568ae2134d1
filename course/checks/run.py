"""Run the checks of an exercise on a function, and say what came out in a few lines."""

import importlib
import pkgutil
import re
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from course.checks.compare import differences, map_arrays, same
from course.checks.data_file import CheckData, answers_of, load_one
from course.exercises import Exercise, chapter_number, find

__all__ = [
    "UNWRITTEN",
    "CheckFailed",
    "Result",
    "check",
    "check_files",
    "check_names",
    "compare_all",
    "expect",
    "holds",
    "refused",
    "refuses_float32",
    "run_checks",
]

Property = Callable[[Callable[..., Any]], None]
_PROPERTIES: dict[str, list[tuple[str, Property]]] = {}
_FLOAT64_ALONE: set[str] = set()
UNWRITTEN = "not written yet"
HERE = Path(__file__).parent
SHOWN = 3  # differences told at once; the rest is counted


class CheckFailed(AssertionError):
    """A check did not hold; the message is for the learner, so notebooks show it without a traceback."""

    def _render_traceback_(self) -> list[str]:
        return str(self).splitlines()


@dataclass(frozen=True)
class Result:
    """The outcome of one check."""

    name: str
    passed: bool
    message: str = ""


def holds(exercise_id: str, name: str) -> Callable[[Property], Property]:
    """Register a property: a function that takes the learner's function and raises CheckFailed where it is broken."""

    def register(test: Property) -> Property:
        _PROPERTIES.setdefault(exercise_id, []).append((name, test))
        return test

    return register


def refuses_float32(exercise_id: str) -> None:
    """Leave out the check that float32 is kept: the exercise's function raises an error for it, as a property says."""
    _FLOAT64_ALONE.add(exercise_id)


def expect(condition: bool, message: str) -> None:
    """Raise CheckFailed with the message unless the condition holds."""
    if not condition:
        raise CheckFailed(message)


def refused(what: str, says: str, function: Callable[..., Any], *args: Any) -> None:
    """Raise CheckFailed unless the call ends in a ValueError (or TypeError) whose message holds these words."""
    wanted = f"expected a ValueError that says {repr(says) if says else 'so'}"
    try:
        function(*args)
    except (ValueError, TypeError) as error:
        expect(says in str(error), f"{what}: the message should say {says!r}; it is: {error}")
    except NotImplementedError:
        raise
    except Exception as error:
        raise CheckFailed(f"{what} ends in {type(error).__name__}: {error}; {wanted}") from None
    else:
        raise CheckFailed(f"{what} goes through; {wanted}")


def check(exercise: str, function: Callable[..., Any]) -> None:
    """Run every check of an exercise on a function; print what holds, raise CheckFailed with what does not."""
    record = find(exercise)
    results = run_checks(record, function)
    report = "\n".join([record.id, *(_line(result) for result in results)])
    if not all(result.passed for result in results):
        raise CheckFailed(report)
    print(report)


def _line(result: Result) -> str:
    mark = "✓" if result.passed else "✗"
    return f"  {mark} {result.name}" + "".join(f"\n      {line}" for line in result.message.splitlines())


def run_checks(record: Exercise, function: Callable[..., Any], only: str | None = None) -> list[Result]:
    """The outcome of each check (or of one), in order. A function not written yet has one result that says so."""
    results = []
    for name, test in _checks(record):
        if only not in (None, name):
            continue
        result = _outcome(name, test, function, record)
        if not result.passed and result.message == _unwritten(record):
            return [Result(UNWRITTEN, False, "Only the stub is there: write the function's body, then run this again.")]
        results.append(result)
    return results


def check_names(record: Exercise) -> list[str]:
    """The names of an exercise's checks, in the order they run."""
    return [name for name, _ in _checks(record)]


def check_files(exercises: Iterable[Exercise]) -> list[Path]:
    """The modules that the exercises' properties stand in; a chapter's need not be named like the chapter."""
    _load_properties()
    tests = [test for exercise in exercises for _, test in _PROPERTIES.get(exercise.id, [])]
    modules = {(test.func if isinstance(test, partial) else test).__module__ for test in tests}
    return sorted(Path(str(importlib.import_module(module).__file__)) for module in modules)


def _checks(record: Exercise) -> list[tuple[str, Property]]:
    _load_properties()
    answers = answers_of(record)
    general: list[tuple[str, Property]] = []
    if answers:  # the examples are read when a check runs: a function named in them may not be importable now
        general = [
            ("gives the expected answers", lambda f: _answers(f, load_one(record))),
            ("leaves its inputs as they were", lambda f: _inputs_kept(f, load_one(record))),
            ("answers the same when asked again", lambda f: _repeatable(f, load_one(record))),
        ]
        if record.id not in _FLOAT64_ALONE and any(_is_float_array(leaf) for leaf in _leaves(answers)):
            general.append(("keeps float32", lambda f: _float32_kept(f, load_one(record))))
    return [*general, *_PROPERTIES.get(record.id, [])]


@cache
def _load_properties() -> None:
    package = importlib.import_module("course.checks")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"course.checks.{module.name}")


def _unwritten(record: Exercise) -> str:
    return f"Exercise {record.id} is not written yet"


def _outcome(name: str, test: Property, function: Callable[..., Any], record: Exercise) -> Result:
    try:
        with np.errstate(all="ignore"):  # warnings of NumPy are part of a wrong answer, not of the report
            test(function)
    except CheckFailed as failure:
        return Result(name, False, str(failure))
    except NotImplementedError as error:
        return Result(name, False, _missing(str(error), record))
    except Exception as error:
        return Result(name, False, _describe(error))
    return Result(name, True)


def _missing(text: str, record: Exercise) -> str:
    """What a NotImplementedError says, and what to do where it comes out of another exercise's stub."""
    other = re.fullmatch(r"Exercise (([\w-]+)/\w+) is not written yet", text)
    if other is None or other[1] == record.id:
        return text or "not written yet"
    fill = f"`course catchup {chapter_number(record.slug)}` fills it in."
    how = "Write that one first; it is in the same notebook." if other[2] == record.slug else fill
    return f"{text}, and this check runs it. {how}"


def _describe(error: Exception) -> str:
    """The error, and the last line of the learner's own code that it came through."""
    try:
        text = f"{type(error).__name__}: {error}"
    except Exception:  # an exception that cannot be printed is still a failure, not a crash
        text = type(error).__name__
    own = [f for f in traceback.extract_tb(error.__traceback__) if f.line and _is_learners(f.filename)]
    if own:
        text += f"\nin {own[-1].name}, line {own[-1].lineno}: {own[-1].line}"
    return "\n".join([text, *getattr(error, "__notes__", [])])  # while grading, a note says where in her code it was


def _is_learners(filename: str) -> bool:
    """Whether a line of code stands in her library or in a cell, rather than in NumPy or here."""
    folder = Path(filename).parent
    return folder != HERE and (folder.name == "rnnlib" or "ipykernel" in filename or filename.startswith("<"))


# --- the checks that every exercise with worked examples has


def _answers(function: Callable[..., Any], data: CheckData) -> None:
    got = [_call(function, example) for example in data.examples]
    wrong = [(i, differences(g, want, data.returns)) for i, (g, want) in enumerate(zip(got, data.answers, strict=True))]
    wrong = [(i, lines) for i, lines in wrong if lines]
    if not wrong:
        return
    if all(isinstance(g, NotImplementedError) for g in got):
        raise got[0]
    i, lines = wrong[0]
    error = got[i]
    if isinstance(error, Exception):
        lines = _describe(error).splitlines()
    message = [f"example {i + 1} of {len(got)} ({_shapes(data.examples[i])}):", *lines[:SHOWN]]
    if len(lines) > SHOWN:
        message.append(f"and {len(lines) - SHOWN} more")
    message += _diagnoses(got, i, data)
    raise CheckFailed("\n".join(message))


def _diagnoses(got: list[Any], i: int, data: CheckData) -> list[str]:
    """What the answers are most like: a known mistake on all examples, or failing that on the one shown.

    The second is what two mistakes at once look like: each shows alone where the other makes no difference.
    """
    causes = [m.says for m in data.misconceptions if all(map(_matches, got, m.answers))]
    if causes:
        return [f"Likely cause: {cause}" for cause in causes]
    alike = [m.says for m in data.misconceptions if _matches(got[i], m.answers[i])]
    return (
        [f"On this example the answer is what this mistake gives: {says}" for says in alike] if len(alike) <= 2 else []
    )


def _matches(got: Any, fingerprint: Any) -> bool:
    if isinstance(got, Exception):
        return isinstance(fingerprint, dict) and fingerprint == {"raises": type(got).__name__}
    return same(got, fingerprint)


def _call(function: Callable[..., Any], example: tuple[Any, ...]) -> Any:
    """The answer, or the exception in its place."""
    try:
        return function(*map_arrays(example, np.copy))
    except Exception as error:
        return error


def _inputs_kept(function: Callable[..., Any], data: CheckData) -> None:
    for i, example in enumerate(data.examples):
        arguments = map_arrays(example, np.copy)
        function(*arguments)
        changed = differences(arguments, example, tuple(f"argument {n + 1}" for n in range(len(example))))
        expect(
            not changed,
            f"on example {i + 1} the function writes into what it was given:\n" + "\n".join(changed[:SHOWN]) + "\n"
            "The caller still needs that array. Compute a new one (a = a + b) instead of changing it (a += b).",
        )


def _repeatable(function: Callable[..., Any], data: CheckData) -> None:
    for example in data.examples:
        first = function(*map_arrays(example, np.copy))
        if not _is_plain(first):
            continue  # no worked example has such an answer: the first check has told
        first = map_arrays(first, np.copy)  # a buffer that the function uses again would change with it
        for other in data.examples:
            function(*map_arrays(other, np.copy))
        lines = differences(function(*map_arrays(example, np.copy)), first, data.returns)
        expect(not lines, "the same arguments give another answer the second time:\n" + "\n".join(lines[:SHOWN]))


def _float32_kept(function: Callable[..., Any], data: CheckData) -> None:
    def to32(a: np.ndarray) -> np.ndarray:
        return a.astype(np.float32) if a.dtype == np.float64 else a.copy()

    got = function(*map_arrays(data.examples[0], to32))
    dtypes = {str(leaf.dtype) for leaf in _leaves(got) if _is_float_array(leaf)}
    expect(
        dtypes <= {"float32"}, f"from float32 inputs come arrays of {', '.join(sorted(dtypes))}; expected float32 only"
    )


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, tuple | list):
        return [leaf for item in value for leaf in _leaves(item)]
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in _leaves(item)]
    return [value]


def _is_float_array(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"


def _is_plain(value: Any) -> bool:
    return all(
        isinstance(leaf, np.ndarray | bool | int | float | str | np.generic | type(None)) for leaf in _leaves(value)
    )


def _shapes(example: tuple[Any, ...]) -> str:
    return ", ".join(_shape(argument) for argument in example)


def _shape(value: Any, depth: int = 0) -> str:
    """What an argument is, in a few words: shapes of its arrays, two levels deep."""
    if isinstance(value, np.ndarray):
        return f"array {value.shape}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k} {_entry(v, depth)}" for k, v in value.items()) + "}"
    if isinstance(value, tuple | list):
        if depth == 2:
            return f"a {type(value).__name__} of {len(value)}"
        parts = [_shape(item, depth + 1) for item in value[:4]]
        return "(" + ", ".join(parts) + (", ..." if len(value) > 4 else "") + ")"
    name = getattr(value, "__name__", None)
    return name or (str(value)[:20] if depth else repr(value))


def _entry(value: Any, depth: int) -> str:
    """A dict's entry: the shape alone of an array, a dict in a dict likewise, anything else as it is."""
    if isinstance(value, np.ndarray):
        return str(value.shape)
    return _shape(value, depth + 1) if isinstance(value, dict | tuple | list) else str(value)


# --- hidden tests


def compare_all(
    exercise: str,
    function: Callable[..., Any],
    inputs: Callable[[np.random.Generator], Iterable[tuple[Any, ...]]],
    oracle: Callable[..., Any],
    seeds: Iterable[int],
) -> None:
    """Hold a function against an independent answer on fresh inputs; raise CheckFailed at the first difference."""
    record = find(exercise)
    names = load_one(record).returns
    compared = 0
    for seed in seeds:
        for arguments in inputs(np.random.default_rng(seed)):
            want = oracle(*map_arrays(arguments, np.copy))
            got = function(*map_arrays(arguments, np.copy))
            lines = differences(got, want, names)
            expect(not lines, f"{record.id}: on fresh inputs ({_shapes(arguments)}):\n" + "\n".join(lines[:SHOWN]))
            compared += 1
    expect(compared > 0, f"{record.id}: nothing was compared; there are no inputs or no seeds")
    print(f"{record.id}: {compared} fresh inputs, all as expected")
