"""`%%implement` on a function that is all right: in the session, on disk, and what else in the cell becomes of it."""

import errno
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from toy_course import ANSWERS, LIBRARY, SUMS, library_at

from course import implement as tool
from course.implement import MARKER, implement, use_chapter
from course.library import functions

NEW = "def double(x):\n    return 2 * x\n"
X = np.array([1.0, 2.0])


def double_replaced(text: str, new: str) -> str:
    """The text with the function `double` (not what stands above it) replaced, cut out by hand."""
    end = "\r\n" if "\r\n" in text else "\n"
    first, after = text.index("def double"), text.index(f"{end}{end}{end}def _check")
    return text[:first] + new.strip("\n").replace("\n", end) + text[after:]


# --- in the session


def test_function_is_installed_wherever_the_old_one_was(desk):
    """The module, every rnnlib module that had imported it under any name, and the notebook have the new function."""
    said = desk.implement("sums.double", NEW)
    new = desk.names["double"]
    assert new(X).tolist() == [2, 4]
    assert desk.module("sums").double is new
    assert desk.module("cells").double is new
    assert desk.module("chain").twice is new
    assert new.__module__ == "rnnlib.sums"
    assert said == "rnnlib.sums.double is yours now and saved in rnnlib/sums.py."


def test_a_second_version_takes_the_place_of_the_first_everywhere(desk):
    """What was installed once is found again when it is replaced."""
    desk.implement("sums.double", NEW)
    desk.implement("sums.double", "def double(x):\n    return x * 5\n")
    assert desk.module("chain").twice(X).tolist() == [5, 10]
    assert desk.names["double"] is desk.module("cells").double


def test_a_bare_cell_hands_out_what_the_module_has(desk):
    """Without a body the function is the module's, and nothing is written."""
    desk.implement("sums.double", NEW)
    before, mine = desk.files(), desk.names.pop("double")
    assert desk.implement("sums.double", "\n  \n") == "rnnlib.sums.double as it is."
    assert desk.names["double"] is mine
    assert desk.files() == before


def test_the_function_may_have_types_defaults_decorators_and_inner_functions(desk):
    """The signature is compared by names and defaults alone; decorators are saved with the function."""
    cell = (
        "@np.vectorize\n"
        "def scale(x: np.ndarray, factor: float = 3.5) -> np.ndarray:\n"
        "    def inner(y):\n        return y * factor\n"
        "    class Local:\n        a = 1\n        b = a + 1\n"
        "    return inner(x) * Local.b\n"
    )
    assert "is yours now" in desk.implement("sums.scale", cell)
    assert "@np.vectorize\ndef scale(x: np.ndarray" in desk.text("sums")
    assert desk.names["scale"](X).tolist() == [7, 14]


# --- on disk


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda t: t, id="as released"),
        pytest.param(lambda t: t.replace("\n", "\r\n"), id="CRLF"),
        pytest.param(lambda t: t.rstrip("\n"), id="no newline at the end"),
        pytest.param(lambda t: t + "\n\n\n", id="empty lines at the end"),
        pytest.param(lambda t: t.replace("TOL = 1e-9", "TOL = 1e-9  # a\u2028b \x85 c\x0b"), id="odd line separators"),
        pytest.param(lambda t: t.replace("TOL = 1e-9", "\x0cTOL = 1e-9"), id="form feed"),
        pytest.param(lambda t: t.replace("TOL = 1e-9", "été = 'Ж'\nTOL = 1e-9"), id="letters of other scripts"),
        pytest.param(lambda t: t.replace("\n", "\t \n", 1), id="trailing blanks"),
    ],
)
def test_all_else_in_the_file_stays_to_the_byte(desk, change):
    """The stub's lines are replaced; not a byte before or after them is."""
    before = change(desk.text("sums"))
    desk.file("sums").write_bytes(before.encode())
    desk.implement("sums.double", NEW)
    assert desk.text("sums") == double_replaced(before, NEW)


