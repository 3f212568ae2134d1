"""Plain data: the only values that check data hold and that cross from one process to another.

None, bool, int, float, str, arrays of numbers, and lists, tuples and string-keyed dicts of these.
A function is written by its name, and only one of `rnnlib` or of the checks' toy cells. Nothing is
ever pickled. A value becomes a skeleton (lists and dicts that JSON can hold), in which arrays and
floats are numbered, and the list of arrays that they number: the skeleton is the same on every machine.
"""

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["PlainError", "flatten", "restore"]

_FUNCTION_HOMES = ("rnnlib.", "course.checks.toys")
_ARRAY_KINDS = "biuf"


class PlainError(TypeError):
    """A value that is not plain data."""


def flatten(value: Any) -> tuple[Any, list[np.ndarray]]:
    """Take a value apart into its skeleton and the arrays that it numbers."""
    arrays: list[np.ndarray] = []

    def walk(v: Any) -> Any:
        if v is None or isinstance(v, bool | str):
            return v
        if isinstance(v, int | np.integer):
            return int(v)
        if isinstance(v, float | np.floating):
            arrays.append(np.array(float(v)))
            return {"float": len(arrays) - 1}
        if isinstance(v, np.ndarray) and v.dtype.kind in _ARRAY_KINDS:
            arrays.append(np.ascontiguousarray(v).reshape(v.shape))
            return {"array": len(arrays) - 1}
        if isinstance(v, tuple | list):
            return {type(v).__name__: [walk(item) for item in v]}
        if isinstance(v, dict) and all(isinstance(key, str) for key in v):
            return {"dict": {key: walk(item) for key, item in v.items()}}
        if callable(v) and _home_allowed(getattr(v, "__module__", "") or ""):
            return {"function": f"{v.__module__}:{v.__qualname__}"}
        raise PlainError(f"a value of type {type(v).__name__} is not plain data")

    return walk(value), arrays


def restore(skeleton: Any, arrays: list[np.ndarray]) -> Any:
    """Put together what `flatten` took apart; anything else in the skeleton is a PlainError."""

    def build(v: Any) -> Any:
        if v is None or isinstance(v, bool | str | int):
            return v
        if not isinstance(v, dict) or len(v) != 1:
            raise PlainError(f"not written by flatten: {str(v)[:60]}")
        [(kind, content)] = v.items()
        match kind:
            case "float":
                return float(arrays[content])
            case "array":
                return arrays[content].copy()
            case "tuple":
                return tuple(build(item) for item in content)
            case "list":
                return [build(item) for item in content]
            case "dict":
                return {key: build(item) for key, item in content.items()}
            case "function":
                return _function(content)
        raise PlainError(f"unknown kind {kind!r}")

    return build(skeleton)


def _home_allowed(module: str) -> bool:
    return f"{module}.".startswith(_FUNCTION_HOMES)


def _function(name: str) -> Callable[..., Any]:
    module, _, attribute = name.partition(":")
    if not _home_allowed(module) or not attribute.isidentifier():
        raise PlainError(f"{name!r} is not a function of rnnlib or of the toy cells")
    return getattr(importlib.import_module(module), attribute)
