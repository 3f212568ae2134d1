"""`%%implement rnnlib.module.function`: the cell's function becomes part of the library.

The function is run in the module it belongs to, every place in `rnnlib` that used the old one gets the new
one, and in a learner's workspace its source takes the old one's place in the module's file. Whatever is
wrong with it is said in a sentence, and then nothing at all has changed. `%chapter NN-slug` says first
which `rnnlib` the notebook works on.
"""

import ast
import atexit
import builtins
import contextlib
import dis
import importlib
import os
import re
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from course.exercises import Exercise, catalogue, chapter_number, implementing
from course.library import append_lines, functions, is_stub, reference, replace_lines, signature_of, split_lines, stage

MARKER = "course.json"  # the file that makes a folder a learner's workspace
_HELPERS = "__implemented__"  # in a module: the names that each exercise's cell brought along in this session
_MAGIC = re.compile(r"\s*[%!]|.*=\s*[%!]|.*\?\s*$")

__all__ = ["MARKER", "Refused", "implement", "keep_history", "register", "write_atomically"]


class Refused(Exception):
    """The cell cannot become part of the library; the message says why, and nothing has changed."""

    def _render_traceback_(self) -> list[str]:
        return [f"Not implemented: {line}" if i == 0 else line for i, line in enumerate(str(self).splitlines())]


def register(shell: Any) -> None:
    """Install the magics in an IPython shell."""
    shell.register_magic_function(lambda line: use_chapter(line.strip()), "line", "chapter")
    shell.register_magic_function(lambda line, cell="": _magic(shell, line, cell), "line_cell", "implement")
    shell.input_transformers_cleanup.append(_bare_cell_as_line)


def _bare_cell_as_line(lines: list[str]) -> list[str]:
    """`%%implement name` with nothing below it means the function as it is; IPython knows that as a line magic."""
    if lines and lines[0].startswith("%%implement") and not "".join(lines[1:]).strip():
        return [lines[0][1:]]
    return lines


# --- which rnnlib


class NoSuchChapter(ValueError):
    """The chapter that a notebook names does not exist; the message says which do."""

    def _render_traceback_(self) -> list[str]:
        return str(self).splitlines()


