"""Gradients by complex parameters: dL/dRe + i dL/dIm, against closed forms."""

import numpy as np
import pytest
from families import every_second

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


@every_second
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("engine", ["auto", "python"])
@pytest.mark.usefixtures("time_for_causes")
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


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("return_error", [False, True])
def test_numerical_jacobians_of_complex_functions(name, return_error):
    """As the analytic ones: by z, or dy/dRe + i dy/dIm of real outputs."""
    fun, jac = FUNCTIONS[name]
    found = fg.numerical_jacobian(fun, Z, return_error=return_error)
    if return_error:
        found, error = found
        assert error.shape == found.shape
        assert np.all(np.abs(found - jac(Z)) <= error + 1e-15)
    np.testing.assert_allclose(found, jac(Z), atol=1e-10)


T = np.array([0.3, -1.2, 2.0])
WAVES = {
    "waves": (lambda t: np.exp(1j * t), lambda t: np.diag(1j * np.exp(1j * t))),
    "a number": (lambda t: np.sum(t**2) + 1j * t[0], lambda t: 2 * t + [1j, 0, 0]),
    "Fourier": (np.fft.fft, lambda t: np.fft.fft(np.eye(3))),
    "a matrix": (
        lambda t: np.outer(t, [1, 1j]),
        lambda t: np.einsum("ik,j->ijk", np.eye(3), [1, 1j]),
    ),
}


@pytest.mark.parametrize("name", WAVES)
def test_complex_outputs_of_real_inputs(name):
    fun, jac = WAVES[name]
    exact = np.reshape(jac(T), (-1, 3)) if name == "a matrix" else jac(T)
    found, error = fg.numerical_jacobian(fun, T, return_error=True)
    assert found.shape == exact.shape
    np.testing.assert_allclose(found, exact, atol=1e-12)
    assert np.all(np.abs(found - exact) <= error + 1e-15)
    assert fg.check_jacobian(fun, T, exact).verdict == "correct"
    assert fg.check_jacobian(fun, T, jvp=lambda t, u: _dot(jac(t), u)).ok
    wrong = fg.check_jacobian(fun, T, np.conj(exact))
    assert wrong.verdict == "wrong"
    # Entries are named by parts: the imaginary ones alone are wrong.
    assert {entry.index[0] % 2 for entry in wrong.wrong} == {1}


def _dot(jacobian, u):
    return np.tensordot(jacobian, u, axes=1)


# name: (fun, x, jvp, vjp) of functions that need not be holomorphic; the vjp is the
# gradient of Re(conj(v) y), dL/dRe + i dL/dIm, as torch's backward pass of v.
MAPS = {
    "conjugates": (np.conj, Z, lambda z, u: u.conj(), lambda z, v: v.conj()),
    "squares": (
        lambda z: z * z,
        Z,
        lambda z, u: 2 * z * u,
        lambda z, v: 2 * z.conj() * v,
    ),
    "moduli": (
        lambda z: np.abs(z) ** 2,
        Z,
        lambda z, u: 2 * (z.conj() * u).real,
        lambda z, v: 2 * z * v,
    ),
    "of real numbers": (
        lambda t: np.exp(1j * t),
        T,
        lambda t, u: 1j * np.exp(1j * t) * u,
        lambda t, v: (np.conj(1j * np.exp(1j * t)) * v).real,
    ),
    "a matrix": (
        lambda z: z @ z.conj().T,
        _complex(2, 3),
        lambda z, u: u @ z.conj().T + z @ u.conj().T,
        lambda z, v: (v + v.conj().T) @ z,
    ),
    "nests": (
        lambda p: {"y": p["a"] * p["t"], "r": np.abs(p["a"]) ** 2},
        {"a": _complex(2), "t": np.array([0.5, -2.0])},
        lambda p, u: {
            "y": u["a"] * p["t"] + p["a"] * u["t"],
            "r": 2 * (p["a"].conj() * u["a"]).real,
        },
        lambda p, v: {
            "a": v["y"] * p["t"] + 2 * p["a"] * v["r"],
            "t": (v["y"] * p["a"].conj()).real,
        },
    ),
}


@pytest.mark.parametrize("name", MAPS)
def test_products_of_complex_functions(name):
    """Whether holomorphic or not; a wrong one of either is found."""
    fun, x, jvp, vjp = MAPS[name]
    assert fg.check_jacobian(fun, x, jvp=jvp).verdict == "correct"
    assert fg.check_jacobian(fun, x, vjp=vjp).verdict == "correct"
    assert fg.check_jacobian(fun, x, jvp=jvp, vjp=vjp).verdict == "correct"
    off = fg.check_jacobian(fun, x, jvp=_turned(jvp), vjp=vjp)
    assert off.verdict == "wrong"
    assert any("not of the same Jacobian" in note for note in off.notes)
    assert fg.check_jacobian(fun, x, jvp=_turned(jvp)).verdict == "wrong"
    assert fg.check_jacobian(fun, x, vjp=_turned(vjp)).verdict == "wrong"


