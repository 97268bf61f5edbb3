"""Functions for test_program.py: name -> (function of a and b, their shapes)."""

import numpy as np

from fastgrad.losses.proof import program_of
from fastgrad.params import Nest
from fastgrad.program import trace_graph

RNG = np.random.default_rng(17)
K = RNG.normal(size=(4, 4)) + 1j * RNG.normal(size=(4, 4))


def trace(loss, params, reduction=None):
    """A program as it was recorded, whether it agrees with the function or not."""
    nest = Nest(params)
    return program_of(loss, nest, trace_graph(loss, nest, reduction))


def posdef(x):
    return x @ x.swapaxes(-1, -2) + 3 * np.eye(x.shape[-1])


def regular(x):
    return x + 4 * np.eye(x.shape[-1])


def signed(result):
    return result.sign * result.logabsdet


def parts(z):
    """A complex array as a real one that shows both parts."""
    return np.stack([np.real(z) + 0.0 * np.imag(z), np.imag(z)])


def z(a, b):
    return a + 1j * b


V4, M4, S4, T234 = (4,), (4, 4), (2, 4, 4), (2, 3, 4)
LINEAR = {
    "solve": (lambda a, b: np.linalg.solve(regular(a), b), M4, (4, 3)),
    "solve_vector": (lambda a, b: np.linalg.solve(regular(a), b), M4, V4),
    "solve_stack_vector": (lambda a, b: np.linalg.solve(regular(a), b), S4, V4),
    "solve_broadcast": (
        lambda a, b: np.linalg.solve(regular(a), b), (2, 1, 4, 4), (3, 4, 2)
    ),
    "solve_pivoted": (lambda a, b: np.linalg.solve(a[::-1] + np.eye(4), b), M4, V4),
    "solve_right": (lambda a, b: np.linalg.solve(regular(K.real), a @ b), M4, M4),
    "solve_matrix": (lambda a, b: np.linalg.solve(regular(a), K.real), M4, ()),
    "inv": (lambda a, b: np.linalg.inv(regular(a)) + b, S4, ()),
    "det": (lambda a, b: np.linalg.det(a) * b, S4, ()),
    "det_one": (lambda a, b: np.linalg.det(a) * b, (1, 1), ()),
    "slogdet": (lambda a, b: np.linalg.slogdet(posdef(a))[1] * b, S4, ()),
    "slogdet_sign": (lambda a, b: signed(np.linalg.slogdet(regular(-a))) * b, S4, ()),
    "cholesky": (lambda a, b: np.linalg.cholesky(posdef(a)) * b, S4, ()),
    "cholesky_parameter": (lambda a, b: np.linalg.cholesky(regular(a)) * b, M4, ()),
    "cholesky_upper": (lambda a, b: np.linalg.cholesky(regular(a), upper=True) * b, S4, ()),
    "matrix_power": (lambda a, b: np.linalg.matrix_power(a / 2, 5) * b, M4, ()),
    "matrix_power_0": (lambda a, b: np.linalg.matrix_power(a, 0) @ a * b, M4, ()),
    "matrix_power_inverse": (lambda a, b: np.linalg.matrix_power(regular(a), -3) * b, M4, ()),
    "gaussian": (
        lambda a, b: b @ np.linalg.solve(posdef(a), b) + np.linalg.slogdet(posdef(a))[1],
        M4, V4,
    ),
    "matrix_transpose": (lambda a, b: np.matrix_transpose(a) * b, T234, ()),
}  # fmt: skip
SORTED = {
    "sort": (lambda a, b: np.sort(a, axis=1) * b, (2, 5, 3), ()),
    "sort_descending": (lambda a, b: -np.sort(-a)[..., :2] * b, (3, 5), ()),
    "sort_flat": (lambda a, b: np.sort(a, axis=None) * b, (3, 4), ()),
    "argsort": (lambda a, b: np.take_along_axis(b, np.argsort(a, axis=0), 0), M4, M4),
    "argsort_broadcast": (
        lambda a, b: np.take_along_axis(b, np.argsort(a)[:, ::-1], 1), (3, 4), (1, 4)
    ),
    "argsort_index": (lambda a, b: b[a.argsort()[::-1][:3]], (5,), (5, 2)),
    "argsort_constant": (lambda a, b: np.take_along_axis(K.real, np.argsort(a), 1) * a * b, M4, ()),
    "ranks": (lambda a, b: a * np.argsort(np.argsort(a)) * b, (5,), ()),
    "take_along_constant": (
        lambda a, b: np.take_along_axis(a, np.array([[0, -1]] * 4), 1) * b, M4, ()
    ),
    "median_odd": (lambda a, b: np.median(a) * b, (3, 5), ()),
    "median_even": (lambda a, b: np.median(a, axis=(0, 2), keepdims=True) * b, T234, ()),
    "cumprod": (lambda a, b: np.cumprod(a, axis=1) * b, T234, ()),
    "cumprod_flat": (lambda a, b: a.cumprod() * b, (5, 1), ()),
    "accumulate": (lambda a, b: np.multiply.accumulate(a, axis=2) * b, T234, ()),
    "trapezoid": (lambda a, b: np.trapezoid(a, axis=1) * b, T234, ()),
    "trapezoid_points": (lambda a, b: np.trapezoid(a, b, axis=1), T234, (3,)),
    "trapezoid_grid": (lambda a, b: np.trapezoid(a, x=b, axis=0), T234, T234),
    "trapezoid_step": (lambda a, b: np.trapezoid(a, dx=0.3) * b, T234, ()),
}  # fmt: skip
NORMS = {
    f"norm_{ord}_{axis}".replace(" ", ""): (
        lambda a, b, ord=ord, axis=axis: a * np.linalg.norm(a, ord, axis, True) + b, T234, (),
    )
    for axis, orders in {
        1: (None, 2, 1, 3, 0.5, np.inf, -np.inf, 0),
        (0, 2): (None, "fro", 1, -1, np.inf, -np.inf),
    }.items()
    for ord in orders
} | {
    "norm_dropped": (lambda a, b: np.linalg.norm(a, 1, axis=(2, 0)) * b, T234, ()),
    "vector_norm": (lambda a, b: np.linalg.vector_norm(a) * b, T234, ()),
    "matrix_norm": (lambda a, b: np.linalg.matrix_norm(a, ord=np.inf) * b, T234, ()),
}  # fmt: skip
COMPLEX = {
    "linear": (lambda a, b: parts(K @ z(a, b) - K[0]), V4, V4),
    "products": (lambda a, b: parts(z(a, b) * (a - 2j) - 1j * b * np.conj(z(b, a))), V4, V4),
    "complex_matmul": (lambda a, b: parts(z(a, b) @ K @ z(b, a).conj().T), M4, M4),
    "complex_einsum": (
        lambda a, b: parts(np.einsum("ij,jk,k->i", z(a, b), K, z(b, a)[0], optimize=True)),
        M4, M4,
    ),
    "complex_vdot": (lambda a, b: parts(np.vdot(z(a, b), z(b, a) * K)), M4, M4),
    "complex_vecdot": (lambda a, b: parts(np.vecdot(z(a, b), z(b, a) * K)), M4, M4),
    "quotient": (lambda a, b: parts(z(a, b) / (z(b, a) * K[0] + 5) + 1 / (3 + 1j * a)), V4, V4),
    "phase": (lambda a, b: parts(np.exp(1j * a) * b + np.exp(z(a, b))), V4, V4),
    "modulus": (lambda a, b: np.abs(z(a, b) - K[0]) + abs(K @ z(a, b)) ** 2, V4, V4),
    "complex_angle": (lambda a, b: np.angle(z(a, b)) + np.angle(z(b, a), deg=True) / 90, V4, V4),
    "complex_powers": (
        lambda a, b: parts(z(a, b) ** 2 - z(a, b) ** 3 + z(a + 4, b) ** -1 + z(a + 4, b) ** -2),
        V4, V4,
    ),
    "complex_power": (lambda a, b: parts(z(a, b) ** 1.5 + z(a, b) ** 0), V4, V4),
    "complex_exponent": (lambda a, b: parts(2.0 ** z(a, b) + np.exp(a) ** (1j * b) + K[0] ** a), V4, V4),
    "complex_sqrt_log": (lambda a, b: parts(np.sqrt(z(a, b)) + np.log(z(b, a))), V4, V4),
    "complex_trigonometry": (
        lambda a, b: parts(np.sin(z(a, b)) + np.cos(z(a, b)) * np.tanh(z(a, b))), V4, V4
    ),
    "complex_hyperbolic": (lambda a, b: parts(np.sinh(z(a, b)) * np.cosh(z(b, a))), V4, V4),
    "complex_norm": (
        lambda a, b: np.linalg.norm(z(a, b)) + np.linalg.norm(z(a, b), axis=1), M4, M4
    ),
    "complex_var": (lambda a, b: np.var(z(a, b), axis=0) + np.std(z(b, a)), M4, M4),
    "complex_cov": (lambda a, b: parts(np.cov(z(a, b))), M4, M4),
    "complex_vector_norm": (
        lambda a, b: np.linalg.vector_norm(z(a, b), axis=1) + np.linalg.matrix_norm(z(b, a)), M4, M4
    ),
    "complex_composed": (
        lambda a, b: parts(np.kron(z(a, b), K[:2]) * np.trapezoid(z(b, a)) + np.diff(z(a, b)).sum()), V4, V4
    ),
    "complex_convolution": (
        lambda a, b: parts(np.convolve(z(a, b), K[0]) + np.polyval(z(a, b), 0.3j)), V4, V4
    ),
    "complex_square": (lambda a, b: parts(np.square(z(a, b)) + np.reciprocal(z(a, b) + 5)), V4, V4),
    "complex_shapes": (
        lambda a, b: parts(np.concatenate(
            [z(a, b).T.reshape(2, 8), (a * K.real).reshape(2, 8), K.reshape(2, 8)]
        ).mean(axis=1, keepdims=True)), M4, M4,
    ),
    "complex_split": (lambda a, b: parts(np.split(z(a, b), 2)[1] * K[:2]), M4, M4),
    "complex_where": (lambda a, b: parts(np.where(a > b, z(a, b), K * b)), M4, M4),
    "complex_rows": (lambda a, b: parts(sum(r * k for k, r in enumerate(z(a, b)[1:, ::-1]))), M4, M4),
    "real_as_complex": (
        lambda a, b: a.real + np.imag(a) + a.conj() + np.real(b) + np.angle(b) + a.astype(complex).real,
        V4, V4,
    ),
    "fft": (lambda a, b: parts(np.fft.fft(a) * b), (2, 7), ()),
    "fft_padded": (lambda a, b: parts(np.fft.fft(z(a, b), axis=0, n=9, norm="ortho")), (7, 2), (7, 2)),
    "fft_cut": (lambda a, b: parts(np.fft.fft(z(a, b), 5, norm="forward")), (2, 7), (2, 7)),
    "ifft": (lambda a, b: parts(np.fft.ifft(z(a, b)) + np.fft.ifft(a, norm="forward")), (2, 8), (2, 8)),
    "rfft_even": (lambda a, b: parts(np.fft.rfft(a) * b), (2, 8), ()),
    "rfft_odd": (lambda a, b: parts(np.fft.rfft(a, norm="ortho", n=7) * b), (2, 8), ()),
    "irfft": (lambda a, b: np.fft.irfft(z(a, b)), (2, 5), (2, 5)),
    "irfft_odd": (lambda a, b: np.fft.irfft(z(a, b), n=7, axis=0, norm="ortho"), (5, 2), (5, 2)),
    "irfft_short": (lambda a, b: np.fft.irfft(z(a, b), n=1) + np.fft.irfft(a, n=2)[:, :1], (2, 5), (2, 5)),
    "convolution_by_fft": (lambda a, b: np.fft.irfft(np.fft.rfft(a) * np.fft.rfft(b), n=8), (2, 8), (8,)),
    "fft2": (lambda a, b: parts(np.fft.fft2(a) * b), (4, 5), ()),
    "ifft2": (lambda a, b: parts(np.fft.ifft2(z(a, b), axes=(0, 1))), (4, 3, 2), (4, 3, 2)),
    "fftn": (lambda a, b: parts(np.fft.ifftn(np.fft.fftn(a, s=(3, 4), axes=(0, 2)))) * b, (4, 3, 2), ()),
    "fftshift": (lambda a, b: np.fft.fftshift(a) + np.abs(np.fft.ifftshift(z(a, b))), (2, 5), (2, 5)),
}  # fmt: skip
FUNCTIONS = {**LINEAR, **SORTED, **NORMS, **COMPLEX}
