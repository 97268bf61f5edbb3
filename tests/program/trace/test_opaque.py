"""Functions that nobody knows and that write into arrays they are given."""

import math
import pickle

import numpy as np
import pytest
from scipy import linalg, signal

import fastgrad as fg

#: A library: no source that the trace could see into.
LIBRARY = {"np": np, "__name__": "library"}
exec(
    compile(
        """
def squares(x, out, factor=1.0):
    out[...] = factor * np.square(x)

def squares_and_cubes(x, out, cubes):
    out[...] = x * x
    cubes[...] = x**3
    return float(out.sum())

def accumulate(x, total):
    total += x

def first_half(x, out):
    out[: len(out) // 2] = np.square(x[: len(out) // 2])

def returned(x, out):
    out[...] = x * x
    return out

def positive(x):
    return np.exp(x[x > 0])

def parted(x):
    return np.exp(x[x > 0]), x[x <= 0] ** 2
""",
        "<frozen library>",
        "exec",
    ),
    LIBRARY,
)
squares, squares_and_cubes = LIBRARY["squares"], LIBRARY["squares_and_cubes"]
accumulate, first_half = LIBRARY["accumulate"], LIBRARY["first_half"]
returned = LIBRARY["returned"]
X = np.array([0.5, -0.3, 0.8, 1.1])


def uninitialised(x):
    out = np.empty(4)
    squares(np.sin(x), out)
    return out.sum()


def by_keyword(x):
    out = np.empty(4)
    squares(x, out=out, factor=3.0)
    return np.sum(out**2)


def again_in_a_loop(x):
    out, total = np.empty(4), 0.0
    for k in range(1, 4):
        squares(k * x, out)
        total = total + np.sum(out[1:])
    return total


def into_a_view(x):
    out = np.ones((4, 3), order="F")
    squares(x, out[:, 1])
    return np.sum(out**2)


def two_buffers(x):
    out, cubes = np.empty(4), np.empty(4)
    return squares_and_cubes(x, out, cubes) + np.sum(out * cubes)


def added_up(x):
    total = np.ones(4)
    accumulate(x, total)
    accumulate(x**2, total)
    return np.sum(total**2)


def in_part(x):
    out = np.ones(4)
    first_half(x, out)
    return np.sum(out * x)


def given_back(x):
    return np.sum(returned(x, np.empty(4)) ** 2)


CASES = {
    uninitialised: lambda x: np.sum(np.sin(x) ** 2),
    by_keyword: lambda x: np.sum(9 * x**4),
    again_in_a_loop: lambda x: 14 * np.sum(x[1:] ** 2),
    into_a_view: lambda x: np.sum(x**4) + 8.0,
    two_buffers: lambda x: np.sum(x**2 + x**5),
    added_up: lambda x: np.sum((1 + x + x**2) ** 2),
    in_part: lambda x: np.sum(x[:2] ** 3) + np.sum(x[2:]),
    given_back: lambda x: np.sum(x**4),
}


@pytest.mark.parametrize("loss", CASES, ids=lambda f: f.__name__)
def test_what_a_call_writes_is_a_result_of_it(loss):
    plain = fg.trace(CASES[loss], X)
    program = fg.trace(loss, X)
    assert program.opaque
    np.testing.assert_allclose(program.value, plain.value, rtol=1e-14)
    right = plain.gradient()
    np.testing.assert_allclose(program.gradient(), right, rtol=1e-8, atol=1e-9)
    assert fg.check_gradient(loss, X, right).verdict == "correct"
    wrong = right * [1, 1, 1, 1.01]
    report = fg.check_gradient(loss, X, wrong)
    assert (report.engine, report.verdict) == ("compiled", "wrong")


# ---- lanes that reach a call ---------------------------------------------------------

MATRIX = np.random.default_rng(1).normal(size=(6, 4))


def calls_of(library, count=6):
    """A loss with a call in the middle, and how often each of the two was called."""
    counts = {"loss": 0, "library": 0}
    namespace = {"np": np, "library": library, "counts": counts}
    source = (
        "def counted(*args):\n    counts['library'] += 1\n    return library(*args)"
    )
    exec(compile(source, "<frozen library>", "exec"), namespace)
    counted = namespace["counted"]

    def loss(p):
        counts["loss"] += 1
        found = counted(np.tanh(MATRIX[:count] @ p["W"]), p["b"])
        return np.sum(np.exp(found)) + np.sum(p["V"] ** 2)

    return loss, counts


