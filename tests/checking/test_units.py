"""A report in another unit of loss or parameters is the same: powers of two."""

import numpy as np
import pytest
from families import every_second

import fastgrad as fg

RNG = np.random.default_rng(8)
X, Y = RNG.normal(size=(20, 4)), RNG.normal(size=(20, 3))
PARAMS = {"W": RNG.normal(size=(4, 3)), "b": RNG.normal(size=3)}


def smooth(p):
    return float(np.sum((np.tanh(X @ p["W"] + p["b"]) - Y) ** 2))


def noisy(p):
    """Digits of thirty bits."""
    return np.round(smooth(p) * 2**30) / 2**30


def kinked(p):
    return float(np.sum(np.abs(X @ p["W"] + p["b"])))


def slopes(loss):
    z = X @ PARAMS["W"] + PARAMS["b"]
    smoothly = 2 * (np.tanh(z) - Y) * (1 - np.tanh(z) ** 2)
    d = np.sign(z) if loss is kinked else smoothly
    return {"W": X.T @ d, "b": d.sum(axis=0)}


def reported(loss, error, unit=1.0, of_params=1.0, dtype=float, **options):
    """The report on a loss and parameters in these units."""
    grads = {name: unit / of_params * g for name, g in slopes(loss).items()}
    grads["W"][1, 2] += error * unit / of_params
    params = {n: (of_params * w).astype(dtype) for n, w in PARAMS.items()}

    def in_units(p):
        return unit * loss({n: w.astype(float) / of_params for n, w in p.items()})

    return fg.check_gradient(in_units, params, grads, engine="python", **options)


@every_second
@pytest.mark.parametrize("error", [0.0, 1e-2])
@pytest.mark.parametrize("loss", [smooth, noisy, kinked])
@pytest.mark.parametrize("coverage", ["full", 4, "locate"])
def test_reports_of_gradients(loss, error, coverage):
    expected = reported(loss, error, coverage=coverage)
    assert expected.verdict == ("wrong" if error and coverage != 4 else "correct")
    assert sum(block.wrong for block in expected.blocks) == len(expected.wrong)
    for units in ((2.0**-90, 1.0), (2.0**90, 1.0), (1.0, 2.0**-90), (1.0, 2.0**90)):
        found = reported(loss, error, *units, coverage=coverage)
        assert found.verdict == expected.verdict
        assert found.relative_error == expected.relative_error
        assert [e.index for e in found.wrong] == [e.index for e in expected.wrong]
        for one, other in zip(found.blocks, expected.blocks, strict=True):
            assert np.isfinite(one.detection_limit)
            assert one.detection_limit == units[0] / units[1] * other.detection_limit


@pytest.mark.parametrize("coverage", ["full", 4, "locate"])
def test_reports_of_float32(coverage):
    """Whose steps are rounded, relative to the parameters."""
    expected = reported(noisy, 1e-2, dtype=np.float32, coverage=coverage)
    for of_params in (2.0**-30, 2.0**30):
        options = {"of_params": of_params, "dtype": np.float32, "coverage": coverage}
        found = reported(noisy, 1e-2, **options)
        assert found.verdict == expected.verdict
        assert found.relative_error == expected.relative_error
        for one, other in zip(found.blocks, expected.blocks, strict=True):
            assert one.detection_limit == other.detection_limit / of_params


A = RNG.normal(size=(5, 4))
SPARSE = np.abs(np.subtract.outer(range(5), range(5))) <= 1


def outputs(x):
    return np.tanh(A @ x) ** 2


def chained(x):
    return np.sum(np.sin(x[1:] * x[:-1]))


@pytest.mark.parametrize("error", [0.0, 1e-3])
@pytest.mark.parametrize("unit", [2.0**-60, 2.0**60])
def test_reports_of_jacobians_and_hessians(unit, error):
    """Of the Hessian also what `sparsity` allows, which is verified along a line."""
    x = RNG.normal(size=4)
    t = np.tanh(A @ x)
    right = (2 * t * (1 - t * t))[:, None] * A
    right[1, 2] += error
    y = RNG.normal(size=5)
    pairs, c = y[1:] * y[:-1], np.cos(y[1:] * y[:-1])
    hessian = np.zeros((5, 5))
    for k, (one, cos) in enumerate(zip(pairs, c, strict=True)):
        mixed = cos - one * np.sin(one)
        hessian[k, k + 1] = hessian[k + 1, k] = mixed
        hessian[k, k] -= y[k + 1] ** 2 * np.sin(one)
        hessian[k + 1, k + 1] -= y[k] ** 2 * np.sin(one)
    hessian[2, 2] += error

    def both(unit):
        yield fg.check_jacobian(lambda v: unit * outputs(v), x, unit * right)
        second = unit * hessian
        yield fg.check_hessian(lambda v: unit * chained(v), y, second, sparsity=SPARSE)

    for expected, found in zip(both(1.0), both(unit), strict=True):
        assert expected.verdict == found.verdict == ("wrong" if error else "correct")
        assert found.relative_error == expected.relative_error
        assert [e.index for e in found.wrong] == [e.index for e in expected.wrong]


def test_what_nothing_depends_on_has_a_limit_too():
    """Errors above it, in entries that are zero as far as is seen, are wrong."""

    def loss(p):
        return float(np.sum(np.sin(p["used"])))

    params = {"used": RNG.normal(size=4), "not": RNG.normal(size=3)}
    right = {"used": np.cos(params["used"]), "not": np.zeros(3)}
    searched = fg.check_gradient(loss, params, right, coverage="locate")
    assert [block.verdict for block in searched.blocks] == ["correct", "correct"]
    report = fg.check_gradient(loss, params, right, engine="python")
    limit = {b.name: b.detection_limit for b in report.blocks}["not"]
    assert 0 < limit < 1e-4
    wrong = {**right, "not": np.array([0.0, 2 * limit, 0.0])}
    found = fg.check_gradient(loss, params, wrong, engine="python").wrong
    assert [(e.block, e.index) for e in found] == [("not", (1,))]


def test_wrong_entries_of_nested_sparse_jacobians_are_at_their_places():
    """Two arrays in, two out, each output of one entry of each."""
    x = {"a": RNG.normal(size=3), "b": RNG.normal(size=3)}

    def function(x):
        return {"p": np.sin(x["a"]) * x["b"], "q": x["a"] ** 2 + np.exp(x["b"])}

    parts = {
        ("p", "a"): np.cos(x["a"]) * x["b"],
        ("p", "b"): np.sin(x["a"]),
        ("q", "a"): 2 * x["a"],
        ("q", "b"): np.exp(x["b"]),
    }
    sparse = np.tile(np.eye(3, dtype=bool), (2, 2))
    for (row, column), part in parts.items():
        for k in range(3):
            jac = {i: {j: np.diag(parts[i, j]) for j in "ab"} for i in "pq"}
            jac[row][column][k, k] += 1e-2
            report = fg.check_jacobian(function, x, jac, sparsity=sparse)
            (entry,) = report.wrong
            assert entry.index == (k, k), (row, column)
            assert entry.analytic == pytest.approx(part[k] + 1e-2)
