"""`numpy.vectorize` under the trace against the array form of the same loss."""

import functools

import numpy as np
import pytest

import fastgrad as fg

X = np.array([[0.5, -0.3, 0.8], [1.2, -0.7, 0.1]])


@np.vectorize
def power(x, k=2.0):
    return np.exp(x) ** k


@np.vectorize(otypes=[float])
def clipped(x):
    return x if x > 0 else 0


@np.vectorize
def clipped_to_whole(x):
    return 0 if x > 0 else x


def of_a_closure(x):
    scale = x[0, 0]
    return np.sum(np.vectorize(lambda k: np.sin(scale * k))(np.arange(5.0)))


def decorated_inside(x):
    @np.vectorize(excluded=["c", 1])
    def value(v, c):
        return c[0] + c[1] * v**2

    return np.sum(value(x, [1.0, 2.0]) * value(x, c=[0.0, 1.0]))


def two_outputs(x):
    a, b = np.vectorize(lambda v: (np.tanh(v), v * v))(x)
    return np.sum(a * b)


CASES = {
    "branch": (
        lambda x: np.sum(np.vectorize(lambda v: v**3 if v > 0 else -v)(x)),
        lambda x: np.sum(np.where(x > 0, x**3, -x)),
    ),
    "default": (
        lambda x: np.sum(power(x) * power(x, 3.0)),
        lambda x: np.sum(np.exp(x) ** 5),
    ),
    "broadcast": (
        lambda x: np.sum(np.vectorize(lambda a, b: np.sin(a * b))(x, x[:, :1])),
        lambda x: np.sum(np.sin(x * x[:, :1])),
    ),
    "keywords": (
        lambda x: np.sum(np.vectorize(lambda a, b: a * b**2)(b=x, a=x[0])),
        lambda x: np.sum(x[0] * x**2),
    ),
    "signature": (
        lambda x: np.sum(
            np.vectorize(lambda a, b: np.outer(a, b), signature="(n),(m)->(n,m)")(
                x, x[0]
            )
            ** 3
        ),
        lambda x: np.sum((x[:, :, None] * x[0]) ** 3),
    ),
    "otypes": (
        lambda x: np.sum(clipped(x) ** 2),
        lambda x: np.sum(np.maximum(x, 0) ** 2),
    ),
    "partial": (
        lambda x: np.sum(functools.partial(np.vectorize(lambda v, k: v**k), k=2)(x)),
        lambda x: np.sum(x**2),
    ),
    "closure": (of_a_closure, lambda x: np.sum(np.sin(x[0, 0] * np.arange(5.0)))),
    "excluded": (decorated_inside, lambda x: np.sum((1 + 2 * x**2) * x**2)),
    "two outputs": (two_outputs, lambda x: np.sum(np.tanh(x) * x**2)),
}


@pytest.mark.parametrize("name", CASES)
def test_a_vectorized_function_is_the_function_of_every_element(name):
    vectorized, array_form = CASES[name]
    program, expected = fg.trace(vectorized, X), fg.trace(array_form, X)
    assert not program.opaque
    np.testing.assert_allclose(program.value, vectorized(X), rtol=1e-14)
    np.testing.assert_allclose(program.gradient(), expected.gradient(), rtol=1e-12)


def test_the_first_value_decides_the_dtype_as_in_numpy():
    """Numbers of whole type cut the rest off, which is constant around here."""
    assert clipped_to_whole(X).dtype.kind == "i"
    program = fg.trace(lambda x: np.sum(clipped_to_whole(x)) + np.sum(x), X)
    assert program.value == np.sum(clipped_to_whole(X)) + np.sum(X)
    np.testing.assert_array_equal(program.gradient(), np.ones_like(X))
