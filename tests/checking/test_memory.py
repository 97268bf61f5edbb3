"""Memory: what is kept, what cannot fit, and what happens when there is none left."""

import tracemalloc

import numpy as np
import pytest

import fastgrad as fg
from fastgrad import _memory
from fastgrad.checking import judgement, verdict
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
    for size in (1, 13, 250):
        monkeypatch.setattr(judgement, "PIECE", size)
        monkeypatch.setattr(verdict, "PIECE", size)
        parts = report()
        assert parts.verdict == whole.verdict == "wrong"
        assert {e.name for e in parts.wrong} == {e.name for e in whole.wrong}
        assert parts.relative_error == pytest.approx(whole.relative_error, rel=1e-6)
        for one, other in zip(parts.blocks, whole.blocks, strict=True):
            assert (one.checked, one.wrong) == (other.checked, other.wrong)


def test_what_is_kept_does_not_grow_with_what_is_not_checked(rng):
    """Of a million parameters a hundred are checked: few numbers for each."""
    w = rng.standard_normal(10**6)
    gradient = 2 * w
    tracemalloc.start()
    try:
        report = fg.check_gradient(
            lambda w: float(w @ w), w, gradient, coverage=100, engine="python"
        )
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert report.ok
    assert peak <= 8 * w.nbytes


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
