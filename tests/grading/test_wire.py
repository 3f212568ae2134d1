"""What crosses between referee and kernel: every plain value to the bit, nothing else, and no bytes do harm."""

import collections
import contextlib
import functools
import gc
import io
import json
import math
import os
import random
import socket
import threading
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from course.checks import toys
from course.grading import wire
from course.grading.wire import LIMITS, MAGIC, Kept, Memory, WireError, decode, encode, pack, receive, send, unpack
from rnnlib.elman import elman_step

FUZZ = int(
    os.environ.get("FUZZ", "0")
)  # how many examples of each fuzz, and then new ones; else a few, always the same
steady = settings(derandomize=True, database=None, deadline=None, max_examples=150)
fuzzed = settings(derandomize=not FUZZ, database=None, deadline=None, max_examples=FUZZ or 600)

DTYPES = st.sampled_from([np.dtype(code) for code in "?bhilqBHILQefd"])
SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
MEMORY = hnp.arrays(DTYPES, SHAPES)
LAYOUTS = [
    lambda a: a,
    lambda a: a.T,
    lambda a: a[..., ::2] if a.ndim else a,
    lambda a: a[::-1] if a.ndim else a,
    lambda a: a[1:] if a.ndim else a,
    lambda a: np.asfortranarray(a),
    lambda a: np.broadcast_to(a, (2, *a.shape)),
    lambda a: a.astype(a.dtype.newbyteorder(">")),
    lambda a: a[None],
]
ARRAYS = st.builds(lambda a, layout: layout(a), MEMORY, st.sampled_from(LAYOUTS))
SCALARS = st.builds(lambda a: a.reshape(-1)[0], hnp.arrays(DTYPES, (1,)))
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from([" a\n", "\0", '\u2028"', "𝄞é"])
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**256) + 1, 2**256 - 1),
    st.floats(),
    TEXT,
    ARRAYS,
    SCALARS,
    st.sampled_from([bool, int, float, np.float32, np.float64, np.int64, np.bool_, np.dtype("f4"), np.dtype("?")]),
    st.sampled_from([toys.leaky_step, toys.running_total, elman_step]),
)
KEYS = TEXT | st.sampled_from(["float", "array", "dict", "list", "function", "generator"])
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple) | st.dictionaries(KEYS, inner, max_size=3)
    ),
    max_leaves=10,
)


