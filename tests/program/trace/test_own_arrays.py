"""Models that read their own arrays: every way to come upon a parameter."""

import collections
import copy
import functools
import itertools
import math
import types

import numpy as np
import pytest

import fastgrad as fg
from fastgrad.params.nest import Nest

CASES = {}


def case(function):
    CASES[function.__name__] = function
    return function


class M:
    def __init__(s):
        r = np.random.default_rng(1)
        s.W = r.normal(size=(3, 3))
        s.b = r.normal(size=3)
        s.c = np.array(0.7)
        s.layers = [r.normal(size=(3, 3)) for _ in range(2)]
        s.theta = r.normal(size=9)
        s.d = {"u": r.normal(size=2), "v": r.normal(size=(2, 2))}
        s.W0 = r.normal(size=2)
        s.W1 = r.normal(size=2)

    @property
    def P(s):
        return {
            "W": s.W,
            "b": s.b,
            "c": s.c,
            "layers": s.layers,
            "theta": s.theta,
            "d": s.d,
            "W0": s.W0,
            "W1": s.W1,
        }

    @property
    def A(s):
        return s.theta[:4].reshape(2, 2)

    def reg(s):
        return sum(np.linalg.norm(p) ** 2 for p in (s.W, s.b))


@case
def a1(s):
    return sum(x * 2 for x in s.b) + max(s.b) + min(s.b) * 2 + sum(s.b) + abs(s.b[0])


@case
def a2(s):
    return sum(i * np.sum(r**2) for i, r in enumerate(s.W)) + sum(
        np.dot(x, y) for x, y in zip(s.W, s.W.T)
    )


@case
def a3(s):
    return (
        math.exp(s.b[0])
        + float(s.c) * s.c.item()
        + s.b.tolist()[1] * s.b.item(2)
        + float(s.b[2])
    )


@case
def a4(s):
    return np.sum(s.W0 if s.b[0] > 0 else s.W1) + (1.0 if s.c else 0) * s.b[1]


@case
def a5(s):
    return sum(np.sum(getattr(s, "W%d" % i) ** 3) for i in range(2))


@case
def a6(s):
    A, c = s.theta[:6].reshape(2, 3), s.theta[6:]
    return np.sum(np.tanh(A @ c))


@case
def a7(s):
    return np.sum(s.A @ s.d["u"]) + np.sum(s.A**2)


@case
def a8(s):
    return (
        sum(np.sum(v**2) for v in s.d.values()) + sum(np.sum(L) for L in s.layers) * s.c
    )


@case
def a9(s):
    t = copy.deepcopy(s)
    return np.sum(t.W**2) + np.sum(copy.copy(s).b)


@case
def b1(s):
    return (
        np.sum(np.vstack([s.b, s.W]))
        + np.sum(np.hstack((s.W0, s.W1)) * np.arange(4))
        + np.concatenate([L.ravel() for L in s.layers]).prod()
    )


@case
def b2(s):
    return (
        np.dot(s.W, [1.0, 2.0, 3.0]).sum()
        + s.W.dot([1, 0, 2]).max()
        + (s.W @ [1.0, 1, 1]).sum()
        + ([1.0, 2, 3] @ s.W).sum()
    )


@case
def b3(s):
    x = s.W.copy()
    x[0] = 0
    x += 1
    y = s.b.flatten()
    y *= 2
    return np.sum(x**2) + y.sum() + np.array(s.b)[::-1][0] + np.asarray(s.theta)[2]


@case
def b4(s):
    return sum(s.W[i, j] * (i + j) for i, j in np.ndindex(*s.W.shape)) + sum(
        v * i[0] for i, v in np.ndenumerate(s.W)
    )


@case
def b5(s):
    return (
        np.sum(s.W[s.W > 0])
        + np.sum(s.b[[0, 2]])
        + s.W[np.arange(3), [0, 1, 2]].sum()
        + np.trace(s.W)
        + s.W.diagonal().prod()
    )


@case
def b6(s):
    a, b, c = s.b
    (d, e), (f, g) = s.A
    [h, *k] = s.theta
    return a * b + c * d + e * f * g + h * sum(k)


@case
def b7(s):
    return s.reg() + np.square(s.W).mean() + s.W.std() + s.b.var() + np.median(s.theta)


@case
def b8(s):
    s.cache = {"z": s.W @ s.b}
    s.hist = getattr(s, "hist", [])
    s.hist.append(s.cache["z"])
    return np.sum(s.cache["z"] ** 2)


