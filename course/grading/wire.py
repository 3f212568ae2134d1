"""Bytes for plain data: all that crosses between the referee and a student's kernel. Nothing is ever pickled.

    encode(value, limits) -> bytes                        decode(data, limits) -> value
    pack(value, limits, known) -> (bytes, Memory)         unpack(data, limits, known, functions) -> (value, Memory)
    send(connection, data)                                receive(connection, limits, deadline) -> bytes

A value is None, bool, int (256 bits), float, str, a list, tuple or dict with string keys of such values, an array or
NumPy scalar of a plain dtype, a type or dtype of numbers, a `numpy.random.Generator` over PCG64, a function of
`rnnlib` or of the toy cells (by name, as in `course.plain`), or one that both sides know by a name of its own.
Everything else is a `WireError`, on both sides.

A message is MAGIC, the length of its head, the head as JSON, and the blocks of memory. The head is `[value, blocks,
arrays]`: arrays lie in blocks at an offset with strides, counted in elements, so arrays that share memory still do
when they arrive. With `known`, the `Memory` of an earlier message, a message speaks of that one's arrays and blocks
by number: a function that returns a view of its argument is seen to do so. Memory between the elements of an array is
never sent, and never reachable from the other side.

`decode` of any bytes whatsoever returns a value within the limits or raises WireError.
"""

import bisect
import json
import math
import socket
import struct
import time
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

from course.plain import PlainError, flatten, restore

MAGIC = b"rnn\x01"
MAX_BITS = 256  # of an int; the state of a PCG64 has 128
MAX_AXES = 32
SPREAD, PAGE = 4, 4096  # an array that spans more than 4 times its bytes, and 4 pages, is sent as a contiguous copy
CHUNK = 1 << 16
_LENGTH = struct.Struct("<I")

_SCALARS: dict[type, str] = {np.dtype(code).type: np.dtype(code).newbyteorder("<").str for code in "?bhilqBHILQefd"}
_DTYPES = {code: np.dtype(code) for code in _SCALARS.values()}
_TYPES: dict[str, type] = {"bool": bool, "int": int, "float": float} | {f"np.{t.__name__}": t for t in _SCALARS}
_TYPE_NAMES = {t: name for name, t in _TYPES.items()}

__all__ = ["LIMITS", "Kept", "Memory", "WireError", "WireLimits", "decode", "encode"]
__all__ += ["library_function", "outline", "pack", "receive", "send", "unpack"]


class WireError(PlainError):
    """A value that may not cross, or bytes that `encode` did not write."""


@dataclass(frozen=True)
class WireLimits:
    """Bounds on one message, the same on both sides."""

    total_bytes: int = 64 << 20
    head_bytes: int = 1 << 20
    nodes: int = 50_000
    depth: int = 32
    array_bytes: int = 32 << 20  # of the elements that an array shows, however few it keeps in memory
    text: int = 100_000  # characters of one string


LIMITS = WireLimits()


@dataclass(frozen=True)
class Span:
    """Where an array lies: offset and strides in elements of its block."""

    block: int
    offset: int
    strides: tuple[int, ...]


@dataclass
class Memory:
    """What a message made known: its arrays, generators and functions, in the same order on both sides."""

    arrays: list[np.ndarray] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    blocks: list[np.ndarray | None] = field(default_factory=list)  # flat; None where nothing else may lie in it
    generators: list[np.random.Generator] = field(default_factory=list)
    functions: dict[str, Callable[..., Any]] = field(default_factory=dict)
    head_bytes: int = 0  # of the message itself


class Kept:
    """An array that may live on after its message: found again for as long as the memory that it lies in does."""

    def __init__(self, array: np.ndarray) -> None:
        owner = array
        while type(owner.base) is np.ndarray:
            owner = owner.base
        self._owner = weakref.ref(owner)
        self._offset = _address(array) - _address(owner)
        self._shape, self._dtype, self._strides = array.shape, array.dtype, array.strides

    def array(self) -> np.ndarray | None:
        """The array as it is now, or None if nobody holds it any more."""
        owner = self._owner()
        flat = None if owner is None else _flat(owner)
        if flat is None:
            return None
        return np.ndarray(self._shape, self._dtype, flat, self._offset, self._strides)


