"""What an output may know: held against PyTorch's gradients, and against its nets fed with one prefix after another."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from rnnlib_checks import Sizes, assert_all_close, make_cell_case

from rnnlib.bidirectional import bidirectional
from rnnlib.causal import can_see, stream_outputs
from rnnlib.elman import elman_step
from rnnlib.sequence import rnn_forward
from rnnlib.stacked import stacked
from rnnlib.torch_layout import elman_to_torch
from rnnlib.types import Array

SIZES = Sizes(6, 3, 2, 5, 4)
RUN = partial(rnn_forward, elman_step)
every_net = pytest.mark.parametrize(("layers", "ways"), [(1, 1), (1, 2), (3, 1), (2, 2)], ids=str)


def nets(layers: int, ways: int) -> tuple[Any, Any, Array]:
    """Our net and torch's, as functions from inputs to outputs, and inputs."""
    upper = Sizes(SIZES.T, SIZES.B, SIZES.H * ways, SIZES.H, SIZES.K)
    cases = [
        [make_cell_case("elman", upper if i else SIZES, seed=7 * i + j) for j in range(ways)] for i in range(layers)
    ]
    net = torch.nn.RNN(SIZES.D, SIZES.H, layers, bidirectional=ways == 2, dtype=torch.float64)
    weights = {
        f"{name}_l{i}{end}": torch.from_numpy(array)
        for i, pair in enumerate(cases)
        for case, end in zip(pair, ("", "_reverse"), strict=False)
        for name, array in elman_to_torch(case.params).items()
    }
    net.load_state_dict(weights)
    run = partial(bidirectional, RUN) if ways == 2 else RUN
    params: Any = [tuple(c.params for c in pair) if ways == 2 else pair[0].params for pair in cases]

    def read(xs: Array) -> Array:
        zero = (np.zeros((xs.shape[1], SIZES.H)),)
        return stacked(run, params, xs, [(zero, zero) if ways == 2 else zero] * layers)[0]

    return read, lambda xs: net(xs)[0], cases[0][0].xs


@every_net
def test_an_output_sees_the_inputs_that_torch_s_gradient_reaches(layers: int, ways: int) -> None:
    """True exactly where PyTorch finds a gradient from an output step to an input step that is not zero."""
    read, theirs, xs = nets(layers, ways)
    inputs = torch.tensor(xs, requires_grad=True)
    reached = np.zeros((SIZES.T, SIZES.T), dtype=bool)
    for t in range(SIZES.T):
        (slope,) = torch.autograd.grad(theirs(inputs)[t].square().sum(), inputs)
        reached[t] = (slope != 0).any(dim=(1, 2)).numpy()
    np.testing.assert_array_equal(can_see(read, xs), reached)
    np.testing.assert_array_equal(reached, np.ones((6, 6), bool) if ways == 2 else np.tri(6, dtype=bool))


@every_net
def test_streaming_is_torch_on_every_prefix(layers: int, ways: int) -> None:
    """Each output is the last one that PyTorch's net gives for the inputs so far; a causal net gives no others."""
    read, theirs, xs = nets(layers, ways)
    with torch.no_grad():
        expected = np.stack([theirs(torch.from_numpy(xs[: t + 1]))[-1].numpy() for t in range(SIZES.T)])
    streamed = stream_outputs(read, xs)
    assert_all_close({"streamed": streamed}, {"streamed": expected})
    assert np.allclose(streamed, read(xs)) == (ways == 1)


def test_one_unit_of_one_sequence_is_enough_to_see() -> None:
    """An output that shows a single number of a single sequence still depends on it."""

    def read(xs: Array) -> Array:
        hs = np.zeros((4, 3, 2))
        hs[2, 1, 1] = xs[3, 1, 0]
        return hs

    expected = np.zeros((4, 4), bool)
    expected[2, 3] = True
    np.testing.assert_array_equal(can_see(read, np.zeros((4, 3, 5))), expected)
