"""JAX's own derivatives are right, and planted bugs are found and named."""

from dataclasses import dataclass

import numpy as np
import pytest

jax = pytest.importorskip("jax", reason="needs jax: make test-interop")
import jax.numpy as jnp  # noqa: E402
from jax import lax  # noqa: E402

from fastgrad.interop.jax import check_gradient, check_grads  # noqa: E402

jax.config.update("jax_disable_most_optimizations", True)  # quicker to compile
KEYS = jax.random.split(jax.random.key(0), 8)
X = jax.random.normal(KEYS[0], (3, 5, 8))
IMAGES = jax.random.normal(KEYS[1], (2, 9, 9, 3))
LABELS = jnp.array([2, 0, 3])
PARAMS = {
    "W": jax.random.normal(KEYS[2], (8, 4)),
    "b": 0.3 + jax.random.normal(KEYS[3], (4,)),
}
KERNEL = jax.random.normal(KEYS[4], (3, 2, 3, 4))
LAYOUT = ("NHWC", "HWIO", "NHWC")


def _cross_entropy(p):
    z = jax.nn.log_softmax(X[:, 0] @ p["W"] + p["b"])
    return -jnp.mean(z[jnp.arange(3), LABELS])


def _scan(p):
    def cell(h, x):
        h = jnp.tanh(x @ p["W"] + h * p["b"])
        return h, h

    last, every = lax.scan(cell, jnp.ones((3, 4)), X.swapaxes(0, 1), reverse=True)
    return jnp.sum(every**2) + last.sum()


def _conv(w):
    y = lax.conv_general_dilated(
        IMAGES, w, (2, 1), "SAME", rhs_dilation=(1, 2), dimension_numbers=LAYOUT
    )
    return jnp.mean(y**2)


def _conv_transpose(w):
    return jnp.mean(lax.conv_transpose(IMAGES, w, (2, 2), "SAME") ** 2)


def _pools(w):
    z = lax.conv_general_dilated(IMAGES, w, (1, 1), "SAME", dimension_numbers=LAYOUT)
    largest = lax.reduce_window(
        z, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID"
    )
    total = lax.reduce_window(z, 0.0, lax.add, (1, 3, 3, 1), (1, 2, 2, 1), "SAME")
    return largest.sum() + jnp.mean(total**2)


def _indices(p):
    z = jnp.zeros((4, 4)).at[LABELS].add(X[:, 0] @ p["W"]).at[0, 1:3].set(p["b"][:2])
    z = z.at[jnp.array([1, 1, 9])].add(p["b"])
    z = lax.dynamic_update_slice(z, p["b"][None, :2], (2, 1))
    taken = jnp.take(z, jnp.array([0, 2, 7, -1]), axis=1, mode="clip")
    return (taken**2).sum() + lax.dynamic_slice(z, (1, 1), (2, 2)).sum()


def _solve(p):
    A = jnp.eye(8) + p["W"] @ p["W"].T
    L = jnp.linalg.cholesky(A)
    y = jax.scipy.linalg.solve_triangular(L, X[0, 0], lower=True)
    return (y**2).sum() + jnp.linalg.solve(A, X[0, 0]).sum()


def _reductions(p):
    z = X @ p["W"]
    return (
        (jnp.sort(z, -1) * jnp.arange(4)).sum()
        + lax.top_k(z, 2)[0].sum()
        + jnp.max(z)
        + jnp.cumsum(z, 1)[0, 2, 1]
        + jnp.cumprod(z, 2)[0].sum()
        + jax.scipy.special.logsumexp(z)
        + jnp.var(z)
        + jnp.linalg.norm(z)
    )


def _control(p):
    z = lax.fori_loop(0, 3, lambda i, c: jnp.sin(c) + p["b"].sum(), p["W"].sum())
    z = lax.cond(True, jnp.sin, jnp.cos, z)
    return jax.checkpoint(jnp.exp)(0.1 * z)


