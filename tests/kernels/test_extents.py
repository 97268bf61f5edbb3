"""Every operation of the replay kernels on axes of length 0 and 1."""

import numpy as np
import pytest

import fastgrad as fg
from fastgrad._kernels._replay import CODES
from fastgrad.params.nest import Nest
from fastgrad.program import Program, graph, sources
from fastgrad.program.primitives import ops
from fastgrad.program.primitives.matrices import LINEAR
from fastgrad.program.trace.tracing import Graph

SHAPES = [(m, n) for m in (0, 1, 2) for n in (0, 1, 2)]
TERNARY = {"where"}
BINARY = {
    "add", "subtract", "multiply", "divide", "maximum", "minimum", "power", "logaddexp",
    "arctan2", "hypot", "greater", "greater_equal", "equal", "not_equal", "and", "or",
}  # fmt: skip


def applied(op, x, y):
    """The operation on arrays of one shape (m, n), as a node."""
    (m, n), label = x.shape, op
    if op in ops.ELEMENTWISE:
        inputs = [x, y, x] if op in TERNARY else [x, y] if op in BINARY else [x]
        return graph.apply(op, inputs, label=label)
    if op in LINEAR:
        square = graph.view(x, [0, 0], [0, 1, 1, 1, -1, 0], (m, n, n), label)
        square = graph.apply(
            "add", [square, graph.constant(3 * np.eye(n))], label=label
        )
        inputs = [square, graph.reshape(y, (m, n, 1), label)][: 1 + (op == "solve")]
        return graph.apply(op, inputs, label=label)
    if op in ("sum", "prod", "max"):
        return graph.apply(op, [x], (0, 1), label=label)
    if op in ("cumsum", "cumprod", "argsort"):
        return graph.apply(op, [x], (1,), label=label)
    if op == "take_along":
        positions = graph.apply("argsort", [x], (1,), label=label)
        return graph.apply(op, [y, positions], (1,), label=label)
    if op == "contract":  # ij, kj -> ik
        return graph.apply(op, [x, y], (3, 0, -1, 0, 1, 1, -1, -1, 0, 1), label=label)
    if op == "view":
        return graph.transpose(x, (1, 0), label)
    if op == "reshape":
        return graph.reshape(x, (n, 1, m), label)
    if op == "take":
        return graph.take(x, np.arange(m).repeat(2)[::-1], label)
    assert op == "place"
    return graph.place([x, y], [(0, 0), (m, 1)], np.ones((2 * m, n + 1)), label)


def spread_out(scalar, weights):
    """A number of a parameter, times weights of some shape."""
    wide = graph.broadcast_to(scalar, weights.shape, "wide")
    return graph.apply("multiply", [wide, graph.constant(weights)], label="wide")


def program_at(op, shape, p):
    """sum(op(x, y)) + p[0] p[1], x and y of `shape` being multiples of p[0] and p[1]."""
    nest = Nest({"a": p[:1], "b": p[1:]})
    parameters = [
        graph.Node(
            "parameter", (), (), p[i : i + 1].copy(), name, sources.calling_line()
        )
        for i, name in enumerate("ab")
    ]
    rng = np.random.default_rng(7)
    x, y = (spread_out(node, rng.uniform(1, 1.1, shape)) for node in parameters)
    total = applied(op, x, y)
    total = graph.apply("sum", [total], (1,) * total.value.ndim, label="sum")
    product = graph.apply("multiply", parameters, label="product")
    product = graph.reshape(product, (), "product")
    loss = graph.apply("add", [total, product], label="loss")
    return Program(nest, Graph(parameters, loss, [], []))


@pytest.mark.parametrize("op", sorted({*CODES} - {"opaque"}))  # Python computes it
def test_no_extent_is_too_short(op):
    p = np.array([1.3, 1.7] if op == "arccosh" else [0.3, 0.6])
    for shape in SHAPES:
        if op == "max" and not shape[1]:
            continue
        program = program_at(op, shape, p)
        got, _ = program.at_entries(np.arange(2), np.full(2, 0.125), num_threads=1)
        moved = [program_at(op, shape, p + d).value for d in 0.125 * np.eye(2)]
        expected = np.array(moved) - program.value
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12)
        along = program.along(np.array([1.0, 0.0]), np.array([0.125]))
        np.testing.assert_allclose(along, got[:1], rtol=1e-12)


@pytest.mark.parametrize("n", [0, 1])
def test_an_index_that_only_one_factor_has_may_be_of_any_length(n):
    def loss(p):
        return np.einsum("i,j->i", p, np.full(n, 0.5)).sum() + p @ p

    p = np.array([3.0, 1.25])
    got, _ = fg.trace(loss, p).at_entries(np.arange(2), np.full(2, 0.5))
    expected = [loss(p + d) - loss(p) for d in 0.5 * np.eye(2)]
    np.testing.assert_allclose(got, expected, rtol=1e-14)


EMPTY_SELECTIONS = {
    "mask": lambda p: np.sum(np.ones((4, 2))[np.zeros(4, bool)] @ p),
    "range": lambda p: np.sum(np.exp(np.zeros(0) - p[0])),
    "dot": lambda p: (np.zeros(0) * p[0]) @ np.zeros(0),
    "columns": lambda p: np.sum(p[:, None] @ np.ones((1, 0))),
    "slice": lambda p: np.sum(np.tanh(p[2:])),
    "concatenate": lambda p: np.concatenate([p[:0], p, p[2:]])[1] ** 2,
    "product": lambda p: np.prod(p[:0]) * p[0],
    "where": lambda p: np.sum(np.where(np.zeros((0, 1)) > 0, p, 1.0)),
    "outer": lambda p: np.sum(np.outer(p, np.zeros(0))),
}


@pytest.mark.parametrize("name", EMPTY_SELECTIONS)
def test_a_selection_of_nothing_adds_nothing(name):
    part = EMPTY_SELECTIONS[name]
    p = np.array([3.0, 1.2])
    expected = 2 * p + fg.numerical_gradient(part, p, engine="python")
    report = fg.check_gradient(
        lambda p: np.sum(p**2) + part(p), p, expected, engine="compiled"
    )
    assert report.ok, str(report)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(m, n) for m in (0, 1, 2) for n in (0, 1, 9)])
def test_statistics_of_few_rows_and_columns(shape, dtype):
    x = np.arange(shape[0] * shape[1], dtype=dtype).reshape(shape)
    for data in (x, np.asfortranarray(x), x[:, ::-1]):
        if not shape[0]:
            assert fg.moments(data).mean.shape == shape[1:]
            continue
        np.testing.assert_array_equal(fg.moments(data).mean, data.mean(axis=0))
        np.testing.assert_array_equal(fg.moments(data).var, data.var(axis=0))
        weights = np.ones(shape[0])
        np.testing.assert_array_equal(
            fg.moments(data, weights=weights).var, data.var(0)
        )
    if shape[0] == 2 and shape[1]:
        y, cache = fg.batch_norm(x, np.ones(shape[1]), np.zeros(shape[1]))
        dx, _, dbeta = fg.batch_norm_backward(np.ones_like(x), cache)
        assert y.shape == dx.shape == shape
        np.testing.assert_array_equal(dbeta, np.full(shape[1], 2.0))
    for scheme in ("he_normal", "xavier_uniform", "truncated_normal", "orthogonal"):
        drawn = getattr(fg.initializers, scheme)(shape)
        assert drawn.shape == shape
        assert np.isfinite(drawn).all()
