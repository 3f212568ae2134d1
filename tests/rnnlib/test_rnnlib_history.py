"""Hopfield's net and temporal XOR against PyTorch, brute force, and the theory of large nets."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rnnlib_checks import assert_close

from rnnlib.hopfield import hopfield_energy, hopfield_recall, hopfield_store
from rnnlib.scan import scan
from rnnlib.types import Array
from rnnlib.xor import error_by_phase, temporal_xor, xor_guess_step

SIZES = [(1, 2), (3, 7), (5, 5), (9, 4), (20, 60)]
seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(1, 12)


def signs(rng: np.random.Generator, *shape: int) -> Array:
    return rng.choice([-1.0, 1.0], size=shape)


def couplings(rng: np.random.Generator, size: int) -> Array:
    upper = np.triu(rng.integers(-3, 4, size=(size, size)), 1).astype(float)
    return upper + upper.T


@pytest.mark.parametrize(("P", "N"), SIZES, ids=str)
def test_store_is_the_sum_of_outer_products_in_torch(P: int, N: int, rng: np.random.Generator) -> None:
    """Weights agree with an einsum over patterns, the diagonal taken out."""
    patterns = signs(rng, P, N)
    x = torch.from_numpy(patterns)
    outer = torch.einsum("pi,pj->ij", x, x)
    assert_close("weights", hopfield_store(patterns), outer - torch.diag(torch.diagonal(outer)))


@pytest.mark.parametrize("shape", [(), (4,), (2, 3)], ids=str)
@pytest.mark.parametrize("N", [2, 5, 8])
def test_energy_is_the_quadratic_form_in_torch(N: int, shape: tuple[int, ...], rng: np.random.Generator) -> None:
    """Energies agree with half an einsum, and its gradient is minus the fields that recall follows."""
    weights, state = couplings(rng, N) + 0.0, signs(rng, *shape, N)
    s = torch.tensor(state, requires_grad=True)
    energy = -0.5 * torch.einsum("...i,ij,...j->...", s, torch.from_numpy(weights), s)
    energy.sum().backward()
    assert s.grad is not None
    assert_close("energy", hopfield_energy(weights, state), energy.detach())
    assert_close("field", state @ weights, -s.grad)


@given(sizes, seeds)
def test_recall_is_the_walk_written_out_unit_by_unit(size: int, seed: int) -> None:
    """Any symmetric weights, any order, any number of sweeps: the same state as plain Python, and never uphill."""
    rng = np.random.default_rng(seed)
    weights, state = couplings(rng, size), signs(rng, size)
    order, sweeps = rng.integers(size, size=rng.integers(1, 2 * size + 1)), int(rng.integers(1, 6))
    walk, heights = state.tolist(), [float(hopfield_energy(weights, state))]
    for i in np.tile(order, sweeps):
        field = sum(weights[i, j] * walk[j] for j in range(size))
        walk[i] = walk[i] if field == 0 else math.copysign(1, field)
        heights.append(float(hopfield_energy(weights, np.array(walk))))
    assert hopfield_recall(weights, state, order, sweeps).tolist() == walk
    assert all(after <= before for before, after in itertools.pairwise(heights))


@given(sizes, seeds)
def test_recall_ends_where_no_unit_wants_to_turn(size: int, seed: int) -> None:
    """With a Generator the walk ends in a state that one more sweep leaves as it is."""
    rng = np.random.default_rng(seed)
    weights = couplings(rng, size)
    end = hopfield_recall(weights, signs(rng, 3, size), rng)
    assert (end * (end @ weights) >= 0).all()


def test_a_stored_pattern_is_found_from_a_spoiled_copy() -> None:
    """Five of 100 units times 0.05: every pattern comes back from 10 % wrong, on eight seeds, and so do negatives."""
    for seed in range(8):
        rng = np.random.default_rng(seed)
        patterns = signs(rng, 5, 100)
        spoiled = patterns.copy()
        spoiled[:, rng.permutation(100)[:10]] *= -1
        weights = hopfield_store(patterns)
        assert (hopfield_recall(weights, spoiled, rng) == patterns).all(), f"seed {seed}"
        assert (hopfield_recall(weights, -spoiled, rng) == -patterns).all(), f"seed {seed}"


def test_capacity_lies_where_the_theory_of_large_nets_puts_it() -> None:
    """With 600 units the mean overlap is the theory's below the limit (0.138), and retrieval breaks down above it."""
    size, rows = 600, 20
    for load, low, high in ((0.10, 0.995, 1.0), (0.12, 0.98, 1.0), (0.20, 0.25, 0.60)):
        overlaps = []
        for seed in range(5):
            rng = np.random.default_rng(seed)
            patterns = signs(rng, round(load * size), size).astype(np.float32)
            end = hopfield_recall(hopfield_store(patterns), patterns[:rows], rng)
            overlaps.append(float((end * patterns[:rows]).mean()))
        assert low <= np.mean(overlaps) <= high, f"load {load}: {np.round(overlaps, 3)}"


@given(st.integers(1, 6), st.integers(1, 4), seeds)
def test_temporal_xor_is_pairs_and_their_parity(n: int, streams: int, seed: int) -> None:
    """The sum of each triple is even, and taking out every third bit gives the pairs back."""
    pairs = np.random.default_rng(seed).integers(2, size=(n, 2, streams))
    triples = temporal_xor(pairs).reshape(n, 3, streams)
    assert not (triples.sum(axis=1) % 2).any()
    assert (triples[:, :2] == pairs).all()


@given(st.integers(1, 20), st.integers(1, 20), seeds)
def test_error_by_phase_gathers_by_remainder(T: int, period: int, seed: int) -> None:
    """Each mean is that of a list filled by t mod period."""
    errors = np.random.default_rng(seed).random((max(T, period), 2))
    lists: list[list[float]] = [[] for _ in range(period)]
    for t, row in enumerate(errors):
        lists[t % period] += row.tolist()
    assert_close("means", error_by_phase(errors, period), [sum(found) / len(found) for found in lists])


@given(st.integers(0, 2), st.integers(4, 9), seeds)
def test_the_guess_is_that_of_counting_all_streams(start: int, length: int, seed: int) -> None:
    """After any beginning of a stream, the guess is a count over all continuations of all places that fit it."""
    rng = np.random.default_rng(seed)
    stream = temporal_xor(rng.integers(2, size=(5, 2)))[start : start + length].tolist()
    begin = (np.full(3, 1 / 3), stream[0], stream[1])
    (belief, before, last), guesses = scan(xor_guess_step, begin, stream[2:])
    weight = np.zeros((3, 2))  # by place of the coming bit, and its value
    for place in range(3):  # of stream[2]
        chance = 1.0
        for t in range(2, length):
            forced = (place + t - 2) % 3 == 2
            chance *= float(stream[t] == stream[t - 1] ^ stream[t - 2]) if forced else 0.5
        coming = (place + length - 2) % 3
        value = np.array([0.5, 0.5]) if coming != 2 else np.eye(2)[stream[-1] ^ stream[-2]]
        weight[coming] += chance * value
    weight /= weight.sum()
    assert_close("belief", belief, weight.sum(axis=1))
    assert_close("guess", guesses[-1], weight[:, 1].sum())
    assert (before, last) == (stream[-2], stream[-1])