def parameters(rng):
    return {
        "W": rng.normal(size=(4, 3)),
        "b": rng.normal(size=3),
        "V": rng.normal(size=40),
    }


LIBRARIES = {
    "array": lambda x, b: np.linalg.norm(x + b, axis=1),
    "number": lambda x, b: float(np.linalg.svd(x + b, compute_uv=False)[0]),
    "several": lambda x, b: {"sum": float(x.sum()), "rows": (x @ b, b * 2)}["rows"][0],
}


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_lane_makes_the_call_and_goes_on(name):
    loss, counts = calls_of(LIBRARIES[name])
    params = parameters(np.random.default_rng(2))
    program = fg.trace(loss, params)
    counts.update(loss=0, library=0)
    index = np.arange(program.nest.size)
    delta = np.linspace(0.01, 0.3, len(index))
    found, _ = program.at_entries(index, delta)
    reached = params["W"].size + params["b"].size
    assert counts == {"loss": 0, "library": reached}
    theta = program.nest.join(program.nest.leaves)
    for i, d, difference in zip(index, delta, found, strict=True):
        moved = theta.copy()
        moved[i] += d
        expected = loss(program.nest.unvector(moved)) - program.value
        np.testing.assert_allclose(difference, expected, rtol=1e-9, atol=1e-13)
    along = program.along(np.ones(len(index)), np.array([0.1, -0.2]))
    expected = [
        loss(program.nest.unvector(theta + t)) - program.value for t in (0.1, -0.2)
    ]
    np.testing.assert_allclose(along, expected, rtol=1e-9)


def test_how_often_the_loss_is_called_does_not_depend_on_how_many_reach_a_call():
    counted = []
    for columns in (2, 40):
        library = LIBRARIES["array"]
        loss, counts = calls_of(library)
        rng = np.random.default_rng(3)
        params = parameters(rng) | {
            "W": rng.normal(size=(4, columns)),
            "b": np.ones(columns),
        }
        right = fg.trace(loss, params).gradient()
        counts.update(loss=0)
        report = fg.check_gradient(loss, params, right, engine="compiled")
        assert report.verdict == "correct"
        wrong = right | {"W": right["W"] * 1.01}
        report = fg.check_gradient(loss, params, wrong, engine="compiled")
        assert report.verdict == "wrong"
        counted.append(counts["loss"])
    assert abs(counted[0] - counted[1]) < 20


def test_a_lane_in_which_a_call_fails_is_the_loss_itself():
    def library(x, b):
        if (b > 0.5).any():
            raise ValueError("out of its domain")
        return x @ b

    loss, _ = calls_of(library)
    params = parameters(np.random.default_rng(4)) | {"b": np.full(3, 0.45)}
    program = fg.trace(loss, params)
    b = program.nest.offsets[program.nest.names.index("b")]
    found, _ = program.at_entries(np.array([b, b]), np.array([0.01, 0.1]))
    assert np.isfinite(found[0])
    assert np.isnan(found[1])


def test_a_call_that_decides_more_than_numbers_is_left_to_the_loss():
    library = {"np": np}
    source = "def chosen(x):\n    return int(np.sum(x) > 0), x * 2"
    exec(compile(source, "<frozen library>", "exec"), library)

    def loss(x):
        which, twice = library["chosen"](x)
        return np.sum(twice**2) if which else np.sum(twice)

    x = np.full(3, 0.1)
    program = fg.trace(loss, x)
    assert not np.isfinite(program.at_entries(np.array([0]), np.array([-1.0]))[0]).any()
    assert fg.check_gradient(loss, x, 8 * x).verdict == "correct"
    assert fg.check_gradient(loss, x, 8.1 * x).verdict == "wrong"