def test_a_last_function_without_newline_is_replaced_whole(desk):
    """At the very end of a file that has no last newline, too."""
    before = desk.text("sums").rstrip("\n")
    desk.file("sums").write_bytes(before.encode())
    desk.implement("sums.scale", ANSWERS["scale"])
    assert desk.text("sums") == before[: before.index("def scale")] + ANSWERS["scale"]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_function_that_the_file_lacks_is_added_at_its_end(desk, end):
    """A learner may have deleted the stub: then the answer comes last, and the file's line ends are kept."""
    before = double_replaced(desk.text("sums"), "").replace("\n", end)
    desk.file("sums").write_bytes(before.encode())
    desk.implement("sums.double", NEW)
    assert desk.text("sums") == before + f"{end}{end}{NEW}".replace("\r\n", "\n").replace("\n", end)


def test_what_is_on_disk_is_what_the_session_has(desk):
    """The next notebook, and pytest, import the same function."""
    desk.implement("sums.double", NEW)
    desk.implement("cells.cell_step", ANSWERS["cell_step"])
    with library_at(desk.root):
        from rnnlib.chain import twice

        assert twice(X).tolist() == [2, 4]
    changed = {name for name, content in desk.files().items() if content != desk_start(desk)[name]}
    assert changed == {"rnnlib/sums.py", "rnnlib/cells.py"}


def desk_start(desk):
    from course.workspace import _kit_files

    return {str(path): content for path, content in _kit_files()}


def test_the_file_keeps_its_mode(desk):
    """Rights on the file are as they were."""
    desk.file("sums").chmod(0o640)
    desk.implement("sums.double", NEW)
    assert desk.file("sums").stat().st_mode & 0o777 == 0o640


# --- atomic


def _full(*_args, **_kwargs):
    raise OSError(errno.ENOSPC, "No space left on device")


def _forbidden(*_args, **_kwargs):
    raise PermissionError(errno.EACCES, "Permission denied")


@pytest.mark.parametrize(
    ("module", "name", "fault", "words"),
    [
        (os, "replace", _full, "No space left on device"),
        (os, "fsync", _full, "No space left on device"),
        (tempfile, "mkstemp", _forbidden, "Permission denied"),
    ],
    ids=["disk full at the last step", "disk full while writing", "folder not writable"],
)
def test_a_write_that_fails_leaves_the_file_whole_and_is_told(desk, monkeypatch, module, name, fault, words):
    """The old text stays, no temporary file is left, the sentence says that it could not be saved, and why."""
    before = desk.files()
    monkeypatch.setattr(module, name, fault)
    said = desk.implement("sums.double", NEW)
    assert "for this session, but could not be saved in rnnlib/sums.py" in said
    assert words in said
    assert desk.files() == before
    assert desk.names["double"](X).tolist() == [2, 4]


def test_a_kernel_interrupted_while_writing_leaves_the_file_whole(desk, monkeypatch):
    """Not only errors: whatever ends the write, the file has its old text."""

    def interrupt(*_args):
        raise KeyboardInterrupt

    before = desk.files()
    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        desk.implement("sums.double", NEW)
    assert desk.files() == before


def test_no_temporary_file_is_left(desk):
    """After a success the folder holds the same files as before."""
    before = set(desk.files())
    desk.implement("sums.double", NEW)
    assert set(desk.files()) == before


# --- helpers, imports, constants, comments

WITH_HELPERS = """import math

FACTOR = 2.0


# Why this helper: a remark.
def _grow(x):
    return FACTOR * x


# About the function itself.
def double(x):
    return _grow(x) + math.sin(0)


print("trial:", double(np.array([1.0])))
"""


def test_helpers_imports_and_constants_are_saved_as_a_block(desk):
    """They stand with the function between two marks, comments above them kept, the trial call left out."""
    before = desk.text("sums")
    desk.implement("sums.double", WITH_HELPERS)
    begin, end = "# 01-one/double: begin\n", "# 01-one/double: end"
    text = desk.text("sums")
    block = text[text.index(begin) : text.index(end) + len(end)]
    for part in (
        "import math",
        "FACTOR = 2.0",
        "# Why this helper: a remark.\ndef _grow",
        "# About the function itself.\ndef",
    ):
        assert part in block
    assert "trial" not in text
    assert text == double_replaced(before, block)
    with library_at(desk.root):
        from rnnlib.chain import twice

        assert twice(X).tolist() == [2, 4]


