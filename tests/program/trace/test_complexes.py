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
        (lambda w: ((w * 1j) == 1).sum(), "np.equal of complex numbers"),
        (lambda w: ((w * 1j) != w).sum(), "np.not_equal of complex numbers"),
    ],
)  # fmt: skip
def test_what_complex_numbers_cannot_do_is_refused(loss, reason):
    with pytest.raises(TraceError, match=reason) as caught:
        trace(loss, np.array([0.3, -0.2]))
    assert caught.value.source.file == __file__


# ---- buffers -------------------------------------------------------------------------


def element_by_element(p):
    out = np.zeros(3, dtype=complex)
    for k in range(3):
        out[k] = p[k] * (1 + 1j * k)
    return out


def parts_written(p):
    out = np.empty((2, 3), dtype=complex)
    out.real[:] = p
    out.imag[1] = p**2
    out.imag[0] = 1.0
    return out[1] * out[0]


def through_views(p):
    out = np.ones((3, 2), dtype=complex, order="F")
    column = out[:, 1]
    column *= p * 1j
    column[1:] += p[:2]
    return column + out[:, 1] ** 2 + out.T[1]


def in_place(p):
    z = p * (1 + 0j)
    w = z[1:]
    z *= 2j
    w += 1.0
    np.add(w, 1j, out=w)
    z[0] = 5 - 1j
    return z


def rolled(p):
    out = np.zeros(3, complex)
    for at, value in zip(range(3), out, strict=True):
        out[at] = value + p[at]
        if at < 2:
            out[at + 1] = 1j * out[at]
    return out


@pytest.mark.parametrize(
    "fill", [element_by_element, parts_written, through_views, in_place, rolled]
)
def test_complex_buffers_that_are_written_to(fill):
    weight = np.array([1 + 2j, -0.5 + 1j, 0.3 - 1j])

    def loss(p):
        return np.sum((weight * fill(p)).real) + np.sum(np.abs(fill(p)) ** 2)

    p = np.array([0.7, -0.4, 1.3])
    program = trace(loss, p)
    assert program.value == pytest.approx(loss(p), rel=1e-14)
    h = 1e-6
    slopes = [(loss(p + h * e) - loss(p - h * e)) / (2 * h) for e in np.eye(3)]
    np.testing.assert_allclose(program.gradient(), slopes, rtol=1e-7, atol=1e-8)
    got = program.at_entries([0, 1, 2], [0.1, -0.2, 0.3])[0]
    moved = [loss(p + d) - loss(p) for d in np.diag([0.1, -0.2, 0.3])]
    np.testing.assert_allclose(got, moved, rtol=1e-12)


def test_a_complex_zero_times_a_parameter_is_zero():
    program = trace(lambda p: np.sum(np.abs(1 + 0j * p) * p), np.array([0.5, 2.0]))
    np.testing.assert_array_equal(program.gradient(), [1.0, 1.0])


def test_what_is_complex_is_asked_of_the_imaginary_parts():
    def loss(w):
        z = w * np.exp(1j * w)
        return np.sum(np.abs(z)) * np.iscomplex(z).sum() + w[0] * np.isreal(w).all()

    program = trace(loss, np.array([0.3, 0.5]))
    assert not program.python_operations
    assert program.value == pytest.approx(1.9)
    np.testing.assert_allclose(program.gradient(), [3, 2])