@case
def b9(s):
    h = np.ones(3)
    for L in s.layers:
        h = np.maximum(L @ h + s.b, 0.1 * (L @ h + s.b))
    return -np.log(np.exp(h[1]) / sum(np.exp(x) for x in h))


@case
def c1(s):
    f = functools.partial(np.einsum, "ij,j->i")
    return f(s.W, s.b).sum() + functools.reduce(np.matmul, s.layers)[0, 1]


@case
def c2(s):
    return (
        sum(itertools.starmap(lambda x, y: x * y, zip(s.b, s.b[::-1])))
        + sum(map(np.sum, s.layers))
        + sum(map(float, s.b))
    )


@case
def c3(s):
    K = lambda x, y: np.exp(-np.sum((x - y) ** 2))
    G = np.array([[K(x, y) for y in s.W] for x in s.W])
    return np.log(np.linalg.det(G + np.eye(3)))


@case
def c4(s):
    l = list(s.b)
    l.sort()
    d = dict(zip("abc", s.b))
    t = tuple(s.b)
    return l[0] + d["a"] * t[1] + len(l) * d.get("c", 0.0)


@case
def c5(s):
    out = []
    for row in s.W:
        out.append([math.tanh(v) for v in row])
    return np.mean(out) + np.sum(np.array(out) @ s.b)


@case
def c6(s):
    z = np.zeros((3, 3))
    z[:] = s.W
    z[1:] -= z[:-1]
    z.T[0] *= 2
    s2 = np.empty_like(s.W)
    s2[...] = z
    return (s2**2).sum()


@case
def c7(s):
    x = np.full(3, s.c)
    y = np.ones(3) * s.c
    y[1] = s.b[1]
    return x @ y + np.linspace(0, s.b[0], 4).sum() + np.arange(3) @ s.b


@case
def c8(s):
    v = s.b / np.linalg.norm(s.b)
    for _ in range(5):
        v = s.W.T @ (s.W @ v)
        v /= np.sqrt(v @ v)
    return v @ s.W @ v


@case
def c9(s):
    return (
        np.where(s.W > 0, s.W, np.expm1(s.W)).sum()
        + np.clip(s.theta, -0.5, 0.5).sum()
        + np.heaviside(s.b, 0.5) @ s.b
        + np.sign(s.b) @ s.b
    )


@case
def d1(s):
    e = np.exp(s.W - s.W.max(axis=1, keepdims=True))
    p = e / e.sum(1, keepdims=True)
    y = np.eye(3)[[0, 2, 1]]
    return -(y * np.log(p + 1e-12)).sum() / 3


@case
def d2(s):
    import pandas as pd

    df = pd.DataFrame({"x": [1.0, 2, 3], "y": [2.0, 1, 0]})
    return np.sum((df[["x", "y"]].values @ s.W0 - df["x"].to_numpy()) ** 2)


@case
def d3(s):
    X = [[1.0, 2.0], [3.0, 4.0]]
    return sum((sum(w * x for w, x in zip(s.W0, row)) - 1) ** 2 for row in X)


@case
def d4(s):
    n = len(s.b)
    D = np.zeros((n, n))
    for i in range(n):
        for j in range(i + 1, n):
            D[i][j] = D[j][i] = abs(s.b[i] - s.b[j])
    return D.max() + D.sum()


@case
def d5(s):
    m = collections.defaultdict(list)
    for k, x in zip([0, 1, 0], s.b):
        m[k].append(x)
    return (
        sum(np.mean(v) ** 2 for v in m.values())
        + np.ptp(s.b)
        + np.average(s.b, weights=[1, 2, 3])
    )


@case
def d6(s):
    return (
        s.W.ravel()[4]
        + s.W.reshape(9)[2] * s.W.T.flatten()[1]
        + s.W[..., 0].sum()
        + s.W.swapaxes(0, 1)[1, 2]
        + s.W.flat[3]
        + s.W.size * s.c
        + s.W.mean(axis=0)[1]
    )


@case
def d7(s):
    return (
        np.float64(s.c) ** 2
        + np.power(s.b, 2).sum()
        + pow(s.b[0], 3)
        + s.b[1] ** -1
        + 2.0 ** s.b[2]
        + divmod(7.3, 2)[1] * s.c
        + round(1.26, 1) * s.b[0]
    )


