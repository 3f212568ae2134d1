"""Train the attention model on the `rnnlib` of the folder that this is started in; print what came out as JSON.

    python chain_run.py [FUNCTION ...]     with functions named: each in turn raises, and what is told then is printed

The encoder runs on the plain path, `rnn_forward` with `gru_step`, not on `rnnlib.fused`, which nobody has to write.
"""

import importlib
import json
import pkgutil
import sys
from functools import partial
from pathlib import Path

import numpy as np


def main() -> None:
    import rnnlib

    assert Path(rnnlib.__file__).parent.parent == Path.cwd(), f"rnnlib is that of {rnnlib.__file__}"
    modules = [importlib.import_module(f"rnnlib.{module.name}") for module in pkgutil.iter_modules(rnnlib.__path__)]
    found = {name: value for module in modules for name, value in vars(module).items() if callable(value)}
    seq2seq = sys.modules["rnnlib.seq2seq"]
    outcome = {}
    for name in sys.argv[1:]:
        holders = [module for module in modules if vars(module).get(name) is found[name]]
        for module in holders:
            setattr(module, name, partial(_canary, name))
        _take_the_plain_path(seq2seq)
        outcome[name] = _told(steps=12)
        for module in holders:
            setattr(module, name, found[name])
    if not outcome:
        _take_the_plain_path(seq2seq)
        outcome["share"] = _share(steps=None)
    print(json.dumps(outcome))


def _take_the_plain_path(seq2seq) -> None:
    from rnnlib.bptt import backward_through_time
    from rnnlib.gru import gru_step, gru_step_backward
    from rnnlib.sequence import rnn_forward

    seq2seq.gru_forward = partial(rnn_forward, gru_step)
    seq2seq.gru_backward = partial(backward_through_time, gru_step_backward)


def _canary(name, *arguments, **options):
    raise RuntimeError(f"the canary in {name}")


def _told(steps: int) -> str:
    try:
        _share(steps)
    except RuntimeError as error:
        return str(error)
    return "nothing"


def _share(steps: int | None) -> float:
    """Of fresh words, the share that the trained net says backwards without a mistake."""
    from course.checks.reversal import learn_to_reverse, say_backwards, words_to_reverse
    from rnnlib.attention_decoder import luong_step_backward

    options = {} if steps is None else {"steps": steps}
    params, _ = learn_to_reverse(luong_step_backward, **options)
    sources, lengths, targets, _ = words_to_reverse(np.random.default_rng(1), 200)
    said = say_backwards(params, sources, lengths)
    return float(np.mean([(said[:n, b] == targets[1 : n + 1, b]).all() for b, n in enumerate(lengths + 1)]))


if __name__ == "__main__":
    main()
