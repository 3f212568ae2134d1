"""What must hold for the functions of chapter 01, whatever the numbers."""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np

from course.checks.driver import drive
from course.checks.measure import draw
from course.checks.run import CheckFailed, expect, holds
from course.checks.streams import chunk_diary, same_start, stream_diary
from course.checks.toys import count_and_last, fading_echo, running_total

__all__ = ["A_THEN_B", "PARITY", "answers_on_all", "judge_net"]  # for the notebook's hidden cells


def _pair(answer: Any, what: str) -> Any:
    expect(
        type(answer) is tuple and len(answer) == 2,
        f"{what} returns {_short(answer)}; expected two things, (state, outputs)",
    )
    return answer


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 60 else f"{text[:57]}..."


def _is_list(outputs: Any, want: list[int]) -> bool:
    """Whether the outputs are a list of these numbers."""
    return type(outputs) is list and np.array_equal(np.ravel(outputs), want)


def _expect_steps(diary: list[str], inputs: list[int]) -> None:
    """What the steps were given, apart from when: a wrong order of reading is another mistake."""
    given = [line.removeprefix("step ") for line in diary if line.startswith("step ")]
    expect(
        given == list(map(str, inputs)),
        f"for the inputs {', '.join(map(str, inputs))} the step is given {', '.join(given) or 'nothing'} as its second "
        "argument. It takes (state, x): one call for each input, in order.",
    )


# --- scan


@holds("01-intuition/scan", "with nothing to read, the start comes back")
def _(scan):
    same, outputs = drive(same_start, scan)
    expect(same, "for an empty sequence the state that comes back is not the one that went in: hand it on untouched")
    expect(_is_list(outputs, []), f"for an empty sequence the outputs are {_short(outputs)}, expected an empty list")


@holds("01-intuition/scan", "a stream is read one input at a time")
def _(scan):
    diary, answer = drive(stream_diary, scan, [3, 1, 4])
    _pair(answer, "scan")
    _expect_steps(diary, [3, 1, 4])
    expect(
        diary == ["input 3", "step 3", "input 1", "step 1", "input 4", "step 4"],
        f"with the inputs 3, 1, 4 from a generator this happens: {', '.join(diary)}.\n"
        "Each input should go through `step` before the next one is asked for: `for x in xs` does that, and needs "
        "neither the length of xs nor its indices.",
    )
    right = answer[0] == 314 and _is_list(answer[1], [0, 3, 31])
    expect(right, f"the answer is {_short(answer)}, expected (314, [0, 3, 31])")


@holds("01-intuition/scan", "stopping and going on changes nothing")
def _(scan):
    xs, start = draw(6, 2), np.zeros(2)
    end, outputs = _pair(scan(fading_echo, start, xs), "scan")
    for cut in (1, 3, 5):
        middle, first = scan(fading_echo, start, xs[:cut])
        last, second = scan(fading_echo, middle, xs[cut:])
        gap = float(np.abs(last - end).max())
        expect(gap == 0, f"6 inputs at once and {cut} + {6 - cut} end in states that differ by {gap:.3g}")
        expect(
            np.array_equal([*first, *second], outputs),
            f"6 inputs at once and {cut} + {6 - cut} give other outputs: go on from the state that came back",
        )


@holds("01-intuition/scan", "the state may be anything, the outputs are a list")
def _(scan):
    (count, last), outputs = _pair(scan(count_and_last, (0, 0), [5, 7, 4]), "scan")
    expect((count, last) == (3, 4), f"with a state of (how many, last) it ends in ({count}, {last}), expected (3, 4)")
    expect(type(outputs) is list, f"the outputs are a {type(outputs).__name__}, expected a list")
    expect(
        _is_list(outputs, [5, 2, -3]),
        f"the outputs are {_short(outputs)}, expected [5, 2, -3]: the change at each step",
    )


# --- leaky_average_step


