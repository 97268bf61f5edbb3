"""Memory: what is kept, what cannot fit, and what happens when there is none left."""

import errno
import importlib.util
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from families import every_second

import fastgrad as fg
from fastgrad import _memory
from fastgrad.checking import check
from fastgrad.checking.judgement import evidence, verdict
from fastgrad.program.program import Program


def network(rng):
    X = rng.standard_normal((30, 5))
    params = {"W": rng.standard_normal((20, 30)), "b": rng.standard_normal((20, 1))}

    def loss(p):
        return np.sum(np.maximum(p["W"] @ X + p["b"], 0) ** 2)

    def grads(p):
        z = 2 * np.maximum(p["W"] @ X + p["b"], 0)
        return {"W": z @ X.T, "b": z.sum(axis=1, keepdims=True)}

    return loss, params, grads


@pytest.mark.parametrize("coverage", ["full", 7])
def test_pieces_do_not_matter(coverage, rng, monkeypatch):
    """Judged piece by piece the verdicts are those of all at once."""
    loss, params, right = network(rng)
    wrong = right(params)
    wrong["W"][3:] *= 1.01
    wrong["b"][7] = -1.0

    def report():
        return fg.check_gradient(
            loss, params, wrong, coverage=coverage, engine="python"
        )

    whole = report()
    for size in (13, 250) if coverage == "full" else (1, 5):
        monkeypatch.setattr(evidence, "PIECE", size)
        monkeypatch.setattr(verdict, "PIECE", size)
        parts = report()
        assert parts.verdict == whole.verdict == "wrong"
        assert {e.name for e in parts.wrong} == {e.name for e in whole.wrong}
        assert parts.relative_error == pytest.approx(whole.relative_error, rel=1e-6)
        for one, other in zip(parts.blocks, whole.blocks, strict=True):
            assert (one.checked, one.wrong) == (other.checked, other.wrong)


ONE_CHECK = """
import re
import sys
import numpy as np
import fastgrad as fg
kind, coverage = sys.argv[1:]
coverage = {"full": "full", "locate": "locate", "100": 100}.get(coverage)
rng = np.random.default_rng(0)
w, c = rng.standard_normal((2, 1000, 1000))
w, X = w.copy(), rng.standard_normal((1000, 8))
if kind == "network":
    w /= 30
    z = np.tanh(w @ X)
    g = (2 * z * (1 - z * z)) @ X.T
    loss = lambda w: np.sum(np.tanh(w @ X) ** 2)
else:
    g = c * (1 - np.tanh(w) ** 2)
    loss = lambda w: np.sum(c * np.tanh(w))
fg.check_gradient(lambda p: np.sum(p**2), np.ones(3), 2 * np.ones(3))
loss(w)
def status(name):
    return 1024 * int(re.search(name + r":\\s+(\\d+)", open("/proc/self/status").read())[1])
open("/proc/self/clear_refs", "w").write("5")
before = status("VmRSS")
if coverage is None:
    found = fg.numerical_gradient(loss, w, num_threads=1)
    verdict = "correct" if np.allclose(found, g) else "wrong"
else:
    verdict = fg.check_gradient(loss, w, g, coverage=coverage, num_threads=1).verdict
print(verdict, (status("VmHWM") - before) / w.nbytes)
"""


@pytest.mark.skipif(
    not os.access("/proc/self/clear_refs", os.W_OK), reason="asks Linux for the peak"
)
@pytest.mark.parametrize(
    ("kind", "coverage", "most"),
    [
        ("network", "100", 5.1),
        ("network", "locate", 6.1),
        ("elementwise", "full", 7.5),
        ("elementwise", "numerical", 7.2),
    ],
)
def test_arrays_as_large_as_the_parameters_are_few(kind, coverage, most):
    """Of those the bounds, which hold for a process of its own, leave room for none."""
    command = [sys.executable, "-c", ONE_CHECK, kind, coverage]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    verdict, arrays = done.stdout.split()
    assert verdict == "correct"
    assert float(arrays) < most


