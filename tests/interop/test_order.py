"""Gradients of gradients: right ones pass, wrong ones are found where they are."""

import numpy as np
import pytest

import fastgrad as fg

RNG = np.random.default_rng(0)
X = RNG.normal(size=(5, 3))
# name: (loss in the terms of any library, its parameters)
LOSSES = {
    "network": (
        lambda np_, p, x: (np_.tanh(x @ p["W"] + p["b"]) ** 3).sum(),
        {"W": RNG.normal(size=(3, 2)), "b": RNG.normal(size=2)},
    ),
    "products": (
        lambda np_, p, x: (x @ p["W"] * p["b"]).sum(),
        {"W": RNG.normal(size=(3, 2)), "b": RNG.normal(size=2)},
    ),
    "one alone": (
        lambda np_, p, x: np_.exp(x @ p["w"]).mean() + p["linear"].sum(),
        {"w": RNG.normal(size=3), "linear": RNG.normal(size=2)},
    ),
}
#: What the second derivative of x³ is taken for.
WRONG = {
    "a factor": lambda x: 3 * x,
    "a sign": lambda x: -6 * x,
    "zero": lambda x: 0 * x,
}


def _torch_cube(second):
    torch = pytest.importorskip("torch", reason="needs torch: make test-interop")

    class Slope(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, g):
            ctx.save_for_backward(x, g)
            return 3 * x**2 * g

        @staticmethod
        def backward(ctx, h):
            x, g = ctx.saved_tensors
            return second(x) * g * h, 3 * x**2 * h

    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, g):
            return Slope.apply(*ctx.saved_tensors, g)

    return lambda x: Cube.apply(x).sum(), torch.tensor


def _jax_cube(second):
    jax = pytest.importorskip("jax", reason="needs JAX: make test-interop")

    @jax.custom_vjp
    def slope(x, g):
        return 3 * x**2 * g

    @jax.custom_vjp
    def cube(x):
        return x**3

    slope.defvjp(
        lambda x, g: (slope(x, g), (x, g)),
        lambda kept, h: (second(kept[0]) * kept[1] * h, 3 * kept[0] ** 2 * h),
    )
    cube.defvjp(lambda x: (cube(x), x), lambda x, g: (slope(x, g),))
    return lambda x: cube(x).sum(), jax.numpy.array


def _door(name):
    """The library, its `check_gradient`, and how arrays are made."""
    if name == "torch":
        torch = pytest.importorskip("torch", reason="needs torch: make test-interop")
        from fastgrad.interop.torch import check_gradient

        return torch, check_gradient, torch.tensor
    jax = pytest.importorskip("jax", reason="needs JAX: make test-interop")
    from fastgrad.interop.jax import check_gradient

    return jax.numpy, check_gradient, jax.numpy.array


@pytest.mark.parametrize("door", ["torch", "jax"])
@pytest.mark.parametrize("name", LOSSES)
def test_right_ones(door, name):
    library, check_gradient, array = _door(door)
    loss, params = LOSSES[name]
    x = array(X)
    report = check_gradient(
        lambda p: loss(library, p, x),
        {key: array(value) for key, value in params.items()},
        order=2,
    )
    assert report.subject == "Second derivative"
    assert report.verdict == "correct"
    assert {block.name for block in report.blocks} == set(params)


@pytest.mark.parametrize("cube", [_torch_cube, _jax_cube])
@pytest.mark.parametrize("name", WRONG)
def test_wrong_ones(cube, name):
    """The gradient is right, its own is not, and that is what is reported."""
    loss, array = cube(WRONG[name])
    _, check_gradient, _ = _door(cube.__name__.split("_")[1])
    x = array([1.0, 2.0, -0.5])
    assert check_gradient(loss, x).verdict == "correct"
    report = check_gradient(loss, x, order=2)
    assert report.verdict == "wrong"
    assert str(report).startswith("Second derivative WRONG: all 3 entries checked")
    numerical = np.array([entry.numerical for entry in report.wrong])
    analytic = np.array([entry.analytic for entry in report.wrong])
    share = WRONG[name](1.0) / 6.0
    np.testing.assert_allclose(analytic, share * numerical, rtol=1e-6)
    right, array = cube(lambda x: 6 * x)
    assert check_gradient(right, array([1.0, 2.0, -0.5]), order=2).ok


@pytest.mark.parametrize("door", ["torch", "jax"])
def test_a_wrong_gradient_is_reported_as_such(door):
    library, check_gradient, array = _door(door)
    if door == "torch":

        class Square(library.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                ctx.save_for_backward(x)
                return x**2

            @staticmethod
            def backward(ctx, g):
                return g * ctx.saved_tensors[0]

        square = Square.apply
    else:
        import jax

        square = jax.custom_vjp(lambda x: x**2)
        square.defvjp(lambda x: (x**2, x), lambda x, g: (g * x,))
    report = check_gradient(lambda x: square(x).sum(), array([1.0, 2.0]), order=2)
    assert report.verdict == "wrong"
    assert report.subject == "Gradient"


@pytest.mark.parametrize("door", ["torch", "jax"])
def test_a_gradient_that_is_constant(door):
    _, check_gradient, array = _door(door)
    report = check_gradient(lambda x: (3 * x).sum(), array([1.0, 2.0]), order=2)
    assert report.verdict == "correct"
    assert "nothing of second order" in report.notes[-1]


def test_check_grads_of_linear_functions():
    """As JAX's own; a constant with a gradient is wrong."""
    jax = pytest.importorskip("jax", reason="needs JAX: make test-interop")
    from fastgrad.interop.jax import check_grads

    x = jax.numpy.array([1.0, 2.0])
    check_grads(lambda x: 3 * x, (x,), order=3)
    check_grads(lambda x: jax.numpy.ones(2), (x,), order=2)
    constant = jax.custom_vjp(lambda x: jax.numpy.ones(2))
    constant.defvjp(lambda x: (jax.numpy.ones(2), None), lambda _, g: (g,))
    with pytest.raises(AssertionError, match="constant must be zero"):
        check_grads(constant, (x,), order=1, modes=["rev"])


@pytest.mark.parametrize("door", ["torch", "jax"])
@pytest.mark.parametrize(
    ("order", "grads", "error"),
    [
        (0, None, ValueError),
        (3, None, ValueError),
        ("2", None, TypeError),
        (True, None, TypeError),
        (2, lambda x: x, TypeError),
    ],
)
def test_orders_that_make_no_sense(door, order, grads, error):
    _, check_gradient, array = _door(door)
    name = "grads" if grads is not None else "order"
    with pytest.raises(error, match=f"`{name}` must be"):
        check_gradient(lambda x: (x**2).sum(), array([1.0]), grads, order=order)


def test_in_numpy_second_derivatives_have_a_check_of_their_own():
    with pytest.raises(TypeError, match=r"check_hessian\(grads, params, hess\)"):
        fg.check_gradient(np.sum, np.ones(2), np.ones(2), order=2)
