"""Every line that JAX's doors show is the user's; of the user's own gradient, the wrong one."""

import pytest

jax = pytest.importorskip("jax", reason="needs JAX: make test-interop")
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
from user_lines import (  # noqa: E402
    lines_of,
    loss_of,
    named,
    outputs,
    shown,
    wrong_line,
)

from fastgrad.interop.jax import check_gradient, check_grads  # noqa: E402

A = np.random.default_rng(0).standard_normal((6, 4))


def sine(rule):
    @jax.custom_vjp
    def function(z):
        return jnp.sin(z)

    function.defvjp(lambda z: (jnp.sin(z), z), lambda z, g: (rule(z, g),))
    return function


FUNCTIONS = {
    "twice": sine(lambda z, g: 2 * g * jnp.cos(z)),
    "negative": sine(lambda z, g: -g * jnp.cos(z)),
    "upstream": sine(lambda z, g: jnp.cos(z)),
    "other": sine(lambda z, g: g * jnp.sin(z)),
}


@jax.custom_vjp
def cosine(z):
    return jnp.cos(z)


cosine.defvjp(lambda z: (jnp.cos(z), z), lambda z, g: (-3 * g * jnp.sin(z),))
RIGHT_ONCE = sine(lambda z, g: g * cosine(z))


@pytest.fixture
def x():
    return jnp.array([0.3, -0.7, 0.2, 0.5])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_check_gradient(name, x):
    loss = loss_of(outputs(A, jnp.tanh, FUNCTIONS[name]))
    text = str(check_gradient(loss, x))
    assert shown(text)
    assert shown(text) <= lines_of(loss, outputs, sine)
    assert not named(text)  # JAX keeps no lines of the rule


@pytest.mark.parametrize("mode", ["rev", "fwd"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_check_grads(name, mode, x):
    function = FUNCTIONS[name]
    if mode == "fwd":
        function = jax.custom_jvp(jnp.sin)
        function.defjvp(lambda z, dz: (jnp.sin(*z), 2 * jnp.cos(*z) * dz[0]))
    f = outputs(A, jnp.tanh, function)
    with pytest.raises(AssertionError) as raised:
        check_grads(f, (x,), order=1, modes=[mode])
    assert shown(str(raised.value))
    assert shown(str(raised.value)) <= lines_of(f, sine)
    assert not named(str(raised.value))


def test_second_derivatives(x):
    f, loss = (
        outputs(A, jnp.tanh, RIGHT_ONCE),
        loss_of(outputs(A, jnp.tanh, RIGHT_ONCE)),
    )
    with pytest.raises(AssertionError) as raised:
        check_grads(f, (x,), order=2, modes=["rev"])
    report = check_gradient(loss, x, order=2)
    for text in (str(raised.value), str(report)):
        assert shown(text) <= lines_of(f, loss, sine, cosine)
        assert not named(text)


def grads(x):
    h = jnp.tanh(A @ x)
    s = jnp.sin(h)
    dy = 2 * (s * h)
    dh = dy * (s + h * jnp.cos(h))
    return A.T @ (dh * (1 - h))  # wrong


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit], ids=["plain", "jitted"])
def test_gradients_of_the_users(wrap, x):
    def loss(x):
        h = jnp.tanh(A @ x)
        return ((jnp.sin(h) * h) ** 2).sum()

    report = check_gradient(loss, x, wrap(grads))
    assert named(str(report)) == {wrong_line(grads)}
    assert shown(str(report)) <= lines_of(loss, grads)


def test_complex_gradients_of_the_users():
    z = jnp.array([0.3 + 0.1j, -0.2j])

    def loss(z):
        return (jnp.abs(z) ** 2 @ A[:2, :2]).sum()

    def grads(z):
        weights = A[:2, :2].sum(axis=1)
        return 3 * weights * z.conj()  # wrong

    report = check_gradient(loss, z, grads)
    assert report.verdict == "wrong"
    assert named(str(report)) <= {wrong_line(grads)}
    assert check_gradient(loss, z, lambda z: 2 / 3 * grads(z)).ok
