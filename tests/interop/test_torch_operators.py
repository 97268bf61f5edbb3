"""torch's own operators, on the samples that torch tests them with (its OpInfo)."""

import itertools
import warnings

import pytest

torch = pytest.importorskip("torch", reason="needs torch: make test-interop")
pytest.importorskip("expecttest", reason="torch's samples need it: make test-interop")

from fastgrad.interop.torch import check_gradient, gradcheck  # noqa: E402

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from torch.testing._internal.common_methods_invocations import op_db
from torch.utils import _pytree as pytree  # noqa: E402

torch.set_num_threads(1)
DOUBLE = torch.float64


@pytest.fixture(autouse=True)
def _quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _by_name():
    found = {}
    for op in op_db:
        if DOUBLE in op.supported_dtypes("cpu") and op.supports_autograd:
            found.setdefault(op.name, op)
    return found


OPERATORS = _by_name()


class Sample:
    """One call of an operator, of the inputs that have a gradient alone."""

    def __init__(self, op, sample):
        self._op, self._sample = op, sample
        self._leaves, self._tree = pytree.tree_flatten(
            ((sample.input, *sample.args), sample.kwargs)
        )
        self._at = [i for i, x in enumerate(self._leaves) if self._moves(x)]
        self.inputs = tuple(self._leaves[i] for i in self._at)

    @staticmethod
    def _moves(x):
        return isinstance(x, torch.Tensor) and x.requires_grad

    def __call__(self, *inputs):
        leaves = list(self._leaves)
        for i, x in zip(self._at, inputs, strict=True):
            leaves[i] = x
        args, kwargs = pytree.tree_unflatten(leaves, self._tree)
        out = self._op.gradcheck_wrapper(self._op.op, *args, **kwargs)
        process = self._sample.output_process_fn_grad
        return out if process is None else process(out)


def samples(name, least, most):
    """The first sample of an operator whose inputs have so many numbers, if any."""
    torch.manual_seed(0)
    op = OPERATORS[name]
    every = op.sample_inputs("cpu", DOUBLE, requires_grad=True)
    calls = (Sample(op, sample) for sample in every)
    small = (c for c in calls if least <= sum(x.numel() for x in c.inputs) <= most)
    return list(itertools.islice(small, 1))


def _planted(call):
    """The same values, and a gradient that has 0.01 too much."""

    def wrong(*inputs):
        x = inputs[0]
        extra = 0.01 * (x - x.detach()).sum()
        return pytree.tree_map(
            lambda y: (
                y + extra
                if isinstance(y, torch.Tensor) and y.is_floating_point()
                else y
            ),
            call(*inputs),
        )

    return wrong


CHECKED = sorted(OPERATORS)[:: len(OPERATORS) // 130]
assert len(CHECKED) >= 100


@pytest.mark.parametrize("name", CHECKED)
def test_gradcheck_has_torchs_answers(name):
    for call in samples(name, 1, 60):
        for function in (call, _planted(call)):
            options = {"raise_exception": False, "check_batched_grad": False}
            theirs = _answer(torch.autograd.gradcheck, function, call.inputs, options)
            assert _answer(gradcheck, function, call.inputs, options) == theirs


def _answer(check, function, inputs, options):
    try:
        return check(function, inputs, **options)
    except (RuntimeError, ValueError) as error:
        return str(error)


# ---- operators as compiled programs --------------------------------------------------

#: Without a call of torch.
TRANSLATED = [
    *("acos", "add", "addbmm", "addcdiv", "addmm", "amax", "as_strided"),
    *("atan2", "baddbmm", "bmm", "cat", "cdouble", "clamp", "complex", "copysign"),
    *(
        "cummax",
        "cumprod",
        "cumsum",
        "linalg.slogdet",
        "diff",
        "digamma",
    ),
    *("dist", "einsum", "erf", "exp2", "expand", "fft.fft", "fft.fft2", "fft.hfft"),
    *("fft.ifftn", "fft.irfft", "fft.rfft", "fft.rfftn", "fmod", "gather", "hypot"),
    *("index_put", "index_select", "inner", "kron", "kthvalue", "lerp", "lgamma"),
    *("linalg.det", "linalg.inv", "linalg.solve", "linalg.solve_triangular"),
    *("logaddexp", "logcumsumexp", "logsumexp", "masked_select", "matmul", "max"),
    *("median", "nanmean", "nn.functional.conv2d", "nn.functional.gelu"),
    *("nn.functional.grid_sample", "nn.functional.interpolate"),
    *("nn.functional.layer_norm", "nn.functional.pad", "polar", "prod"),
    *("remainder", "renorm", "roll", "scatter_add", "softmax", "sort", "stft"),
    *("take_along_dim", "tensordot", "topk", "trapezoid", "tril", "unfold", "var"),
    *("view_as_complex", "xlogy"),
]


def _total(outputs):
    """Real and imaginary parts of all outputs in one number."""
    total = 0
    for y in pytree.tree_leaves(outputs):
        if isinstance(y, torch.Tensor) and (y.is_floating_point() or y.is_complex()):
            y = torch.view_as_real(y.resolve_conj()) if y.is_complex() else y
            weights = torch.linspace(0.5, 1.5, y.numel(), dtype=y.dtype)
            total = total + (y * weights.view_as(y)).sum()
    return total


@pytest.mark.parametrize("name", TRANSLATED)
def test_operators_become_programs(name):
    (call,) = samples(name, 3, 1000)
    params = {str(i): x.detach().clone() for i, x in enumerate(call.inputs)}
    report = check_gradient(lambda p: _total(call(*p.values())), params)
    assert report.engine == "compiled", report.fallback
    assert not report.python_operations
    assert report.verdict == "correct"


def test_places_that_depend_on_parameters_are_guarded():
    """The grid moves: where an entry is read from another place, torch is asked."""
    x, grid = torch.randn(1, 2, 5, 5), torch.rand(1, 3, 3, 2) * 1.6 - 0.8
    loss = lambda p: torch.nn.functional.grid_sample(  # noqa: E731
        p["x"], p["grid"], align_corners=False
    ).sum()
    report = check_gradient(loss, {"x": x, "grid": grid})
    assert report.ok
    assert not report.python_operations
    wrong = {"x": torch.zeros(1, 2, 5, 5), "grid": torch.zeros(1, 3, 3, 2)}
    assert check_gradient(loss, {"x": x, "grid": grid}, wrong).verdict == "wrong"