@case
def d8(s):
    q = [s.b]
    seen = 0.0
    while q:
        x = q.pop(0)
        seen += x.sum() * len(x)
        if len(x) > 1:
            q.extend([x[: len(x) // 2], x[len(x) // 2 :]])
    return seen


@case
def d9(s):
    try:
        return np.sum(s.missing)
    except AttributeError:
        return np.sum(s.W) * s.c


@pytest.mark.parametrize("name", CASES)
def test_a_model_that_reads_its_own_arrays_is_compiled(name):
    model, function = M(), CASES[name]
    params = model.P
    nest = Nest(params)
    program = fg.trace(lambda _: function(model), params)
    assert not program.opaque
    base = float(function(model))
    np.testing.assert_allclose(program.value, base, rtol=1e-13)
    for names in (nest.names, ["W"], ["b"], ["theta", "c"]):
        d = np.random.default_rng(2).normal(scale=1e-4, size=nest.size)
        d *= np.repeat([n in names for n in nest.names], np.diff(nest.offsets))
        saved = nest.snapshot()
        for leaf, step in zip(nest.leaves, nest.split(d), strict=True):
            leaf += step
        expected = float(function(model)) - base
        nest.restore(saved)
        got = program.along(d, np.array([1.0]))[0]
        np.testing.assert_allclose(
            got, expected, rtol=1e-8, atol=1e-12 * (1 + abs(base))
        )


def test_what_the_model_keeps_is_plain_afterwards():
    model = M()
    fg.trace(lambda _: CASES["b8"](model), model.P)
    assert type(model.cache["z"]) is np.ndarray
    assert all(type(z) is np.ndarray for z in model.hist)
    np.testing.assert_allclose(model.cache["z"], model.W @ model.b)


def test_what_classes_and_modules_keep_is_plain_afterwards():
    class Model:
        last = None

    module = types.ModuleType("kept")

    def loss(w):
        Model.last = w * 2.0
        module.last = w * 3.0
        return np.sum(Model.last * module.last)

    w = np.array([1.0, 2.0])
    fg.trace(loss, w)
    assert type(Model.last) is type(module.last) is np.ndarray
    np.testing.assert_array_equal(module.last, 3 * w)


def test_a_list_in_itself_is_settled():
    kept = []
    kept.append(kept)

    def loss(w):
        kept.append({"z": (w * 2.0, kept)})
        return np.sum(kept[-1]["z"][0])

    fg.trace(loss, np.array([1.0, 2.0]))
    assert type(kept[1]["z"][0]) is np.ndarray


@pytest.mark.parametrize(
    "turns",
    [
        lambda y: zip(y, range(4), strict=False),
        lambda y: ((v, k) for k, v in enumerate(y[:4])),
        lambda y: zip(map(lambda v: v, y), itertools.count(), strict=False),
        lambda y: zip(itertools.chain(y), itertools.islice(itertools.count(), 4)),
        lambda y: zip(iter(y), range(4), strict=False),
    ],
    ids=["zip", "enumerate", "map", "chain", "iter"],
)
def test_later_turns_see_what_earlier_ones_wrote(turns):
    def loss(p):
        y = np.zeros(5)
        y[0] = p[1]
        for now, k in turns(y):
            y[k + 1] = p[0] * now + 1.0
            if k == 3:
                break
        return y[4]

    a, b = 0.7, 1.5
    program = fg.trace(loss, np.array([a, b]))
    assert program.value == pytest.approx(a**4 * b + a**3 + a**2 + a + 1)
    expected = [4 * a**3 * b + 3 * a**2 + 2 * a + 1, a**4]
    np.testing.assert_allclose(program.gradient(), expected)


def test_fields_of_structures_are_written_to():
    def loss(p):
        state = np.zeros(3, dtype=[("x", float, 2), ("step", int), ("v", float)])
        state["step"] = np.arange(3)
        state["x"][0] = p[:2]
        state["v"][1:] = p[2]
        state["x"][1, 1] = state["v"][2] * state["step"][2]
        state["x"][2] = state["x"][0] * state["x"][1]
        return np.sum(state["x"]) + np.prod(state["v"] + 1)

    p = np.array([0.3, -0.7, 1.1])
    program = fg.trace(loss, p)
    assert program.value == pytest.approx(loss(p))
    # x0 + x1 + 2 v + 2 v x1 + (1 + v)^2
    expected = [1.0, 1 + 2 * p[2], 2 + 2 * p[1] + 2 * (1 + p[2])]
    np.testing.assert_allclose(program.gradient(), expected)