_NOTHING = Memory()


def encode(value: Any, limits: WireLimits = LIMITS) -> bytes:
    """The bytes of a value, or a WireError that says in words what may not cross."""
    return pack(value, limits)[0]


def decode(data: bytes | bytearray, limits: WireLimits = LIMITS) -> Any:
    """The value that `encode` wrote; arrays are new, and writable unless they were not."""
    return unpack(data, limits)[0]


# --- writing


def outline(value: Any, known: Memory, limits: WireLimits = LIMITS) -> Any:
    """The value's skeleton, in which known arrays have their numbers: it tells whether a container has changed."""
    return _Writer(limits, known).walk(value, 0)


def pack(value: Any, limits: WireLimits = LIMITS, known: Memory = _NOTHING) -> tuple[bytes, Memory]:
    """The bytes of a value, and the memory that they make known."""
    writer = _Writer(limits, known)
    skeleton = writer.walk(value, 0)
    blocks, arrays, payload = _lay_out(writer.memory, known)
    try:
        head = _WRITE([skeleton, blocks, arrays]).encode()
    except UnicodeEncodeError:
        raise WireError("a text with a lone surrogate is not plain data") from None
    total = len(head) + sum(part.nbytes for part in payload)
    if len(head) > limits.head_bytes or total > limits.total_bytes:
        raise WireError(f"the value takes {total / 1e6:.0f} MB, too much to be sent")
    return b"".join([MAGIC, _LENGTH.pack(len(head)), head, *(part.data for part in payload)]), writer.memory


class _Writer:
    """Takes a value apart: the skeleton is returned, arrays are collected."""

    def __init__(self, limits: WireLimits, known: Memory) -> None:
        self.limits, self.memory, self.nodes = limits, Memory(), 0
        self.shown = 0  # bytes of the elements of all arrays
        self.arrays = {id(a): i for i, a in enumerate(known.arrays)}
        self.generators = {id(g): i for i, g in enumerate(known.generators)}
        self.functions = {id(f): name for name, f in known.functions.items()}

    def walk(self, v: Any, depth: int) -> Any:
        self.nodes += 1
        if self.nodes > self.limits.nodes:
            raise WireError(f"the value has more than {self.limits.nodes} parts")
        if depth > self.limits.depth:
            raise WireError(f"the value holds itself, or is nested more than {self.limits.depth} deep")
        kind = type(v)
        if v is None or kind is bool or kind is float:
            return v
        if kind is int:
            if v.bit_length() > MAX_BITS:
                raise WireError(f"an int of {v.bit_length()} bits is too large to be sent")
            return v
        if kind is str or kind is np.str_:
            return self.text(str(v))
        if kind is np.ndarray:
            return {"array": self.array(v)}
        if kind in _SCALARS:
            return {"scalar": self.array(np.asarray(v))}
        if kind is list or kind is tuple:
            return {kind.__name__: [self.walk(item, depth + 1) for item in v]}
        if kind is dict and all(type(key) is str for key in v):
            return {"dict": {self.text(key): self.walk(item, depth + 1) for key, item in v.items()}}
        return self.named(v)

    def text(self, text: str) -> str:
        if len(text) > self.limits.text:
            raise WireError(f"a text of {len(text)} characters is too long to be sent")
        return text

    def array(self, a: np.ndarray) -> int:
        if id(a) not in self.arrays:
            self.shown += a.nbytes
            if a.dtype.newbyteorder("<").str not in _DTYPES:
                raise WireError(f"an array of dtype {str(a.dtype)[:60]} is not plain data")
            largest = max(a.nbytes, *a.shape, 0)
            if largest > self.limits.array_bytes or self.shown > self.limits.total_bytes:
                raise WireError(f"an array of shape {a.shape} is too large to be sent")
            if a.ndim > MAX_AXES:
                raise WireError(f"an array of {a.ndim} axes is not plain data")
            self.arrays[id(a)] = len(self.arrays)
            self.memory.arrays.append(a)
        return self.arrays[id(a)]

    def named(self, v: Any) -> Any:
        """Functions and generators that are known, and the few objects that have a spelling of their own."""
        if id(v) in self.functions:
            name = self.functions[id(v)]
            self.memory.functions[name] = v
            return {"function": name}
        if isinstance(v, type) and v in _TYPE_NAMES:
            return {"type": _TYPE_NAMES[v]}
        if isinstance(v, np.dtype) and v.str in _DTYPES:
            return {"dtype": v.str}
        if type(v) is np.random.Generator and type(v.bit_generator) is np.random.PCG64:
            if id(v) in self.generators:
                return {"generator": [self.generators[id(v)], *_state(v)]}
            self.memory.generators.append(v)
            return {"generator": [None, *_state(v)]}
        if type(v) is FunctionType:
            try:
                skeleton = flatten(v)[0]
            except PlainError as error:
                raise WireError(str(error)) from None
            self.memory.functions[skeleton["function"]] = v
            return skeleton
        raise WireError(f"a value of type {type(v).__name__[:60]} is not plain data")


