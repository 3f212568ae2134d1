"""The three cells as one writes them first: a loop over the steps, its weight gradients summed inside.

No shape is checked and nothing is hoisted out of the loop. Each function takes the parameters of `rnnlib`, inputs
(T, B, D), a state and the gradients of all hs, and returns every result by name, as the benchmark compares them.
"""

import numpy as np

from rnnlib.types import Array, Params, State

Results = dict[str, Array]


def sigmoid(a: Array) -> Array:
    return 1 / (1 + np.exp(-a))


def add_up(grads: Params, asked: Params) -> None:
    for name, grad in asked.items():
        grads[name] += grad


def elman(params: Params, xs: Array, state: State, dhs: Array) -> Results:
    (h,) = state
    hs, dxs, caches = [], [], []
    for x in xs:
        h_prev, h = h, np.tanh(x @ params["W_xh"] + h @ params["W_hh"] + params["b_h"])
        hs.append(h)
        caches.append((x, h_prev, h))
    grads = {name: np.zeros_like(value) for name, value in params.items()}
    dh = np.zeros_like(h)
    for dh_out, (x, h_prev, h) in zip(dhs[::-1], reversed(caches), strict=True):
        da = (dh + dh_out) * (1 - h**2)
        add_up(grads, {"W_xh": x.T @ da, "W_hh": h_prev.T @ da, "b_h": da.sum(axis=0)})
        dxs.append(da @ params["W_xh"].T)
        dh = da @ params["W_hh"].T
    return {"hs": np.stack(hs), "dxs": np.stack(dxs[::-1]), "dh": dh, **grads}


def lstm(params: Params, xs: Array, state: State, dhs: Array) -> Results:
    h, c = state
    H = h.shape[1]
    hs, dxs, caches = [], [], []
    for x in xs:
        a = x @ params["W_xh"] + h @ params["W_hh"] + params["b_h"]
        i, f, o = sigmoid(a[:, :H]), sigmoid(a[:, H : 2 * H]), sigmoid(a[:, 2 * H : 3 * H])
        g = np.tanh(a[:, 3 * H :])
        h_prev, c_prev = h, c
        c = f * c_prev + i * g
        tanh_c = np.tanh(c)
        h = o * tanh_c
        hs.append(h)
        caches.append((x, h_prev, c_prev, i, f, o, g, tanh_c))
    grads = {name: np.zeros_like(value) for name, value in params.items()}
    dh, dc = np.zeros_like(h), np.zeros_like(c)
    for dh_out, (x, h_prev, c_prev, i, f, o, g, tanh_c) in zip(dhs[::-1], reversed(caches), strict=True):
        dh = dh + dh_out
        dc = dc + dh * o * (1 - tanh_c**2)
        da = np.concatenate(
            [dc * g * i * (1 - i), dc * c_prev * f * (1 - f), dh * tanh_c * o * (1 - o), dc * i * (1 - g**2)], axis=1
        )
        add_up(grads, {"W_xh": x.T @ da, "W_hh": h_prev.T @ da, "b_h": da.sum(axis=0)})
        dxs.append(da @ params["W_xh"].T)
        dh, dc = da @ params["W_hh"].T, dc * f
    return {"hs": np.stack(hs), "dxs": np.stack(dxs[::-1]), "dh": dh, "dc": dc, **grads}


def gru(params: Params, xs: Array, state: State, dhs: Array) -> Results:
    (h,) = state
    H = h.shape[1]
    hs, dxs, caches = [], [], []
    for x in xs:
        a = x @ params["W_xh"] + params["b_h"]
        u = h @ params["W_hh"]
        z, r = sigmoid(a[:, :H] + u[:, :H]), sigmoid(a[:, H : 2 * H] + u[:, H : 2 * H])
        recalled = u[:, 2 * H :] + params["b_hh"]
        n = np.tanh(a[:, 2 * H :] + r * recalled)
        h_prev, h = h, (1 - z) * h + z * n
        hs.append(h)
        caches.append((x, h_prev, z, r, n, recalled))
    grads = {name: np.zeros_like(value) for name, value in params.items()}
    dh = np.zeros_like(h)
    for dh_out, (x, h_prev, z, r, n, recalled) in zip(dhs[::-1], reversed(caches), strict=True):
        dh = dh + dh_out
        da_z, da_n = dh * (n - h_prev) * z * (1 - z), dh * z * (1 - n**2)
        da_r, du = da_n * recalled * r * (1 - r), da_n * r
        da, da_h = np.concatenate([da_z, da_r, da_n], axis=1), np.concatenate([da_z, da_r, du], axis=1)
        asked = {"W_xh": x.T @ da, "W_hh": h_prev.T @ da_h, "b_h": da.sum(axis=0), "b_hh": du.sum(axis=0)}
        add_up(grads, asked)
        dxs.append(da @ params["W_xh"].T)
        dh = da_h @ params["W_hh"].T + dh * (1 - z)
    return {"hs": np.stack(hs), "dxs": np.stack(dxs[::-1]), "dh": dh, **grads}