@holds("01-intuition/leaky_average_step", "it stays where the input is")
def _(leaky_average_step):
    for keep in (0.0, 0.3, 0.9, 1.0):
        state, _ = _pair(leaky_average_step(np.full(3, 2.5), np.full(3, 2.5), keep), "leaky_average_step")
        expect(
            np.allclose(state, 2.5),
            f"keep = {keep}: average 2.5, input 2.5, and the new average is {np.ravel(state)[0]:.4g}. The two shares, "
            "of the old average and of the input, have to add up to 1.",
        )


@holds("01-intuition/leaky_average_step", "keep = 1 keeps all, keep = 0 keeps nothing")
def _(leaky_average_step):
    m, x = np.array([1.0, -2.0]), np.array([5.0, 5.0])
    for keep, want, name in ((1.0, m, "the old average"), (0.0, x, "the input")):
        state, _ = _pair(leaky_average_step(m, x, keep), "leaky_average_step")
        expect(
            np.allclose(state, want), f"with keep = {keep:g} the new average should be {name}, {want}; it is {state}"
        )


@holds("01-intuition/leaky_average_step", "an input fades by the same factor at each step")
def _(leaky_average_step):
    keep, m = 0.8, 0.0
    weights = []
    for x in (1.0, 0.0, 0.0, 0.0):
        m, y = _pair(leaky_average_step(m, x, keep), "leaky_average_step")
        expect(float(y) == float(m), f"the output is {y}, the new average {m}; the step puts out the new average")
        weights.append(float(m))
    want = [0.2, 0.16, 0.128, 0.1024]
    expect(
        np.allclose(weights, want),
        f"keep = 0.8, inputs 1, 0, 0, 0: the averages are {np.round(weights, 4)}, expected {want}",
    )


@holds("01-intuition/leaky_average_step", "keep below 0 or above 1 is an error")
def _(leaky_average_step):
    for keep in (-0.1, 1.1):
        try:
            leaky_average_step(0.0, 1.0, keep)
        except ValueError as error:
            expect(str(keep) in str(error), f"the message for keep = {keep} does not say what came: {error}")
        else:
            raise CheckFailed(f"keep = {keep} goes through; raise a ValueError that says so")


# --- scan_chunks


def _cuts(length: int) -> list[list[int]]:
    """Every way to cut a sequence into pieces that are not empty, as the sizes of the pieces."""
    found = []
    for cut_after in product((False, True), repeat=length - 1):
        ends = [i + 1 for i, cut in enumerate(cut_after) if cut] + [length]
        found.append([end - begin for begin, end in zip([0, *ends], ends, strict=False)])
    return found


@holds("01-intuition/scan_chunks", "however it is cut, it equals one pass")
def _(scan_chunks):
    xs = draw(6, 2)
    state, want = np.ones(2), []
    for x in xs:
        state, y = fading_echo(state, x)
        want.append(y)
    for sizes in _cuts(6):
        chunks = np.split(xs, np.cumsum(sizes)[:-1])
        end, outputs = _pair(scan_chunks(fading_echo, np.ones(2), chunks), "scan_chunks")
        said = f"cut into {' + '.join(map(str, sizes))}"
        expect(
            len(outputs) == 6,
            f"6 inputs, {said}, give {len(outputs)} outputs, expected 6: one for each input, all in one list",
        )
        gap = float(np.abs(np.array(outputs) - want).max())
        expect(gap == 0, f"6 inputs, {said}: the outputs differ from those of one pass by up to {gap:.3g}")
        gap = float(np.abs(np.asarray(end) - state).max())
        expect(gap == 0, f"6 inputs, {said}: the last state differs from that of one pass by up to {gap:.3g}")


@holds("01-intuition/scan_chunks", "empty chunks, and none at all, change nothing")
def _(scan_chunks):
    same, outputs = drive(same_start, scan_chunks)
    expect(same, "without any chunk the state that comes back is not the one that went in: hand it on untouched")
    expect(_is_list(outputs, []), f"without any chunk the outputs are {_short(outputs)}, expected an empty list")
    want = running_total(running_total(0, 2)[0], 5)[0]
    for chunks in ([[], [2, 5]], [[2], [], [5]], [[2, 5], []]):
        end, outputs = _pair(scan_chunks(running_total, 0, chunks), "scan_chunks")
        expect(end == want, f"chunks {chunks} end in the state {end}, expected {want}: nothing came, nothing changes")
        expect(_is_list(outputs, [4, 14]), f"chunks {chunks} give the outputs {_short(outputs)}, expected [4, 14]")


