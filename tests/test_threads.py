import importlib
import os
import pkgutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from families import every_second

import fastgrad as fg
from fastgrad import _kernels
from fastgrad._threads import MOST_THREADS, resolve_num_threads


def test_a_positive_count_is_taken_as_it_is():
    assert resolve_num_threads(7) == 7


def test_default_respects_omp_num_threads_and_affinity():
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});"
        "from fastgrad._threads import resolve_num_threads as r; print(r(None))"
    )
    for env in ({}, {"OMP_NUM_THREADS": "1"}):
        out = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, **env},
            capture_output=True,
            text=True,
            check=True,
        )
        assert out.stdout.strip() == "1"


@pytest.mark.parametrize("bad", [0, -1])
def test_counts_that_are_not_positive_are_refused(bad):
    with pytest.raises(ValueError, match="`num_threads` must be positive"):
        resolve_num_threads(bad)


@pytest.mark.parametrize("bad", [True, 1.5, "2"])
def test_non_integers_are_refused(bad):
    with pytest.raises(TypeError, match="`num_threads` must be a positive integer"):
        resolve_num_threads(bad)


X = np.linspace(-1, 1, 24).reshape(6, 4)


def normalised(num_threads):
    y, cache = fg.batch_norm(X, np.ones(4), np.zeros(4), num_threads=num_threads)
    return fg.batch_norm_backward(y, cache, num_threads=num_threads)[0]


#: Everything that takes `num_threads`.
TAKERS = {
    "check_gradient": lambda n: (
        fg.check_gradient(lambda p: (p**2).sum(), X, 2 * X, num_threads=n).numerical
    ),
    "check_variations": lambda n: (
        fg.check_variations(
            lambda p, x: ((x @ p) ** 2).sum(),
            np.ones(4),
            lambda p, x: 2 * x.T @ (x @ p),
            (X,),
            num_threads=n,
        ).ok
    ),
    "untraced": lambda n: fg.numerical_gradient(
        np.sum, X, engine="python", num_threads=n
    ),
    "numerical_gradient": lambda n: fg.numerical_gradient(
        lambda p: np.tanh(p).sum(), X, num_threads=n
    ),
    "moments": lambda n: fg.moments(X, num_threads=n).var,
    "StandardScaler": lambda n: fg.StandardScaler(num_threads=n).fit_transform(X),
    "BatchNorm": lambda n: fg.BatchNorm(4, num_threads=n)(X, training=True),
    "batch_norm": normalised,
    "initialize": lambda n: fg.initializers.initialize([(4, 4)], num_threads=n)[0],
} | {
    name: lambda n, name=name: getattr(fg.initializers, name)((4, 4), num_threads=n)
    for name in fg.initializers.__all__
    if name.endswith(
        ("normal", "uniform", "orthogonal", "identity", "variance_scaling")
    )
    and name != "delta_orthogonal"
}


@every_second
@pytest.mark.parametrize("name", TAKERS)
@pytest.mark.parametrize("count", [100_000, 2**31, 10**30])
def test_no_count_is_too_large(name, count):
    assert resolve_num_threads(count) == MOST_THREADS
    np.testing.assert_array_equal(TAKERS[name](count), TAKERS[name](1))


@pytest.mark.parametrize("name", TAKERS)
@pytest.mark.parametrize("bad", [0, -(2**31), 1.5, "two", True, [2]])
def test_a_count_that_makes_no_sense_is_named(name, bad):
    with pytest.raises((ValueError, TypeError), match="`num_threads` must be"):
        TAKERS[name](bad)