def test_helpers_are_in_the_notebook_too(desk):
    """A cell that runs defines its names, as any cell does."""
    desk.implement("sums.double", WITH_HELPERS)
    assert desk.names["_grow"] is desk.module("sums")._grow
    assert desk.names["FACTOR"] == 2.0
    assert desk.names["math"] is sys.modules["math"]


@pytest.mark.parametrize(
    "cell",
    [
        pytest.param(NEW, id="function alone"),
        pytest.param("# A thought.\n# And another.\n" + NEW, id="comments above"),
        pytest.param(WITH_HELPERS, id="helpers"),
        pytest.param("import numpy as np\n" + NEW, id="an import that the module has"),
    ],
)
def test_running_a_cell_three_times_is_running_it_once(desk, cell):
    """The file does not grow, the comments do not pile up, and no history is made of equal answers."""
    desk.implement("sums.double", cell)
    once = desk.files()
    for _ in range(2):
        desk.implement("sums.double", cell)
    assert desk.files() == once
    for line in cell.splitlines():
        if line.startswith("#"):
            assert desk.text("sums").count(line) == 1


@pytest.mark.parametrize(
    "later", [NEW, WITH_HELPERS.replace("_grow", "_swell")], ids=["without helpers", "other helpers"]
)
@pytest.mark.parametrize("new_session", [False, True], ids=["same session", "new session"])
def test_running_again_replaces_the_block(desk, later, new_session):
    """The old helpers go with the old answer, from the file and from the session."""
    start = desk.text("sums")
    desk.implement("sums.double", WITH_HELPERS)
    if new_session:
        use_chapter("01-one")
    desk.implement("sums.double", later)
    text = desk.text("sums")
    assert "_grow" not in text
    assert not hasattr(desk.module("sums"), "_grow")
    assert text.count("def double") == 1
    again = double_replaced(start, "@")
    assert text.startswith(again[: again.index("@")])
    assert text.endswith(again[again.index("@") + 1 :])


@pytest.mark.parametrize("new_session", [False, True], ids=["same session", "new session"])
def test_own_constants_and_imports_may_change(desk, new_session):
    """A constant or an import that an earlier version of this answer brought is this answer's to change."""
    desk.implement("sums.double", WITH_HELPERS)
    if new_session:
        use_chapter("01-one")
    desk.implement("sums.double", WITH_HELPERS.replace("2.0", "4.0").replace("import math", "import cmath as math"))
    assert desk.names["double"](X).tolist() == [4, 8]


def test_a_helper_that_is_gone_from_the_cell_cannot_be_used_any_more(desk):
    """Else the function would work until the kernel stops, and never again."""
    desk.implement("sums.double", WITH_HELPERS)
    before = desk.files()
    with pytest.raises(tool.Refused, match="_grow"):
        desk.implement("sums.double", "def double(x):\n    return _grow(x)\n")
    assert desk.files() == before
    assert desk.names["double"](X).tolist() == [2, 4]


# --- trial code


def test_trial_code_runs_in_the_notebook_and_is_not_saved(desk, capsys):
    """It sees the notebook's names, defines names there, and stays out of the library."""
    desk.names["mine"] = 20.0
    desk.implement("sums.double", NEW + "\nresult = double(mine)\nprint('result', result)\n")
    assert capsys.readouterr().out == "result 40.0\n"
    assert desk.names["result"] == 40
    assert "result" not in desk.text("sums")
    assert not hasattr(desk.module("sums"), "result")


def test_an_error_of_trial_code_is_shown_and_the_function_stays(desk, capsys):
    """The error comes as it is; that the function is saved is told before."""
    with pytest.raises(ZeroDivisionError):
        desk.implement("sums.double", NEW + "\n1 / 0\n")
    assert NEW in desk.text("sums")
    assert desk.names["double"](X).tolist() == [2, 4]
    assert "rnnlib.sums.double is yours now and saved in rnnlib/sums.py." in capsys.readouterr().out