def _densities(p):
    w = jnp.abs(p["W"]) + 0.5
    return (
        jax.scipy.special.gammaln(w)
        + jax.scipy.stats.norm.logpdf(w)
        + jax.scipy.stats.gamma.logpdf(w, 2.0)
        + jax.scipy.special.erf(w)
        + jax.scipy.special.xlogy(w, w)
    ).sum()


def _accumulations(p):
    z = X[:, 0] @ p["W"] + p["b"]
    return (
        lax.cummax(z, axis=0) * lax.cummin(z, axis=1, reverse=True)
        + lax.cumlogsumexp(z, axis=1)
        + lax.associative_scan(jnp.multiply, 1 + 0.1 * z)
    ).sum()


def _attention(p):
    q = (X @ p["W"])[:, :, None]
    return jnp.mean(jax.nn.dot_product_attention(q, q, q, is_causal=True) ** 2)


LOSSES = {
    "network": (lambda p: jnp.mean(jax.nn.relu(X @ p["W"] + p["b"]) ** 2), PARAMS),
    "cross entropy": (_cross_entropy, PARAMS),
    "scan": (_scan, PARAMS),
    "convolution": (_conv, KERNEL),
    "transposed convolution": (_conv_transpose, KERNEL),
    "pools": (_pools, KERNEL),
    "indices": (_indices, PARAMS),
    "solve": (_solve, PARAMS),
    "reductions": (_reductions, PARAMS),
    "control": (_control, PARAMS),
    "densities": (_densities, PARAMS),
    "attention": (_attention, PARAMS),
    "accumulations": (_accumulations, PARAMS),
    "digamma": (lambda p: jax.scipy.special.digamma(1 + p["W"] ** 2).sum(), PARAMS),
    "switch": (
        lambda p: lax.switch(1, [jnp.sin, jnp.cos, jnp.exp], X @ p["W"]).sum(),
        PARAMS,
    ),
    "einsum": (
        lambda p: jnp.einsum("bik,bjk->bij", X @ p["W"], X @ p["W"]).std(),
        PARAMS,
    ),
    "vmap": (
        lambda p: jax.vmap(lambda x: jnp.tanh(x @ p["W"] + p["b"]).sum())(X).mean(),
        PARAMS,
    ),
} | {
    name: (
        lambda p, name=name: jnp.mean(getattr(jax.nn, name)(X @ p["W"]) ** 2),
        PARAMS,
    )
    for name in [
        *["gelu", "silu", "softplus", "elu", "selu", "leaky_relu", "sigmoid", "celu"],
        *["log_sigmoid", "hard_tanh", "mish", "relu6", "softmax", "standardize", "glu"],
    ]
}


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_of_jax_are_right_and_compiled(name):
    loss, params = LOSSES[name]
    report = check_gradient(loss, params)
    assert report.engine == "compiled", report.fallback
    assert bool(report.python_operations) is (name == "solve")  # its factors
    assert report.verdict == "correct"


FALLING_BACK = {
    "svd": lambda p: jnp.linalg.svd(p["W"], compute_uv=False).sum(),
    "branch in Python": lambda p: (
        (p["W"] ** 2).sum() if p["W"].sum() > 0 else p["W"].sum()
    ),
    "branch": lambda p: lax.cond(
        p["W"].sum() > 0, lambda z: (z**2).sum(), jnp.sum, p["W"]
    ),
}


@pytest.mark.parametrize(
    ("name", "engine"),
    [("svd", "compiled"), ("branch", "compiled"), ("branch in Python", "python")],
)
def test_whatever_jax_computes_is_checked(name, engine):
    report = check_gradient(FALLING_BACK[name], PARAMS)
    assert report.verdict == "correct"
    assert report.engine == engine
    assert bool(report.python_operations) is (name == "svd")


# ---- complex numbers -----------------------------------------------------------------

