"""Gradients by complex parameters: dL/dRe + i dL/dIm, against closed forms."""

import numpy as np
import pytest

import fastgrad as fg

RNG = np.random.default_rng(7)
X = RNG.normal(size=(6, 4)) + 1j * RNG.normal(size=(6, 4))
SHIFT = 0.3 + RNG.normal(size=3)


def _complex(*shape):
    return RNG.normal(size=shape) + 1j * RNG.normal(size=shape)


def _network(p):
    h = X @ p["W"] + p["b"] * SHIFT
    return np.tanh(np.abs(h) ** 2).mean()


def _network_gradient(p):
    h = X @ p["W"] + p["b"] * SHIFT
    d = (1 - np.tanh(np.abs(h) ** 2) ** 2) * 2 * h / h.size
    return {"W": X.conj().T @ d, "b": d.sum(0) * SHIFT}


#: A loss, parameters, and the gradient in closed form.
CASES = {
    "network": (_network, {"W": _complex(4, 3), "b": _complex(3)}, _network_gradient),
    "fourth power": (
        lambda z: (np.abs(z) ** 4).sum(),
        _complex(3, 2),
        lambda z: 4 * np.abs(z) ** 2 * z,
    ),
    "real part": (
        lambda z: (z**3).real.sum(),
        _complex(4),
        lambda z: 3 * z.conj() ** 2,
    ),
    "imaginary part": (
        lambda z: np.exp(z).imag.sum(),
        _complex(4),
        lambda z: 1j * np.exp(z).conj(),
    ),
    "phase": (lambda z: np.angle(z).sum(), _complex(4), lambda z: 1j / z.conj()),
    "some real": (
        lambda p: (np.abs(p[0]) ** 2 * p[1]).sum(),
        [_complex(3), RNG.normal(size=3)],
        lambda p: [2 * p[0] * p[1], np.abs(p[0]) ** 2],
    ),
    "a number": (
        lambda p: abs(p["z"]) ** 2 * (p["w"] ** 2).real.sum(),
        {"z": 1 - 2j, "w": _complex(3)},
        lambda p: {
            "z": 2 * p["z"] * (p["w"] ** 2).real.sum(),
            "w": 2 * abs(p["z"]) ** 2 * p["w"].conj(),
        },
    ),
}


def _conjugate(nest):
    if isinstance(nest, dict):
        return {k: np.conj(g) for k, g in nest.items()}
    return [np.conj(g) for g in nest] if isinstance(nest, list) else np.conj(nest)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("engine", ["auto", "python"])
def test_a_right_gradient_is_correct_and_a_conjugate_is_not(name, engine):
    loss, params, gradient = CASES[name]
    right = gradient(params)
    report = fg.check_gradient(loss, params, right, engine=engine)
    assert report.verdict == "correct"
    if engine == "auto":
        assert report.engine == "compiled", report.fallback
    assert fg.check_gradient(loss, params, gradient, engine=engine).ok
    wrong = _conjugate(right)
    report = fg.check_gradient(loss, params, wrong, engine=engine)
    assert report.verdict == "wrong"


@pytest.mark.parametrize("name", ["network", "fourth power", "some real"])
def test_a_missing_conjugate_is_named(name):
    loss, params, gradient = CASES[name]
    report = fg.check_gradient(loss, params, _conjugate(gradient(params)))
    assert report.causes[0].code == "conjugate"


def test_one_part_of_one_entry():
    loss, params, gradient = CASES["network"]
    wrong = gradient(params)
    wrong["W"][2, 1] += 0.01j
    report = fg.check_gradient(loss, params, wrong)
    assert [entry.index for entry in report.wrong] == [(2, 1, 1)]
    assert report.wrong[0].analytic - report.wrong[0].numerical == pytest.approx(0.01)


def test_a_loss_may_return_its_gradient():
    loss, params, gradient = CASES["network"]
    both = lambda p: (loss(p), gradient(p))  # noqa: E731
    assert fg.check_gradient(both, params).verdict == "correct"
    wrong = lambda p: (loss(p), {k: 2 * g for k, g in gradient(p).items()})  # noqa: E731
    assert fg.check_gradient(wrong, params).verdict == "wrong"


def test_parameters_stay_what_they_are():
    loss, params, gradient = CASES["network"]
    before = {k: v.tobytes() for k, v in params.items()}
    fg.check_gradient(loss, params, gradient)
    assert {k: v.tobytes() for k, v in params.items()} == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "complex"}, '`method="complex"` needs real parameters'),
        ({"bounds": (0, 1)}, "`bounds` must not be given with complex"),
    ],
)
def test_what_complex_parameters_do_not_have(options, message):
    loss, params, gradient = CASES["network"]
    with pytest.raises(ValueError, match=message):
        fg.check_gradient(loss, params, gradient, **options)


def test_gradients_of_another_structure_are_named():
    loss, params, gradient = CASES["network"]
    with pytest.raises(ValueError, match="`grads` must have the keys of `params`"):
        fg.check_gradient(loss, params, {"W": gradient(params)["W"]})


# ---- Jacobians -----------------------------------------------------------------------

Z = _complex(3)
FUNCTIONS = {
    "entrywise": (lambda z: z**3, lambda z: np.diag(3 * z**2)),
    "linear": (lambda z: X[:, :3] @ z, lambda z: X[:, :3]),
    "products": (
        lambda z: np.array([z[0] * z[1], np.exp(z[2])]),
        lambda z: np.array([[z[1], z[0], 0], [0, 0, np.exp(z[2])]]),
    ),
    "real outputs": (
        lambda z: np.array([np.abs(z[0]) ** 2, (z[1] * z[2]).real]),
        lambda z: np.array([[2 * z[0], 0, 0], [0, z[2].conj(), z[1].conj()]]),
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_jacobians_of_complex_functions(name):
    fun, jac = FUNCTIONS[name]
    assert fg.check_jacobian(fun, Z, jac).verdict == "correct"
    assert fg.check_jacobian(fun, Z, jac(Z)).verdict == "correct"
    wrong = jac(Z) * np.array([1, 1.001, 1])
    report = fg.check_jacobian(fun, Z, wrong)
    assert report.verdict == "wrong"
    assert {entry.index[1] // 2 for entry in report.wrong} == {1}
    assert not fg.check_jacobian(fun, Z, lambda z: jac(z).conj()).ok


def test_a_function_that_is_not_holomorphic_has_no_derivative():
    assert fg.check_jacobian(np.conj, Z, np.eye(3)).verdict == "wrong"


@pytest.mark.parametrize("options", [{"vjp": np.dot}, {"bounds": (0, 1)}])
def test_complex_jacobians_are_matrices(options):
    with pytest.raises(ValueError, match="a complex `x` must be a vector"):
        fg.check_jacobian(np.exp, Z, np.diag(np.exp(Z)), **options)
