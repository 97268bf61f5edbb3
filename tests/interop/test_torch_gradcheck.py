"""gradcheck gives torch's answers: on its own operators, and on wrong backward passes."""

import doctest
import warnings

import pytest

torch = pytest.importorskip("torch", reason="needs torch: make test-interop")
from torch.autograd.gradcheck import GradcheckError  # noqa: E402

import fastgrad.interop.torch  # noqa: E402
import fastgrad.interop.torch.gradchecks as module  # noqa: E402
from fastgrad.interop.torch import gradcheck, gradgradcheck  # noqa: E402

torch.set_num_threads(1)
torch.manual_seed(0)
DOUBLE = {"dtype": torch.float64, "requires_grad": True}


def _inputs(*shapes, **options):
    return tuple(torch.rand(shape, **(DOUBLE | options)) for shape in shapes)


OPERATORS = (
    {
        name: (getattr(torch, name), _inputs((2, 3)))
        for name in [
            *[
                "sin",
                "cos",
                "tan",
                "asin",
                "acos",
                "atan",
                "sinh",
                "cosh",
                "tanh",
                "asinh",
            ],
            *["atanh", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt"],
            *["rsqrt", "square", "abs", "neg", "reciprocal", "sigmoid", "erf", "erfc"],
            *[
                "erfinv",
                "lgamma",
                "digamma",
                "sinc",
                "logit",
                "sum",
                "mean",
                "var",
                "std",
            ],
            *["prod", "norm", "amax", "amin", "aminmax", "median", "frac", "relu", "t"],
            *[
                "ravel",
                "flatten",
                "fliplr",
                "flipud",
                "trace",
                "tril",
                "triu",
                "diagonal",
            ],
            *["clone", "conj", "real", "var_mean", "std_mean", "nansum", "nanmean"],
        ]
    }
    | {
        name: (getattr(torch, name), _inputs((2, 3), (2, 3)))
        for name in [
            *[
                "add",
                "sub",
                "mul",
                "div",
                "pow",
                "maximum",
                "minimum",
                "atan2",
                "hypot",
            ],
            *["fmax", "fmin", "logaddexp", "logaddexp2", "xlogy", "copysign", "dist"],
            *["float_power", "ldexp", "complex", "block_diag", "kron", "cdist"],
        ]
    }
    | {
        name: (getattr(torch, name), _inputs(*shapes))
        for name, shapes in {
            "mm": [(2, 3), (3, 2)],
            "matmul": [(2, 2, 3), (3, 2)],
            "bmm": [(2, 2, 3), (2, 3, 1)],
            "mv": [(2, 3), (3,)],
            "dot": [(3,), (3,)],
            "outer": [(2,), (3,)],
            "addmm": [(2, 2), (2, 3), (3, 2)],
            "addmv": [(2,), (2, 3), (3,)],
            "baddbmm": [(2, 2, 2), (2, 2, 3), (2, 3, 2)],
            "addcmul": [(2, 3), (2, 3), (3,)],
            "addcdiv": [(2, 3), (2, 3), (3,)],
            "lerp": [(2, 3), (2, 3), (2, 3)],
            "det": [(3, 3)],
            "logdet": [(2, 2)],
            "slogdet": [(3, 3)],
            "inverse": [(3, 3)],
            "matrix_exp": [(2, 2)],
            "bilinear": [(2, 2), (2, 3), (1, 2, 3)],
        }.items()
    }
    | {
        "softmax": (lambda x: x.softmax(1), _inputs((2, 3))),
        "log_softmax": (lambda x: x.log_softmax(1), _inputs((2, 3))),
        "logsumexp": (lambda x: x.logsumexp(1), _inputs((2, 3))),
        "cumsum": (lambda x: x.cumsum(1), _inputs((2, 3))),
        "cumprod": (lambda x: x.cumprod(1), _inputs((2, 3))),
        "logcumsumexp": (lambda x: x.logcumsumexp(1), _inputs((2, 3))),
        "sort": (lambda x: x.sort(), _inputs((2, 3))),
        "topk": (lambda x: x.topk(2), _inputs((2, 3))),
        "max": (lambda x: x.max(1), _inputs((2, 3))),
        "gather": (
            lambda x: x.gather(1, torch.tensor([[0, 2], [1, 1]])),
            _inputs((2, 3)),
        ),
        "index_put": (
            lambda x, y: x.index_put((torch.tensor([0, 1, 1]),), y),
            _inputs((2, 3), (3, 3)),
        ),
        "as_strided": (lambda x: x.as_strided((2, 2), (1, 2), 0), _inputs((2, 3))),
        "conv1d": (torch.nn.functional.conv1d, _inputs((1, 2, 5), (3, 2, 2), (3,))),
        "conv2d": (torch.nn.functional.conv2d, _inputs((1, 2, 4, 3), (1, 2, 2, 2))),
        "layer_norm": (lambda x: torch.layer_norm(x, (3,)), _inputs((2, 3))),
        "gelu": (torch.nn.functional.gelu, _inputs((2, 3))),
        "no elements": (torch.sin, _inputs((0, 3))),
        "complex input": (torch.tanh, _inputs((2, 2), dtype=torch.complex128)),
        "complex output": (lambda x: torch.fft.fft(x), _inputs((5,))),
        "not a tensor": (lambda x, k, y: x * k + y, (*_inputs(3), 2.0, *_inputs(1))),
        "unused input": (lambda x, y: x * 2, _inputs((2, 3), 2)),
        "sparse": (
            lambda x: x.to_dense() ** 2,
            (torch.eye(3, **DOUBLE).to_sparse().detach().requires_grad_(),),
        ),
    }
)
assert len(OPERATORS) > 100


def _planted(function):
    """The same values, and a gradient that has 0.01 too much."""

    def wrong(*inputs):
        outputs = function(*inputs)
        x = next(x for x in inputs if isinstance(x, torch.Tensor))
        x = x.to_dense() if x.is_sparse else x
        extra = 0.01 * (x - x.detach()).sum()
        extra = extra.real if extra.is_complex() else extra
        several = isinstance(outputs, tuple)
        found = [
            y + extra if y.is_floating_point() or y.is_complex() else y
            for y in (outputs if several else (outputs,))
        ]
        return tuple(found) if several else found[0]

    return wrong


@pytest.fixture(autouse=True)
def _quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize("name", OPERATORS)
def test_torchs_operators(name):
    function, inputs = OPERATORS[name]
    for f in (function, _planted(function)):
        theirs = torch.autograd.gradcheck(f, inputs, raise_exception=False)
        assert gradcheck(f, inputs, raise_exception=False) is theirs


@pytest.mark.parametrize(
    "name", ["tanh", "mm", "prod", "softmax", "layer_norm", "complex input"]
)
def test_second_derivatives(name):
    function, inputs = OPERATORS[name]
    assert gradgradcheck(function, inputs)
    wrong = _careless_second(function)
    assert torch.autograd.gradgradcheck(wrong, inputs, raise_exception=False) is False
    assert gradgradcheck(wrong, inputs, raise_exception=False) is False


def _careless_second(function):
    """Right first derivatives whose own derivatives are lost."""

    class Once(torch.autograd.Function):
        @staticmethod
        def forward(ctx, *inputs):
            ctx.save_for_backward(*inputs)
            return function(*inputs)

        @staticmethod
        def backward(ctx, g):
            with torch.enable_grad():
                inputs = [x.detach().requires_grad_() for x in ctx.saved_tensors]
                y = function(*inputs)
            found = torch.autograd.grad(y, inputs, g.detach())
            return (
                tuple(0 * g.sum() + x for x in found) if not g.is_complex() else found
            )

    return Once.apply


# ---- wrong custom functions ----------------------------------------------------------


class Cube(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 2 * g * x**2


def test_the_message_names_the_cause():
    x = torch.tensor([1.0, 2.0], **DOUBLE)
    with pytest.raises(
        GradcheckError, match="Jacobian mismatch for output 0"
    ) as caught:
        gradcheck(Cube.apply, x)
    assert "`grads * 1.5` matches, a factor of 2/3 in input 0" in str(caught.value)
    assert "return x**3" in str(caught.value)
    assert gradcheck(Cube.apply, x, raise_exception=False) is False
    assert gradcheck(Cube.apply, x, rtol=0.5) is True


def test_nondeterminism_and_undefined_gradients_are_seen():
    class Random(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return 2 * x

        @staticmethod
        def backward(ctx, g):
            return 2 * g * (1 + 1e-9 * torch.rand_like(g))

    x = torch.ones(3, **DOUBLE)
    with pytest.raises(GradcheckError, match="not reentrant"):
        gradcheck(Random.apply, x)
    assert gradcheck(Random.apply, x, nondet_tol=1e-6)

    def hooked(x):
        def hook(grad):
            if grad is None:
                raise RuntimeError("undefined")

        y = x.clone()
        y.register_hook(hook)
        return y

    with pytest.raises(GradcheckError, match="undefined output grads"):
        gradcheck(hooked, x)
    assert gradcheck(hooked, x, check_undefined_grad=False)


@pytest.mark.parametrize(
    "options",
    [{"fast_mode": True}, {"check_forward_ad": True}, {"check_batched_grad": True}],
)
def test_torchs_other_arguments(options):
    (x,) = _inputs((2, 3))
    assert gradcheck(torch.tanh, x, **options)
    assert not gradcheck(_planted(torch.tanh), x, raise_exception=False, **options)


def test_no_input_requires_grad():
    with pytest.raises(
        ValueError, match="at least one input tensor to require gradient"
    ):
        gradcheck(torch.sin, torch.ones(2, dtype=torch.float64))


def test_inputs_are_not_changed():
    (x,) = _inputs((2, 3))
    before = x.detach().clone()
    gradcheck(torch.sin, x)
    assert torch.equal(x, before)
    assert x.grad is None


@pytest.mark.parametrize("of", [module, fastgrad.interop.torch])
def test_the_docstrings_examples(of):
    assert doctest.testmod(of).failed == 0
