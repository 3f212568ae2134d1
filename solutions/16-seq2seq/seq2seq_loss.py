"""Inputs for 16-seq2seq/seq2seq_loss, and PyTorch's loss of the pairs, one at a time."""

import numpy as np
import torch

RETURNS = ("loss", "grads")


def inputs(rng):
    """Told the truth, with anything in the padding; fed other words; no padding; targets of a start and an end."""
    for S, lengths, T, ends, fed in (
        (5, [2, 5, 3], 6, [6, 3, 4], False),
        (4, [4, 1], 5, [2, 5], True),
        (3, [3, 3, 2], 4, [4, 4, 4], False),
        (2, [2], 2, [2], False),
    ):
        D, H, letters, words = 2, 3, 5, 6
        n, m, B = np.array(lengths), np.array(ends), len(lengths)
        sources, targets = rng.integers(letters, size=(S, B)), rng.integers(3, words, size=(T, B))
        sources[np.arange(S)[:, None] >= n] = 77
        targets[0] = 1
        targets[m - 1, np.arange(B)] = 2
        net = {"encoder": _reader(rng, letters, D, H), "decoder": _reader(rng, words, D, H)}
        net["decoder"]["out"] = {"W_hy": rng.standard_normal((H, words)), "b_y": rng.standard_normal(words)}
        yield net, sources, n, targets, m, rng.integers(words, size=(T - 1, B)) if fed else None


def _reader(rng, symbols, D, H):
    cell = {
        "W_xh": rng.standard_normal((D, 3 * H)) / np.sqrt(D),
        "W_hh": rng.standard_normal((H, 3 * H)) / np.sqrt(H),
        "b_h": rng.standard_normal(3 * H),
    }
    return {"embedding": {"E": rng.standard_normal((symbols, D))}, "cell": cell}


def oracle(params, sources, source_lengths, targets, target_lengths, inputs=None):
    net = {
        side: {p: {k: torch.tensor(v, requires_grad=True) for k, v in part.items()} for p, part in parts.items()}
        for side, parts in params.items()
    }
    encoder, decoder, total = net["encoder"], net["decoder"], 0
    for b, (n, m) in enumerate(zip(source_lengths, target_lengths, strict=True)):
        state = torch.zeros(len(encoder["cell"]["W_hh"]), dtype=torch.float64)
        for s in range(n):
            state = _gru(encoder, sources[s, b], state)
        for t in range(1, m):
            state = _gru(decoder, targets[t - 1, b] if inputs is None else inputs[t - 1, b], state)
            scores = state @ decoder["out"]["W_hy"] + decoder["out"]["b_y"]
            total = total - torch.log_softmax(scores, dim=-1)[targets[t, b]]
    loss = total / int((target_lengths - 1).sum())
    loss.backward()
    return loss.item(), {
        side: {p: {k: v.grad.numpy() for k, v in part.items()} for p, part in parts.items()}
        for side, parts in net.items()
    }


def _gru(side, symbol, h):
    cell = side["cell"]
    W_z, W_r, W_n = cell["W_hh"].chunk(3, dim=1)
    a_z, a_r, a_n = (side["embedding"]["E"][symbol] @ cell["W_xh"] + cell["b_h"]).chunk(3)
    z, r = torch.sigmoid(a_z + h @ W_z), torch.sigmoid(a_r + h @ W_r)
    return (1 - z) * h + z * torch.tanh(a_n + (r * h) @ W_n)