def _state(generator: np.random.Generator) -> list[int]:
    state: Any = generator.bit_generator.state
    return [state["state"]["state"], state["state"]["inc"], state["has_uint32"], state["uinteger"]]


def _lay_out(memory: Memory, known: Memory) -> tuple[list[Any], list[Any], list[np.ndarray]]:
    """Find each array its block: a known one, or a new one that it shares with those that overlap it."""
    places = [_place(a) for a in memory.arrays]
    shared = sorted((_address(f), n) for n, f in enumerate(known.blocks) if f is not None and f.size)
    spans: list[Span | None] = [_known_span(place, known, shared) for place in places]
    blocks: list[Any] = []
    payload: list[np.ndarray] = []
    new = [i for i, span in enumerate(spans) if span is None]
    for group in _overlapping(new, places):
        low, high = min(places[i].low for i in group), max(places[i].high for i in group)
        dtype = places[group[0]].dtype
        count = (high - low) // dtype.itemsize
        for i in group:
            offset = (places[i].start - low) // dtype.itemsize
            spans[i] = Span(len(known.blocks) + len(blocks), offset, places[i].strides)
        flat = next((f for i in group if (f := _flat(places[i].array)) is not None and f.size == count), None)
        payload.append(_filled(count, dtype, [(places[i].array, spans[i]) for i in group]) if flat is None else flat)
        owned = flat is not None and any(memory.arrays[i] is places[i].array for i in group)
        blocks.append([dtype.str, count, owned])
        memory.blocks.append(flat if owned else None)
    memory.spans = [span for span in spans if span is not None]
    arrays = [
        [span.block, span.offset, list(a.shape), list(span.strides), bool(a.flags.writeable)]
        for a, span in zip(memory.arrays, memory.spans, strict=True)
    ]
    return blocks, arrays, payload


@dataclass
class _Place:
    """Where an array (or, if its own layout cannot be told in elements, a copy of it) lies in memory, in bytes."""

    array: np.ndarray
    start: int
    low: int
    high: int
    strides: tuple[int, ...]  # in elements

    @property
    def dtype(self) -> np.dtype:
        return self.array.dtype