def test_gradients_of_a_few_entries_take_no_memory(rng):
    """Until they are asked for, in the structure of the parameters."""
    params = {"w": rng.standard_normal(10**6), "b": 0.5, "c": [rng.standard_normal(3)]}
    gradient = {"w": 2 * params["w"], "b": 1.0, "c": [np.ones(3)]}

    def loss(p):
        return float(p["w"] @ p["w"]) + p["b"] ** 2 + p["c"][0].sum()

    tracemalloc.start()
    try:
        report = fg.check_gradient(loss, params, gradient, coverage=9, engine="python")
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert report.ok
    assert kept < 1e5
    for found, given in ((report.numerical, gradient), (report.analytic, gradient)):
        np.testing.assert_allclose(found["b"], given["b"])
        np.testing.assert_allclose(found["c"][0], given["c"][0])
        assert np.isfinite(found["w"]).sum() == 9
    here = np.isfinite(report.numerical["w"])
    np.testing.assert_allclose(report.numerical["w"][here], gradient["w"][here], 1e-5)
    assert (report.error["w"][here] < 1e-6).all()
    with pytest.raises(AttributeError):
        report.numerical = None


@pytest.mark.usefixtures("time_for_causes")
def test_a_wrong_gradient_of_very_many_entries_has_a_cause(rng, monkeypatch):
    """Though the program was let go before the function's last word."""
    monkeypatch.setattr("fastgrad.losses.program.MANY", 50)
    monkeypatch.setattr("fastgrad.losses.proof.MANY", 50)
    w, c = rng.standard_normal(200), rng.standard_normal(200)
    report = fg.check_gradient(lambda w: np.sum(c * np.tanh(w)), w, c)
    assert report.verdict == "wrong"
    assert "local_derivative" in {cause.code for cause in report.causes}


@pytest.mark.parametrize("again", [False, True])
def test_constants_that_the_loss_writes_into_are_copied(again, rng):
    """Large ones are shared with the loss otherwise."""
    w, X = rng.standard_normal(300), rng.standard_normal((300, 300))
    buffer, before = np.empty_like(X), X.copy()

    def loss(w):
        np.multiply(X, 2.0, out=buffer)
        first = np.sum(np.tanh(buffer @ w))
        if again:
            buffer[...] = X
            return first + np.sum(np.tanh(buffer @ w))
        buffer[...] = 0.0
        return first

    slope = 2 * X.T @ (1 - np.tanh(2 * X @ w) ** 2)
    if again:
        slope += X.T @ (1 - np.tanh(X @ w) ** 2)
    program = fg.trace(loss, w)
    for gradient, expected in ((slope, "correct"), (1.01 * slope, "wrong")):
        report = fg.check_gradient(loss, w, gradient, engine="compiled")
        assert (report.verdict, report.engine) == (expected, "compiled")
    np.testing.assert_array_equal(X, before)
    X[...] = 0.0  # nothing that is handed out is shared
    buffer[...] = 0.0
    got, _ = program.at_entries(np.arange(300), np.full(300, 1e-6))
    np.testing.assert_allclose(got / 1e-6, slope, atol=1e-4)


@pytest.mark.parametrize("method", ["at_entries", "along"])
@pytest.mark.parametrize("after", [0, 1, 5])
def test_kernels_that_run_out_of_memory(method, after, rng, monkeypatch):
    """The function is asked instead, and the report says so."""
    loss, params, grads = network(rng)
    original, calls = getattr(Program, method), []

    def starved(*arguments, **options):
        calls.append(1)
        if len(calls) > after:
            raise MemoryError
        return original(*arguments, **options)

    monkeypatch.setattr(Program, method, starved)
    report = fg.check_gradient(loss, params, grads)
    assert report.ok
    assert "ran out of memory" in (report.fallback or "") or len(calls) <= after


@pytest.mark.parametrize("factor", [1, 2])
def test_kernels_without_a_workspace(factor, rng, monkeypatch):
    """An address space with no room for it is memory that ran out."""
    loss, params, grads = network(rng)
    given = {name: factor * slope for name, slope in grads(params).items()}

    def refused(*_):
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr("fastgrad._kernels._replay.mmap", refused)
    report = fg.check_gradient(loss, params, given)
    assert report.verdict == ("correct" if factor == 1 else "wrong")
    assert "ran out of memory" in report.fallback
    if factor == 2:
        assert "scale" in {cause.code for cause in report.causes}
    with pytest.raises(MemoryError):
        fg.check_gradient(loss, params, given, engine="compiled")


