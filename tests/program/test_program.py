"""Programs against the NumPy functions they were traced from."""

import itertools

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from program_functions import FUNCTIONS, trace
from scipy import special

import fastgrad as fg
from fastgrad.program import TraceError

RNG = np.random.default_rng(7)
X = RNG.normal(size=(5, 6))
V = RNG.normal(size=6)
T = RNG.normal(size=(2, 3, 4))
IMAGES = RNG.normal(size=(2, 3, 7, 8))
LABELS = np.array([0, 3, 1, 3, 2, 0])
TOKENS = np.array([[0, 2, 2], [1, 0, 3]])
MASK = RNG.random((4, 5)) < 0.5


def softmax(z, axis):
    e = np.exp(z - z.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def batch_norm(z, gamma, beta):
    mu, var = z.mean(axis=0), z.var(axis=0)
    return gamma * (z - mu) / np.sqrt(var + 1e-5) + beta


def conv(x, w, stride=1):
    windows = sliding_window_view(x, w.shape[2:], axis=(2, 3))[:, :, ::stride, ::stride]
    return np.einsum("nchwij,ocij->nohw", windows, w)


def rnn(p):
    h = np.zeros((3, 2))
    for t in range(5):
        h = np.tanh(p["a"] @ h + p["b"][:, :2] * X[t, :2])
    return (h**2).sum()


def attention(p):
    q, k, v = T @ p["a"], T @ p["b"], T @ p["c"]
    s = softmax(q @ k.swapaxes(-1, -2) / 2.0, -1)
    return np.sum((s @ v) ** 2)


def in_place(p):
    z = p["a"] @ X
    z += p["b"]
    z *= 2.0
    out = np.zeros_like(z)
    out[1:, ::2] = z[1:, ::2]
    out[0] = 3.0
    return np.sum(out**2)


def conv_net(p):
    a = np.maximum(conv(np.pad(IMAGES, ((0, 0), (0, 0), (1, 1), (1, 1))), p["a"]), 0)
    pooled = a.reshape(2, 4, 7, 4, 2).max(axis=4)
    a = np.tanh(conv(pooled, p["b"], 2))
    return np.mean((a.reshape(2, -1) @ p["c"]) ** 2)


def gru_like(p):
    h = np.zeros(3) + p["b"][0, :3] * 0
    for x in X[:, :3]:
        u = special.expit(p["a"] @ h + x)
        h = (1 - u) * h + u * np.tanh(p["a"].T @ x)
    return h @ h


A33, B36, A45 = (3, 3), (3, 6), (4, 5)
# name: (loss of a dict, shapes of its parameters)
LOSSES = {
    "features_first": (
        lambda p: np.mean(np.tanh(p["a"] @ X + p["b"]) ** 2),
        {"a": A45, "b": (4, 1)},
    ),
    "samples_first": (
        lambda p: np.mean(np.tanh(X @ p["a"] + p["b"]) ** 2),
        {"a": (6, 4), "b": (4,)},
    ),
    "three_layers": (
        lambda p: np.sum(p["c"] @ np.tanh(p["b"] @ np.maximum(p["a"] @ X, 0.0))),
        {"a": A45, "b": (3, 4), "c": (2, 3)},
    ),
    "cross_entropy": (
        lambda p: -np.log(softmax(p["a"] @ X, 0)[LABELS, np.arange(6)]).mean(),
        {"a": A45},
    ),
    "log_sum_exp": (
        lambda p: np.log(np.exp(X.T @ p["a"].T).sum(axis=1)).sum(),
        {"a": A45},
    ),
    "batch_norm": (
        lambda p: np.sum(batch_norm(X @ p["a"], p["b"], p["c"]) ** 3),
        {"a": (6, 4), "b": (4,), "c": (4,)},
    ),
    "layer_norm": (
        lambda p: np.sum(
            np.tanh((p["a"] - p["a"].mean(1, keepdims=True)) / p["a"].std(1)[:, None])
            * X[:4, :5]
        ),
        {"a": A45},
    ),
    "convolution": (conv_net, {"a": (4, 3, 3, 3), "b": (2, 4, 2, 2), "c": (12, 2)}),
    "recurrent": (rnn, {"a": A33, "b": B36}),
    "gated": (gru_like, {"a": A33, "b": B36}),
    "attention": (attention, {"a": (4, 3), "b": (4, 3), "c": (4, 2)}),
    "embedding": (
        lambda p: np.sum(np.tanh(p["a"][TOKENS] @ p["b"]) ** 2),
        {"a": A45, "b": (5, 2)},
    ),
    "tied": (
        lambda p: np.sum((p["a"].T @ np.tanh(p["a"] @ X[:5])) ** 2),
        {"a": A45},
    ),
    "residual": (
        lambda p: np.sum(np.square(X + np.tanh(p["a"] @ X) @ p["b"])),
        {"a": (5, 5), "b": (6, 6)},
    ),
    "in_place": (in_place, {"a": A45, "b": (4, 6)}),
    "bare_sum_of_uses": (
        lambda p: (p["a"] * p["a"]).sum() + p["a"][0, 0] * p["a"].sum(),
        {"a": A45},
    ),
    "gaussian_likelihood": (
        lambda p: np.sum(p["b"] + 0.5 * ((X - p["a"][:, None]) / np.exp(p["b"])) ** 2),
        {"a": (5,), "b": ()},
    ),
    "rosenbrock": (
        lambda p: np.sum(
            100 * (p["a"][1:] - p["a"][:-1] ** 2) ** 2 + (1 - p["a"][:-1]) ** 2
        ),
        {"a": (6,)},
    ),
    "kernel_matrix": (
        lambda p: np.exp(-((p["a"][:, None, :] - p["a"][None]) ** 2).sum(-1)).sum(),
        {"a": A45},
    ),
    "unused_parameter": (lambda p: (p["a"] ** 2).sum(), {"a": A45, "b": A33}),
    "parameter_itself": (lambda p: p["a"], {"a": ()}),
}

UNARY = {
    name: getattr(np, name)
    for name in [
        "exp",
        "expm1",
        "tanh",
        "sin",
        "cos",
        "tan",
        "arctan",
        "sinh",
        "cosh",
        "arcsinh",
        "exp2",
        "cbrt",
        "square",
        "abs",
        "sign",
        "negative",
        "floor",
        "ceil",
        "rint",
        "trunc",
        "positive",
    ]
}
POSITIVE = {
    "log": np.log, "log1p": np.log1p, "sqrt": np.sqrt, "reciprocal": np.reciprocal,
    "log2": np.log2, "log10": np.log10, "gammaln": special.gammaln,
    "power_scalar": lambda x: x**1.7, "cube": lambda x: x**3, "rsqrt": lambda x: x**-0.5,
    "arcsin": lambda x: np.arcsin(x / 9), "arccos": lambda x: np.arccos(x / 9),
    "arctanh": lambda x: np.arctanh(x / 9), "arccosh": lambda x: np.arccosh(x + 1),
    "erf": special.erf, "erfc": special.erfc, "expit": special.expit,
    "logit": lambda x: np.log(x / 9 / (1 - x / 9)), "base": lambda x: 2.0**x,
    "log_expit": special.log_expit, "xlogy": lambda x: special.xlogy(x, x + 1),
    "mod": lambda x: np.mod(x, 0.7), "floor_divide": lambda x: x // 0.7,
}  # fmt: skip
BINARY = {
    "add": np.add, "subtract": np.subtract, "multiply": np.multiply,
    "divide": lambda x, y: x / (y**2 + 1), "maximum": np.maximum,
    "minimum": np.minimum, "fmax": np.fmax, "logaddexp": np.logaddexp,
    "arctan2": np.arctan2, "hypot": np.hypot, "power": lambda x, y: (x**2 + 1) ** y,
    "where": lambda x, y: np.where(x > y, x, 2 * y),
    "mask": lambda x, y: x * (x > 0) + y * (y <= 0) + (x >= y) + (x != y),
    "logical": lambda x, y: x * ((x > 0) & (y > 0) | ~(x < y)),
    "clip": lambda x, y: np.clip(x, -0.5, 0.5) + y.clip(0) + np.clip(y, None, x),
    "outer": lambda x, y: np.subtract.outer(x, y), "heaviside": lambda x, y: np.heaviside(x, 0.5) * y,
}  # fmt: skip
SHAPES = {
    "transpose": lambda x: x.T, "transpose_axes": lambda x: x.transpose(2, 0, 1),
    "swapaxes": lambda x: x.swapaxes(0, 2), "moveaxis": lambda x: np.moveaxis(x, 0, -1),
    "reshape": lambda x: x.reshape(4, -1), "reshape_f": lambda x: np.reshape(x, (4, 6), order="F"),
    "reshape_computed": lambda x: np.tanh(x).reshape(4, -1), "reshape_across": lambda x: np.sin(np.exp(x).reshape(8, 3)),
    "reshape_back": lambda x: np.exp(np.exp(x[:, ::2]).reshape(4, 4).reshape(2, 8)), "reshape_kept": lambda x: (np.exp(x) @ x[0].T).reshape(9, -1) * 2.0,
    "ravel": np.ravel, "flatten": lambda x: x.flatten(), "slice": lambda x: x[1:, ::2, -1],
    "negative_step": lambda x: x[::-1, :, 3:0:-2], "newaxis": lambda x: x[None, ..., None, 2],
    "integer": lambda x: x[-1], "fancy": lambda x: x[:, [2, 0, 0]], "fancy_pair": lambda x: x[[0, 1, 1], :, [3, 0, 0]],
    "boolean": lambda x: x[np.arange(24).reshape(2, 3, 4) % 5 > 1], "take": lambda x: np.take(x, [1, 1], axis=1),
    "take_flat": lambda x: np.take(x, [5, 7]), "concatenate": lambda x: np.concatenate([x, 2 * x, T], axis=1),
    "stack": lambda x: np.stack([x, -x], axis=2), "vstack": lambda x: np.vstack([x[0], x[1] ** 2]),
    "hstack": lambda x: np.hstack([x[0], x[1]]), "column_stack": lambda x: np.column_stack([x[0, 0], x[1, 1]]),
    "split": lambda x: np.split(x, 2, axis=2)[1], "array_split": lambda x: np.array_split(x, 3, axis=2)[0],
    "pad": lambda x: np.pad(x, ((1, 0), (0, 2), (1, 1)), constant_values=2.0), "pad_edge": lambda x: np.pad(x, 1, mode="edge"),
    "pad_reflect": lambda x: np.pad(x, 1, mode="reflect"), "expand": lambda x: np.expand_dims(x, (0, 2)),
    "squeeze": lambda x: x[:1].squeeze(), "broadcast": lambda x: np.broadcast_to(x, (3, 2, 3, 4)) * 2,
    "repeat": lambda x: np.repeat(x, 2, axis=1), "tile": lambda x: np.tile(x, (2, 1, 2)), "roll": lambda x: np.roll(x, 1, axis=2),
    "flip": lambda x: np.flip(x, 1), "rot90": lambda x: np.rot90(x), "diagonal": lambda x: np.diagonal(x[0]),
    "diag": lambda x: np.diag(x[0, 0]), "tril": lambda x: np.tril(x), "trace": lambda x: np.trace(x[0]),
    "windows": lambda x: sliding_window_view(x, (2, 2), axis=(1, 2)), "diff": lambda x: np.diff(x, axis=1),
    "astype": lambda x: x.astype(np.float64), "cumsum": lambda x: np.cumsum(x, axis=1), "cumsum_flat": lambda x: x.cumsum(),
    "iterate": lambda x: sum(row * k for k, row in enumerate(x)), "copy": lambda x: x.copy(),
    "sum": lambda x: x.sum(axis=(0, 2)), "mean": lambda x: np.mean(x, axis=1, keepdims=True), "max": lambda x: x.max(axis=2),
    "max_all": lambda x: x.max(), "min": lambda x: np.min(x, axis=(0, 1)), "prod": lambda x: np.prod(x, axis=1),
    "var": lambda x: np.var(x, axis=2, ddof=1), "std": lambda x: x.std(axis=0), "average": lambda x: np.average(x, axis=2, weights=np.abs(T)),
    "norm": lambda x: np.linalg.norm(x[0]), "norm_axis": lambda x: np.linalg.norm(x, axis=1), "norm_1": lambda x: np.linalg.norm(x[0, 0], 1),
    "reduce": lambda x: np.add.reduce(x, axis=1) + np.maximum.reduce(x, axis=1), "round": lambda x: np.round(x, 1),
}  # fmt: skip
PRODUCTS = {
    "matmul_stack": lambda x, y: x @ y.swapaxes(-1, -2),
    "matmul_broadcast": lambda x, y: x @ y[0].T,
    "matmul_vector": lambda x, y: x @ y[0, 0],
    "vector_matmul": lambda x, y: x[0, 0] @ y.swapaxes(-1, -2),
    "dot": lambda x, y: np.dot(x, y.transpose(0, 2, 1)),
    "dot_vectors": lambda x, y: np.dot(x[0, 0], y[1, 1]),
    "dot_scalar": lambda x, y: np.dot(x[0, 0, 0], y),
    "inner": np.inner, "tensordot": lambda x, y: np.tensordot(x, y, axes=([1, 0], [1, 0])),
    "tensordot_int": lambda x, y: np.tensordot(x, y.transpose(2, 0, 1), axes=1), "vdot": np.vdot,
    "outer": lambda x, y: np.outer(x[0], y[0]), "einsum": lambda x, y: np.einsum("abc,abd->bcd", x, y),
    "einsum_implicit": lambda x, y: np.einsum("abc,abc", x, y), "einsum_ellipsis": lambda x, y: np.einsum("...i,...i->...", x, y),
    "einsum_three": lambda x, y: np.einsum("abc,dbc,ae->de", x, y, X[:2]), "einsum_sum": lambda x, y: np.einsum("abc,de->ad", x, y[0]),
    "einsum_diagonal": lambda x, y: np.einsum("ii->i", x[:, 0, :2]) * y[0, 0, :2], "einsum_one": lambda x, y: np.einsum("abc->ca", x),
    "multi_dot": lambda x, y: np.linalg.multi_dot([x[0], y[0].T, x[1]]),
}  # fmt: skip


def weighted(value):
    """A scalar that depends on every element of an array differently."""
    if not np.shape(value):
        return value
    count = int(np.prod(value.shape))
    weights = np.cos(np.arange(count, dtype=float)).reshape(value.shape)
    return np.sum(weights * value * (1 + 0.1 * value))


def _cases():
    for name, (loss, shapes) in LOSSES.items():
        yield name, loss, shapes, 0.0
    for name, f in UNARY.items():
        yield name, (lambda p, f=f: weighted(f(p["a"]))), {"a": A45}, 0.0
    for name, f in POSITIVE.items():
        yield name, (lambda p, f=f: weighted(f(p["a"]))), {"a": A45}, 3.5
    for name, f in BINARY.items():
        for shapes in (
            {"a": A45, "b": A45},
            {"a": A45, "b": (5,)},
            {"a": (4, 1), "b": (1, 5)},
        ):
            yield (
                f"{name}-{shapes['b']}",
                (lambda p, f=f: weighted(f(p["a"], p["b"]))),
                shapes,
                0.0,
            )
    for name, f in SHAPES.items():
        yield name, (lambda p, f=f: weighted(f(p["a"]))), {"a": T.shape}, 0.0
    for name, f in PRODUCTS.items():
        yield (
            name,
            (lambda p, f=f: weighted(f(p["a"], p["b"]))),
            {"a": T.shape, "b": T.shape},
            0.0,
        )
    for name, (f, a, b) in FUNCTIONS.items():
        yield (
            name,
            (lambda p, f=f: weighted(f(p["a"], p["b"]))),
            {"a": a, "b": b},
            0.0,
        )


CASES = {name: case for name, *case in _cases()}


def make(name):
    loss, shapes, shift = CASES[name]
    rng = np.random.default_rng(3)
    params = {k: np.array(rng.normal(size=s) + shift) for k, s in shapes.items()}
    return loss, params


@pytest.mark.parametrize("name", CASES)
def test_a_program_gives_the_differences_of_its_function(name):
    loss, params = make(name)
    program = trace(loss, params)
    base = loss(params)
    np.testing.assert_allclose(program.value, base, rtol=1e-13)
    names = [(k, i) for k, a in params.items() for i in range(a.size)]
    rng = np.random.default_rng(11)
    index = np.repeat(np.arange(len(names)), 3)
    delta = rng.normal(size=len(index)) * 0.2
    got, _ = program.at_entries(index, delta, num_threads=2)
    for k, (i, d) in enumerate(zip(index, delta, strict=True)):
        block, entry = names[i]
        moved = {key: a.copy() for key, a in params.items()}
        moved[block].flat[entry] += d
        expected = loss(moved) - base
        scale = 1e-12 * (1 + abs(base) + abs(expected))
        assert abs(got[k] - expected) <= scale, (block, entry, got[k], expected)


@pytest.mark.parametrize("name", LOSSES)
def test_a_program_moves_along_directions(name):
    loss, params = make(name)
    program = trace(loss, params)
    rng = np.random.default_rng(12)
    direction = rng.normal(size=program.nest.size)
    t = np.linspace(-0.3, 0.3, 11)
    got = program.along(direction, t)
    parts = dict(zip(params, program.nest.split(direction), strict=True))
    for k, step in enumerate(t):
        moved = {key: a + step * parts[key] for key, a in params.items()}
        np.testing.assert_allclose(
            got[k], loss(moved) - loss(params), rtol=1e-10, atol=1e-11
        )


def test_a_program_moves_each_block_by_itself():
    """Each lane moves each block as far as it is told to, and some not at all."""
    loss, params = make("three_layers")
    program = trace(loss, params)
    rng = np.random.default_rng(12)
    direction = rng.normal(size=program.nest.size)
    times = rng.normal(size=(len(params), 11)) * rng.integers(2, size=(len(params), 11))
    times[:, 3] = 0
    got = program.along(direction, times)
    assert got[3] == 0
    for k in range(11):
        own = np.repeat(times[:, k], np.diff(program.nest.offsets))
        (expected,) = program.along(own * direction, np.ones(1))
        np.testing.assert_allclose(got[k], expected, rtol=1e-13)


@pytest.mark.parametrize(
    "name",
    [
        *("three_layers", "convolution", "attention", "batch_norm", "gaussian"),
        *(
            "solve_broadcast",
            "det",
            "cholesky",
            "sort",
            "cumprod",
            "convolution_by_fft",
        ),
    ],
)
def test_bits_do_not_depend_on_threads_or_on_order(name):
    loss, params = make(name)
    program = trace(loss, params)
    index = np.repeat(np.arange(program.nest.size), 2)
    delta = np.tile([1e-5, -1e-5], program.nest.size)
    first, _ = program.at_entries(index, delta, num_threads=1)
    for threads in (2, 3, 8):
        again, _ = program.at_entries(index, delta, num_threads=threads)
        np.testing.assert_array_equal(first, again)
    # the + and the - of an entry asked for far apart still share its bundle
    order = np.concatenate([index[0::2], index[1::2]])
    again, _ = program.at_entries(order, np.repeat([1e-5, -1e-5], len(order) // 2))
    np.testing.assert_array_equal(first[0::2], again[: len(order) // 2])
    np.testing.assert_array_equal(first[1::2], again[len(order) // 2 :])


@pytest.mark.parametrize("name", CASES)
def test_the_gradient_by_reverse_mode_agrees_with_differences(name):
    loss, params = make(name)
    program = trace(loss, params)
    n = program.nest.size
    h = 1e-6
    up, kink_up = program.at_entries(np.arange(n), np.full(n, h))
    down, kink_down = program.at_entries(np.arange(n), np.full(n, -h))
    assert not (kink_up | kink_down).any()
    numerical = (up - down) / (2 * h)
    analytic = program.nest.vector(program.gradient())
    scale = np.abs(numerical).max() + 1
    np.testing.assert_allclose(analytic, numerical, rtol=1e-7, atol=2e-9 * scale)


def test_kinks_are_seen_exactly():
    w = np.array([0.5, -0.5, 1e-4, -1e-4, 0.0])
    kinds = {
        "relu": lambda w: np.maximum(w, 0).sum(),
        "mask": lambda w: (w * (w > 0)).sum(),
        "abs": lambda w: np.abs(w).sum(),
        "where": lambda w: np.where(w > 0, w, 0.1 * w).sum(),
        "clip": lambda w: np.clip(w, 0, 10).sum(),
    }
    index = np.arange(5)
    for loss in kinds.values():
        program = trace(loss, w)
        _, up = program.at_entries(index, np.full(5, 1e-3))
        _, down = program.at_entries(index, np.full(5, -1e-3))
        np.testing.assert_array_equal(up | down, [False, False, True, True, True])
    _, crossed = trace(lambda w: w.max(), np.array([1.0, 0.999, 0.5])).at_entries(
        [0, 1, 2], [0.01, 0.01, 0.01]
    )
    np.testing.assert_array_equal(crossed, [False, True, False])


REFUSED = {
    "inverse": (lambda w: np.linalg.inv(0 * np.outer(w, w)).sum(), "Singular matrix"),
    "rectangle": (lambda w: np.linalg.det(w[None]), "must be square"),
    "computed_index": (lambda w: np.take_along_axis(w, w * 0, 0).sum(), "integer"),
    "changes_parameter": (lambda w: _changes(w), "changes a parameter"),
    "changes_part_of_it": (lambda w: _changes_part(w), "changes a parameter"),
    "constant": (lambda w: 3.0, "does not come from its argument"),
    "vector": (lambda w: w * 2, r"shape \(4,\)"),
    "complex": (lambda w: (w * 1j).sum(), "returns a complex number"),
    "complex_equal": (lambda w: (w * 1j == w).sum(), "np.equal of complex numbers"),
    "swallowed": (lambda w: _swallows(w), "float()"),
    "bytes": (lambda w: w.sum() + w.tobytes()[0], "tobytes"),
}


def _changes(w):
    w *= 2
    return w.sum()


def _changes_part(w):
    row = w[:2]
    row[0] = 1.0
    return w.sum()


#: Code without source, which sees traced arrays and wants numbers.
UNSEEN: dict = {}
exec("def half(x):\n    return float(x) / 2", UNSEEN)


def _swallows(w):
    try:
        scale = UNSEEN["half"](w[0])
    except Exception:
        scale = 1.0
    return (w * scale).sum()


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_traced_is_refused_with_its_reason(name):
    loss, reason = REFUSED[name]
    with pytest.raises(TraceError, match=reason) as caught:
        trace(loss, np.array([0.3, -0.2, 0.7, 1.1]))
    assert caught.value.source.file == __file__


def test_what_a_loss_keeps_is_plain_when_the_trace_is_over():
    """Running statistics and caches of a model survive being traced."""
    kept = {"mean": np.zeros(4)}

    def loss(w):
        z = w * 2.0
        kept["mean"] = 0.9 * kept["mean"] + 0.1 * z
        kept["z"] = z
        return (z**2).sum()

    w = np.array([0.3, -0.2, 0.7, 1.1])
    trace(loss, w)
    np.testing.assert_allclose(kept["mean"], 0.2 * w)
    np.testing.assert_allclose(kept["z"] + np.zeros(4), 2 * w)
    assert type(kept["z"] * 1.0) is np.ndarray
    assert float(kept["z"][1]) == -0.4
    assert (kept["z"] > 0).tolist() == [True, False, True, True]
    assert kept["z"].sum() == pytest.approx(3.8)
    assert np.concatenate([kept["z"], w]).shape == (8,)
    program = trace(loss, w)  # the leftovers are constants of the next trace
    assert program.value == pytest.approx(4 * (w**2).sum())
    np.testing.assert_allclose(kept["mean"], 0.38 * w)


def test_memory_is_reused_along_a_deep_network():
    def loss(w):
        a = X[:3, :3]
        for _ in range(200):
            a = np.tanh(w @ a)
        return a.sum()

    from fastgrad.program.plan import assign_slots

    program = trace(loss, np.eye(3))
    _, length = assign_slots(program.nodes, program.result, set())
    assert length < 10 * 9 * 8


def test_printing_a_program_names_operations_and_lines():
    loss, params = make("features_first")
    text = str(trace(loss, params))
    assert "np.tanh" in text
    assert "test_program.py" in text
    assert "one entry reaches" in text
    assert "1×6" in text  # a row of the activations


def test_integer_and_boolean_constants_are_numbers():
    flags = np.array([True, False, True])
    counts = np.array([1, 2, 3], dtype=np.int8)
    program = trace(lambda w: (w * flags * counts).sum(), np.ones(3))
    assert program.value == 4.0


def test_float32_parameters_are_computed_in_float64():
    w = np.array([0.1, 0.2], dtype=np.float32)
    program = trace(lambda w: (w**2).sum(), w)
    assert program.value == float(w[0]) ** 2 + float(w[1]) ** 2


def test_empty_blocks_are_harmless():
    params = {"a": np.ones(3), "b": np.ones((0, 4))}
    program = trace(lambda p: (p["a"] ** 2).sum() + p["b"].sum(), params)
    got, _ = program.at_entries([0, 1, 2], [1.0, 1.0, 1.0])
    np.testing.assert_allclose(got, 3.0)
    assert "nothing" in str(program)


def test_many_small_blocks_of_all_ranks():
    shapes = list(itertools.product((1, 2), repeat=3)) + [(), (3,), (2, 1)]
    params = [np.full(s, 0.5) for s in shapes]
    program = trace(lambda ps: sum((p**3).sum() for p in ps), params)
    n = program.nest.size
    got, _ = program.at_entries(np.arange(n), np.full(n, 0.5))
    np.testing.assert_allclose(got, 1 - 0.125)


@pytest.mark.parametrize("size", [1e-9, 1e-40, 1e-200])
def test_a_difference_keeps_its_digits_however_small_it_is(size):
    rng = np.random.default_rng(2)
    loss, params = make("cross_entropy")
    program = trace(loss, params)
    n = program.nest.size
    delta = rng.normal(size=n) * size
    got, _ = program.at_entries(np.arange(n), delta)
    slope = program.nest.vector(program.gradient())
    # The second-order term is a share of `size`.
    error = np.abs(got / delta - slope)
    assert error.max() <= (10 * size + 1e-14) * np.abs(slope).max()


def test_a_polynomial_has_no_rounding_to_speak_of():
    assert trace(lambda w: (w**2).sum() + 1e6, np.ones(3)).rounding == 0.0


@pytest.mark.parametrize(
    "f",
    [np.tanh, np.exp, np.expm1, np.log, np.log1p, np.log2, np.log10, np.sin, np.cos]
    + [lambda x: x**2.5, lambda x: np.logaddexp(x, 0.3), lambda x: x * np.tanh(x)],
)
def test_differences_do_not_depend_on_the_length_of_an_array(f):
    """Of long ones less is kept."""
    few = np.linspace(0.1, 30.0, 16)
    index, delta = np.arange(16), np.geomspace(1e-12, 20.0, 16)
    expected, got = (
        trace(lambda x: np.sum(f(x)), x).at_entries(index, delta)[0]
        for x in (few, np.append(few, np.ones(2**17)))
    )
    np.testing.assert_array_equal(got, expected)


WINDOWS = {
    "halves": lambda y: y[:, :4] * y[:, 4:],
    "reversed, read beside itself": lambda y: np.tanh(y[::-1]) * y + y[::-1] * y,
    "over its own values": lambda y: np.exp(y[::-1]) - y,
    "strided": lambda y: np.sin(y[1::2, ::4]) + y[::2, 2::4],
    "transposed": lambda y: y.T @ np.tanh(y),
    "product of windows": lambda y: y[:, ::2].T @ y[::-1, 1::2],
    "row and column": lambda y: np.outer(np.exp(y[2]), y[:, 3]),
    "window of a window": lambda y: np.exp(y[1:, ::-1][:, 2:6].T[::2]),
    "a sum of boxes": lambda y: y[:3] - y[3:] + np.tanh(y[:3, ::-1]),
    "difference, the other way": lambda y: y[3:, :1] - y[:3],
    "new axes": lambda y: np.tanh(y[:, None, 1:4]) * y[None, :, 2:5],
    "reduced": lambda y: np.exp(y[:, 1:4]).sum(axis=0) * y[:, 5:].max(axis=0),
    "kept for later": lambda y: (lambda a: np.exp(np.exp(np.tanh(y)) - 1) * a)(
        y[:, ::-1]
    ),
}


@pytest.mark.parametrize("before", ["product", "parameter"])
@pytest.mark.parametrize("name", WINDOWS)
def test_windows_are_what_copies_would_be(name, before):
    """Views that are not copied: of the lanes of a box wherever it lies."""
    rng = np.random.default_rng(5)
    X = rng.normal(size=(6, 5))
    shape = (5, 8) if before == "product" else (6, 8)

    def loss(w):
        y = X @ w if before == "product" else w
        return np.sum(np.cos(WINDOWS[name](y)) ** 2)

    w = rng.normal(size=shape) * 0.5
    program = trace(loss, w)
    delta = rng.normal(size=w.size) * 0.1
    got, _ = program.at_entries(np.arange(w.size), delta)
    for i, d in enumerate(delta):
        moved = w.copy()
        moved.flat[i] += d
        np.testing.assert_allclose(
            got[i], loss(moved) - loss(w), rtol=1e-9, atol=1e-13, err_msg=str(i)
        )
    direction = rng.normal(size=w.size)
    (along,) = program.along(direction, np.array([0.2]))
    moved = w + 0.2 * direction.reshape(shape)
    np.testing.assert_allclose(along, loss(moved) - loss(w), rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize(
    ("function", "low", "high"),
    [
        (lambda z: 1 / (1 + np.exp(-z)), 0.0, 1.0),
        (lambda z: np.exp(-np.abs(z)), 0.0, 0.0),
        (np.tanh, -1.0, 1.0),
        (np.arctan, -np.pi / 2, np.pi / 2),
        (lambda z: 1 / z, 0.0, 0.0),
        (lambda z: np.exp(-np.logaddexp(0.0, -z)), 0.0, 1.0),
    ],
    ids=["logistic", "exp", "tanh", "arctan", "reciprocal", "logaddexp"],
)
def test_what_is_infinite_stays_where_it_is(function, low, high):
    ends = np.array([-np.inf, np.inf, 0.8])
    weight = np.array([2.0, 3.0, 5.0])

    def loss(p):
        return np.sum(weight * function(ends - p))

    p = np.array([0.3, -0.2, 0.1])
    program = trace(loss, p)
    assert program.value == pytest.approx(2 * low + 3 * high + 5 * function(0.7))
    got, _ = program.at_entries([0, 1, 2], [0.5, -0.4, 1e-3])
    moved = 5 * (function(0.699) - function(0.7))
    np.testing.assert_allclose(got, [0.0, 0.0, moved], rtol=1e-9)
    slope = (function(0.7 + 1e-6) - function(0.7 - 1e-6)) / 2e-6
    np.testing.assert_allclose(program.gradient(), [0.0, 0.0, -5 * slope], rtol=1e-8)


def missing_by_where(r):
    return np.where(r > 0.5, np.nan, r)


def missing_by_mask(r):
    r = r.copy()
    r[r > 0.5] = np.nan
    return r


@pytest.mark.parametrize("missing", [missing_by_where, missing_by_mask])
@pytest.mark.parametrize(
    "function",
    [np.nanmean, np.nansum, np.nanmax, np.nanmin, np.nanstd, np.nanmedian, np.nanprod],
    ids=lambda f: f.__name__,
)
def test_what_is_missing_at_some_points_only_is_left_to_the_function(missing, function):
    data = np.random.default_rng(5).normal(size=9)

    def loss(p):
        return function(missing(data * np.exp(p[0]) - p[1]))

    p = np.array([0.1, 0.2])
    program = trace(loss, p)
    answered = 0
    for t in (1e-4, -1e-3, 0.03, -0.2, 0.5, -1.0, 2.0):
        for d in (np.array([t, 0]), np.array([0, t]), np.array([t, -t])):
            got = program.along(d, np.array([1.0]))[0]
            if np.isfinite(got):
                answered += 1
                assert got == pytest.approx(loss(p + d) - loss(p), rel=1e-9, abs=1e-13)
    assert answered >= 6


@pytest.mark.parametrize("size", [1e-300, 1e-12, 0.3, 3.0])
@pytest.mark.parametrize("winner", [np.maximum, np.minimum])
def test_winners_against_a_constant(winner, size):
    """Whether all lanes of some neighbours stay on their side, or one does not."""
    rng = np.random.default_rng(8)
    x = rng.normal(size=38)
    y = np.where(rng.random(38) < 0.2, rng.choice([-np.inf, np.inf], 38), x[::-1])
    scale = rng.uniform(0.5, 2, size=38)

    def loss(w):
        kept = winner(x * w, y)
        return np.where(np.isfinite(kept), kept, 0.0) @ scale

    program = trace(loss, np.ones(()))  # moves all elements of a lane
    delta = size * rng.normal(size=24) * (rng.random(24) < 0.8)
    got, crossed = program.at_entries(np.zeros(24, dtype=int), delta)
    ahead = x > y if winner is np.maximum else x < y
    for k, d in enumerate(delta):
        moved = x * d
        now = x + moved > y if winner is np.maximum else x + moved < y
        stays = ahead & now
        expected = np.where(stays, moved, 0.0)
        other = ahead != now
        expected[other] = np.where(now, x + moved - y, y - x)[other]
        np.testing.assert_allclose(got[k], expected @ scale, rtol=1e-9, atol=1e-323)
        assert crossed[k] == other.any()


@pytest.mark.parametrize(
    "loss",
    [
        lambda p: np.sum(np.where(np.isfinite(1 / p), 1 / p, 0.0)),
        lambda p: np.sum(np.nan_to_num(np.log(p), nan=1.0, neginf=-3.0)),
        lambda p: np.sum(np.log(p) > -1.0) * p[2],
        lambda p: np.nanmean(np.sqrt(p)),
        lambda p: np.sum(np.where(np.log(p) == -np.inf, 5.0, p)),
    ],
)
def test_outcomes_of_what_is_not_finite_are_never_another_number(loss):
    p = np.array([0.0, -0.5, 0.7])
    program = trace(loss, p)
    with np.errstate(all="ignore"):
        for d in 0.8 * np.vstack([np.eye(3), -np.eye(3), [[1, 1, 1]]]):
            got = program.along(d, np.array([1.0]))[0]
            if np.isfinite(got):
                assert got == pytest.approx(loss(p + d) - loss(p), rel=1e-9, abs=1e-13)


@pytest.mark.parametrize(
    ("index", "delta", "said"),
    [
        ([5], [0.1], r"`index` must be from 0 to 4, got 5"),
        ([0, -1], [0.1, 0.1], r"`index` must be from 0 to 4, got -1"),
        ([2**63 - 1], [0.1], r"`index` must be from 0 to 4"),
        ([0, 1], [0.1, 0.2, 0.3], r"`delta` must be .* shape \(2,\) as `index`, got"),
        ([0, 1, 2], [0.1], r"`delta` must be .* shape \(3,\)"),
        ([0], [1j], "`delta` must be real"),
        ([0.5], [0.1], "`index` must be integers"),
        ([[0]], [[0.1]], "`index` must be integers, shape"),
        ("a", [0.1], "`index` must be integers"),
        (None, None, "`index` must be integers"),
    ],
)
def test_entries_that_are_not_there(index, delta, said):
    """The kernels look at no bounds."""
    program = fg.trace(lambda p: np.sum(np.tanh(p)), np.ones(5))
    with pytest.raises((TypeError, ValueError), match=said):
        program.at_entries(index, delta)
    assert program.at_entries([], [])[0].size == 0
    assert program.at_entries(4, 0.5)[0] == pytest.approx(np.tanh(1.5) - np.tanh(1.0))


@pytest.mark.parametrize(
    ("direction", "t", "said"),
    [
        (np.ones(4), [1.0], r"`direction` must be real numbers, shape \(5,\)"),
        (np.ones((5, 1)), [1.0], "`direction` must be"),
        (np.ones(5) * 1j, [1.0], "`direction` must be real"),
        ("x", [1.0], "`direction` must be"),
        (np.ones(5), 1.0, r"`t` must be real numbers, shape \(n,\) or \(2, n\)"),
        (np.ones(5), np.ones((3, 2)), "`t` must be"),
        (np.ones(5), np.ones((1, 2, 2)), "`t` must be"),
        (np.ones(5), None, "`t` must be"),
    ],
)
def test_directions_that_are_none(direction, t, said):
    program = fg.trace(
        lambda p: np.sum(p["a"] ** 2) + p["b"][0], {"a": np.ones(4), "b": np.ones(1)}
    )
    with pytest.raises(ValueError, match=said):
        program.along(direction, t)
    assert program.along(np.ones(5), [[0.0], [2.0]]) == pytest.approx([2.0])