@holds("01-intuition/scan_chunks", "a chunk is read before the next one is asked for")
def _(scan_chunks):
    diary, _ = drive(chunk_diary, scan_chunks, [[3, 1], [4], [1, 5]])
    _expect_steps(diary, [3, 1, 4, 1, 5])
    want = ["chunk [3, 1]", "step 3", "step 1", "chunk [4]", "step 4", "chunk [1, 5]", "step 1", "step 5"]
    expect(
        diary == want,
        f"with chunks from a generator this happens: {', '.join(diary)}.\n"
        f"Expected: {', '.join(want)}.\nJoining all chunks first means waiting for the stream's end.",
    )


# --- counting


@holds("01-intuition/count_parameters", "it counts numbers, not arrays")
def _(count_parameters):
    got = count_parameters({"W": np.ones((4, 5)), "b": np.zeros(5), "scale": np.array(2.0)})
    expect(
        type(got) is int or isinstance(got, np.integer),
        f"the answer is {_short(got)}, expected a whole number (an int)",
    )
    expect(got == 26, f"a (4, 5) array, one of 5 zeros and a single number hold 26 numbers; counted: {got}")


@holds("01-intuition/count_parameters", "two nets together have the sum")
def _(count_parameters):
    one, two = {"A": draw(3, 4), "a": draw(4)}, {"B": draw(2, 3, 2), "b": draw(1)}
    whole, parts = count_parameters(one | two), count_parameters(one) + count_parameters(two)
    expect(whole == parts, f"counted apart the two dicts hold {parts} numbers, counted as one {whole}")
    expect(count_parameters({}) == 0, f"an empty dict holds {count_parameters({})} numbers, expected 0")


def _shapes_of_a_net(first: int, hidden: int, outputs: int, recurrent: bool) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {"W_xh": (first, hidden), "b_h": (hidden,)}
    shapes |= {"W_hh": (hidden, hidden)} if recurrent else {}
    return shapes | {"W_hy": (hidden, outputs), "b_y": (outputs,)}


def _hold_against_arrays(got: Any, shapes: dict[str, tuple[int, ...]], said: str) -> None:
    parts = {name: int(np.prod(shape)) for name, shape in shapes.items()}
    told = " + ".join(f"{count} ({name})" for name, count in parts.items())
    expect(got == sum(parts.values()), f"{said}: {got}, expected {sum(parts.values())} = {told}")


@holds("01-intuition/window_mlp_size", "it is what the arrays hold")
def _(window_mlp_size):
    for w, D, H, K in ((1, 1, 1, 1), (4, 5, 3, 2), (2, 7, 3, 4)):
        shapes = _shapes_of_a_net(w * D, H, K, recurrent=False)
        _hold_against_arrays(window_mlp_size(w, D, H, K), shapes, f"window {w}, {D} inputs, {H} hidden, {K} outputs")


@holds("01-intuition/window_mlp_size", "each further step of the window costs the same")
def _(window_mlp_size):
    sizes = [window_mlp_size(w, 5, 3, 2) for w in (1, 2, 3, 10)]
    steps = [sizes[1] - sizes[0], sizes[2] - sizes[1], (sizes[3] - sizes[2]) / 7]
    expect(
        steps == [15, 15, 15],
        f"with 5 inputs and 3 hidden units one more step in the window costs {steps[0]:g}, then {steps[1]:g} numbers, "
        "expected 15 each time: a weight from each new input to each hidden unit, and nothing else",
    )


