"""torch's own operators, on the samples that torch tests them with (its OpInfo)."""

import warnings

import pytest

torch = pytest.importorskip("torch", reason="needs torch: make test-interop")
pytest.importorskip("expecttest", reason="torch's samples need it: make test-interop")

from torch_operators import OPERATORS, planted, samples, total_of  # noqa: E402

from fastgrad.interop.torch import check_gradient, gradcheck  # noqa: E402

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


CHECKED = sorted(OPERATORS)[:: len(OPERATORS) // 130]
assert len(CHECKED) >= 100


@pytest.mark.parametrize("name", CHECKED)
def test_gradcheck_has_torchs_answers(name):
    for call in samples(name, 1, 60):
        for function in (call, planted(call)):
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


@pytest.mark.parametrize("name", TRANSLATED)
def test_operators_become_programs(name):
    (call,) = samples(name, 3, 1000)
    params = {str(i): x.detach().clone() for i, x in enumerate(call.inputs)}
    report = check_gradient(lambda p: total_of(call(*p.values())), params)
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