@pytest.mark.parametrize(
    ("call", "instead"),
    [
        (lambda x: fg.numerical_jacobian(np.sin, x), "pass `sparsity`"),
        (lambda x: fg.numerical_hessian(np.sum, x), "pass `sparsity`"),
        (lambda x: fg.check_gradient(np.sum, x, np.ones_like(x)), "`coverage=100`"),
    ],
)
def test_what_cannot_fit_is_said_before(call, instead, monkeypatch):
    """And what to do about it."""
    monkeypatch.setattr(_memory, "available", lambda: 1e3)
    x = np.linspace(1, 2, 200)
    before = x.tobytes()
    with pytest.raises(MemoryError, match=f"GB are free: .*{instead}"):
        call(x)
    assert x.tobytes() == before
    monkeypatch.undo()
    assert _memory.available() > 1e3


@every_second
@pytest.mark.parametrize(
    ("method", "step"),
    [("central", None), ("central", 1e-4), ("forward", None), ("forward", 1e-4)]
    + [("complex", None), ("ridders", None)],
)
@pytest.mark.parametrize("engine", ["auto", "python"])
def test_pieces_of_a_gradient_do_not_matter(method, engine, step, rng, monkeypatch):
    """The numbers are those of all entries at once."""
    w = rng.standard_normal(130)

    def loss(w):
        return np.sum(np.tanh(w) * w[::-1] ** 2)

    options = {"method": method, "engine": engine, "step": step, "return_error": True}
    whole = fg.numerical_gradient(loss, w, **options)
    for size in (1, 50):
        monkeypatch.setattr("fastgrad.checking.differences.slopes.PIECE", size)
        parts = fg.numerical_gradient(loss, w, **options)
        for one, other in zip(whole, parts, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("batch", [1, 2**16])
@pytest.mark.parametrize("factor", [1.0, 1.01])
def test_pieces_of_a_jacobian_move_no_column_twice(factor, batch, rng, monkeypatch):
    """Each is measured with the others of its column, or its group of columns."""
    A, x = rng.standard_normal((30, 30)) / 5, rng.standard_normal(30)

    calls = []

    def fun(x):
        calls.append(1)
        return np.tanh(A @ x)

    jacobian = (1 - np.tanh(A @ x) ** 2)[:, None] * A
    jacobian[3, 4] *= factor
    options = {"return_error": True, "method": "forward"}
    whole = fg.numerical_jacobian(fun, x, **options)
    at_once = len(calls)
    report = fg.check_jacobian(fun, x, jacobian)
    for module in (
        "judgement.evidence.PIECE",
        "judgement.verdict.PIECE",
        "differences.slopes.PIECE",
    ):
        monkeypatch.setattr(f"fastgrad.checking.{module}", 35)
    monkeypatch.setattr("fastgrad.checking.jacobians.entries.BATCH", batch)
    parts = fg.check_jacobian(fun, x, jacobian)
    assert parts.verdict == report.verdict == ("correct" if factor == 1 else "wrong")
    assert parts.evaluations <= report.evaluations + 100 < 500
    assert {e.name for e in parts.wrong} == {e.name for e in report.wrong}
    calls.clear()
    found = fg.numerical_jacobian(fun, x, **options)
    assert len(calls) <= at_once + 100
    np.testing.assert_array_equal(found[0], whole[0])


def test_a_ladder_of_a_jacobian_moves_no_column_twice(rng, monkeypatch):
    """The entries of a column are measured together, whatever is kept of others."""
    A, x = rng.standard_normal((60, 60)) / 8, rng.standard_normal(60)
    calls = []

    def fun(x):
        calls.append(1)
        return np.tanh(A @ x)

    whole = fg.numerical_jacobian(fun, x, method="ridders")
    assert len(calls) < 25 * 60
    calls.clear()
    monkeypatch.setattr("fastgrad.checking.differences.slopes.CHUNK", 60)
    monkeypatch.setattr("fastgrad.checking.jacobians.entries.BATCH", 1)
    parts = fg.numerical_jacobian(fun, x, method="ridders")
    assert len(calls) < 25 * 60
    np.testing.assert_array_equal(parts, whole)


def benchmark():
    """The losses whose memory is measured."""
    path = Path(__file__).parents[2] / "benchmarks" / "memory.py"
    spec = importlib.util.spec_from_file_location("fastgrad_memory", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


LOSSES = benchmark()
SIZE = 2 * 10**5


@pytest.fixture
def as_if_larger(monkeypatch):
    """What is done where there are a million parameters, in pieces as much smaller."""
    for module in ("program", "proof"):
        monkeypatch.setattr(f"fastgrad.losses.{module}.MANY", 2**16)
    for module in ("judgement.evidence", "judgement.verdict", "directions.agreement"):
        monkeypatch.setattr(f"fastgrad.checking.{module}.PIECE", 2**12)
    monkeypatch.setattr("fastgrad.checking.differences.scales.PIECE", 2**12)
    monkeypatch.setattr("fastgrad.program.windows._TOGETHER", 2**12)
    for name, value in {"MANY": 2**16, "ENTRIES": 2**12, "FEWEST": 2**8}.items():
        monkeypatch.setattr(f"fastgrad.program.part.{name}", value)
    monkeypatch.setattr("fastgrad.program.part.ALONG", 9)
    monkeypatch.setattr("fastgrad.checking.conclusions.explanation.MANY", 2**16)
    monkeypatch.setattr("fastgrad.causes.evidence._PIECE", 2**12)
    monkeypatch.setattr("fastgrad.causes.blocks._MANY", 2**12)


def peak(check, *arguments, **options):
    """The report, and the most memory in numbers of 8 bytes for each in `SIZE`."""
    tracemalloc.start()
    try:
        report = check(*arguments, **options)
        return report, tracemalloc.get_traced_memory()[1] / 8 / SIZE
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("make", "coverage"),
    [
        (make, coverage)
        for k, make in enumerate(LOSSES.LOSSES)
        for coverage in (["full"], [100, "locate"])[k % 2]
    ],
    ids=lambda one: getattr(one, "__name__", str(one)),
)
@pytest.mark.usefixtures("as_if_larger")
def test_bounds_of_memory(make, coverage):
    """Whatever the loss does with its parameters; the plan is not far from it."""
    fg.check_gradient(*make(4096), coverage=coverage)  # modules are no arrays
    loss, params, grads = make(SIZE)
    report, numbers = peak(fg.check_gradient, loss, params, grads, coverage=coverage)
    numbers /= LOSSES.UNITS.get(make, 1.0)
    planned = check.planned(SIZE, coverage) / 8 / SIZE
    assert report.verdict != "wrong"
    assert numbers < 8.0
    if make not in LOSSES.UNITS:
        assert planned / 1.5 < numbers < planned * 1.5


@pytest.mark.parametrize(
    ("name", "coverage"),
    [("negated", "full"), ("scattered", "full"), ("cross", "locate")]
    + [(name, 100) for name in ("one_block", "rows", "layers")],
)
@pytest.mark.usefixtures("as_if_larger", "time_for_causes")
def test_bounds_of_what_is_wrong(name, coverage, monkeypatch):
    """A search for causes takes no more than the check."""
    for module in ("evidence", "verdict"):  # each piece is tried again
        monkeypatch.setattr(f"fastgrad.checking.judgement.{module}.PIECE", 2**14)
    loss, params, grads = getattr(LOSSES, name)(SIZE)
    fg.check_gradient(np.sum, np.ones(3), 2 * np.ones(3))  # modules are no arrays
    report, numbers = peak(fg.check_gradient, loss, params, grads, coverage=coverage)
    assert report.verdict == "wrong"
    assert report.causes
    assert numbers < 9.0  # of these one does not grow with the size


@pytest.mark.usefixtures("as_if_larger")
def test_bounds_of_a_jacobian():
    """In numbers for each of its entries."""
    function, x, derivative = LOSSES.jacobian(SIZE)
    _, numbers = peak(fg.check_jacobian, function, x, derivative)
    assert numbers < 8.5  # of these one does not grow with the size
    _, numbers = peak(fg.numerical_jacobian, function, x)
    assert numbers < 5.0
    _, numbers = peak(fg.numerical_jacobian, function, x, return_error=True)
    assert numbers < 7.0


def test_causes_that_cannot_be_looked_for(rng, monkeypatch):
    """The verdict stands; the report says what looking for them takes."""
    loss, params, grads = network(rng)
    wrong = grads(params)
    wrong["W"] *= 2
    monkeypatch.setattr("fastgrad.checking.conclusions.explanation._SEARCH", 1e18)
    [cause] = fg.check_gradient(loss, params, wrong).causes
    assert cause.code == "unknown"
    assert cause.blocks == ("W",)
    assert "GB are free" in cause.message
    monkeypatch.undo()

    def starved(*_):
        raise MemoryError

    monkeypatch.setattr("fastgrad.causes.naming.gather", starved)
    [cause] = fg.check_gradient(loss, params, wrong).causes
    assert cause.code == "unknown"
    assert "memory ran out" in cause.message