def test_python_threads_may_share_a_program():
    """Each gets what it would get alone: at entries, along directions, printed."""
    rng = np.random.default_rng(3)
    w, x = rng.normal(size=(12, 40)), rng.normal(size=(40, 30))
    program = fg.trace(lambda w: np.tanh(np.tanh(w @ x).sum(axis=1)).sum(), w)

    def work(k):
        own = np.random.default_rng(k)
        index = own.integers(w.size, size=200)
        found = program.at_entries(index, own.normal(size=200), num_threads=1 + k % 3)
        along = program.along(own.normal(size=w.size), own.normal(size=9))
        return np.concatenate([*found, along]), str(program)

    alone = [work(k) for k in range(16)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(work, range(16)))
    for (got, printed), (expected, text) in zip(together, alone, strict=True):
        np.testing.assert_array_equal(got, expected)
        assert printed == text


# ---- without the interpreter's lock --------------------------------------------------

KERNELS = [module.name for module in pkgutil.iter_modules(_kernels.__path__)]


@pytest.mark.parametrize("name", KERNELS)
def test_kernels_do_without_the_interpreters_lock(name):
    """None switches it on again where the interpreter runs without."""
    switched = sys.__dict__.get("_is_gil_enabled", lambda: True)
    before = switched()
    importlib.import_module(f"fastgrad._kernels.{name}")
    assert switched() is before


def _network(p, x):
    h = np.tanh(x @ p["W"] + p["b"])
    return (h**2).mean() + 0.1 * (p["W"] ** 2).sum()


def _network_gradient(p, x, scale=1.0):
    h = np.tanh(x @ p["W"] + p["b"])
    d = 2 * h * (1 - h**2) / h.size
    return {"W": x.T @ d + 0.2 * scale * p["W"], "b": d.sum(axis=0)}


def _report(k, *, own=None):
    """What a check says, of parameters of its own or shared ones."""
    rng = np.random.default_rng(k)
    x = rng.normal(size=(5, 4))
    p = own or {"W": rng.normal(size=(4, 3)), "b": rng.normal(size=3)}
    found = fg.check_gradient(
        lambda p: _network(p, x), p, lambda p: _network_gradient(p, x, k % 2)
    )
    causes = [str(cause) for cause in found.causes]
    return found.verdict, causes, found.numerical["W"], found.numerical["b"]


#: Work that has nothing in common but what the library keeps to itself.
TOGETHER = {
    "reports": _report,
    "untraced": lambda k: fg.numerical_gradient(
        lambda p: float(np.sum(np.sin(p.tolist()))), X + k, engine="python"
    ),
    "a shared loss": lambda k: fg.numerical_gradient(_shared, X + k),
    "initialisers": lambda k: fg.initializers.he_normal((9, 7), seed=k),
    "gains": lambda k: [
        fg.initializers.gain(name).unit for name in ("tanh", "gelu", "selu", "mish")
    ],
    "moments": lambda k: fg.moments(X * k, num_threads=2).var,
    "scaler": lambda k: fg.StandardScaler().fit_transform(X + k),
    "batch norm": lambda k: normalised(1 + k % 2),
    "pages": lambda k: (
        fg.check_gradient(lambda p: (p**2).sum(), X + k, 2 * (X + k))
        .to_html()
        .count("<")
    ),
}


def _shared(p):
    out = 0.0
    for row in p:
        out = out + np.tanh(row).sum() if row[0] > -5 else out
    return out


@pytest.fixture
def _often_interrupted():
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("_often_interrupted", "time_for_causes")
@pytest.mark.parametrize("name", TOGETHER)
def test_threads_get_what_each_would_get_alone(name):
    work = TOGETHER[name]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(work, range(1, 5)))  # first, while nothing is cached
    alone = [work(k) for k in range(1, 5)]
    for got, expected in zip(together, alone, strict=True):
        assert str(got) == str(expected)


@pytest.mark.usefixtures("_often_interrupted")
def test_threads_may_check_the_same_parameters():
    """They are moved in place: each thread waits for its turn."""
    p = {"W": X[:4, :3].copy(), "b": X[0, :3].copy()}
    with ThreadPoolExecutor(8) as pool:
        verdicts = list(pool.map(lambda k: _report(k, own=p)[0], range(8)))
    assert verdicts == ["wrong", "correct"] * 4
    np.testing.assert_array_equal(p["W"], X[:4, :3])