def _turned(product):
    def turned(x, u):
        found = product(x, u)
        if isinstance(found, dict):
            return {key: 1.001 * value for key, value in found.items()}
        return 1.001 * found

    return turned


def _model(p):
    return {"y": p["a"] ** 2 * p["t"], "r": np.abs(p["a"]) ** 2}


def _model_jacobian(p):
    a, t = p["a"], p["t"]
    return {
        "y": {"a": np.diag(2 * a * t), "t": np.diag(a**2)},
        "r": {"a": np.diag(2 * a), "t": np.zeros((2, 2))},
    }


def test_nests_of_complex_arrays():
    """A block for each pair, real and imaginary parts along an axis behind each."""
    p = {"a": _complex(2), "t": np.array([0.5, -2.0])}
    exact = _model_jacobian(p)
    report = fg.check_jacobian(_model, p, _model_jacobian)
    assert report.verdict == "correct"
    shapes = {block.name: block.shape for block in report.blocks}
    assert shapes == {
        "y/a": (2, 2, 2, 2), "y/t": (2, 2, 2), "r/a": (2, 2, 2), "r/t": (2, 2)
    }  # fmt: skip
    found = fg.numerical_jacobian(_model, p)
    for y, row in exact.items():
        for x, block in row.items():
            np.testing.assert_allclose(found[y][x], block, atol=1e-10)
            wrong = {**exact, y: {**row, x: block + 1e-3}}
            report = fg.check_jacobian(_model, p, wrong)
            assert {entry.block for entry in report.wrong} == {f"{y}/{x}"}
    with pytest.raises(
        ValueError, match=r'`jac\["y"\]\["t"\]` must have shape \(2, 2\)'
    ):
        fg.check_jacobian(_model, p, {**exact, "y": {**exact["y"], "t": np.ones(3)}})


def test_a_function_that_is_not_holomorphic_has_no_derivative():
    assert fg.check_jacobian(np.conj, Z, np.eye(3)).verdict == "wrong"
    with pytest.raises(ValueError, match="`fun` must be holomorphic"):
        fg.numerical_jacobian(np.conj, Z)
    by_parts = np.diag([1.0, -1.0] * 3)
    assert fg.check_jacobian(np.conj, Z, by_parts).verdict == "correct"


@pytest.mark.parametrize("share", [2e-3, 0.1])
def test_nor_has_one_that_is_hardly_conjugated(share):
    with pytest.raises(ValueError, match="`fun` must be holomorphic"):
        fg.numerical_jacobian(lambda z: z**2 + share * 2 * Z * np.conj(z), Z)


def test_what_a_step_is_off_by_is_no_conjugate():
    """A quotient at h is off by h f'' / 2, and that of the other part in another way."""
    options = {"method": "forward", "step": 1e-3}
    found = fg.numerical_jacobian(np.exp, Z, **options)
    np.testing.assert_allclose(found, np.diag(np.exp(Z)), rtol=1e-3)


@pytest.mark.parametrize(
    ("fun", "x", "options", "message"),
    [
        (np.exp, Z, {"bounds": (0, 1)}, "`bounds` must not be given with complex"),
        (np.exp, Z, {"sparsity": np.eye(3)}, "`sparsity` must not be given"),
        (np.exp, Z, {"method": "complex"}, '`method="complex"` needs real numbers'),
        (np.exp, Z, {"vectorized": True}, "must"),
        (WAVES["waves"][0], T, {"method": "complex"}, "needs real numbers"),
        (np.exp, Z * np.nan, {}, "`x` must be finite"),
    ],
)
def test_what_complex_jacobians_do_not_have(fun, x, options, message):
    with pytest.raises(ValueError, match=message):
        fg.numerical_jacobian(fun, x, **options)


@pytest.mark.parametrize("jac", [np.eye(2), np.ones((3, 2)), np.ones(5)])
def test_shapes_of_complex_jacobians(jac):
    with pytest.raises(ValueError, match=r"`jac` must have shape \(3, 3\)"):
        fg.check_jacobian(np.exp, Z, jac)


def test_hessians_are_of_real_numbers():
    with pytest.raises(TypeError, match="must be real"):
        fg.check_hessian(lambda z: 2 * z, Z, np.eye(3))
