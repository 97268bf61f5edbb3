"""Functions of installed packages: traced, or else operations of their own.

The packages are written for these tests, into a folder that is named as those of
installed packages are.
"""

import importlib
import sys
import textwrap

import numpy as np
import pytest

import fastgrad as fg

X = np.array([0.5, -0.3, 0.8, 1.1])

SOURCE = """
    import ctypes
    import numpy as np

    def in_bytes(x):
        return np.frombuffer(np.ascontiguousarray(x, dtype=float).tobytes())

    class Hidden:
        "What it is given, out of sight."

        def __init__(self, x):
            self.kept = in_bytes(x).tolist()

        def total(self):
            return sum(v * v for v in self.kept)

        @property
        def first(self):
            return self.kept[0] ** 3

        def __iter__(self):
            return iter(self.kept)

        def __add__(self, other):
            return sum(self.kept) + float(np.sum(in_bytes(other) ** 2))

        __radd__ = __add__
        __array_ufunc__ = None

        def __getitem__(self, i):
            return self.kept[i]

    def plain(x):
        return np.sum(x**2)

    def insists(x):
        return np.sum(in_bytes(x) ** 2)

    def count(x):
        return float(np.array([ctypes.c_double(len(x)).value]).item())

    def refuses(x):
        raise ValueError(in_bytes(x).size)

    def swallows(x):
        try:
            return float(np.frombuffer(x.tobytes())[0]) * np.sum(x)
        except Exception:
            return 7.0 * np.sum(x)

    def leaks(x):
        out = np.empty(1)
        out[0] = _c_code(x)
        return out[0] + np.sum(x)

    def _c_code(x):
        return ctypes.c_double(x.node.value[0] if hasattr(x, "node") else x[0]).value

    class Model:
        scale = 1.0

        def fit(self, x):
            self.coef_ = insists(x) * self.scale
            return self

        def score(self, x):
            return np.sum(x) * self.coef_

        def stateful(self, x):
            self.seen = insists(x)
            return self.seen

    def apply(function, x):
        return function(np.sin(in_bytes(x)))

    def parts(x):
        a = in_bytes(x)
        return {"low": float(a.min()), "rest": (a[1:], [a[:1]])}
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    folder = tmp_path_factory.mktemp("python") / "site-packages"
    (folder / "opaquelib").mkdir(parents=True)
    (folder / "opaquelib" / "__init__.py").write_text(textwrap.dedent(SOURCE))
    sys.path.insert(0, str(folder))
    yield importlib.import_module("opaquelib")
    sys.path.remove(str(folder))
    del sys.modules["opaquelib"]


def is_followed(lib):
    return lambda x: lib.plain(np.sin(x))


def insists_on_an_array(lib):
    return lambda x: lib.insists(np.sin(x)) * x[0]


def swallows_an_exception(lib):
    return lambda x: lib.swallows(x) + x[1]


def reads_past_the_trace(lib):
    return lambda x: lib.leaks(x)


def keeps_out_of_sight(lib):
    def loss(x):
        hidden = lib.Hidden(x**2)
        return hidden.total() + hidden.first + sum(hidden) + hidden[2]

    return loss


def has_operators_of_its_own(lib):
    return lambda x: (lib.Hidden(x) + np.exp(x)) + (np.exp(x) + lib.Hidden(2 * x))


def is_handed_a_function(lib):
    def loss(x):
        def weighted(y, by=x[1]):
            return by * np.sum(y * x)

        return lib.apply(weighted, x)

    return loss


def is_handed_a_method(lib):
    class Weights:
        def __init__(self, x):
            self.inner = {"x": x}

        def weighted(self, y):
            return np.sum(y * self.inner["x"])

    return lambda x: lib.apply(Weights(x).weighted, x)


def returns_a_nest(lib):
    def loss(x):
        found = lib.parts(np.exp(x))
        rest, (first,) = found["rest"]
        return found["low"] + np.sum(rest**2) * first[0]

    return loss


CASES = {
    is_followed: lambda x: np.sum(np.sin(x) ** 2),
    insists_on_an_array: lambda x: np.sum(np.sin(x) ** 2) * x[0],
    swallows_an_exception: lambda x: x[0] * np.sum(x) + x[1],
    reads_past_the_trace: lambda x: x[0] + np.sum(x),
    keeps_out_of_sight: lambda x: np.sum(x**4) + x[0] ** 6 + np.sum(x**2) + x[2] ** 2,
    has_operators_of_its_own: lambda x: 3 * np.sum(x) + 2 * np.sum(np.exp(x) ** 2),
    is_handed_a_function: lambda x: x[1] * np.sum(np.sin(x) * x),
    is_handed_a_method: lambda x: np.sum(np.sin(x) * x),
    returns_a_nest: lambda x: np.exp(x[1]) + np.sum(np.exp(2 * x[1:])) * np.exp(x[0]),
}


@pytest.mark.parametrize("make", CASES, ids=lambda f: f.__name__)
def test_a_package_is_followed_or_called(make, package):
    loss, in_numpy = make(package), CASES[make]
    program, plain = fg.trace(loss, X), fg.trace(in_numpy, X)
    assert bool(program.opaque) == (make is not is_followed)
    np.testing.assert_allclose(program.value, plain.value, rtol=1e-14)
    right = plain.gradient()
    np.testing.assert_allclose(program.gradient(), right, rtol=1e-7, atol=1e-9)
    report = fg.check_gradient(loss, X, right)
    assert (report.engine, report.verdict) == ("compiled", "correct")
    report = fg.check_gradient(loss, X, right * [1, 1, 1.001, 1])
    assert report.verdict == "wrong"


def test_words_of_the_trace_in_objects_of_the_user_mean_nothing(package):
    class Cell:
        live = is_traced = True
        node = None

        def __getattr__(self, name):
            raise RuntimeError(name)

    cells = [Cell(), {"cell": Cell()}]

    def loss(x):
        return package.count(cells) * np.sum(x**2)

    np.testing.assert_allclose(fg.trace(loss, X).gradient(), 4 * X)


def test_what_a_package_raises_reaches_the_loss(package):
    def loss(x):
        try:
            return package.refuses(x)
        except ValueError as error:
            return np.sum(x**3) + error.args[0]

    np.testing.assert_allclose(fg.trace(loss, X).value, np.sum(X**3) + 4)


def test_an_object_with_state_that_depends_on_parameters_is_no_constant(package):
    """A model fitted to one parameter, and asked about another."""

    def loss(p):
        model = package.Model()
        model.stateful(p["a"])
        return model.seen * np.sum(p["b"])

    p = {"a": X[:2].copy(), "b": X[2:].copy()}
    a, b = p["a"], p["b"]
    right = {"a": 2 * a * b.sum(), "b": np.full(2, np.sum(a**2))}
    assert fg.check_gradient(loss, p, right).verdict == "correct"
    right["a"] = right["a"] * 1.001
    assert fg.check_gradient(loss, p, right).verdict == "wrong"


def test_a_failed_attempt_leaves_no_traced_array_behind(package):
    model = package.Model()

    def loss(x):
        model.before = np.sum(x)
        return model.stateful(x) + model.before

    fg.trace(loss, X)
    assert type(model.before) is np.float64
    assert type(model.seen) is np.float64


def test_the_line_and_the_words_are_the_users(package):
    def loss(x):
        hidden = package.Hidden(x)
        return hidden.first + 2 * hidden[1]

    said = str(fg.trace(loss, X))
    assert "hidden.first (" in said
    assert "hidden[1] (" in said
    assert "getattr" not in said