def alike(a, b) -> bool:
    """The same types, shapes and bits; only the byte order in memory is the machine's own."""
    if isinstance(a, np.generic) and isinstance(b, np.generic):  # a longlong is an int64 by another name
        return a.dtype == b.dtype and a.tobytes() == b.tobytes()
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray):
        native = a.astype(a.dtype.newbyteorder("="))
        return (native.dtype, a.shape, native.tobytes()) == (b.dtype, b.shape, b.tobytes())
    if isinstance(a, float):
        return (a == b and math.copysign(1, a) == math.copysign(1, b)) or (math.isnan(a) and math.isnan(b))
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(alike, a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(alike(a[k], b[k]) for k in a)
    return a is b if callable(a) else a == b


def message(head, payload: bytes = b"") -> bytes:
    text = head if isinstance(head, bytes) else json.dumps(head).encode()
    return MAGIC + len(text).to_bytes(4, "little") + text + payload


# --- every allowed value


@steady
@given(VALUES)
def test_what_is_written_is_what_is_read(value):
    """All leaves, in lists, tuples and dicts; arrays of any layout."""
    assert alike(value, decode(encode(value)))


@steady
@given(ARRAYS)
def test_layout_and_permission_stay(array):
    """Strides as far as elements tell them (an F array stays one), and read-only stays read-only."""
    back = decode(encode(array))
    assert back.flags.writeable == array.flags.writeable
    if array.dtype.isnative and array.size:
        told = [s for s, n in zip(array.strides, array.shape, strict=True) if n > 1]
        assert [s for s, n in zip(back.strides, back.shape, strict=True) if n > 1] == told


@steady
@given(st.integers(0, 2**32), st.integers(0, 5))
def test_a_generator_goes_on_where_it_was(seed, drawn):
    """State and the spare half of a word; what the other side draws is what would have been drawn here."""
    here = np.random.default_rng(seed)
    here.integers(0, 9, drawn, dtype=np.int32)
    there = decode(encode(here))
    assert there.integers(0, 2**31, 3, dtype=np.int32).tolist() == here.integers(0, 2**31, 3, dtype=np.int32).tolist()
    assert (there.standard_normal(5) == here.standard_normal(5)).all()


# --- shared memory


@steady
@given(
    hnp.arrays(np.float64, (4, 5), elements=st.floats(-9, 9)),
    st.lists(hnp.basic_indices((4, 5), allow_newaxis=False, allow_ellipsis=False), max_size=4),
    st.booleans(),
)
def test_arrays_that_share_memory_still_do(base, indices, with_base):
    """Writing into one changes the others as it would have here, whether or not the whole of it is sent."""
    views = [v for v in (base[i] for i in indices) if isinstance(v, np.ndarray)] + [base] * with_base
    back = decode(encode(views))
    for n, view in enumerate(views):
        view[...] = 10.0 + n
        back[n][...] = 10.0 + n
    assert alike(views, back)


def test_the_same_array_twice_is_the_same_array():
    """An object stays one object."""
    a = np.arange(3.0)
    first, second, (third,) = decode(encode([a, a, (a,)]))
    assert first is second is third


def test_what_lies_between_the_elements_is_not_sent():
    """A test may hand out one column of an array and keep the other to itself."""
    pair = np.full((50, 2), 7.123456789)
    pair[:, 0] = 1.0
    for sent in (pair[:, 0], [pair[:, 0], pair[:10, 0]], pair[::2, 0], pair.T[0]):
        assert np.float64(7.123456789).tobytes() not in encode(sent)


def test_what_lies_between_the_elements_cannot_be_named():
    """Nor does a reply reach it: only blocks without gaps can be pointed into."""
    pair = np.full((5, 2), 7.0)
    _, memory = pack(pair[:, 0])
    for offset in (0, 1):
        with pytest.raises(WireError, match="not shared"):
            unpack(message([{"array": 1}, [], [[0, offset, [4], [2], True]]]), LIMITS, memory)
    _, memory = pack(pair[1:3])
    for offset in (-1, 4):
        with pytest.raises(WireError, match=r"leaves its block|below 0"):
            unpack(message([{"array": 1}, [], [[0, offset, [1], [1], True]]]), LIMITS, memory)


def test_a_view_of_a_known_array_is_a_view_on_this_side():
    """Both sides know the arguments: a result that lies in one of them is said by its place."""
    mine = {"x": np.arange(6.0), "y": np.arange(4.0).reshape(2, 2).T}
    data, here = pack(mine)
    theirs, there = unpack(data)
    views = [theirs["x"][2:4], theirs["y"][0], theirs["y"], np.broadcast_to(theirs["x"], (2, 6)), theirs["x"] + 0]
    back = unpack(pack(views, LIMITS, there)[0], LIMITS, here)[0]
    assert alike(views, back)
    assert back[2] is mine["y"]
    assert [np.shares_memory(v, mine["x"]) for v in back] == [True, False, False, True, False]
    assert [np.shares_memory(v, mine["y"]) for v in back] == [False, True, True, False, False]
    assert not back[3].flags.writeable


def test_read_only_memory_stays_so():
    """A reply cannot make an array writable that was not."""
    fixed = np.arange(3.0)
    fixed.flags.writeable = False
    _, memory = pack(fixed)
    view, _ = unpack(message([{"array": 1}, [], [[0, 0, [2], [1], True]]]), LIMITS, memory)
    assert not view.flags.writeable


def test_a_known_generator_takes_up_the_state_of_the_reply():
    """And a message that is refused at its end leaves it as it was."""
    rng = np.random.default_rng(0)
    before = rng.bit_generator.state
    _, memory = pack(rng)
    entry = {"generator": [0, 5, 7, 1, 9]}
    with pytest.raises(WireError):
        unpack(message([{"list": [entry, {"nothing": 1}]}, [], []]), LIMITS, memory)
    assert rng.bit_generator.state == before
    assert unpack(message([entry, [], []]), LIMITS, memory)[0] is rng
    assert rng.bit_generator.state["state"] == {"state": 5, "inc": 7}


def test_functions_can_be_limited_to_some():
    """The referee takes back only what it gave: a name of the library would bring the reference."""
    data = encode(elman_step)
    assert decode(data) is elman_step
    assert unpack(data, functions={"rnnlib.elman:elman_step": toys.leaky_step}.__getitem__)[0] is toys.leaky_step
    with pytest.raises(WireError):
        unpack(data, functions={}.__getitem__)


def test_an_array_is_kept_as_long_as_its_memory():
    """By the array, or by any view of it, and no longer."""
    whole = np.arange(6.0).reshape(2, 3)
    row = whole[1]
    kept = Kept(row)
    del row
    whole[1, 2] = 9.0
    assert kept.array().tolist() == [3.0, 4.0, 9.0]
    del whole
    assert kept.array() is None


# --- nothing else

Point = collections.namedtuple("Point", "x y")


class Liar(float):
    def __eq__(self, other):
        return True

    __hash__ = float.__hash__


class Dressed:
    __class__ = np.ndarray
    dtype, shape, size = np.dtype(float), (1,), 1


def _cycle():
    cycle = []
    cycle.append(cycle)
    return cycle


def _deep(levels, value=None):
    for _ in range(levels):
        value = [value]
    return value


REFUSED = {
    "object": object(),
    "set": {1},
    "bytes": b"x",
    "complex": 1j,
    "range": range(3),
    "generator": (i for i in "ab"),
    "class": Point,
    "object type": object,
    "module": np,
    "array of objects": np.array([None]),
    "array of complex": np.array([1j]),
    "array of text": np.array(["a"]),
    "array of dates": np.array(["2020-01-01"], dtype="datetime64[D]"),
    "longdouble": np.zeros(2, np.longdouble),
    "longdouble scalar": np.longdouble(1),
    "records": np.zeros(2, dtype=[("a", int)]),
    "record dtype": np.dtype([("a", int)]),
    "object dtype": np.dtype(object),
    "masked array": np.ma.array([1.0, 2.0], mask=[True, False]),
    "matrix": np.zeros((2, 2)).view(np.matrix),
    "too many axes": np.zeros((1,) * 33),
    "number as key": {1: 2},
    "one key not text": {"a": 1, None: 2},
    "named tuple": Point(1, 2),
    "ordered dict": collections.OrderedDict(a=1),
    "lambda": lambda: 1,
    "function of another module": json.dumps,
    "builtin": len,
    "ufunc": np.exp,
    "partial": functools.partial(toys.leaky_step),
    "float that lies": Liar(1.0),
    "object that says it is an array": Dressed(),
    "another bit generator": np.random.Generator(np.random.MT19937(0)),
    "old generator": np.random.RandomState(0),
    "int of 257 bits": 2**256,
    "int of a million bits": 1 << 1_000_000,
    "lone surrogate": "\ud800",
    "lone surrogate as key": {"\ud800": 1},
    "cycle": _cycle(),
    "too deep": _deep(LIMITS.depth + 1),
    "far too deep": _deep(100_000),
    "too many parts": [None] * LIMITS.nodes,
    "text too long": "x" * (LIMITS.text + 1),
    "key too long": {"x" * (LIMITS.text + 1): 1},
    "seems large": np.broadcast_to(0.0, (10**6, 10**6)),
    "no elements but a long axis": np.zeros((0, 10**12)),
    "together too large": [np.broadcast_to(0.0, (2**21 + i,)) for i in range(5)],
}


@pytest.mark.parametrize("named", [*wire._TYPES.values(), *wire._DTYPES.values()], ids=str)
def test_every_type_and_dtype_has_a_spelling(named):
    """Each comes back as itself."""
    assert decode(encode([named])) == [named]


@pytest.mark.parametrize("value", REFUSED.values(), ids=REFUSED)
def test_anything_else_is_refused(value):
    """At any depth, in words, and at once."""
    for wrapped in (value, [value], {"a": (1, value)}):
        with pytest.raises(WireError) as refusal:
            encode(wrapped)
        assert 10 < len(str(refusal.value)) < 200


SMALL = replace(LIMITS, total_bytes=4000, head_bytes=2000, nodes=20, depth=3, array_bytes=800, text=30)
JUST = [[None] * 18, _deep(3), np.zeros(100), "x" * 30, {"x" * 30: 1}, [np.zeros(100), np.ones(100), np.ones(100)]]
OVER = [[None] * 20, _deep(4), np.zeros(101), "x" * 31, {"x" * 31: 1}, [np.full(100, i) for i in range(6)]]


@pytest.mark.parametrize("value", JUST)
def test_what_is_just_within_the_limits_passes_on_both_sides(value):
    """The two sides count alike."""
    assert alike(value, decode(encode(value, SMALL), SMALL))


@pytest.mark.parametrize("value", OVER)
def test_what_is_over_a_limit_is_refused_on_both_sides(value):
    """A sender without scruples gets no further than an honest one."""
    with pytest.raises(WireError):
        encode(value, SMALL)
    with pytest.raises(WireError):
        decode(encode(value), SMALL)


# --- bytes that nobody wrote

A = [0, 0, [3], [1], True]
BAD = {
    "empty": b"",
    "other magic": b"\x80\x04K\x01.",
    "magic alone": MAGIC,
    "no json": message(b"{"),
    "not utf-8": message(b'"\xff"'),
    "not three parts": message([None, []]),
    "a bare value": message(3),
    "head longer than the message": MAGIC + (10**6).to_bytes(4, "little") + b"[]",
    "bytes left over": message([None, [], []], b"x"),
    "block missing": message([None, [["<f8", 3, True]], []]),
    "block negative": message([None, [["<f8", -1, True]], []]),
    "block enormous": message([None, [["<f8", 2**62, True]], []]),
    "block of objects": message([None, [["|O", 1, True]], []], bytes(8)),
    "block of records": message([None, [["f8,f8", 1, True]], []], bytes(16)),
    "count is true": message([None, [["|u1", True, True]], []], b"x"),
    "count is a float": message([None, [["|u1", 1.0, True]], []], b"x"),
    "bool of 2": message([{"array": 0}, [["|b1", 3, True]], [A]], b"\0\1\2"),
    "array out of its block": message([{"array": 0}, [["|u1", 2, True]], [A]], b"xx"),
    "array before its block": message([None, [["|u1", 3, True]], [[0, 0, [3], [-1], True]]], b"xxx"),
    "array far away": message([None, [["|u1", 3, True]], [[0, 0, [2], [2**62], True]]], b"xxx"),
    "stride beyond 64 bits": message([None, [["|u1", 3, True]], [[0, 0, [2], [2**70], True]]], b"xxx"),
    "sizes that wrap around": message([None, [["|u1", 3, True]], [[0, 0, [2**32, 2**32], [0, 0], True]]], b"xxx"),
    "an axis below 0": message([None, [["|u1", 3, True]], [[0, 0, [-1, -3], [1, 1], True]]], b"xxx"),
    "seems large": message([None, [["|u1", 1, True]], [[0, 0, [2**30], [0], True]]], b"x"),
    "many that seem large": message([None, [["|u1", 1, True]], [[0, 0, [2**24], [0], True]] * 10], b"x"),
    "too many axes": message([None, [["|u1", 1, True]], [[0, 0, [1] * 64, [0] * 64, True]]], b"x"),
    "no block": message([None, [], [A]]),
    "block of another": message([None, [["|u1", 3, True]], [[-1, 0, [3], [1], True]]], b"xxx"),
    "array not there": message([{"array": 0}, [], []]),
    "array before the first": message([{"array": -1}, [["|u1", 3, True]], [A]], b"xxx"),
    "scalar with axes": message([{"scalar": 0}, [["|u1", 3, True]], [A]], b"xxx"),
    "unknown part": message([{"object": "os.system"}, [], []]),
    "two parts": message([{"list": [], "tuple": []}, [], []]),
    "bare list": message([[1], [], []]),
    "dict of a list": message([{"dict": [1]}, [], []]),
    "function of os": message([{"function": "os:system"}, [], []]),
    "path to os": message([{"function": "rnnlib.../os:system"}, [], []]),
    "type of nothing": message([{"type": "object"}, [], []]),
    "dtype of objects": message([{"dtype": "|O"}, [], []]),
    "generator of text": message([{"generator": [None, "1", 1, 0, 0]}, [], []]),
    "generator too large": message([{"generator": [None, 2**128, 1, 0, 0]}, [], []]),
    "generator not known": message([{"generator": [0, 1, 1, 0, 0]}, [], []]),
    "lone surrogate": message(b'["\\ud800",[],[]]'),
    "lone surrogate as key": message(b'[{"dict":{"\\ud800":1}},[],[]]'),
    "int too large": message(b"[" + b"9" * 5000 + b",[],[]]"),
    "int of a megabyte": message(b"[" + b"9" * (LIMITS.head_bytes - 100) + b",[],[]]"),
    "float of a megabyte": message(b"[1." + b"9" * (LIMITS.head_bytes - 100) + b"e5,[],[],0]"),
    "lists half a million deep": message(b"[" * 500_000 + b"]" * 500_000),
    "dicts as deep": message(b'{"list":[' * 100_000),
    "half a million lists": message(b"[" + b"[]," * 300_000 + b"0]"),
    "half a million parts": message(b'[{"list":[' + b"0," * 300_000 + b"0]},[],[]]"),
    "half a million arrays": message(b"[0,[],[" + b"[]," * 300_000 + b"0]]"),
    "head too long": message(b"[0,[],[]" + b" " * LIMITS.head_bytes + b"]"),
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_a_message_that_encode_did_not_write_is_refused(data):
    """Within a second and 64 MB, with a WireError."""
    tracemalloc.start()
    began = time.process_time()
    with pytest.raises(WireError):
        decode(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.process_time() - began < 2
    assert peak < 64e6


def harmless(data: bytes, known: Memory = wire._NOTHING) -> None:
    """No bytes do more than raise a WireError, or give a value that could have been sent."""
    try:
        value, _ = unpack(data, SMALL, known, {}.__getitem__)
    except WireError:
        return
    for a in _arrays(value):
        assert a.nbytes <= SMALL.array_bytes
        a.copy()  # every element can be read
    repr(value)


def _arrays(value):
    if isinstance(value, np.ndarray):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ():
        yield from _arrays(item)


@fuzzed
@given(st.binary(max_size=300))
def test_arbitrary_bytes_do_no_harm(data):
    """With and without the magic."""
    harmless(data)
    harmless(MAGIC + data)
    harmless(message(data))


@fuzzed
@given(VALUES, st.data())
def test_mutated_messages_do_no_harm(value, data):
    """Bytes changed, cut out, repeated, put in."""
    try:
        written = bytearray(encode(value))
    except WireError:
        return
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(written)))
        to = min(len(written), at + data.draw(st.integers(0, 8)))
        written[at:to] = data.draw(st.binary(max_size=8) | st.just(bytes(written[at:to]) * 3))
    harmless(bytes(written))


ARGUMENTS = {"x": np.arange(6.0), "y": np.arange(12.0).reshape(3, 4).T, "rng": np.random.default_rng(0)}
SENT, KNOWN = pack([*ARGUMENTS.values(), np.zeros((4, 2))[:, 0], toys.leaky_step])
VIEW = ARGUMENTS["x"][1:4]
REPLIES = [  # what a student's function may well return, and what a message may speak of in it
    {"number": 1, "value": 1.5, "error": None, "said": "", "after": None, "changed": {}},
    {"number": 2, "value": (np.ones((3, 2)), [np.float32(1), True]), "error": None, "said": "x", "after": None},
    {"number": 3, "value": None, "error": ("KeyError", ["KeyError", "LookupError"], "'W'", "in f, line 1"), "said": ""},
    {
        "value": [VIEW, VIEW[::-1], ARGUMENTS["y"], ARGUMENTS["y"][0], np.broadcast_to(VIEW, (2, 3))],
        "changed": {"1:0": VIEW},
    },
    {"value": [ARGUMENTS["rng"], np.random.default_rng(1), toys.leaky_step, np.float64, np.dtype("f4"), 2**200]},
    {"after": ([np.zeros((0, 3)), {"a": [{}, (), "é𝄞"]}], {}), "changed": {f"1:{i}": np.full(i, i) for i in range(9)}},
]
VALID = [pack(reply, LIMITS, KNOWN)[0] for reply in REPLIES]
TOKENS = [
    b"-1",
    b"0",
    b"7",
    b"99999999999",
    b"1e400",
    b"NaN",
    b"null",
    b"true",
    b"[]",
    b"{}",
    b'"x"',
    b"[[",
    b"9" * 300,
]


def mutated(chance: random.Random, valid: bytes, other: bytes) -> bytes:
    """A message with bits flipped, pieces cut out, repeated or taken from another, numbers and lengths that lie."""
    data = bytearray(valid)
    for _ in range(chance.choice([0, *[1] * 5, *[3] * 4])):
        at, size = chance.randrange(len(data) + 1), chance.randint(1, 60)
        match chance.randrange(7):
            case 0 if at < len(data):
                data[at] ^= 1 << chance.randrange(8)
            case 1:
                del data[at : at + size]
            case 2:
                del data[at:]
            case 3:
                start = chance.randrange(len(other))
                data[at:at] = other[start : start + size]
            case 4:
                data[at:at] = data[at : at + size] * chance.randint(1, 20)
            case 5:
                data[4:8] = chance.choice([0, 1, at, max(0, len(data) - 8), 2**31, 2**32 - 1]).to_bytes(4, "little")
            case 6:
                digits = [i for i, byte in enumerate(data) if 48 <= byte < 58]
                if digits:
                    data[(where := chance.choice(digits)) : where + 1] = chance.choice(TOKENS)
    return bytes(data)


@contextlib.contextmanager
def measured(seconds: float, memory: float) -> Iterator[None]:
    """What runs here takes no more processor time and no more bytes, the garbage of other examples aside."""
    gc.disable()
    tracemalloc.start()
    began = time.thread_time()
    try:
        yield
        took, peak = time.thread_time() - began, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        gc.enable()
    assert took < seconds
    assert peak < memory


def mutated_reply(seed: int) -> bytes:
    chance = random.Random(seed)
    return mutated(chance, chance.choice(VALID), chance.choice(VALID))


@fuzzed
@given(st.integers(0, 2**64))
def test_mutated_replies_do_no_harm(seed):
    """Within 50 ms of processor time and 2 MB, and nothing of the arguments is written."""
    data = mutated_reply(seed)
    before = [a.tobytes() for a in KNOWN.arrays]
    with measured(seconds=0.05, memory=2e6):
        harmless(data, KNOWN)
    assert [a.tobytes() for a in KNOWN.arrays] == before


def test_what_is_mutated_is_valid_before():
    """And some of it is afterwards: the fuzz gets past the first look."""
    for data in VALID:
        unpack(data, LIMITS, KNOWN, KNOWN.functions.__getitem__)
    passed = 0
    for seed in range(2000):
        try:
            unpack(mutated_reply(seed), LIMITS, KNOWN, KNOWN.functions.__getitem__)
            passed += 1
        except WireError:
            continue
    assert 100 < passed < 1900


NUMBERS = st.integers(-2, 6) | st.sampled_from([2**31, 2**63, 2**64, -(2**63), 2**200, True, None, 1.5, "1"])
SIZES = st.lists(NUMBERS, max_size=3) | NUMBERS
ENTRIES = st.tuples(NUMBERS, NUMBERS, SIZES, SIZES, st.booleans() | NUMBERS).map(list)
CODES = st.sampled_from(["<f8", "<f4", "|b1", "|u1", "<i2", ">f8", "|O", "O", "<M8[D]"]) | NUMBERS
BLOCKS = st.tuples(CODES, NUMBERS, st.booleans() | NUMBERS).map(list)
KINDS = ["array", "scalar", "list", "tuple", "dict", "generator", "function", "type", "dtype", "object"]
PARTS = st.recursive(
    NUMBERS | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from(KINDS), inner, min_size=1, max_size=2),
    max_leaves=12,
)
HEADS = st.tuples(PARTS, st.lists(BLOCKS, max_size=3) | PARTS, st.lists(ENTRIES, max_size=4) | PARTS)


