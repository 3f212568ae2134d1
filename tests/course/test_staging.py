"""Staged libraries: the reference with the graded functions taken out, from some chapter on."""

import ast
import importlib
import inspect
from pathlib import Path

import pytest
from toy_course import ROOT, exercises, library_at

from course.exercises import catalogue, chapter_number
from course.library import functions, is_stub, replace_lines, split_lines, stage, stage_source, staged_files

CHAPTERS = range(19)  # one before the first, one after the last


@pytest.fixture(params=["toy", "real"])
def staged(request, toy_repository):
    """The exercises and the reference of the toy course, and those of the real one, whatever there is by now."""
    if request.param == "toy":
        return exercises(), toy_repository / "rnnlib"
    return list(catalogue().values()), ROOT / "rnnlib"


def texts(chapter: int, found, library: Path) -> dict[str, str]:
    return {str(path): text for path, text in staged_files(chapter, found, library)}


def module_file(exercise) -> str:
    return exercise.module.removeprefix("rnnlib.").replace(".", "/") + ".py"


def test_graded_functions_from_the_chapter_on_are_stubs_and_all_else_is_the_reference(staged):
    """For every chapter k and every function, letter by letter."""
    found, library = staged
    todo = {(module_file(e), e.name): e for e in found if e.implements}
    for k in CHAPTERS:
        for name, text in texts(k, found, library).items():
            reference = (library / name).read_text(encoding="utf-8")
            ours, theirs = functions(text), functions(reference)
            assert list(ours) == list(theirs)
            remainder = [text, reference]
            for function in theirs:
                exercise = todo.get((name, function))
                if exercise is None or chapter_number(exercise.slug) < k:
                    assert ours[function].lines == theirs[function].lines
                    continue
                assert is_stub(ours[function].node), f"{exercise.id} at chapter {k}"
                assert ours[function].body == [
                    f'    raise NotImplementedError("Exercise {exercise.id} is not written yet")'
                ]
                assert ours[function].header == theirs[function].header
                remainder[0] = remainder[0].replace("\n".join(ours[function].lines), function)
                remainder[1] = remainder[1].replace("\n".join(theirs[function].lines), function)
            assert remainder[0] == remainder[1]


def test_docstrings_and_signatures_are_kept(staged):
    """What a learner reads before she writes is what the reference says."""
    found, library = staged
    for name, text in texts(0, found, library).items():
        reference = functions((library / name).read_text(encoding="utf-8"))
        for function in functions(text).values():
            assert ast.get_docstring(function.node) == ast.get_docstring(reference[function.name].node)
            assert function.signature == reference[function.name].signature


def test_staged_modules_can_be_imported_and_stubs_name_their_exercise(staged, tmp_path):
    """Every module of every stage; a stub that is called says which exercise it is."""
    found, library = staged
    for k in sorted({0, *(chapter_number(e.slug) for e in found), 99}):
        folder = stage(k, tmp_path / str(k), found, library)
        with library_at(folder.parent):
            for path in folder.rglob("*.py"):
                importlib.import_module("rnnlib" + ("" if path.stem == "__init__" else f".{path.stem}"))
            for exercise in found:
                if exercise.implements and chapter_number(exercise.slug) >= k:
                    stub = getattr(importlib.import_module(exercise.module), exercise.name)
                    required = [
                        p for p in inspect.signature(stub).parameters.values() if p.default is p.empty and p.kind < 2
                    ]
                    with pytest.raises(NotImplementedError, match=f"Exercise {exercise.id} is not written yet"):
                        stub(*[None] * len(required))


def test_staging_again_changes_nothing(staged, tmp_path):
    """Twice into one folder, and a stage of a stage, are the stage."""
    found, library = staged
    for k in (1, 2, 4):
        once = texts(k, found, library)
        folder = stage(k, tmp_path / str(k), found, library)
        stage(k, tmp_path / str(k), found, library)
        assert {str(p.relative_to(folder)): p.read_text(encoding="utf-8") for p in folder.rglob("*.py")} == once
        assert texts(k, found, folder) == once
        assert texts(0, found, folder) == texts(0, found, library)


def test_the_toy_course_has_something_to_stage(staged):
    """The tests above look at real stubs, and after the last chapter the library is the reference."""
    found, library = staged
    whole = {str(p.relative_to(library)): p.read_text(encoding="utf-8") for p in library.rglob("*.py")}
    there, last = texts(99, found, library), {exercise.slug for exercise in found}
    assert there == {name: whole[name] for name in there}
    for name in whole.keys() - there.keys():
        assert not any(f"Chapter: {slug}" in whole[name].split('"""')[1] for slug in last), name
    assert {f"{exercise.module.split('.')[-1]}.py" for exercise in found if exercise.implements} <= there.keys()
    if [e for e in found if e.implements]:
        assert texts(0, found, library) != whole


SHAPES = {
    "no docstring": "def double(x):\n    y = x\n    return y\n",
    "one line": 'def double(x):\n    """Twice."""\n    return 2 * x\n',
    "long signature": 'def double(\n    x,\n):\n    """Twice.\n\n    More."""\n    return 2 * x\n',
    "decorated": '@a\n@b(\n    1\n)\ndef double(x):\n    """Twice."""\n\n    # why\n\n    return 2 * x\n',
    "form feed": '\x0c\nX = "\u2028"  # \x85\n\ndef double(x):\n    """Twice."""\n    return 2 * x\n',
    "last without newline": 'def double(x):\n    """Twice."""\n    return 2 * x',
}


@pytest.mark.parametrize("source", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_any_shape_of_function_is_taken_out(source, end):
    """Nothing of the body is left, nothing outside it is lost."""
    exercise = exercises()[0]
    before = f"import os\n{source}".replace("\n", end)
    after = stage_source(before, {"double": exercise})
    body = end.join(functions(before)["double"].body)
    assert after == before[: before.rindex(body)] + f"    {exercise.stub}{end}"
    assert is_stub(functions(after)["double"].node)


def test_lines_are_counted_as_python_counts_them():
    """Only line feeds and carriage returns end a line; `splitlines` has other ideas."""
    text = "a\x0cb\x0b\x1c\x1d\x1e\x85\u2028\u2029c\r\nd\ne\rf"
    assert split_lines(text) == ["a\x0cb\x0b\x1c\x1d\x1e\x85\u2028\u2029c", "d", "e", "f"]
    assert "".join(split_lines(text, keepends=True)) == text
    assert replace_lines(text, 2, 2, ["D"]) == text.replace("d\n", "D\r\n")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def f():\n    raise NotImplementedError", True),
        ('def f():\n    "doc"\n    raise NotImplementedError("x")', True),
        ("def f():\n    raise NotImplementedError\n    return 1", False),
        ("def f():\n    pass", False),
        ("def f():\n    'doc'", False),
        ("def f():\n    raise ValueError", False),
        ("def f():\n    raise", False),
        ("def f():\n    return NotImplementedError", False),
        ("def f():\n    if 1:\n        raise NotImplementedError", False),
    ],
)
def test_what_a_stub_is(source, expected):
    """Nothing but the one statement after the docstring."""
    assert is_stub(functions(source)["f"].node) is expected
