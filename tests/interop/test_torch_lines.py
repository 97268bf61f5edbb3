"""A wrong backward is named by its line, and no line shown is anybody's but the user's."""

import pytest

torch = pytest.importorskip("torch", reason="needs torch: make test-interop")
from torch.autograd.gradcheck import GradcheckError  # noqa: E402
from user_lines import (  # noqa: E402
    lines_of,
    loss_of,
    named,
    outputs,
    shown,
    wrong_line,
)

from fastgrad.interop.torch import (  # noqa: E402
    check_gradient,
    gradcheck,
    gradgradcheck,
)

torch.set_num_threads(1)
torch.manual_seed(0)
A = torch.randn(6, 4, dtype=torch.float64)


class _Sine(torch.autograd.Function):
    @staticmethod
    def forward(ctx, z):
        ctx.save_for_backward(z)
        return torch.sin(z)


class Twice(_Sine):
    @staticmethod
    def backward(ctx, g):
        (z,) = ctx.saved_tensors
        inner = torch.cos(z)
        return 2 * g * inner  # wrong


class Negative(_Sine):
    @staticmethod
    def backward(ctx, g):
        (z,) = ctx.saved_tensors
        inner = -torch.cos(z)  # wrong
        return g * inner


class Forgotten(_Sine):
    @staticmethod
    def backward(ctx, g):
        (z,) = ctx.saved_tensors
        inner = z.cos() + 0 * g
        return inner * torch.ones_like(g)  # wrong


class Other(_Sine):
    @staticmethod
    def backward(ctx, g):
        (z,) = ctx.saved_tensors
        inner = torch.sin(z)  # wrong
        return g * inner


FUNCTIONS = [Twice, Negative, Forgotten, Other]


@pytest.fixture
def x():
    return torch.randn(4, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_check_gradient(function, x):
    loss = loss_of(outputs(A, torch.tanh, function.apply))
    text = str(check_gradient(loss, x))
    assert named(text) == {wrong_line(function)}
    assert shown(text) <= lines_of(loss, outputs, _Sine, function)


@pytest.mark.parametrize("function", [Twice, Negative, Other])
def test_gradcheck(function, x):
    f = outputs(A, torch.tanh, function.apply)
    with pytest.raises(GradcheckError) as raised:
        gradcheck(f, x)
    assert named(str(raised.value)) == {wrong_line(function)}
    assert shown(str(raised.value)) <= lines_of(f, _Sine, function)


class Cosine(torch.autograd.Function):
    @staticmethod
    def forward(ctx, z):
        ctx.save_for_backward(z)
        return torch.cos(z)

    @staticmethod
    def backward(ctx, g):
        (z,) = ctx.saved_tensors
        return -3 * g * torch.sin(z)  # wrong


class RightOnce(_Sine):
    @staticmethod
    def backward(ctx, g):
        (z,) = ctx.saved_tensors
        return g * Cosine.apply(z)


def test_gradgradcheck(x):
    f = outputs(A, torch.tanh, RightOnce.apply)
    with pytest.raises(GradcheckError) as raised:
        gradgradcheck(f, x)
    assert wrong_line(Cosine) in named(str(raised.value))
    assert shown(str(raised.value)) <= lines_of(f, _Sine, RightOnce, Cosine)


def test_second_order(x):
    loss = loss_of(outputs(A, torch.tanh, RightOnce.apply))
    text = str(check_gradient(loss, x, order=2))
    assert wrong_line(Cosine) in named(text)
    assert shown(text) <= lines_of(loss, outputs, _Sine, RightOnce, Cosine)


def grads(x):
    h = torch.tanh(A @ x)
    s = torch.sin(h)
    dy = 2 * (s * h)
    dh = dy * (s + h * torch.cos(h))
    return A.T @ (dh * (1 - h))  # wrong


def test_gradients_of_the_users(x):
    def loss(x):
        h = torch.tanh(A @ x)
        return ((torch.sin(h) * h) ** 2).sum()

    report = check_gradient(loss, x, grads)
    assert named(str(report)) == {wrong_line(grads)}
    assert shown(str(report)) <= lines_of(loss, grads)
