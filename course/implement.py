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
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from course.exercises import Exercise, catalogue, chapter_number, implementing
from course.library import Function, functions, is_stub, replace_lines, signature_of, stage

MARKER = "course.json"  # the file that makes a folder a learner's workspace
_HELPERS = "__implemented__"  # in a module: what each exercise's cell brought along in this session

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


def use_chapter(slug: str) -> None:
    """Make sure that `import rnnlib` means the right one here, and say which it is.

    The `rnnlib` folder beside the notebook if there is one (a learner's workspace, a grading folder); else
    a temporary one in which everything before this chapter is filled in and this chapter is not.
    """
    number = chapter_number(slug)
    beside = Path.cwd() / "rnnlib"
    if beside.is_dir():
        folder, saved = beside.parent, (beside.parent / MARKER).exists()
    else:
        folder, saved = Path(tempfile.mkdtemp(prefix="rnnlib-")), False
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


def _workspace_of(module: ModuleType) -> Path | None:
    """The learner's workspace that a module's file lies in, or None."""
    file = Path(module.__file__ or "")
    root = file.parent.parent
    return root if file.parent.name == "rnnlib" and (root / MARKER).exists() else None


# --- the magic


def _magic(shell: Any, line: str, cell: str) -> None:
    filename = shell.compile.cache(cell, shell.execution_count)
    print(implement(line.strip(), cell, shell.user_ns, filename))


def implement(full_name: str, cell: str, user_ns: dict[str, Any], filename: str = "<cell>") -> str:
    """Make the cell's function the library's; return the sentence that says what happened, or raise Refused."""
    exercise, module = _target(full_name)
    if not cell.strip():
        user_ns[exercise.name] = getattr(module, exercise.name)
        return f"{full_name} as it is."
    parsed = _parse(exercise, cell, filename)
    if is_stub(parsed.function):
        return _keep_what_is_there(exercise, module, parsed, user_ns)
    _refuse_other_exercises(exercise, module, parsed)
    undo = _install(exercise, module, parsed)
    saved = _save(exercise, module, parsed, undo)
    vars(module).setdefault(_HELPERS, {})[exercise.id] = set(parsed.names)
    user_ns.update({name: vars(module)[name] for name in parsed.names})
    _run_rest(parsed, user_ns, filename)
    return f"{full_name} is yours now{saved}."


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
        found = []
        for node in self.library:
            if isinstance(node, ast.FunctionDef):
                found.append(node.name)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                found += [(alias.asname or alias.name).partition(".")[0] for alias in node.names]
            elif isinstance(node, ast.Assign):
                found += [target.id for target in node.targets if isinstance(target, ast.Name)]
        return found

    def lines(self, node: ast.stmt) -> list[str]:
        decorators = getattr(node, "decorator_list", [])
        first = min([node.lineno, *(d.lineno for d in decorators)])
        above = first - 1
        lines = self.text.splitlines()
        while above > 0 and lines[above - 1].startswith("#"):  # comments that stand right above belong to it
            above -= 1
        return lines[above : node.end_lineno]


def _target(full_name: str) -> tuple[Exercise, ModuleType]:
    exercise = implementing(full_name)
    if exercise is None:
        close = [e.implements for e in catalogue().values() if e.implements and e.name == full_name.rpartition(".")[2]]
        hint = f" Did you mean {close[0]}?" if close else ""
        raise Refused(f"{full_name or '(no name)'} is not a function that an exercise asks for.{hint}")
    try:
        return exercise, importlib.import_module(exercise.module or "")
    except SyntaxError as error:
        raise _unreadable(Path(error.filename or "").name, error) from None


def _unreadable(name: str, error: SyntaxError) -> Refused:
    return Refused(f"rnnlib/{name} cannot be read, line {error.lineno}: {error.msg}. Mend that line first.")


def _parse(exercise: Exercise, cell: str, filename: str) -> _Cell:
    try:
        tree = ast.parse(cell, filename)
    except SyntaxError as error:
        raise Refused(f"line {error.lineno} is not Python: {error.msg}\n    {(error.text or '').rstrip()}") from None
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
    kinds = ast.FunctionDef | ast.Import | ast.ImportFrom
    library = [node for node in tree.body if isinstance(node, kinds) or _is_constant(node)]
    return _Cell(cell, found[0], library, [node for node in tree.body if node not in library], filename)


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
    current = getattr(module, exercise.name, None)
    file = _function_in_file(module, exercise.name)
    if current is not None and file is not None and not is_stub(file.node) and _workspace_of(module):
        user_ns[exercise.name] = current
        return f"This cell is not written yet; {exercise.implements} in your library stays as it is."
    _install(exercise, module, cell)
    user_ns[exercise.name] = vars(module)[exercise.name]
    return f"{exercise.implements} is not written yet."


def _refuse_other_exercises(exercise: Exercise, module: ModuleType, cell: _Cell) -> None:
    """Helpers may have any name that the module does not use for something else."""
    for name in cell.names:
        other = implementing(f"{exercise.module}.{name}")
        if other is not None and other is not exercise:
            raise Refused(f"the cell also defines {name}, which has a cell of its own ({other.id}).")
        own = _previous_helpers(module, exercise)
        current = vars(module).get(name)
        defined_here = isinstance(current, FunctionType) and current.__module__ == module.__name__
        if name != exercise.name and defined_here and name not in own:
            raise Refused(f"the cell also defines {name}, which {exercise.module} already has; choose another name.")


