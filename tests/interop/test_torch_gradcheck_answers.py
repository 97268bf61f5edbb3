"""What gradcheck says of unusual calls: torch's answer, or torch's kind of error."""

import warnings

import pytest

torch = pytest.importorskip("torch", reason="needs torch: make test-interop")

from fastgrad.interop.torch import gradcheck, gradgradcheck  # noqa: E402

torch.set_num_threads(1)
torch.manual_seed(0)


def _input(*shape, dtype=torch.float64):
    return torch.randn(shape, dtype=dtype).requires_grad_()


def _function(forward, backward, **attributes):
    """A custom function: backward(inputs, g)."""

    def run_forward(ctx, *xs):
        ctx.save_for_backward(*xs)
        return forward(*xs)

    def run_backward(ctx, *gs):
        return backward(ctx.saved_tensors, *gs)

    members = {
        "forward": staticmethod(run_forward),
        "backward": staticmethod(run_backward),
    }
    return type("Custom", (torch.autograd.Function,), members | attributes).apply


def _in_place(x):
    y = x.clone()
    y.mul_(2)
    return y * x


#: A function and its inputs; more than eight entries, so that nothing is left to torch.
CASES = {
    "one tensor, not a tuple": (torch.sin, _input(3, 4)),
    "a list of inputs": (torch.mul, [_input(3, 4), _input(3, 4)]),
    "an unused input": (lambda x, y: x**2, (_input(3, 4), _input(2))),
    "no gradient for an input": (
        _function(lambda x, y: x * y, lambda s, g: (g * s[1], None)),
        (_input(3, 4), _input(3, 4)),
    ),
    "one output without a gradient": (
        lambda x: (x.sin(), torch.ones(2, dtype=torch.float64)),
        _input(3, 4),
    ),
    "no output with a gradient": (lambda x: x.detach(), _input(3, 4)),
    "integers among the outputs": (lambda x: x.sort(1), _input(3, 4)),
    "entries that share memory": (lambda x: x * 2, _input(3, 1).expand(3, 4)),
    "transposed": (torch.exp, _input(4, 3).detach().T.requires_grad_()),
    "single precision": (torch.sin, _input(3, 4, dtype=torch.float32)),
    "mixed precision": (
        lambda x, y: x * y,
        (_input(3, 4), _input(3, 4, dtype=torch.float32)),
    ),
    "holomorphic": (lambda z: z**3, _input(3, 4, dtype=torch.complex128)),
    "not holomorphic": (
        lambda z: z.abs() ** 2 + z.conj(),
        _input(3, 4, dtype=torch.complex128),
    ),
    "conjugate missing": (
        _function(lambda z: z**2, lambda s, g: 2 * g * s[0]),
        _input(3, 4, dtype=torch.complex128),
    ),
    "complex from real": (torch.fft.rfft, _input(3, 4)),
    "real from complex": (torch.view_as_real, _input(3, 4, dtype=torch.complex128)),
    "wrong imaginary part alone": (
        _function(lambda z: z * 1, lambda s, g: torch.complex(g.real, 2 * g.imag)),
        _input(3, 4, dtype=torch.complex128),
    ),
    "in place": (_in_place, _input(3, 4)),
    "the right gradient of another shape": (
        _function(lambda x: x * 2, lambda s, g: 2 * g[:1]),
        _input(3, 4),
    ),
    "wrong in one entry": (
        _function(
            lambda x: x * 2,
            lambda s, g: 2 * g + 0.1 * g * torch.eye(3, 4, dtype=torch.float64),
        ),
        _input(3, 4),
    ),
    "raises in backward": (
        _function(lambda x: x * 2, lambda s, g: (_ for _ in ()).throw(KeyError("k"))),
        _input(3, 4),
    ),
    "depends on the order of calls": (
        _function(lambda x: x * 2, lambda s, g: 2 * g + 1e-3 * torch.rand_like(g)),
        _input(3, 4),
    ),
    "sparse": (
        lambda x: torch.sparse.mm(x, torch.ones(4, 2, dtype=torch.float64)),
        torch.eye(4, dtype=torch.float64).to_sparse().requires_grad_(),
    ),
    "empty": (torch.sin, _input(0, 4)),
    "a number": (torch.sin, _input()),
    "nothing requires grad": (torch.sin, torch.ones(9, dtype=torch.float64)),
    "a branch": (lambda x: x.sin() if x.sum() > 0 else x.cos(), _input(3, 4)),
    "at a kink": (torch.relu, torch.zeros(3, 4, dtype=torch.float64).requires_grad_()),
}


def _answer(check, function, inputs, **options):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return check(function, inputs, **options)
    except Exception as error:  # the kind is what is compared
        return type(error)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("raise_exception", [True, False])
def test_gradcheck(name, raise_exception):
    options = {"raise_exception": raise_exception}
    theirs = _answer(torch.autograd.gradcheck, *CASES[name], **options)
    assert _answer(gradcheck, *CASES[name], **options) == theirs