def test_an_interrupt_in_a_call_comes_through():
    armed = []

    def library(x, b):
        if armed:
            raise KeyboardInterrupt
        return x @ b

    loss, _ = calls_of(library)
    program = fg.trace(loss, parameters(np.random.default_rng(6)))
    everything = np.arange(program.nest.size), np.full(program.nest.size, 0.01)
    before, _ = program.at_entries(*everything)
    armed.append(True)
    with pytest.raises(KeyboardInterrupt):
        program.at_entries(*everything)
    armed.clear()
    np.testing.assert_array_equal(program.at_entries(*everything)[0], before)


def test_elsewhere_a_call_is_left_to_the_loss():
    loss, _ = calls_of(LIBRARIES["array"])
    program = fg.trace(loss, parameters(np.random.default_rng(7)))
    sent = pickle.loads(pickle.dumps(program))
    everything = np.arange(program.nest.size), np.full(program.nest.size, 0.01)
    here, there = program.at_entries(*everything)[0], sent.at_entries(*everything)[0]
    reached = program.nest.size - 40
    assert np.isfinite(there).sum() == 40
    finite = np.isfinite(there)
    np.testing.assert_array_equal(there[finite], here[finite])
    assert (~finite).sum() == reached


def test_a_buffer_that_is_kept_holds_what_an_ordinary_call_leaves():
    out = np.full(4, np.nan)

    def loss(x):
        squares(x, out)
        return np.sum(out**2)

    program = fg.trace(loss, X)
    loss(X)
    program.gradient()
    np.testing.assert_array_equal(out, X**2)


def test_loss_of_scikit_learn_as_it_stands():
    linear_loss = pytest.importorskip("sklearn.linear_model._linear_loss")
    from sklearn._loss import HalfBinomialLoss

    rng = np.random.default_rng(0)
    features = rng.normal(size=(20, 3))
    labels = (rng.random(20) > 0.5).astype(float)
    model = linear_loss.LinearModelLoss(HalfBinomialLoss(), fit_intercept=True)

    def loss(w):
        return model.loss(w, features, labels, l2_reg_strength=0.3)

    w = rng.normal(size=4)
    z = features @ w[:3] + w[3]
    error = (1 / (1 + np.exp(-z)) - labels) / 20
    right = np.append(features.T @ error + 0.3 * w[:3], error.sum())
    report = fg.check_gradient(loss, w, right)
    assert (report.engine, report.verdict) == ("compiled", "correct")
    report = fg.check_gradient(loss, w, right * [1, 1.01, 1, 1])
    assert (report.engine, report.verdict) == ("compiled", "wrong")


def of_another_size(x):
    return np.sum(LIBRARY["positive"](x))


def of_other_shapes(x):
    positive, rest = LIBRARY["parted"](x)
    return np.sum(positive) + 3 * np.sum(rest)


@pytest.mark.parametrize("loss", [of_another_size, of_other_shapes])
def test_results_of_other_shapes_are_left_to_the_loss(loss):
    program = fg.trace(loss, X)
    assert program.opaque
    moves = np.array([0.01, 0.5, -0.9, -0.2])  # the second and third to another sign
    found, _ = program.at_entries(np.arange(4), moves)
    expected = [loss(X + h) - loss(X) for h in np.diag(moves)]
    assert np.isnan(found[1:3]).all()
    np.testing.assert_allclose(found[[0, 3]], np.array(expected)[[0, 3]], rtol=1e-12)
    right = program.gradient()
    assert fg.check_gradient(loss, X, right).ok
    assert fg.check_gradient(loss, X, right * [1, 1, 1.01, 1]).verdict == "wrong"


def signed_squares(x):
    return x * abs(x)


def sine_and_cosine(x):
    return math.sin(x), math.cos(x)


def added(x, y):
    return x + y * y


OF_PYTHON = {
    "one": lambda x: np.frompyfunc(signed_squares, 1, 1)(x).sum(),
    "two results": lambda x: np.sum(np.frompyfunc(sine_and_cosine, 1, 2)(x)[1] * x),
    "of two": lambda x: np.frompyfunc(math.hypot, 2, 1)(x, 1.0).astype(float).prod(),
    "reduce": lambda x: np.frompyfunc(added, 2, 1).reduce(x),
}


