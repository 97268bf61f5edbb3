"""Complex numbers in programs, beyond the functions in program_functions.py."""

import numpy as np
import pytest
from program_functions import trace

import fastgrad as fg
from fastgrad.program import TraceError

RNG = np.random.default_rng(31)
A = RNG.normal(size=(6, 4)) + 1j * RNG.normal(size=(6, 4))
Y = RNG.normal(size=6) + 1j * RNG.normal(size=6)


def least_squares(p):
    r = A @ (p["re"] + 1j * p["im"]) - Y
    return np.sum(np.abs(r) ** 2)


def test_complex_least_squares_is_checked_in_compiled_code():
    params = {"re": RNG.normal(size=4), "im": RNG.normal(size=4)}

    def grads(p, adjoint=np.conj):
        g = 2 * adjoint(A).T @ (A @ (p["re"] + 1j * p["im"]) - Y)
        return {"re": g.real, "im": g.imag}

    report = fg.check_gradient(least_squares, params, grads)
    assert report.ok
    assert report.engine == "compiled"
    wrong = fg.check_gradient(least_squares, params, lambda p: grads(p, np.positive))
    assert wrong.verdict == "wrong"


def test_parts_that_are_zero_or_unused_are_not_computed():
    x = RNG.normal(size=(4, 3))
    program = trace(lambda w: np.sum(np.imag(np.exp(1j * w) @ x)), RNG.normal(size=4))
    operations = [n.op for n in program.operations]
    assert sorted(operations) == ["contract", "multiply", "sin", "sum"]


def test_operations_are_named_as_they_were_called():
    program = trace(lambda w: np.sum(np.abs(np.fft.rfft(w)) ** 2), RNG.normal(size=8))
    assert "np.fft.rfft" in {n.label for n in program.operations}
    assert "np.absolute" in {n.label for n in program.operations}


def test_parseval():
    w = RNG.normal(size=(3, 12))
    program = trace(lambda w: np.sum(np.abs(np.fft.fft(w, norm="ortho")) ** 2), w)
    assert program.value == pytest.approx(np.sum(w**2))
    np.testing.assert_allclose(program.gradient(), 2 * w, atol=1e-13)


@pytest.mark.parametrize("n", [1, 2, 3, 8, 15])
def test_a_transform_and_its_inverse_change_nothing(n):
    w, weight = RNG.normal(size=(2, n))

    def loss(w):
        there = np.fft.ifft(np.fft.fft(w)).real
        half = np.fft.irfft(np.fft.rfft(w), n=n)
        return np.sum(weight * (there + half))

    np.testing.assert_allclose(trace(loss, w).gradient(), 2 * weight, atol=1e-13)


def test_what_a_loss_keeps_is_plain_when_the_trace_is_over():
    kept = {}

    def loss(w):
        kept["z"] = w * (1 + 2j)
        return np.abs(kept["z"]).sum()

    w = np.array([0.5, -1.0])
    trace(loss, w)
    z = kept["z"]
    np.testing.assert_array_equal(np.asarray(z), w * (1 + 2j))
    assert type(z * 1j) is np.ndarray
    np.testing.assert_allclose(
        np.exp(z) + z.conj(), np.exp(w * (1 + 2j)) + w * (1 - 2j)
    )
    assert complex(z[0]) == 0.5 + 1j
    assert z.real.sum() == -0.5
    program = trace(lambda w: np.sum(np.real(z * w)), w)  # then it is a constant
    np.testing.assert_allclose(program.gradient(), w)


@pytest.mark.parametrize(
    ("loss", "reason"),
    [
        (lambda w: np.sort(w * 1j).real.sum(), "np.sort of complex numbers"),
        (lambda w: ((w * 1j) == 1).sum(), "np.equal of complex numbers"),
        (lambda w: np.linalg.solve(1j * np.outer(w, w), w).imag.sum(), "np.linalg.solve of"),
        (lambda w: np.multiply.reduce(w * 1j).real, "np.multiply.reduce of complex"),
        (lambda w: complex(w[0] * 1j).imag, "plain array"),
    ],
)  # fmt: skip
def test_what_complex_numbers_cannot_do_is_refused(loss, reason):
    with pytest.raises(TraceError, match=reason) as caught:
        trace(loss, np.array([0.3, -0.2]))
    assert caught.value.source.file == __file__
