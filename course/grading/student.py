"""The student's side of a call: runs in the student's kernel, in one cell, while the referee runs a test cell.

    from course.grading.student import serve
    serve("/run/k/calls")        # returns when the referee closes the connection

    serve(path: str, namespace: dict | None = None, limits: WireLimits = LIMITS) -> None

`namespace` is where functions are looked up: the notebook's, unless given. Nothing here is trusted by anybody: whatever
a student does to this module, or to the socket, she can only choose the answers of her own functions.

A call is `{"number", "name", "args", "kwargs", "source"}`; with a source, the function is one that this source
defines, a training loop of the checks for one, and hers are among its arguments. A reply is `{"number", "value",
"error", "said", "after", "changed"}`: `error` is None or (name, names of its builtin classes, message, where in her
code); `said` the beginning of what was printed; `after` is None or (args, kwargs) where a container among the
arguments has changed; `changed` has the contents of the arrays that have changed, by "number:index", of this call or
of an earlier one that she still holds.
"""

import builtins
import contextlib
import io
import os
import socket
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from course.grading.wire import (
    LIMITS,
    Kept,
    Memory,
    WireError,
    WireLimits,
    library_function,
    outline,
    pack,
    receive,
    send,
    unpack,
)

LONGEST, KEPT = 4000, 256  # characters of a message or of what is printed; arrays that are watched
HERE = Path(__file__).parent
NOTEBOOK = "notebook"  # what a graded function's name begins with where it is an argument

__all__ = ["NOTEBOOK", "Excerpt", "serve"]


class Excerpt(io.StringIO):
    """Takes all that is written and keeps the beginning."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._left = limit

    def write(self, text: str, /) -> int:
        if self._left > 0:
            super().write(text[: self._left])
            self._left -= len(text)
            if self._left <= 0:
                super().write("\n[cut]\n")
        return len(text)


def serve(path: str, namespace: dict[str, Any] | None = None, limits: WireLimits = LIMITS) -> None:
    """Answer calls of the functions in `namespace` until the other side closes."""
    names = _notebook() if namespace is None else namespace
    kept: list[_Held] = []
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        with contextlib.suppress(EOFError, OSError):
            while True:
                send(connection, _reply(bytes(receive(connection, limits)), names, kept, limits))


def _notebook() -> dict[str, Any]:
    if "IPython" in sys.modules:
        shell = sys.modules["IPython"].get_ipython()
        if shell is not None:
            return shell.user_ns
    return vars(sys.modules["__main__"])


class _Held:
    """An array that crossed in some call: what it was then, and whether it is something else now."""

    def __init__(self, key: str, array: np.ndarray) -> None:
        self.key, self.kept, self.content = key, Kept(array), array.tobytes()

    def alive(self) -> bool:
        return self.kept.array() is not None

    def changed(self) -> np.ndarray | None:
        array = self.kept.array()
        if array is None or array.tobytes() == self.content:
            return None
        self.content = array.tobytes()
        return array.copy()


def _reply(data: bytes, names: dict[str, Any], kept: list[_Held], limits: WireLimits) -> bytes:
    """Run the call that the bytes describe; the bytes of the reply. No result outlives this function here."""
    call, memory = unpack(data, limits, functions=lambda name: _argument(name, names))
    kept[:] = [held for held in kept if held.alive()][-KEPT:]
    kept += _held(call["number"], memory, 0)
    arguments = call["args"], call["kwargs"]
    before = outline(arguments, memory, limits)
    parent, said = os.getpid(), Excerpt(LONGEST)
    value = error = None
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), np.errstate(all="ignore"):
            value = _find(call["name"], names, call["source"])(*call["args"], **call["kwargs"])
    except BaseException as raised:
        error = _describe(raised)
    if os.getpid() != parent:
        os._exit(0)  # a child of hers that came back from the call must not answer in its parent's place
    reply = {"number": call["number"], "value": value, "error": error, "said": _clean(said.getvalue())}
    try:
        after = None if outline(arguments, memory, limits) == before else arguments
        changed = dict(_changed(kept))
        data, new = pack(reply | {"after": after, "changed": changed}, limits, memory)
        if not new.functions.keys() <= memory.functions.keys():
            raise WireError("a function comes back only where it was an argument")
    except WireError as refused:
        message = f"{call['name']}: what it returns, or leaves in its arguments, cannot be graded: {refused}"
        reply |= {"value": None, "error": ("TypeError", ["TypeError"], _clean(message), "")}
        data, new = pack(reply | {"after": None, "changed": {}}, limits, memory)
    kept += _held(call["number"], new, len(memory.arrays))
    return data


def _find(name: str, names: dict[str, Any], source: str | None = None) -> Any:
    """The function to call: one of the notebook's, or one that the source of a module defines."""
    if source is not None:
        module = {"__name__": "driver"}
        exec(compile(source, "driver", "exec"), module)
        return module[name]
    if name not in names:
        raise NameError(f"name {name!r} is not defined")
    return names[name]


def _argument(name: str, names: dict[str, Any]) -> Any:
    """A function among the arguments: one of the library's, or of the notebook's, and then perhaps not there."""
    home, _, own = name.partition(":")
    if home != NOTEBOOK:
        return library_function(name)
    return names[own] if own in names else lambda *args, **kwargs: _find(own, names)


def _held(number: int, memory: Memory, first: int) -> Iterator[_Held]:
    return (_Held(f"{number}:{first + i}", array) for i, array in enumerate(memory.arrays[:KEPT]))


def _changed(kept: list[_Held]) -> Iterator[tuple[str, np.ndarray]]:
    for held in kept:
        array = held.changed()
        if array is not None:
            yield held.key, array


def _describe(error: BaseException) -> tuple[str, list[str], str, str]:
    """The exception in words that can cross: its name, the builtin classes that it is of, its message, the place."""
    bases = [t.__name__ for t in type(error).__mro__ if getattr(builtins, t.__name__, None) is t]
    try:
        told = error.args[0] if len(error.args) == 1 and type(error.args[0]) is str else str(error)
        message = _clean(told)
    except BaseException:  # an exception that cannot be printed is still one
        message = ""
    return _clean(type(error).__name__), bases[:10], message, _clean(_where(error))


def _clean(text: str) -> str:
    """The beginning of a text, without what UTF-8 cannot write."""
    return text[:LONGEST].encode("utf-8", "replace").decode()


def _where(error: BaseException) -> str:
    """The last line of her own code that it came through, rather than of NumPy or of this module."""
    own = [f for f in traceback.extract_tb(error.__traceback__) if f.line and _is_hers(f.filename)]
    return f"in {own[-1].name}, line {own[-1].lineno}: {own[-1].line}" if own else ""


def _is_hers(filename: str) -> bool:
    folder = Path(filename).parent
    return folder != HERE and (folder.name == "rnnlib" or "ipykernel" in filename or filename.startswith("<"))