@pytest.mark.parametrize("name", OF_PYTHON)
def test_ufuncs_of_python_return_numbers(name):
    loss = OF_PYTHON[name]
    program = fg.trace(loss, X)
    slopes = [(loss(X + e) - loss(X - e)) / 2e-6 for e in 1e-6 * np.eye(4)]
    np.testing.assert_allclose(program.gradient(), slopes, rtol=1e-6)
    assert fg.check_gradient(loss, X, program.gradient()).ok
    wrong = program.gradient() * [1, 1.01, 1, 1]
    assert [e.index for e in fg.check_gradient(loss, X, wrong).wrong] == [(1,)]


# ---- complex arguments ---------------------------------------------------------------


def matrix(x):
    return x[:4].reshape(2, 2) + 1j * x[4:].reshape(2, 2)


def hermitian(x):
    return matrix(x) + matrix(x).conj().T


def written_in_place(x):
    z, total = matrix(x), np.ones((2, 2), dtype=complex)
    accumulate(z**2, total)
    squares(z[1], out=total[0])
    return np.sum(np.abs(total) ** 2)


COMPLEX = {
    "sort": lambda x: np.sort(matrix(x).ravel()).imag @ [1.0, 2.0, 3.0, 4.0],
    "product": lambda x: np.multiply.reduce(matrix(x).ravel()).imag,
    "eigh": lambda x: np.linalg.eigh(hermitian(x))[0] @ [1.0, 3.0],
    "eigvals": lambda x: np.sum(np.abs(np.linalg.eigvals(matrix(x))) ** 2),
    "svd": lambda x: np.linalg.svd(matrix(x))[1] @ [2.0, 1.0],
    "solve": lambda x: np.sum(np.abs(np.linalg.solve(matrix(x), np.ones(2) + 2j)) ** 2),
    "inverse of a constant times": lambda x: np.linalg.norm(
        np.linalg.inv(np.eye(2) * 3j + matrix(x).imag)
    ),
    "determinant": lambda x: np.linalg.slogdet(matrix(x))[1],
    "exponential": lambda x: np.abs(linalg.expm(matrix(x))).sum(),
    "keywords": lambda x: linalg.solve_triangular(
        a=matrix(x), b=np.array([1j, 2.0]), lower=True
    ).imag.sum(),
    "filter": lambda x: np.abs(
        signal.lfilter([1.0, 0.5j], [1.0, 0.2], matrix(x).ravel())
    ).sum(),
}


@pytest.mark.parametrize("name", COMPLEX)
def test_complex_arguments_are_given_as_they_are(name):
    x = np.random.default_rng(3).normal(size=8)
    loss = COMPLEX[name]
    program = fg.trace(loss, x)
    assert program.value == pytest.approx(loss(x), rel=1e-14)
    h = 1e-5
    steps = h * np.eye(8)
    slopes = np.array([(loss(x + s) - loss(x - s)) / (2 * h) for s in steps])
    np.testing.assert_allclose(program.gradient(), slopes, rtol=1e-6, atol=1e-8)
    moved = [loss(x + 1e-2 * s) - loss(x) for s in np.eye(8)]
    replayed, _ = program.at_entries(np.arange(8), np.full(8, 1e-2))
    np.testing.assert_allclose(replayed, moved, rtol=1e-9, atol=1e-13)
    slopes[np.abs(slopes).argmax()] *= 1.01
    assert fg.check_gradient(loss, x, slopes).verdict == "wrong"


def test_what_a_call_writes_into_a_complex_array_is_seen():
    x = np.random.default_rng(3).normal(size=8)
    program = fg.trace(written_in_place, x)
    d = np.random.default_rng(4).normal(size=8) * 1e-2
    moved = written_in_place(x + d) - written_in_place(x)
    assert program.along(d, np.array([1.0]))[0] == pytest.approx(moved, rel=1e-9)


def test_methods_of_arrays_that_nobody_knows_are_called_by_their_names():
    """Here one that reads exponents, which a power of two between two and four has."""

    def loss(x):
        exponents = x.view(np.int64) >> 52
        return np.sum(x**2) * exponents[0]

    x = np.array([3.0, 2.5])
    program = fg.trace(loss, x)
    assert [node.label for node in program.opaque] == ["ndarray.view()"]
    assert program.value == loss(x)
    assert fg.check_gradient(loss, x, 2 * x * 1024).ok
    assert fg.check_gradient(loss, x, 2 * x).verdict == "wrong"
