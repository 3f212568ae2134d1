"""Texts, trainings and searches for the checks of chapter 15; nothing but NumPy and `rnnlib` in here."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

__all__ = ["SYMBOLS", "WORDS_READ", "learn_words", "made_up_text", "search_diary", "teaching_diary"]

# Words of one length from four letters: two letters in a row never tell which word it is, or where in it one is.
WORDS = ("abcabd", "abdcab", "bcabda", "bdabca", "cababd", "cdabab", "dabcba", "dcbaba")
SYMBOLS = "abcd "
HIDDEN, INPUTS, ROWS, WINDOW, STEPS = 32, 8, 16, 14, 120
WORDS_READ = ROWS * WINDOW * STEPS // 7 + 1


def made_up_text(seed: int, words: int) -> np.ndarray:
    """Words drawn at random, each with a space behind it, as numbers of `SYMBOLS`."""
    drawn = np.random.default_rng(seed).choice(WORDS, words)
    return np.array([SYMBOLS.index(letter) for letter in " ".join(drawn) + " "])


def learn_words(train_stateful: Callable[..., Any], seed: int) -> tuple[float, list[float]]:
    """Let an Elman net read a made-up text once: its perplexity on a fresh one, and the loss of each window."""
    from rnnlib.elman import elman_init
    from rnnlib.fused import elman_backward, elman_forward
    from rnnlib.language import language_init, language_log_probs
    from rnnlib.runs import new_run
    from rnnlib.schedules import warmup_cosine
    from rnnlib.stateful import stateful_batches

    rng = np.random.default_rng(seed)
    text = made_up_text(1000 + seed, WORDS_READ)
    batches = stateful_batches(text, ROWS, WINDOW)[:STEPS]
    cell = elman_init(rng, INPUTS, HIDDEN, np.float32)
    training = new_run(language_init(rng, len(SYMBOLS), cell, dtype=np.float32), rng)
    rates = partial(warmup_cosine, total=STEPS, peak=0.02, warmup=10)
    empty = (np.zeros((ROWS, HIDDEN), np.float32),)
    training, _, losses = train_stateful(elman_forward, elman_backward, training, batches, empty, rates, 1.0)
    fresh = made_up_text(2000 + seed, 400)
    empty = (np.zeros((1, HIDDEN), np.float32),)
    log_probs, _ = language_log_probs(elman_forward, training["params"], fresh[:-1, None], fresh[1:, None], empty)
    return float(np.exp(-log_probs[2:].mean())), [float(loss) for loss in losses]


def teaching_diary(train_stateful: Callable[..., Any]) -> dict[str, Any]:
    """Train on four windows with an optimizer that only writes down what it is given, and a run that does too."""
    rng = np.random.default_rng(0)
    params = {"W": rng.standard_normal((3, 4)), "keep": rng.uniform(0.3, 0.9, 4), "E": rng.standard_normal((5, 3))}
    params |= {"W_hy": rng.standard_normal((4, 5)), "b_y": rng.standard_normal(5)}
    batches = [(rng.integers(5, size=(2, 2)), rng.integers(5, size=(2, 2))) for _ in range(4)]
    diary: dict[str, Any] = {"starts": [], "ends": [], "rates": [], "norms": [], "before": [], "asked": []}

    def run(params: Any, xs: np.ndarray, state: Any) -> Any:
        diary["starts"].append(state[0].copy())
        h, hs = state[0], []
        for x in xs:
            h = params["keep"] * h + x @ params["W"]
            hs.append(h)
        diary["ends"].append(h.copy())
        return np.array(hs), (h,), (xs, np.array([state[0], *hs[:-1]]))

    def run_back(params: Any, dhs: np.ndarray, dlast: Any, caches: Any) -> Any:
        sent, grads = dlast[0], {"W": 0, "keep": 0}
        dxs: list[np.ndarray] = []
        for dh, x, h in zip(dhs[::-1], caches[0][::-1], caches[1][::-1], strict=True):
            whole = dh + sent
            dxs.insert(0, whole @ params["W"].T)
            grads = {"W": grads["W"] + x.T @ whole, "keep": grads["keep"] + (whole * h).sum(axis=0)}
            sent = params["keep"] * whole
        return np.array(dxs), (sent,), grads

    def schedule(step: int) -> float:
        diary["asked"].append(step)
        return 0.1 * step

    def optimizer(params: Any, grads: Any, memory: Any, rate: float) -> Any:
        diary["before"].append(memory.get("count", 0))
        diary["rates"].append(rate)
        diary["norms"].append(float(np.sqrt(sum(float((g * g).sum()) for g in grads.values()))))
        moved = {name: W - 0.01 * grads[name] for name, W in params.items()}
        return moved, {"count": memory.get("count", 0) + 1}

    start = {"params": params, "optimizer": {}, "step": 6, "waited": 3}
    first = (np.full((2, 4), 0.5),)
    end, state, losses = train_stateful(run, run_back, start, batches, first, schedule, 0.2, optimizer)
    diary |= {"state": state[0], "losses": [float(loss) for loss in losses], "start_step": start["step"]}
    return diary | {"step": end["step"], "waited": end.get("waited"), "count": end["optimizer"].get("count")}


def search_diary(beam_search: Callable[..., Any], width: int, length: int) -> tuple[list[Any], list[Any]]:
    """Search in a language whose texts end soon: what comes back, and after which texts it was asked to go on."""
    asked: list[list[int]] = []
    chances = np.log(np.array([0.4, 0.3, 0.2, 0.1]))

    def next_log_probs(state: tuple[int, ...], token: int) -> Any:
        asked.append([*state[1:], token] if state else [])
        return chances, (*state, token)

    return [
        [list(tokens), float(total)] for tokens, total in beam_search(next_log_probs, (), 3, 0, width, length)
    ], asked