# --- the stub, and history


def stub(desk) -> str:
    return "\n".join(functions(SUMS)["double"].header) + '\n    raise NotImplementedError("Exercise 01-one/double")\n'


def test_the_stub_never_takes_the_place_of_an_answer(desk):
    """Opening the notebook again and running it from the top keeps what was written."""
    desk.implement("sums.double", NEW)
    before, mine = desk.files(), desk.names.pop("double")
    said = desk.implement("sums.double", stub(desk))
    assert "not written yet" in said
    assert "stays as it is" in said
    assert desk.names["double"] is desk.module("sums").double is mine
    assert desk.files() == before


def test_the_stub_never_takes_the_place_of_an_answer_of_this_session(toy, capsys):
    """Without a workspace as well."""
    use_chapter("01-one")
    names = {}
    implement("rnnlib.sums.double", NEW, names)
    mine = names.pop("double")
    assert "stays as it is" in implement("rnnlib.sums.double", "def double(x):\n    raise NotImplementedError\n", names)
    assert names["double"] is mine is sys.modules["rnnlib.sums"].double


def test_the_stub_alone_says_that_nothing_is_written(desk):
    """And the notebook has a function that says so when it is called."""
    before = desk.files()
    assert desk.implement("sums.double", stub(desk)) == "rnnlib.sums.double is not written yet."
    with pytest.raises(NotImplementedError, match="01-one/double"):
        desk.names["double"](X)
    assert desk.files() == before


def history(desk) -> list[str]:
    return [path.read_text() for path in sorted((desk.root / ".history").glob("01-one--double-*.py"))]


def test_replaced_answers_are_kept_in_order(desk):
    """Every answer that another one replaced can be read in `.history`, helpers and all."""
    versions = [NEW.replace("2", str(i)) for i in (1, 2)] + [WITH_HELPERS, NEW]
    for version in versions:
        desk.implement("sums.double", version)
    kept = history(desk)
    assert kept[:2] == versions[:2]
    assert len(kept) == 3
    for part in ("import math", "FACTOR = 2.0", "def _grow", "# About the function itself."):
        assert part in kept[2]


def test_history_is_not_written_over_when_some_of_it_was_deleted(desk):
    """A new entry never takes the name of one that is there."""
    for i in (1, 2, 3):
        desk.implement("sums.double", NEW.replace("2", str(i)))
    (desk.root / ".history" / "01-one--double-001.py").unlink()
    desk.implement("sums.double", NEW.replace("2", "9"))
    assert history(desk) == [NEW.replace("2", "2"), NEW.replace("2", "3")]


# --- no workspace


def test_without_a_workspace_nothing_is_written(toy, tmp_path, capsys):
    """The temporary library, and the reference, stay as they are; the function is there for this session."""
    use_chapter("01-one")
    names = {}
    assert implement("rnnlib.sums.double", NEW, names) == "rnnlib.sums.double is yours now for this session."
    assert names["double"](X).tolist() == [2, 4]
    assert "2 * x" not in Path(sys.modules["rnnlib.sums"].__file__).read_text()
    assert list(tmp_path.iterdir()) == []


def test_a_grading_folder_is_not_written(desk):
    """A staged library beside the notebook without the workspace's mark: session only."""
    (desk.root / MARKER).unlink()
    use_chapter("01-one")
    before = desk.files()
    assert desk.implement("sums.double", NEW).endswith("for this session.")
    assert desk.files() == before


def test_the_reference_is_never_written(toy, monkeypatch):
    """Even where the reference itself is what `import rnnlib` finds."""
    monkeypatch.syspath_prepend(str(toy))
    names = {}
    before = {name: (toy / "rnnlib" / name).read_bytes() for name in LIBRARY}
    assert implement("rnnlib.sums.double", NEW.replace("2", "7"), names).endswith("for this session.")
    assert sys.modules["rnnlib.sums"].__file__ == str(toy / "rnnlib" / "sums.py")
    assert {name: (toy / "rnnlib" / name).read_bytes() for name in LIBRARY} == before
