"""Results that read the parameters only when somebody looks at them."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fastgrad as fg
from fastgrad.losses import make_losses

THETA = np.array([0.5, -1.25, 2.0])


class Late:
    """A result that is computed when it is converted, as asynchronous arrays are."""

    def __init__(self, compute):
        self.compute = compute

    def __float__(self):
        return float(self.compute())

    def __array__(self, dtype=None, copy=None):
        return np.array(self.compute(), dtype=dtype)


RESULTS = {
    "number": (lambda p: Late(lambda: np.sum(p**3)), None),
    "(loss, grads)": (
        lambda p: (Late(lambda: np.sum(p**3)), Late(lambda: 3 * p**2)),
        None,
    ),
    "samples": (lambda p: Late(lambda: p**3), "sum"),
    "(samples, grads)": (lambda p: (Late(lambda: p**3), Late(lambda: 3 * p**2)), "sum"),
}
WAYS = {
    "auto": {},
    "python": {"engine": "python"},
    "workers": {"workers": ThreadPoolExecutor(2)},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("result", RESULTS)
def test_differences(result, way):
    """They are those of the perturbed point: x³ moved to 1, and along a direction."""
    loss, reduction = RESULTS[result]
    with make_losses(loss, THETA.copy(), reduction=reduction, **WAYS[way]) as losses:
        moved, _ = losses.at_entries([0, 1, 2], [1.0, 1.0, 1.0])
        assert moved.tolist() == (1 - THETA**3).tolist()
        along = losses.along([1.0, 0.0, 0.0], [0.5, -0.5])
        assert along.tolist() == [1 - 0.125, -0.125]


@pytest.mark.parametrize("method", ["central", "forward", "ridders", "complex"])
@pytest.mark.parametrize("result", RESULTS)
def test_numerical_gradients(result, method):
    """By every method: 3 x²."""
    loss, reduction = RESULTS[result]
    gradient = fg.numerical_gradient(
        loss, THETA.copy(), method=method, reduction=reduction
    )
    np.testing.assert_allclose(gradient, 3 * THETA**2, rtol=1e-5)


@pytest.mark.parametrize("result", RESULTS)
def test_checks(result):
    """A right gradient is correct, a wrong one is wrong."""
    loss, reduction = RESULTS[result]
    right = Late(lambda: 3 * THETA**2)
    assert fg.check_gradient(loss, THETA.copy(), right, reduction=reduction).ok
    report = fg.check_gradient(loss, THETA.copy(), 3.1 * THETA**2, reduction=reduction)
    assert report.verdict == "wrong"


def test_stacked_points():
    """A vectorised loss whose result reads the stack, which is used again."""
    with make_losses(
        lambda p: Late(lambda: np.sum(p**3, axis=1)), THETA.copy(), vectorized=True
    ) as losses:
        moved = [losses.at_entries([i], [1.0])[0][0] for i in range(3)]
    assert moved == (1 - THETA**3).tolist()


@pytest.mark.parametrize("workers", [None, ThreadPoolExecutor(1)])
def test_jacobians(workers):
    """Outputs that are late, and outputs in a buffer that the next call overwrites."""
    buffer = np.empty(3)

    def reused(x):
        np.power(x, 3, out=buffer)
        return buffer

    for fun in (lambda x: Late(lambda: x**3), reused):
        jacobian = fg.numerical_jacobian(fun, THETA, workers=workers)
        np.testing.assert_allclose(jacobian, np.diag(3 * THETA**2), atol=1e-7)