def _needs_gradient(saved, *gs):
    if any(g is None for g in gs):
        raise RuntimeError("undefined")
    return 2 * sum(gs)


class _Counting(torch.autograd.Function):
    """Right but for a term that grows from call to call."""

    calls = 0

    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, g):
        _Counting.calls += 1
        return 2 * g + 1e-9 * _Counting.calls * g


#: Faults and oddities of a few numbers, which are looked at without torch's help.
SMALL = {
    "right": (torch.sin, _input(3)),
    "two inputs": (torch.mul, (_input(2, 2), _input(2, 2))),
    "two outputs": (lambda x: (x.sin(), x.exp().sum()), _input(3)),
    "an unused input": (lambda x, y: x**2, (_input(3), _input(2))),
    "a constant output": (
        lambda x: (x.sin(), torch.ones(2, dtype=torch.float64)),
        _input(3),
    ),
    "no output with a gradient": (lambda x: x.detach(), _input(3)),
    "no outputs": (lambda x: x[:0], _input(3)),
    "a list": (lambda x: [x.sin(), x.cos()], _input(3)),
    "an integer beside it": (lambda x, k: x**k, (_input(3), 2)),
    "in place": (_in_place, _input(3)),
    "transposed": (torch.exp, _input(4, 2).detach().T.requires_grad_()),
    "every other": (torch.exp, _input(6).detach()[::2].requires_grad_()),
    "expanded": (lambda x: x * 2, _input(1).expand(3)),
    "no leaf": (torch.sin, _input(3) * 1),
    "single precision": (torch.sin, _input(3, dtype=torch.float32)),
    "complex outputs": (lambda x: x + 1j * x**2, _input(3)),
    "wrong in one entry": (
        _function(lambda x: x * 2, lambda s, g: g * torch.tensor([2, 2, 2.1])),
        _input(3),
    ),
    "of another shape": (
        _function(lambda x: x * 2, lambda s, g: 2 * g[:1]),
        _input(3),
    ),
    "of another dtype": (
        _function(lambda x: x * 2, lambda s, g: (2 * g).float()),
        _input(3),
    ),
    "not a number": (lambda x: x.sqrt(), -_input(3).abs().detach().requires_grad_()),
    "another in every backward pass": (_Counting.apply, _input(3)),
    "a constant is added": (
        _function(lambda x: x * 2, lambda s, g: 2 * g + 1e-7),
        _input(3),
    ),
    "raises in backward": (
        _function(lambda x: x * 2, lambda s, g: (_ for _ in ()).throw(KeyError("k"))),
        _input(3),
    ),
    "raises without a gradient": (
        _function(lambda x: (x * 1, x * 2), _needs_gradient),
        _input(3),
    ),
    "cannot be batched": (
        _function(lambda x: x * 2, lambda s, g: torch.from_numpy(2 * g.numpy())),
        _input(3),
    ),
    "random": (lambda x: x * torch.rand(3, dtype=torch.float64), _input(3)),
    "a number": (torch.sin, _input()),
    "nothing": (torch.sin, _input(0)),
}


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("check_undefined_grad", [True, False])
def test_of_few_numbers(name, check_undefined_grad):
    options = {"check_undefined_grad": check_undefined_grad}
    function, inputs = SMALL[name]
    theirs = _answer(torch.autograd.gradcheck, function, inputs, **options)
    given = inputs if isinstance(inputs, tuple) else (inputs,)
    before = [x.clone() if isinstance(x, torch.Tensor) else x for x in given]
    assert _answer(gradcheck, function, inputs, **options) == theirs
    for x, y in zip(given, before, strict=True):
        assert x == y if isinstance(x, int) else torch.equal(x, y)


SECOND = ["a list of inputs", "holomorphic", "not holomorphic", "conjugate missing"]


@pytest.mark.parametrize(
    "name", [*SECOND, "in place", "complex from real", "transposed"]
)
def test_gradgradcheck(name):
    theirs = _answer(torch.autograd.gradgradcheck, *CASES[name], raise_exception=False)
    assert _answer(gradgradcheck, *CASES[name], raise_exception=False) == theirs


@pytest.mark.parametrize(
    "options",
    [
        {"check_grad_dtypes": True},
        {"check_undefined_grad": False},
        {"fast_mode": True},
        {"check_batched_grad": True},
        {"check_forward_ad": True},
        {"check_forward_ad": True, "check_backward_ad": False},
        {"atol": 1e3, "rtol": 0.0},
        {"eps": 1e-3, "atol": 1e-2},
        {"nondet_tol": 1e-2},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "name",
    [
        "one tensor, not a tuple",
        "not holomorphic",
        "wrong in one entry",
        "depends on the order of calls",
        "mixed precision",
    ],
)
def test_torchs_options(name, options):
    options = {"raise_exception": False, **options}
    theirs = _answer(torch.autograd.gradcheck, *CASES[name], **options)
    assert _answer(gradcheck, *CASES[name], **options) == theirs