Z = {"W": PARAMS["W"] + 1j * jnp.cos(PARAMS["W"]), "b": PARAMS["b"]}
COMPLEX = {
    "network": lambda p: jnp.tanh(jnp.abs(X[:, 0] @ p["W"] + p["b"]) ** 2).mean(),
    "conjugates": lambda p: (jnp.conj(p["W"]) * p["W"] ** 2).imag.sum() + p["b"].sum(),
    "fft": lambda p: (jnp.abs(jnp.fft.fft(p["W"], axis=0)) ** 3).sum() + p["b"][0],
    "fft of real": lambda p: (
        (jnp.abs(jnp.fft.rfft2(p["W"].real)) ** 2 * 0.1).sum()
        + (jnp.fft.irfft(p["W"][:, 0]) ** 3).sum()
        + p["b"].sum()
    ),
    "scan": lambda p: jnp.abs(
        lax.scan(lambda h, w: (0.5 * h * w.sum(), h), 1j * p["b"].sum(), p["W"])[0]
    ),
}


@pytest.mark.parametrize("name", COMPLEX)
def test_complex_parameters(name):
    loss = COMPLEX[name]
    report = check_gradient(loss, Z)
    assert report.engine == "compiled", report.fallback
    assert not report.python_operations
    assert report.verdict == "correct"
    right = jax.grad(loss)(Z)
    assert check_gradient(loss, Z, right).ok
    wrong = {"W": right["W"].conj(), "b": right["b"]}
    assert check_gradient(loss, Z, wrong).verdict == "wrong"


@jax.custom_vjp
def careless_square(z):
    return z * z


careless_square.defvjp(lambda z: (z * z, z), lambda z, g: (2 * g * z.conj(),))


@pytest.mark.parametrize("order", [1, 2])
def test_check_grads_of_complex_functions(order):
    z = jnp.array([0.3 + 1j, -0.7 - 0.2j])
    for mode in ("fwd", "rev"):
        check_grads(lambda z: z**3 + z.conj(), (z,), order, modes=[mode])
    with pytest.raises(AssertionError, match="WRONG"):
        check_grads(careless_square, (z,), order, modes=["rev"])


# ---- custom derivatives --------------------------------------------------------------


@jax.custom_vjp
def careless_tanh(z):
    return jnp.tanh(z)


careless_tanh.defvjp(lambda z: (jnp.tanh(z), None), lambda _, g: (g,))


@jax.custom_jvp
def careless_sin(z):
    return jnp.sin(z)


careless_sin.defjvp(lambda z, dz: (jnp.sin(z[0]), jnp.cos(z[0]) * dz[0] * 1.01))


@jax.jit
def layer(p):
    return careless_tanh(X[:, 0] @ p["W"] + p["b"])


def test_a_wrong_custom_vjp_is_named_by_operation_and_line():
    report = check_gradient(
        lambda p: (layer(p) ** 2).sum() + (p["W"] ** 3).sum(), PARAMS
    )
    assert report.engine == "compiled"
    assert report.verdict == "wrong"
    assert report.causes[0].code == "local_derivative"
    assert "return jnp.tanh(z)" in str(report.causes[0])


def test_a_wrong_gradient_is_caught():
    loss = LOSSES["network"][0]
    grads = {k: np.array(g) for k, g in jax.grad(loss)(PARAMS).items()}
    assert check_gradient(loss, PARAMS, grads).ok
    grads["W"][3, 2] *= 1.01
    report = check_gradient(loss, PARAMS, grads)
    assert [entry.name for entry in report.wrong] == ["W[3, 2]"]


@pytest.mark.parametrize("mode", ["fwd", "rev"])
@pytest.mark.parametrize("order", [1, 2])
def test_check_grads_agrees_with_jax(mode, order):
    from jax.test_util import check_grads as theirs

    x = jnp.array([0.3, -0.7, 1.1])
    good = lambda x, y: {"a": jnp.sin(x) * y, "b": jnp.exp(y)}  # noqa: E731
    bad = lambda x, y: careless_sin(x) * y  # noqa: E731
    for check in (theirs, check_grads):
        check(good, (x, x + 2), order, modes=[mode], atol=1e-2, rtol=1e-2)
        with pytest.raises(AssertionError):
            check(bad, (x, x + 2), order, modes=[mode], atol=1e-3, rtol=1e-3)
        check(bad, (x, x + 2), order, modes=[mode], atol=0.1, rtol=0.1)


