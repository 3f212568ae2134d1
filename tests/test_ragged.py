"""The helpers of chapter 09's checks: every cell's walk back, and nets of every kind."""

from functools import partial

import numpy as np
import pytest

from course.checks.ragged import CELLS, both_runs, cell_of, first_state, new_net, walk_back, weights
from rnnlib.bptt import backward_through_time
from rnnlib.sequence import rnn_forward


def _leaves(tree):
    if isinstance(tree, dict):
        return [leaf for name in sorted(tree) for leaf in _leaves(tree[name])]
    return [leaf for part in tree for leaf in _leaves(part)] if isinstance(tree, tuple | list) else [tree]


@pytest.mark.parametrize("kind", CELLS)
def test_the_walk_back_is_the_library_s(kind):
    """`walk_back` gives the gradients of `backward_through_time` for every cell, and leaves its arguments alone."""
    rng = np.random.default_rng(0)
    step, back = cell_of(kind)
    params, start, dlast = weights(rng, kind, 3, 4), first_state(rng, kind, 2, 4), first_state(rng, kind, 2, 4)
    hs, _, caches = rnn_forward(step, params, rng.normal(size=(6, 2, 3)), start)
    dhs = rng.normal(size=hs.shape)
    before = [leaf.copy() for leaf in _leaves((dhs, dlast, params))]
    ours = walk_back(back, params, dhs, dlast, caches)
    theirs = backward_through_time(back, params, dhs, dlast, caches)
    for one, two in zip(_leaves(ours), _leaves(theirs), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-12)
    for now, then in zip(_leaves((dhs, dlast, params)), before, strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize("both", [False, True], ids=["one-way", "both-ways"])
@pytest.mark.parametrize("kind", CELLS)
def test_a_new_net_runs_and_has_no_bias_of_zero(kind, both):
    """Cells, starts and output layer fit together; no bias is zero, where a mistake would not show."""
    rng = np.random.default_rng(1)
    net, start = new_net(rng, kind, both, 3, 2, 5)
    run, back = both_runs(kind, both, np.array([4, 1, 2]))
    hs, last, caches = run(net["cell"], rng.normal(size=(4, 3, 2)), start)
    assert (hs @ net["out"]["W_hy"] + net["out"]["b_y"]).shape == (4, 3, 5)
    dxs, dstart, grads = back(net["cell"], hs, last, caches)
    assert dxs.shape == (4, 3, 2)
    for got, want in ((dstart, start), (grads, net["cell"])):
        assert [leaf.shape for leaf in _leaves(got)] == [leaf.shape for leaf in _leaves(want)]
    cells = net["cell"] if both else (net["cell"],)
    assert all(cell[name].any() for cell in cells for name in cell)
    assert len({id(leaf) for leaf in _leaves(net)}) == len(_leaves(net))


def test_the_two_forms_of_the_gru_are_two_cells():
    """The kinds differ in what they compute, not in name alone."""
    rng = np.random.default_rng(2)
    params, state = weights(rng, "GRU, reset after", 2, 3), first_state(rng, "GRU, reset after", 1, 3)
    x = rng.normal(size=(1, 2))
    runs = [partial(cell_of(kind)[0], params, x) for kind in CELLS if kind.startswith("GRU")]
    one, two = (run(state)[0][0] for run in runs)
    assert np.abs(one - two).max() > 1e-3