@holds("01-intuition/recurrent_size", "it is what the arrays hold")
def _(recurrent_size):
    for D, H, K in ((1, 1, 1), (5, 3, 2), (2, 7, 4)):
        shapes = _shapes_of_a_net(D, H, K, recurrent=True)
        _hold_against_arrays(recurrent_size(D, H, K), shapes, f"{D} inputs, {H} hidden, {K} outputs")


# --- nets with weights set by hand


def parity(bits: np.ndarray) -> np.ndarray:
    """Is the number of ones so far odd? For strings of 0 and 1, (strings, steps)."""
    return bits.cumsum(axis=1) % 2


def a_then_b(letters: np.ndarray) -> np.ndarray:
    """Has an a come, and after it a b? For strings of 0 (a), 1 (b) and 2 (c), (strings, steps)."""
    return _ever((letters == 1) & _before(letters == 0))


def _ever(events: np.ndarray) -> np.ndarray:
    return np.maximum.accumulate(np.asarray(events, int), axis=1)


def _before(events: np.ndarray) -> np.ndarray:
    """Whether it came at some earlier step."""
    return np.pad(_ever(events), ((0, 0), (1, 0)))[:, :-1].astype(bool)


def _just_before(events: np.ndarray) -> np.ndarray:
    return np.pad(np.asarray(events, bool), ((0, 0), (1, 0)))[:, :-1]


# What a net may compute instead, and a hint; the first that fits is told.
_NEVER = ("never says 1: is a bias too low?", np.zeros_like)
_ALWAYS = ("always says 1: is a bias too high?", np.ones_like)
PARITY: dict[str, Any] = {
    "letters": "01",
    "called": "bits",
    "target": parity,
    "likely": [
        _NEVER,
        _ALWAYS,
        ("says what the last bit was: the old state has no effect.", lambda s: s),
        ("says whether any 1 has come: a second 1 should switch it off again.", lambda s: _ever(s == 1)),
        ("is the right answer turned round: 1 is asked for where the number of ones is odd.", lambda s: 1 - parity(s)),
        ("says whether every bit so far was 1.", lambda s: 1 - _ever(s == 0)),
        (
            "says whether two or more ones have come: after that nothing switches it off.",
            lambda s: s.cumsum(axis=1) > 1,
        ),
    ],
}
A_THEN_B: dict[str, Any] = {
    "letters": "abc",
    "called": "letters",
    "target": a_then_b,
    "likely": [
        _NEVER,
        _ALWAYS,
        ("says 1 at the b only: once an a and a b have come it should stay on.", lambda s: (s == 1) & _before(s == 0)),
        (
            "takes a and b in either order: the b must come after the a. A bag of letters cannot tell.",
            lambda s: _ever(s == 0) & _ever(s == 1),
        ),
        (
            "wants the b directly after the a: other letters may stand between them.",
            lambda s: _ever((s == 1) & _just_before(s == 0)),
        ),
        (
            "sees a b directly after an a, and then forgets it: that is a window of two.",
            lambda s: (s == 1) & _just_before(s == 0),
        ),
        ("says whether an a has come: it should wait for a b.", lambda s: _ever(s == 0)),
        ("says whether a b has come: it should ask for an a before it.", lambda s: _ever(s == 1)),
        ("wants a b and after it an a: that is the other order.", lambda s: _ever((s == 0) & _before(s == 1))),
    ],
}


def judge_net(params: Any, task: dict[str, Any], length: int) -> None:
    """Run a net on every string of that length, and with it on every shorter one; raise where an answer is wrong."""
    letters, strings = task["letters"], _all_strings(len(task["letters"]), length)
    got, states = _run(params, task, strings)
    want = np.asarray(task["target"](strings), int)
    if np.array_equal(got, want):
        return
    t = int(np.argmax((got != want).any(axis=0)))
    row = int(np.argmax(got[:, t] != want[:, t]))
    told = "".join(letters[i] for i in strings[row, : t + 1])
    units = ", then ".join(f"({u:.0f}, {v:.0f})" for u, v in states[row, : t + 2])
    total = sum(len(letters) ** n for n in range(1, length + 1))
    like = next((said for said, rule in task["likely"] if np.array_equal(got, np.asarray(rule(strings), int))), "")
    raise CheckFailed(
        f"after {told} the net says {got[row, t]}, expected {want[row, t]}. Its units were {units}.\n"
        f"It is wrong on {_count_wrong(got, want, len(letters)):,} of the {total:,} strings of up to "
        f"{length} {task['called']}." + (f"\nThis net {like}" if like else "")
    )