@fuzzed
@given(HEADS, st.binary(max_size=64))
def test_heads_that_look_right_do_no_harm(head, payload):
    """Numbers, sizes and kinds in the right places with wrong values, with and without an earlier message."""
    harmless(message(list(head), payload))
    known = pack([np.arange(6.0), np.zeros((4, 2))[:, 0], np.random.default_rng(0), toys.leaky_step])[1]
    guard = np.full(100, 3.25)
    known.blocks[0] = guard[10:16]
    harmless(message(list(head), payload), known)
    assert (guard == 3.25).all()


# --- the stream


def test_messages_come_one_by_one():
    """However the stream cuts them."""
    here, there = socket.socketpair()
    with here, there:
        sent = [encode(np.arange(n, dtype=float)) for n in (0, 3, 5000)]
        writer = threading.Thread(target=lambda: [send(here, data) for data in sent])
        writer.start()
        assert [receive(there) for _ in sent] == sent
        writer.join()
        here.shutdown(socket.SHUT_WR)
        with pytest.raises(EOFError):
            receive(there)


def test_a_message_that_does_not_come_is_not_waited_for():
    """Neither its first byte nor its last; a drip does not move the deadline."""
    here, there = socket.socketpair()
    with here, there:
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            receive(there, LIMITS, began + 0.1)
        stop = threading.Event()

        def drip():
            here.sendall((1000).to_bytes(4, "little"))
            while not stop.wait(0.02):
                here.sendall(b"x")

        writer = threading.Thread(target=drip)
        writer.start()
        with pytest.raises(TimeoutError):
            receive(there, LIMITS, time.monotonic() + 0.2)
        stop.set()
        writer.join()
        assert time.monotonic() - began < 2


def test_an_announced_length_costs_nothing():
    """Memory is taken for what has come; what is announced beyond the limit is refused unread."""
    here, there = socket.socketpair()
    with here, there:
        here.sendall(LIMITS.total_bytes.to_bytes(4, "little") + b"x" * 1000)
        tracemalloc.start()
        with pytest.raises(TimeoutError):
            receive(there, LIMITS, time.monotonic() + 0.05)
        assert tracemalloc.get_traced_memory()[1] < 1e6
        tracemalloc.stop()
        here.sendall((2**32 - 1).to_bytes(4, "little"))
        here.shutdown(socket.SHUT_WR)
        there.recv(0)
    here, there = socket.socketpair()
    with here, there:
        here.sendall((2**32 - 1).to_bytes(4, "little"))
        with pytest.raises(WireError, match="too long"):
            receive(there)


def test_nothing_is_ever_pickled():
    """No message begins like a pickle, and the module does not know how to read one."""
    assert not hasattr(wire, "pickle")
    assert not any(io.BytesIO(encode(v)).read(1) == b"\x80" for v in (None, [1], np.zeros(2)))
