"""rnnlib computes what PyTorch computes, forward and backward, in float64 to 1e-10."""

from functools import partial

import numpy as np
import pytest
import torch
from rnnlib_checks import PHIS, SIZES, Sizes, assert_all_close, assert_close, make_case
from torch_side import linear_grads, load_linear, load_rnn, rnn_grads, tensor, torch_cross_entropy

from rnnlib.bptt import backward_through_time
from rnnlib.elman import elman_step, elman_step_backward
from rnnlib.losses import cross_entropy, softmax
from rnnlib.memory import leaky_average_step, threshold_step
from rnnlib.output import output_layer, output_layer_backward
from rnnlib.parameters import count_parameters, recurrent_size, window_mlp_size
from rnnlib.scan import scan
from rnnlib.sequence import initial_state, initial_state_backward, rnn_forward

every_size = pytest.mark.parametrize("sizes", SIZES, ids=str)
both_phis = pytest.mark.parametrize("phi", PHIS)
with_and_without_mask = pytest.mark.parametrize("masked", [False, True], ids=["all-count", "masked"])


@every_size
@both_phis
def test_elman_step_and_its_gradients_are_those_of_rnncell(sizes: Sizes, phi: str) -> None:
    """State, gradient of input, of previous state and of every parameter agree with torch.nn.RNNCell."""
    case = make_case(sizes)
    x, h_prev = tensor(case.xs[0]), tensor(case.state[0])
    net = load_rnn(case.params, phi, one_step=True)
    expected = net(x, h_prev)
    expected.backward(torch.from_numpy(case.dstate[0]))

    (h,), cache = elman_step(case.params, case.xs[0], case.state, phi)
    dx, (dh_prev,), grads = elman_step_backward(case.params, case.dstate, cache, phi)

    assert_all_close(
        {"h": h, "dx": dx, "dh_prev": dh_prev, **grads},
        {"h": expected.detach(), "dx": x.grad, "dh_prev": h_prev.grad, **rnn_grads(net)},
    )


@every_size
@both_phis
def test_rnn_forward_and_bptt_are_those_of_torch_rnn(sizes: Sizes, phi: str) -> None:
    """All states and all gradients agree when gradient enters at every step and at the last state too."""
    case = make_case(sizes)
    xs, h_0 = tensor(case.xs), tensor(case.state[0][None])
    net = load_rnn(case.params, phi)
    expected_hs, h_n = net(xs, h_0)
    torch.autograd.backward([expected_hs, h_n], [torch.from_numpy(case.dhs), torch.from_numpy(case.dstate[0][None])])

    hs, (last,), caches = rnn_forward(partial(elman_step, phi=phi), case.params, case.xs, case.state)
    back = partial(elman_step_backward, phi=phi)
    dxs, (dh_0,), grads = backward_through_time(back, case.params, case.dhs, case.dstate, caches)

    assert_all_close(
        {"hs": hs, "last": last, "dxs": dxs, "dh_0": dh_0, **grads},
        {"hs": expected_hs.detach(), "last": h_n[0].detach(), "dxs": xs.grad, "dh_0": h_0.grad[0], **rnn_grads(net)},
    )


@every_size
@pytest.mark.parametrize("axes", ["H", "B H", "T B H"])
def test_output_layer_and_its_gradients_are_those_of_linear(sizes: Sizes, axes: str) -> None:
    """One vector, one step and a whole sequence give torch.nn.Linear's scores and gradients."""
    case = make_case(sizes)
    hidden = {"H": case.dhs[0, 0], "B H": case.dhs[0], "T B H": case.dhs}[axes]
    h, net = tensor(hidden), load_linear(case.out)
    expected = net(h)
    d_logits = np.random.default_rng(1).normal(size=tuple(expected.shape))
    expected.backward(torch.from_numpy(d_logits))

    logits, cache = output_layer(case.out, hidden)
    dh, grads = output_layer_backward(case.out, d_logits, cache)

    assert_all_close(
        {"logits": logits, "dh": dh, **grads},
        {"logits": expected.detach(), "dh": h.grad, **linear_grads(net)},
    )


@pytest.mark.parametrize("scale", [1e-8, 1.0, 30.0, 1e4])
@pytest.mark.parametrize("shape", [(1,), (7,), (3, 5), (4, 3, 6)], ids=str)
def test_softmax_is_torch_softmax(shape: tuple[int, ...], scale: float, rng: np.random.Generator) -> None:
    """Probabilities agree for scores that are tiny, ordinary and huge, along the last axis."""
    logits = scale * rng.normal(size=shape)
    assert_close("p", softmax(logits), torch.softmax(torch.from_numpy(logits), dim=-1))


@with_and_without_mask
@pytest.mark.parametrize("scale", [1.0, 1e4])
@pytest.mark.parametrize("shape", [(4,), (3, 5), (6, 4, 3), (5, 1, 2)], ids=str)
def test_cross_entropy_and_its_gradient_are_those_of_torch(
    shape: tuple[int, ...], scale: float, masked: bool, rng: np.random.Generator
) -> None:
    """Loss and dL/dlogits agree with F.cross_entropy, where masked positions are its ignore_index."""
    scores = scale * rng.normal(size=shape)
    targets = rng.integers(shape[-1], size=shape[:-1])
    mask = np.asarray(rng.random(shape[:-1]) < 0.5) if masked else None
    if mask is not None:
        mask[(0,) * mask.ndim] = True  # one position counts in any case
    logits = tensor(scores)
    expected = torch_cross_entropy(logits, targets, mask)
    expected.backward()

    loss, d_logits = cross_entropy(scores, targets, mask)

    assert_all_close({"loss": loss, "d_logits": d_logits}, {"loss": expected.detach(), "d_logits": logits.grad})