def use_chapter(slug: str) -> None:
    """Make sure that `import rnnlib` means the right one here, and say which it is.

    The `rnnlib` folder beside the notebook if there is one (a learner's workspace, a grading folder); else
    a temporary one in which everything before this chapter is filled in and this chapter is not.
    """
    known = sorted({exercise.slug for exercise in catalogue().values()})
    if slug not in known:
        raise NoSuchChapter(f"{slug!r} is not a chapter with exercises; there are: {', '.join(known)}")
    number = chapter_number(slug)
    beside = Path.cwd() / "rnnlib"
    saved = (beside.parent / MARKER).exists()
    if beside.is_dir() and (saved or not _is_reference(beside)):
        folder = beside.parent
    else:
        folder = Path(tempfile.mkdtemp(prefix="rnnlib-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        stage(number, folder, catalogue().values())
    for name in [name for name in sys.modules if name == "rnnlib" or name.startswith("rnnlib.")]:
        del sys.modules[name]
    sys.path[:] = [str(folder), *(entry for entry in sys.path if entry != str(folder))]
    importlib.invalidate_caches()
    if saved:
        print(f"Chapter {slug}. What you implement is saved in {folder.name}/rnnlib.")
    else:
        print(
            f"Chapter {slug}. What you implement lives until the kernel stops; earlier chapters are filled in.\n"
            "To keep it, work in a folder made by `course start`."
        )


def _is_reference(folder: Path) -> bool:
    """A notebook opened at the top of a checkout must not find the answers there."""
    with contextlib.suppress(FileNotFoundError):
        return folder.resolve() == reference().resolve()
    return False


def _workspace_of(module: ModuleType) -> Path | None:
    """The learner's workspace that a module's file lies in, or None."""
    file = Path(module.__file__ or "")
    root = file.parent.parent
    return root if file.parent.name == "rnnlib" and (root / MARKER).exists() else None


# --- the magic


def _magic(shell: Any, line: str, cell: str) -> None:
    cell = "\n" + cell  # the magic's own line, so that lines are counted as the notebook shows them
    filename = shell.compile.cache(cell, shell.execution_count)
    print(implement(line.strip(), cell, shell.user_ns, filename))


def implement(full_name: str, cell: str, user_ns: dict[str, Any], filename: str = "<cell>") -> str:
    """Make the cell's function the library's; return the sentence that says what happened, or raise Refused."""
    exercise, module = _target(full_name)
    if not cell.strip():
        user_ns[exercise.name] = getattr(module, exercise.name)
        return f"{full_name} as it is."
    parsed = _parse(exercise, cell, filename)
    _refuse_circles(module, parsed)
    _refuse_names(exercise, module, parsed)
    if is_stub(parsed.function):
        return _keep_what_is_there(exercise, module, parsed, user_ns)
    undo = _install(exercise, module, parsed)
    said = f"{full_name} is yours now{_save(exercise, module, parsed, undo)}."
    user_ns.update({name: vars(module)[name] for name in parsed.names})
    try:
        _run_rest(parsed, user_ns, filename)
    except BaseException:
        print(said)  # before the error of the trial code, which is shown as usual
        raise
    return said


@dataclass(frozen=True)
class _Cell:
    """A cell taken apart: what becomes part of the library, and what only runs here."""

    text: str
    function: ast.FunctionDef
    library: list[ast.stmt]  # the function, its helpers, imports
    rest: list[ast.stmt]
    filename: str

    @property
    def names(self) -> list[str]:
        """The names that the library part defines."""
        return _defined(self.library)

    def lines(self, node: ast.stmt) -> list[str]:
        decorators = getattr(node, "decorator_list", [])
        first = min([node.lineno, *(d.lineno for d in decorators)])
        above = first - 1
        lines = split_lines(self.text)
        while above > 0 and lines[above - 1].startswith("#"):  # comments that stand right above belong to it
            above -= 1
        return lines[above : node.end_lineno]


def _defined(nodes: Iterable[ast.stmt]) -> list[str]:
    """The names that functions, imports and assignments give a meaning."""
    found = []
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.append(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found += [(alias.asname or alias.name).partition(".")[0] for alias in node.names]
        else:
            found += [n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
    return found


def _target(full_name: str) -> tuple[Exercise, ModuleType]:
    exercise = implementing(full_name)
    if exercise is None:
        close = [e.implements for e in catalogue().values() if e.implements and e.name == full_name.rpartition(".")[2]]
        hint = f" Did you mean {close[0]}?" if close else ""
        raise Refused(f"{full_name or '(no name)'} is not a function that an exercise asks for.{hint}")
    try:
        return exercise, importlib.import_module(exercise.module or "")
    except SyntaxError as error:
        raise _unreadable(Path(error.filename or _file_name(exercise)).name, error) from None
    except Exception as error:
        if isinstance(error, ValueError) and "null bytes" in str(error):  # a SyntaxError from Python 3.11.4 on
            raise _unreadable(_file_name(exercise), error) from None
        if isinstance(error, ModuleNotFoundError) and error.name == exercise.module:
            name = _file_name(exercise)
            raise Refused(f"rnnlib/{name} is missing. `course start` on this folder writes it anew.") from None
        frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).parent.name == "rnnlib"]
        where = f"{Path(frames[-1].filename).name}, line {frames[-1].lineno}," if frames else _file_name(exercise)
        raise Refused(f"rnnlib/{where} cannot be imported: {type(error).__name__}: {error}. Mend that first.") from None


def _file_name(exercise: Exercise) -> str:
    return f"{(exercise.module or '').rpartition('.')[2]}.py"


def _unreadable(name: str, error: Exception) -> Refused:
    if isinstance(error, UnicodeDecodeError):
        return Refused(f"rnnlib/{name} cannot be read: it is not UTF-8 text. Save it as UTF-8 first.")
    line = getattr(error, "lineno", None)
    where = f", line {line}" if line else ""
    return Refused(f"rnnlib/{name} cannot be read{where}: {getattr(error, 'msg', error)}. Mend that line first.")


def _parse(exercise: Exercise, cell: str, filename: str) -> _Cell:
    try:
        tree = ast.parse(cell, filename)
        compile(tree, filename, "exec")  # finds what parsing alone does not, such as a `return` outside the function
    except (SyntaxError, ValueError) as error:
        raise _not_python(cell, error) from None
    found = [n for n in tree.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef) and n.name == exercise.name]
    if len(found) != 1:
        defined = ", ".join(n.name for n in tree.body if isinstance(n, ast.FunctionDef)) or "no function"
        raise Refused(
            f"the cell defines {exercise.name} {len(found)} times; once is right."
            if found
            else f"the cell defines {defined}, not {exercise.name}."
        )
    if isinstance(found[0], ast.AsyncFunctionDef):
        raise Refused(f"{exercise.name} is an async function; a plain `def` is asked for.")
    signature = signature_of(found[0])
    if exercise.signature and signature != exercise.signature:
        raise Refused(f"{exercise.name} takes ({_show(signature)}); it must take ({_show(exercise.signature)}).")
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
            raise Refused(f"`from {node.module} import *` hides what it brings; import the names that you use.")
    kinds = ast.FunctionDef | ast.Import | ast.ImportFrom
    library = [node for node in tree.body if isinstance(node, kinds) or _is_constant(node)]
    return _Cell(cell, found[0], library, [node for node in tree.body if node not in library], filename)


def _not_python(cell: str, error: SyntaxError | ValueError) -> Refused:
    number = getattr(error, "lineno", None)
    if number is None:
        return Refused(f"this is not Python: {error}")
    line = "".join(split_lines(cell)[number - 1 : number]).rstrip()
    hint = "\nA line for the notebook itself (%, !, ?) needs a cell of its own." if _MAGIC.match(line) else ""
    return Refused(f"line {number} is not Python: {getattr(error, 'msg', error)}\n    {line}{hint}")


def _is_constant(node: ast.stmt) -> bool:
    """An assignment like `EPS = 1e-5`: capital letters and a literal."""
    if not (isinstance(node, ast.Assign) and all(isinstance(t, ast.Name) and t.id.isupper() for t in node.targets)):
        return False
    with contextlib.suppress(ValueError):
        ast.literal_eval(node.value)
        return True
    return False


def _show(signature: list[str]) -> str:
    return ", ".join(name.replace("=", "=...") for name in signature)


def _keep_what_is_there(exercise: Exercise, module: ModuleType, cell: _Cell, user_ns: dict[str, Any]) -> str:
    """A cell that is still the stub never takes the place of an answer."""
    if exercise.id in vars(module).get(_HELPERS, {}) or _written_on_disk(exercise, module):
        user_ns[exercise.name] = getattr(module, exercise.name)
        return f"This cell is not written yet; {exercise.implements} in your library stays as it is."
    _install(exercise, module, cell)
    del vars(module)[_HELPERS][exercise.id]
    user_ns[exercise.name] = vars(module)[exercise.name]
    return f"{exercise.implements} is not written yet."


def _written_on_disk(exercise: Exercise, module: ModuleType) -> bool:
    if _workspace_of(module) is None or not hasattr(module, exercise.name):
        return False
    with contextlib.suppress(OSError, SyntaxError, ValueError):
        function = functions(_text_of(module)).get(exercise.name)
        return function is not None and not is_stub(function.node)
    return False


def _refuse_names(exercise: Exercise, module: ModuleType, cell: _Cell) -> None:
    """Helpers may have any name that is not another exercise's, nor Python's."""
    for name in cell.names:
        other = implementing(f"{exercise.module}.{name}")
        if other is not None and other is not exercise:
            raise Refused(f"the cell also defines {name}, which has a cell of its own ({other.id}).")
        if other is None and hasattr(builtins, name) and name not in vars(module):
            raise Refused(f"the cell also defines {name}, which is a name of Python's own; choose another name.")


def _refuse_circles(module: ModuleType, cell: _Cell) -> None:
    """What the module imports must not need the module itself: then none of it could be imported any more."""
    own = module.__name__
    for name in _imported(cell.library):
        if name == own:
            raise Refused(f"the cell imports from {own}, where it stands itself: use the name without importing it.")
        if own in _needs(name, set()):
            raise Refused(
                f"the cell imports {name}, but {name} itself needs {own}; neither could be imported any more.\n"
                "Put that import inside the function."
            )


def _imported(nodes: Iterable[ast.stmt]) -> set[str]:
    """The modules of `rnnlib` that these statements import."""
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(filter(None, ["rnnlib" if node.level else "", node.module]))
            found |= {base} if base != "rnnlib" else {f"rnnlib.{alias.name}" for alias in node.names}
    return {name for name in found if name.startswith("rnnlib.")}


def _needs(name: str, seen: set[str]) -> set[str]:
    """All modules of `rnnlib` that importing this one imports."""
    seen.add(name)
    with contextlib.suppress(Exception):  # what cannot be imported is refused when the cell is run
        for other in _imported(ast.parse(_text_of(importlib.import_module(name))).body) - seen:
            _needs(other, seen)
    return seen


# --- in this session


def _install(exercise: Exercise, module: ModuleType, cell: _Cell) -> Callable[[], None]:
    """Run the library part in the module; on any fault put back what was there and refuse. Returns the undo."""
    before, old = dict(vars(module)), vars(module).get(exercise.name)
    elsewhere: list[tuple[ModuleType, str]] = []  # where other modules had imported the old one

    def undo() -> None:
        vars(module).clear()
        vars(module).update(before)
        for other, name in elsewhere:
            setattr(other, name, old)

    remembered = vars(module).get(_HELPERS, {})
    for name in _brought(exercise, module):
        vars(module).pop(name, None)
    held = dict(vars(module))
    code = compile(ast.Module(cell.library, []), cell.filename, "exec")
    try:
        exec(code, vars(module))
        _refuse_clashes(exercise, module, cell, held)
        _refuse_unknown(exercise, module, cell, code)
    except Refused:
        undo()
        raise
    except Exception as error:
        undo()
        raise Refused(f"running the cell failed with {type(error).__name__}: {error}") from None
    except BaseException:
        undo()
        raise
    vars(module)[_HELPERS] = remembered | {exercise.id: {n for n in cell.names if n not in held}}
    if old is not None:
        library = [m for name, m in list(sys.modules.items()) if name.partition(".")[0] == "rnnlib"]
        elsewhere += [(m, name) for m in library if m is not module for name, value in vars(m).items() if value is old]
    for other, name in elsewhere:
        setattr(other, name, vars(module)[exercise.name])
    return undo


def _refuse_clashes(exercise: Exercise, module: ModuleType, cell: _Cell, held: dict[str, Any]) -> None:
    """Other functions use what the module has: a cell may import the same, but give no name another meaning."""
    for name in cell.names:
        if name == exercise.name or name not in held or held[name] is vars(module)[name]:
            continue
        if not (name.isupper() and repr(held[name]) == repr(vars(module)[name])):
            raise Refused(f"the cell also defines {name}, which {exercise.module} already has; choose another name.")


def _refuse_unknown(exercise: Exercise, module: ModuleType, cell: _Cell, code: CodeType) -> None:
    unknown = sorted(n for n in _global_names(code) if n not in vars(module) and not hasattr(builtins, n))
    if not unknown:
        return
    uses = f"{exercise.name} uses {', '.join(unknown)}, which "
    if set(unknown) & set(_defined(cell.rest)):
        raise Refused(
            f"{uses}this cell defines, but not so that it goes into the library:\n"
            "functions, imports and constants in CAPITALS (EPS = 1e-5) do, other names and classes do not."
        )
    raise Refused(
        f"{uses}{exercise.module} does not know. Names of the notebook do not reach into the library:\n"
        "pass what you need as an argument, or import or define it in this cell."
    )


def _global_names(code: CodeType) -> set[str]:
    """The names that code, and the functions in it, look up outside themselves."""
    instructions = list(dis.get_instructions(code))
    names = {i.argval for i in instructions if i.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    names -= {i.argval for i in instructions if i.opname == "STORE_NAME"}  # a class body looks its own names up, too
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names |= _global_names(constant)
    return names


def _run_rest(cell: _Cell, user_ns: dict[str, Any], filename: str) -> None:
    """Run what does not belong in the library (a trial call, a print) in the notebook, errors shown as usual."""
    if cell.rest:
        exec(compile(ast.Module(cell.rest, []), filename, "exec"), user_ns)


# --- on disk


def _save(exercise: Exercise, module: ModuleType, cell: _Cell, undo: Callable[[], None]) -> str:
    """Write the library part over what the module's file has; return the words for the message."""
    root = _workspace_of(module)
    if root is None:
        return " for this session"
    path = Path(module.__file__ or "")
    try:
        text = _text_of(module)
        new = _with_function(exercise, cell, text)
        _try_out(module, new)
        if new != text:
            keep_history(root, exercise, text)
            write_atomically(path, new)
    except Refused:
        undo()
        raise
    except (SyntaxError, ValueError) as error:
        undo()
        raise _unreadable(path.name, error) from None
    except OSError as error:
        return f" for this session, but could not be saved in rnnlib/{path.name}: {error.strerror or error}"
    return f" and saved in rnnlib/{path.name}"


def _try_out(module: ModuleType, text: str) -> None:
    """Run the new text as an import would: what works in this session may stand in the wrong order in the file."""
    namespace = {name: getattr(module, name, None) for name in ("__name__", "__package__", "__file__")}
    try:
        exec(compile(text, module.__file__ or "", "exec"), namespace)
    except (SyntaxError, ValueError):
        raise
    except Exception as error:
        name = Path(module.__file__ or "").name
        raise Refused(
            f"with this cell in it, rnnlib/{name} could not be imported any more: {type(error).__name__}: {error}"
        ) from None


def _text_of(module: ModuleType) -> str:
    return Path(module.__file__ or "").read_bytes().decode("utf-8")


def _block_marks(exercise: Exercise) -> tuple[str, str]:
    return f"# {exercise.id}: begin", f"# {exercise.id}: end"


def _with_function(exercise: Exercise, cell: _Cell, text: str) -> str:
    """The module's text with the answer in it: over the earlier one, or at the end if there is none."""
    parts = [cell.lines(node) for node in cell.library]
    new = parts[0]
    if len(parts) > 1 or new[0].startswith("#"):  # more than the function alone: marked, so that it is found again
        begin, end = _block_marks(exercise)
        new = [begin]
        for node, part in zip(cell.library, parts, strict=True):
            new += [*(["", ""] if isinstance(node, ast.FunctionDef) else []), *part]
        new += ["", "", end]
    span = _block(exercise, text)
    if span is None:
        function = functions(text).get(exercise.name)
        if function is None:
            return append_lines(text, new)
        span = function.first, function.last
    result = replace_lines(text, *span, new)
    ast.parse(result)
    return result


def _block(exercise: Exercise, text: str) -> tuple[int, int] | None:
    """The lines of an earlier answer that came with more than the function: from one mark to the other."""
    begin, end = _block_marks(exercise)
    lines = split_lines(text)
    if begin not in lines or end not in lines[lines.index(begin) :]:
        return None
    first = lines.index(begin)
    return first + 1, lines.index(end, first) + 1


def _brought(exercise: Exercise, module: ModuleType) -> set[str]:
    """Names that only an earlier answer of this exercise defines: the next one may define them anew, or not at all."""
    found = set(vars(module).get(_HELPERS, {}).get(exercise.id, ()))
    with contextlib.suppress(OSError, SyntaxError, ValueError):
        text = _text_of(module)
        span = _block(exercise, text)
        if span:
            lines = split_lines(text, keepends=True)
            inside, outside = lines[span[0] - 1 : span[1]], lines[: span[0] - 1] + lines[span[1] :]
            found |= set(_defined(ast.parse("".join(inside)).body))
            found -= set(_defined(ast.parse("".join(outside)).body))
    return found - {exercise.name}


def keep_history(root: Path, exercise: Exercise, text: str) -> None:
    """An answer that is written over is kept in `.history`, helpers and all, so that no version is ever lost."""
    old = functions(text).get(exercise.name)
    if old is None or is_stub(old.node):
        return
    folder = root / ".history"
    folder.mkdir(exist_ok=True)
    span = _block(exercise, text)
    lines = split_lines(text)[span[0] : span[1] - 1] if span else old.lines
    source = "\n".join(lines).strip("\n") + "\n"
    kept = sorted(folder.glob(f"{exercise.token}-[0-9][0-9][0-9].py"))
    if not kept or kept[-1].read_text(encoding="utf-8") != source:
        number = int(kept[-1].stem[-3:]) + 1 if kept else 1
        (folder / f"{exercise.token}-{number:03d}.py").write_text(source, encoding="utf-8")


def write_atomically(path: Path, text: str) -> None:
    """All of the new text or all of the old, whatever happens in between."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        shutil.copymode(path, name)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
