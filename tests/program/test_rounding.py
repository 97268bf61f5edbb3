"""What differences round by: an ulp of each value, through the derivative behind it."""

import numpy as np
import pytest
from program_functions import trace

EPS = np.finfo(np.float64).eps
C = np.array([1.0, -2.0, 3.0])


@pytest.mark.parametrize("size", [1.0, -1.0, 1e-170, 1e200])
def test_of_a_chain(size):
    """Squares that vanish or overflow are no matter; nor is the sign of what is larger."""
    x = np.array([0.3, 0.7, -0.2])
    program = trace(lambda x: np.sum(size * C * np.sin(x)), x)
    part = C * np.sin(x)
    by_sines = EPS * np.linalg.norm(part)
    # The same by the products, and once more by their sum.
    by_all = EPS * np.linalg.norm([*part, *part, part.sum()])
    assert program.rounding == pytest.approx(abs(size) * by_sines, rel=1e-12, abs=0)
    assert program.rounding_of_function == pytest.approx(
        abs(size) * by_all, rel=1e-12, abs=0
    )


@pytest.mark.parametrize("size", [3, 1 << 14, 40_000])
def test_of_a_chain_of_functions_of_each_entry(size):
    """Also where values of large arrays are not kept, and are computed by pieces."""
    rng = np.random.default_rng(0)
    x, c = rng.uniform(0.1, 1, (2, size))
    program = trace(lambda x: np.sum(c * np.sin(np.exp(x)) + np.tanh(x)), x)
    inner, outer = np.exp(x), np.sin(np.exp(x))
    parts = [c * np.cos(inner) * inner, c * outer, np.tanh(x)]
    by_functions = EPS * np.linalg.norm(np.concatenate(parts))
    assert program.rounding == pytest.approx(by_functions, rel=1e-10)
    terms = c * outer + np.tanh(x)
    parts += [c * outer, terms, [terms.sum()]]
    by_all = EPS * np.linalg.norm(np.concatenate(parts))
    assert program.rounding_of_function == pytest.approx(by_all, rel=1e-10)


def test_infinities_that_count_for_nothing_do_not_round():
    """exp(1e4) where its branch is not taken, beside a sine of 1e-30."""
    x = np.array([1e4, 0.3])
    with np.errstate(over="ignore"):
        program = trace(
            lambda x: (
                np.sum(1e-30 * np.where(x > 1, np.cos(x), 0 * x + np.exp(-x)))
                + 1e-30 * np.sum(np.minimum(np.exp(x), 1.0))
            ),
            x,
        )
    parts = 1e-30 * np.array([np.cos(1e4), np.exp(-0.3)])
    assert program.rounding == pytest.approx(EPS * np.linalg.norm(parts), rel=1e-12)


def test_arrays_without_entries_do_not_round():
    x = np.array([0.5, 0.25])
    program = trace(lambda x: np.sum(np.sin(x)) + np.sum(np.sin(np.exp(x[2:]))), x)
    expected = EPS * np.linalg.norm(np.sin(x))
    assert program.rounding == pytest.approx(expected, rel=1e-12)


def test_nothing_rounds_nothing():
    """Zeros do not, nor infinities, of which there is no ulp."""
    program = trace(lambda x: np.sum(np.sin(x) * C), np.zeros(3))
    assert program.rounding == program.rounding_of_function == 0.0
    x = np.array([0.5, 0.0, 0.5])
    with np.errstate(divide="ignore"):
        program = trace(lambda x: np.sum(np.maximum(np.log(x), -1.0)), x)
    half = np.log(2.0)
    assert program.rounding == pytest.approx(EPS * np.hypot(half, half), rel=1e-12)


def test_what_comes_before_a_function_that_nobody_knows_is_left_out():
    """Its derivative would take a call for each number; what is behind it counts."""
    library = {"np": np, "__name__": "library"}
    code = "def cubes(x):\n    return np.array([each**3 for each in x.tolist()])"
    exec(compile(code, "<frozen library>", "exec"), library)
    x = np.array([0.3, 0.7, -0.2])
    program = trace(lambda x: np.sum(np.sin(library["cubes"](np.exp(x)) / 9)), x)
    assert "opaque" in {node.op for node in program.nodes}
    known = trace(lambda y: np.sum(np.sin(y / 9)), np.exp(x) ** 3)
    # An ulp of the exponentials would be three of the cubes; theirs may count twice.
    cubes = EPS * np.linalg.norm(np.exp(x) ** 3 * np.cos(np.exp(x) ** 3 / 9) / 9)
    for found, behind in (
        (program.rounding, known.rounding),
        (program.rounding_of_function, known.rounding_of_function),
    ):
        assert behind * (1 - 1e-12) <= found <= np.hypot(behind, 1.5 * cubes)