@every_size
@both_phis
@with_and_without_mask
def test_whole_chain_has_the_gradients_of_autograd(sizes: Sizes, phi: str, masked: bool) -> None:
    """Learned start, cell, output layer and loss in one: the loss and every gradient agree with autograd."""
    case = make_case(sizes)
    mask = case.mask if masked else None
    xs, start = tensor(case.xs), tensor(case.start[0])
    rnn, linear = load_rnn(case.params, phi), load_linear(case.out)
    expected_hs, _ = rnn(xs, start.expand(1, sizes.B, sizes.H).contiguous())
    expected_loss = torch_cross_entropy(linear(expected_hs), case.targets, mask)
    expected_loss.backward()

    state = initial_state(case.start, sizes.B)
    hs, last, caches = rnn_forward(partial(elman_step, phi=phi), case.params, case.xs, state)
    logits, out_cache = output_layer(case.out, hs)
    loss, d_logits = cross_entropy(logits, case.targets, mask)
    dhs, out_grads = output_layer_backward(case.out, d_logits, out_cache)
    nothing = tuple(np.zeros_like(h) for h in last)
    back = partial(elman_step_backward, phi=phi)
    dxs, dstate, grads = backward_through_time(back, case.params, dhs, nothing, caches)
    (d_start,) = initial_state_backward(dstate)

    assert_all_close(
        {"loss": loss, "dxs": dxs, "d_start": d_start, **grads, **out_grads},
        {
            "loss": expected_loss.detach(),
            "dxs": xs.grad,
            "d_start": start.grad,
            **rnn_grads(rnn),
            **linear_grads(linear),
        },
    )


@every_size
def test_loss_on_the_last_state_alone_has_the_gradients_of_autograd(sizes: Sizes) -> None:
    """Many to one: the gradient enters through dstate only, dhs is zero, and autograd agrees."""
    case = make_case(sizes)
    xs, h_0 = tensor(case.xs), tensor(case.state[0][None])
    rnn, linear = load_rnn(case.params, "tanh"), load_linear(case.out)
    expected_loss = torch_cross_entropy(linear(rnn(xs, h_0)[1][0]), case.targets[-1])
    expected_loss.backward()

    hs, (last,), caches = rnn_forward(elman_step, case.params, case.xs, case.state)
    logits, out_cache = output_layer(case.out, last)
    loss, d_logits = cross_entropy(logits, case.targets[-1])
    d_last, out_grads = output_layer_backward(case.out, d_logits, out_cache)
    silent = np.zeros_like(hs)
    dxs, (dh_0,), grads = backward_through_time(elman_step_backward, case.params, silent, (d_last,), caches)

    assert_all_close(
        {"loss": loss, "dxs": dxs, "dh_0": dh_0, **grads, **out_grads},
        {
            "loss": expected_loss.detach(),
            "dxs": xs.grad,
            "dh_0": h_0.grad[0],
            **rnn_grads(rnn),
            **linear_grads(linear),
        },
    )


# --- the first memories, and what nets cost


@every_size
@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9, 1.0])
def test_leaky_average_over_a_sequence_is_a_chain_of_torch_lerps(sizes: Sizes, keep: float) -> None:
    """Every average along a sequence is torch.lerp between input and average before, done step by step."""
    case = make_case(sizes)
    average, expected = torch.from_numpy(case.xs[-1]), []
    for x in torch.from_numpy(case.xs):
        average = torch.lerp(x, average, keep)
        expected.append(average)
    last, averages = scan(partial(leaky_average_step, keep=keep), case.xs[-1], case.xs)
    assert_all_close(
        {"averages": np.array(averages), "last": last}, {"averages": torch.stack(expected), "last": average}
    )


@every_size
def test_threshold_step_is_torch_linear_layers_with_a_heaviside_step(sizes: Sizes) -> None:
    """States and outputs along a sequence are those of torch layers cut at zero, where a sum of zero is off."""
    case = make_case(sizes)
    net, readout = load_rnn(case.params, "tanh", one_step=True), load_linear(case.out)
    h, off = torch.zeros(case.state[0].shape, dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    states, outputs = [], []
    for x in torch.from_numpy(case.xs):
        sums = x @ net.weight_ih.T + net.bias_ih + h @ net.weight_hh.T + net.bias_hh
        h = torch.heaviside(sums.detach(), off)
        states.append(h)
        outputs.append(torch.heaviside(readout(h).detach(), off))
    state = np.zeros_like(case.state[0])
    last, ys = scan(partial(threshold_step, case.params | case.out), state, case.xs)
    assert_all_close({"last": last, "ys": np.array(ys)}, {"last": states[-1], "ys": torch.stack(outputs)}, 0.0)


@every_size
def test_parameter_counts_are_those_of_torch_layers(sizes: Sizes) -> None:
    """Both formulas, and the count of a dict, give what torch's layers hold; torch has the hidden bias twice."""
    T, D, H, K = sizes.T, sizes.D, sizes.H, sizes.K
    case = make_case(sizes)
    window = torch.nn.Sequential(torch.nn.Linear(T * D, H), torch.nn.Linear(H, K))
    recurrent = torch.nn.ModuleList([torch.nn.RNN(D, H), torch.nn.Linear(H, K)])
    assert window_mlp_size(T, D, H, K) == sum(p.numel() for p in window.parameters())
    assert recurrent_size(D, H, K) == sum(p.numel() for p in recurrent.parameters()) - H
    assert count_parameters(case.params | case.out) == recurrent_size(D, H, K)