# --- in this session


def _install(exercise: Exercise, module: ModuleType, cell: _Cell) -> Callable[[], None]:
    """Run the library part in the module; on any fault put back what was there and refuse. Returns the undo."""
    before = dict(vars(module))

    def undo() -> None:
        vars(module).clear()
        vars(module).update(before)

    tree = ast.Module(cell.library, [])
    try:
        exec(compile(tree, cell.filename, "exec"), vars(module))
    except Exception as error:
        undo()
        raise Refused(f"running the cell failed with {type(error).__name__}: {error}") from None
    unknown = sorted(_unknown_globals(vars(module)[exercise.name], vars(module), cell.names))
    if unknown:
        undo()
        raise Refused(
            f"{exercise.name} uses {', '.join(unknown)}, which {exercise.module} does not know. Names of the notebook "
            "do not reach into the library:\npass what you need as an argument, or import or define it in this cell."
        )
    old, new = before.get(exercise.name), vars(module)[exercise.name]
    if old is not None:
        for other in [m for n, m in list(sys.modules.items()) if n.startswith("rnnlib") and m is not module]:
            for name in [n for n, value in vars(other).items() if value is old]:
                setattr(other, name, new)
    return undo


def _unknown_globals(function: Any, known: dict[str, Any], own: list[str]) -> Iterator[str]:
    functions_to_read = [function, *(known[name] for name in own if isinstance(known.get(name), FunctionType))]
    for f in functions_to_read:
        if isinstance(f, FunctionType):
            yield from (n for n in _global_names(f.__code__) if n not in known and not hasattr(builtins, n))


def _global_names(code: CodeType) -> set[str]:
    names = {i.argval for i in dis.get_instructions(code) if i.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
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
        text = path.read_bytes().decode("utf-8")
        new = _with_function(exercise, cell, text)
        keep_history(root, exercise, text)
        write_atomically(path, new)
    except SyntaxError as error:
        undo()
        raise _unreadable(path.name, error) from None
    except OSError as error:
        return f" for this session, but could not be saved in rnnlib/{path.name}: {error.strerror or error}"
    return f" and saved in rnnlib/{path.name}"


def _block_marks(exercise: Exercise) -> tuple[str, str]:
    return f"# {exercise.id}: begin", f"# {exercise.id}: end"


def _with_function(exercise: Exercise, cell: _Cell, text: str) -> str:
    """The module's text with the answer in it: over the earlier one, or at the end if there is none."""
    parts = [cell.lines(node) for node in cell.library]
    if len(parts) > 1:
        begin, end = _block_marks(exercise)
        joined = [begin]
        for node, part in zip(cell.library, parts, strict=True):
            joined += [*(["", ""] if isinstance(node, ast.FunctionDef) else []), *part]
        new = [*joined, "", "", end]
    else:
        new = parts[0]
    span = _block(exercise, text)
    if span is None:
        function = functions(text).get(exercise.name)
        if function is None:
            return text.rstrip("\r\n") + "\n\n\n" + "\n".join(new) + "\n"
        span = function.first, function.last
    result = replace_lines(text, *span, new)
    ast.parse(result)
    return result


def _block(exercise: Exercise, text: str) -> tuple[int, int] | None:
    """The lines of an earlier answer that came with helpers: between its two marks."""
    begin, end = _block_marks(exercise)
    lines = text.splitlines()
    return (lines.index(begin) + 1, lines.index(end) + 1) if begin in lines and end in lines else None


def _previous_helpers(module: ModuleType, exercise: Exercise) -> set[str]:
    """Names that an earlier answer of this exercise brought along; its next version may define them again."""
    remembered = vars(module).get(_HELPERS, {}).get(exercise.id, set())
    with contextlib.suppress(OSError, SyntaxError, UnicodeDecodeError):
        text = Path(module.__file__ or "").read_text(encoding="utf-8")
        span = _block(exercise, text)
        if span:
            block = "\n".join(text.splitlines()[span[0] - 1 : span[1]])
            return set(functions(block)) | remembered
    return remembered


def _function_in_file(module: ModuleType, name: str) -> Function | None:
    try:
        return functions(Path(module.__file__ or "").read_text(encoding="utf-8")).get(name)
    except (OSError, SyntaxError, UnicodeDecodeError):
        return None


def keep_history(root: Path, exercise: Exercise, text: str) -> None:
    """An answer that is written over is kept in `.history`, so that no version is ever lost."""
    old = functions(text).get(exercise.name)
    if old is None or is_stub(old.node):
        return
    folder = root / ".history"
    folder.mkdir(exist_ok=True)
    version = len(list(folder.glob(f"{exercise.token}-*.py"))) + 1
    source = "\n".join(old.lines) + "\n"
    last = folder / f"{exercise.token}-{version - 1:03d}.py"
    if not last.exists() or last.read_text(encoding="utf-8") != source:
        (folder / f"{exercise.token}-{version:03d}.py").write_text(source, encoding="utf-8")


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