def _all_strings(kinds: int, length: int) -> np.ndarray:
    return np.array(list(product(range(kinds), repeat=length)))


def _count_wrong(got: np.ndarray, want: np.ndarray, kinds: int) -> int:
    """Strings with a wrong last answer; a prefix stands in many rows, and is counted once."""
    length = got.shape[1]
    return sum(int((got[:, t] != want[:, t]).sum()) // kinds ** (length - t - 1) for t in range(length))


def answers_on_all(params: Any, task: dict[str, Any], strings: np.ndarray) -> np.ndarray:
    """The net's answer after each letter, (strings, steps)."""
    return _run(params, task, strings)[0]


def _run(params: Any, task: dict[str, Any], strings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The answers, and the units before the first letter and after each one, (strings, steps + 1, 2)."""
    from rnnlib.memory import threshold_step

    letters = task["letters"]
    weights = _weights(params, 1 if len(letters) == 2 else len(letters))
    codes = np.array([[0.0], [1.0]]) if len(letters) == 2 else np.eye(len(letters))
    states, answers = [np.zeros((len(strings), 2))], []
    for column in strings.T:
        state, y = threshold_step(weights, states[-1], codes[column])
        states.append(state)
        answers.append(y[:, 0])
    return np.array(answers, int).T, np.stack(states, axis=1)


def _weights(params: Any, inputs: int) -> dict[str, np.ndarray]:
    """The dict that came, if it is a net of two units; else what is wrong with it."""
    shapes: dict[str, tuple[int, ...]] = {"W_xh": (inputs, 2), "W_hh": (2, 2), "b_h": (2,), "W_hy": (2, 1), "b_y": (1,)}
    expect(type(params) is dict, f"the answer is {_short(params)}, expected a dict with {', '.join(shapes)}")
    expect(
        set(params) == set(shapes),
        f"the dict has {', '.join(map(str, params)) or 'nothing'}; expected {', '.join(shapes)}",
    )
    found = {}
    for name, shape in shapes.items():
        value = params[name]
        expect(
            isinstance(value, np.ndarray) and value.dtype.kind in "fiu",
            f"{name} is {_short(value)}, expected an array of numbers of shape {shape}",
        )
        expect(value.shape == shape, f"{name} has shape {value.shape}, expected {shape}")
        expect(bool(np.isfinite(value).all()), f"{name} holds what is not a finite number")
        found[name] = value.astype(float)
    return found


def _net_checks(exercise: str, task: dict[str, Any], length: int) -> None:
    """A net is right if it is right on every string: short ones first, so that the message shows the shortest."""

    @holds(exercise, "it is a net of two units")
    def _(build: Callable[[], Any]) -> None:
        answers_on_all(build(), task, np.zeros((1, 1), int))

    @holds(exercise, f"it is right on every string of up to {length} {task['called']}")
    def _(build: Callable[[], Any]) -> None:
        judge_net(build(), task, length)

    @holds(exercise, f"it is right on streams of 2,000 {task['called']}")
    def _(build: Callable[[], Any]) -> None:
        streams = np.random.default_rng(5).integers(len(task["letters"]), size=(3, 2000))
        got, want = answers_on_all(build(), task, streams), task["target"](streams)
        wrong = int((got != want).sum())
        expect(wrong == 0, f"on 3 streams of 2,000 {task['called']} {wrong:,} of 6,000 answers are wrong")


_net_checks("01-intuition/parity_weights", PARITY, 10)
_net_checks("01-intuition/a_then_b_weights", A_THEN_B, 7)