def test_check_grads_finds_a_wrong_second_derivative():
    @jax.custom_vjp
    def cube(x):
        return x**3

    @jax.custom_vjp
    def slope(x):
        return 3 * x**2

    cube.defvjp(lambda x: (x**3, x), lambda x, g: (g * slope(x),))
    slope.defvjp(lambda x: (3 * x**2, x), lambda x, g: (g * 3 * x,))  # 6 x
    check_grads(cube, (jnp.array([1.0, 2.0]),), 1, modes=["rev"])
    with pytest.raises(AssertionError, match="WRONG"):
        check_grads(cube, (jnp.array([1.0, 2.0]),), 2, modes=["rev"])


# ---- arguments -----------------------------------------------------------------------


def test_pytrees_and_static_leaves():
    params = {
        "layers": [(PARAMS["W"], PARAMS["b"])],
        "steps": 3,
        "name": None,
        "ids": LABELS,
    }

    def loss(p):
        W, b = p["layers"][0]
        return ((X[:, 0] @ W + b)[jnp.arange(3), p["ids"]] ** p["steps"]).sum()

    report = check_gradient(loss, params, lambda p: jax.grad(loss, allow_int=True)(p))
    assert report.ok
    assert [block.name for block in report.blocks] == ["layers.0.0", "layers.0.1"]


def test_registered_nodes():
    @jax.tree_util.register_dataclass
    @dataclass
    class State:
        W: jax.Array
        b: jax.Array

    state = State(**PARAMS)
    report = check_gradient(lambda s: jnp.tanh(X @ s.W + s.b).sum(), state)
    assert report.ok
    assert [block.name for block in report.blocks] == ["W", "b"]


def test_64_bits_are_off_again():
    check_gradient(LOSSES["network"][0], PARAMS)
    assert jnp.ones(1).dtype == jnp.float32


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: check_gradient(3, PARAMS), "`loss` must be callable"),
        (
            lambda: check_gradient(jnp.sum, LABELS),
            r"`params` must be a pytree .* write `.astype\(float\)`",
        ),
        (lambda: check_gradient(lambda p: None, 1.0), "`loss` returned None"),
        (lambda: check_gradient(jnp.sum, 1.0, lambda p: None), "`grads` returned None"),
        (
            lambda: check_gradient(jax.value_and_grad(jnp.sum), jnp.ones(2)),
            "`loss` must return one number, got tuple .* without `value_and_grad`",
        ),
        (
            lambda: check_gradient(lambda p, x: p, 1.0),
            "`loss` must take the parameters, got <lambda>",
        ),
        (lambda: check_grads(jnp.sin, (1,), 1), "`args` must have a floating point"),
        (
            lambda: check_gradient(LOSSES["network"][0], PARAMS, {"W": 1.0}),
            "`grads` must be built as `params`",
        ),
        (lambda: check_grads(jnp.sin, (1.0,), 0), "`order` must be at least 1"),
        (lambda: check_grads(jnp.sin, (1.0,), 1, modes=["no"]), "`modes` must be"),
        (lambda: check_grads(jnp.sin, jnp.ones(3), 1), "`args` must be a tuple of"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()


def test_modes_may_be_a_string_and_losses_take_further_arguments():
    check_grads(jnp.sin, (1.0,), 1, modes="rev")
    options = {"args": (jnp.ones(3),), "kwargs": {"scale": 2.0}}

    def loss(p, x, scale):
        return scale * jnp.sum(p**2 * x)

    assert check_gradient(loss, jnp.ones(3), **options).ok
    assert not check_gradient(loss, jnp.ones(3), lambda p, x, scale: p, **options).ok