def _place(a: np.ndarray) -> _Place:
    size = a.itemsize
    low, high = byte_bounds(a) if a.size else (0, 0)
    told = a.dtype.isnative and not any(stride % size for stride in a.strides)
    if not told or high - low > SPREAD * max(a.nbytes, PAGE):
        a = np.array(a, dtype=a.dtype.newbyteorder("="), order="C")
        low, high = byte_bounds(a) if a.size else (0, 0)
    start = _address(a) if a.size else 0
    strides = tuple(stride // size for stride in a.strides) if a.size else (0,) * a.ndim
    return _Place(a, start, low, high, strides)


def _known_span(place: _Place, known: Memory, shared: list[tuple[int, int]]) -> Span | None:
    """The place in a known block, if the array lies wholly in it; `shared` has the blocks' addresses in order."""
    found = bisect.bisect_right(shared, (place.low, len(known.blocks)))
    if not found or not place.high:
        return None
    begin, number = shared[found - 1]
    flat, size = known.blocks[number], place.dtype.itemsize
    if flat is None or flat.dtype != place.dtype or place.high > begin + flat.nbytes or (place.start - begin) % size:
        return None
    return Span(number, (place.start - begin) // size, place.strides)


def _overlapping(new: list[int], places: list[_Place]) -> Iterable[list[int]]:
    """The arrays in groups of those that overlap in memory and have one dtype and one grid of elements."""

    def grid(i: int) -> tuple[str, int, int]:
        return places[i].dtype.str, places[i].low % places[i].dtype.itemsize, places[i].low

    group: list[int] = []
    high = 0
    for i in sorted(new, key=grid):
        if group and grid(i)[:2] == grid(group[0])[:2] and places[i].low < high:
            group.append(i)
        else:
            if group:
                yield group
            group, high = [i], 0
        high = max(high, places[i].high)
    if group:
        yield group


def _address(a: np.ndarray) -> int:
    return a.__array_interface__["data"][0]


def _flat(a: np.ndarray) -> np.ndarray | None:
    """The array's memory as one row, if it has no gaps."""
    if a.flags.c_contiguous:
        return a.reshape(-1)
    return a.T.reshape(-1) if a.flags.f_contiguous else None


def _filled(count: int, dtype: np.dtype, members: list[Any]) -> np.ndarray:
    """A block with the members' elements in it and zeros between them: what lies there is nobody's business."""
    block = np.zeros(count, dtype)
    for array, span in members:
        _view(block, array.shape, span)[...] = array
    return block


def _view(block: np.ndarray, shape: tuple[int, ...], span: Span) -> np.ndarray:
    """The array that lies in a block; NumPy itself refuses a span that leaves it."""
    size = block.itemsize
    strides = tuple(stride * size for stride in span.strides)
    return np.ndarray(shape, block.dtype, block, span.offset * size, strides)


# --- reading


def unpack(
    data: bytes | bytearray,
    limits: WireLimits = LIMITS,
    known: Memory = _NOTHING,
    functions: Callable[[str], Any] | None = None,
) -> tuple[Any, Memory]:
    """The value that `pack` wrote, and the memory that it makes known.

    `functions` gives the function of a name, or raises KeyError; without it, those of `rnnlib` and of the toy cells.
    """
    try:
        return _Reader(limits, known, functions).read(memoryview(data))
    except WireError:
        raise
    except (ValueError, TypeError, OverflowError, RecursionError, MemoryError) as error:
        raise WireError(f"not a message: {type(error).__name__}: {str(error)[:100]}") from None


def _need(condition: Any, what: str) -> None:
    if not condition:
        raise WireError(f"not a message: {what}")


_WRITE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode  # made once: making one takes its time
_READ = json.JSONDecoder().decode


def _sizes(v: Any) -> tuple[int, ...]:
    _need(type(v) is list and len(v) <= MAX_AXES and all(type(n) is int for n in v), "no list of sizes")
    return tuple(v)


class _Reader:
    def __init__(self, limits: WireLimits, known: Memory, functions: Callable[[str], Any] | None) -> None:
        self.limits, self.known, self.functions = limits, known, functions or library_function
        self.memory, self.nodes, self.shown = Memory(), 0, 0
        self.states: list[tuple[np.random.Generator, Any]] = []  # set when all has been read, or not at all

    def read(self, data: memoryview) -> tuple[Any, Memory]:
        _need(len(data) <= self.limits.total_bytes + 64, "too long")
        front = len(MAGIC) + _LENGTH.size
        _need(len(data) >= front and data[: len(MAGIC)] == MAGIC, "no magic")
        (length,) = _LENGTH.unpack(data[len(MAGIC) : front])
        _need(length <= self.limits.head_bytes and front + length <= len(data), "the head is too long")
        head = _READ(bytes(data[front : front + length]).decode())
        _need(type(head) is list and len(head) == 3, "the head is not three parts")
        self.memory.head_bytes = length
        skeleton, blocks, arrays = head
        _need(type(blocks) is list and type(arrays) is list, "no lists of blocks and arrays")
        _need(len(blocks) + len(arrays) <= 2 * self.limits.nodes, "too many arrays")
        contents = self.blocks(blocks, data[front + length :])
        for entry in arrays:
            self.array(entry, contents)
        self.arrays = [*self.known.arrays, *self.memory.arrays]
        value = self.build(skeleton, 0)
        for generator, state in self.states:
            generator.bit_generator.state = state
        return value, self.memory

    def blocks(self, entries: list[Any], rest: memoryview) -> list[np.ndarray | None]:
        """All blocks, the known ones first; new ones get memory of their own."""
        found = []
        for entry in entries:
            _need(type(entry) is list and len(entry) == 3 and type(entry[0]) is str, "no block")
            code, count, owned = entry
            _need(code in _DTYPES and type(count) is int and type(owned) is bool, "no block")
            size = count * _DTYPES[code].itemsize
            _need(0 <= size <= len(rest), "a block is longer than the message")
            block = np.frombuffer(rest[:size], _DTYPES[code]).copy() if size else np.zeros(0, _DTYPES[code])
            _need(code != "|b1" or not size or block.view(np.uint8).max() <= 1, "a bool that is neither")
            rest = rest[size:]
            found.append(block)
            self.memory.blocks.append(block if owned else None)
        _need(not len(rest), "bytes after the last block")
        return [*self.known.blocks, *found]

    def array(self, entry: Any, blocks: list[np.ndarray | None]) -> None:
        _need(type(entry) is list and len(entry) == 5, "no array")
        number, offset, shape, strides, writeable = entry[0], entry[1], _sizes(entry[2]), _sizes(entry[3]), entry[4]
        _need(type(number) is int and type(offset) is int and type(writeable) is bool, "no array")
        _need(0 <= number < len(blocks), "an array without a block")
        block = blocks[number]
        if block is None:
            raise WireError("not a message: an array in a block that is not shared")
        _need(len(shape) == len(strides) and min(shape, default=0) >= 0 and offset >= 0, "a size below 0")
        shown = math.prod(shape) * block.itemsize
        self.shown += shown
        _need(shown <= self.limits.array_bytes and self.shown <= self.limits.total_bytes, "an array is too large")
        _need(max(shape, default=0) <= self.limits.array_bytes, "an axis is too long")
        if shown:
            reach = [(n - 1) * stride for n, stride in zip(shape, strides, strict=True)]
            low, high = offset + sum(r for r in reach if r < 0), offset + sum(r for r in reach if r > 0)
            _need(low >= 0 and high < block.size, "an array leaves its block")
        else:
            offset, strides = 0, (0,) * len(shape)
        span = Span(number, offset, strides)
        array = _view(block, shape, span)
        if not writeable:
            array.flags.writeable = False
        self.memory.arrays.append(array)
        self.memory.spans.append(span)

    def build(self, v: Any, depth: int) -> Any:
        self.nodes += 1
        _need(self.nodes <= self.limits.nodes and depth <= self.limits.depth, "too many parts, or nested too deep")
        if v is None or type(v) in (bool, float):
            return v
        if type(v) is int:
            _need(v.bit_length() <= MAX_BITS, "an int is too large")
            return v
        if type(v) is str:
            return self.text(v)
        _need(type(v) is dict and len(v) == 1, "an unknown part")
        ((kind, content),) = v.items()
        if kind in ("list", "tuple"):
            _need(type(content) is list, "no list")
            items = [self.build(item, depth + 1) for item in content]
            return items if kind == "list" else tuple(items)
        if kind == "dict":
            _need(type(content) is dict, "no dict")
            return {self.text(key): self.build(item, depth + 1) for key, item in content.items()}
        if kind in ("array", "scalar"):
            _need(type(content) is int and 0 <= content < len(self.arrays), "an array that is not there")
            array = self.arrays[content]
            _need(kind == "array" or array.ndim == 0, "a scalar with axes")
            return array if kind == "array" else array[()]
        if kind == "generator":
            return self.generator(content)
        return self.named(kind, content)

    def text(self, v: str) -> str:
        _need(len(v) <= self.limits.text, "a text is too long")
        v.encode()  # a lone surrogate could not be written anywhere: UnicodeEncodeError is a ValueError
        return v

    def generator(self, content: Any) -> np.random.Generator:
        """A new generator in that state; or a known one, which takes up the state."""
        _need(type(content) is list and len(content) == 5, "no generator")
        number, (state, inc, has, spare) = content[0], (n if type(n) is int else -1 for n in content[1:])
        bounds = ((state, 128), (inc, 128), (has, 1), (spare, 32))
        _need(all(0 <= n < 1 << bits for n, bits in bounds), "no state of a generator")
        _need(inc & 1, "a generator that stands still: who draws from it may wait for ever")
        if number is None:
            found = np.random.Generator(np.random.PCG64(0))
            self.memory.generators.append(found)
        else:
            _need(type(number) is int and 0 <= number < len(self.known.generators), "a generator that is not there")
            found = self.known.generators[number]
        numbers = {"state": {"state": state, "inc": inc}, "has_uint32": has, "uinteger": spare}
        self.states.append((found, {"bit_generator": "PCG64", **numbers}))
        return found

    def named(self, kind: Any, content: Any) -> Any:
        _need(type(content) is str, "no name")
        if kind == "type" and content in _TYPES:
            return _TYPES[content]
        if kind == "dtype" and content in _DTYPES:
            return _DTYPES[content]
        _need(kind == "function", "an unknown part")
        try:
            function = self.functions(content)
        except (KeyError, PlainError) as error:
            raise WireError(f"a function that may not be named: {str(error)[:200]}") from None
        self.memory.functions[content] = function
        return function


def library_function(name: str) -> Any:
    """The function of `rnnlib` or of the toy cells with that name, such as "rnnlib.elman:elman_step"."""
    return restore({"function": name}, [])


# --- a stream of messages


def send(connection: socket.socket, data: bytes) -> None:
    """One message onto the stream; blocks as long as the socket's own timeout says."""
    connection.sendall(_LENGTH.pack(len(data)) + data)


def receive(connection: socket.socket, limits: WireLimits = LIMITS, deadline: float | None = None) -> bytearray:
    """One message from the stream, by `deadline` (of time.monotonic). Memory grows with what has come, not with what
    is announced. EOFError: the other side has closed. TimeoutError: it is too late. WireError: too long."""
    (length,) = _LENGTH.unpack(_exactly(connection, _LENGTH.size, deadline))
    _need(length <= limits.total_bytes + 64, "too long")
    return _exactly(connection, length, deadline)


def _exactly(connection: socket.socket, length: int, deadline: float | None) -> bytearray:
    data = bytearray()
    while len(data) < length:
        if deadline is not None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            connection.settimeout(left)
        part = connection.recv(min(CHUNK, length - len(data)))
        if not part:
            raise EOFError
        data += part
    return data
