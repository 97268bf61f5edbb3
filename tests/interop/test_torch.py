"""torch's own backward passes are right, and planted bugs are found and named."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch: make test-interop")
import torch.nn.functional as F  # noqa: E402
from torch import nn  # noqa: E402

import fastgrad as fg  # noqa: E402
from fastgrad.interop.torch import check_gradient  # noqa: E402

torch.set_num_threads(1)
torch.manual_seed(0)
X = torch.randn(3, 5, 8)
IMAGES = torch.randn(2, 3, 9, 9)
LABELS = torch.tensor([2, 0, 3])
SIZES = torch.full((3, 5, 4), 0.3)


def _energy(*inputs):
    return lambda module: module(*inputs).pow(2).mean()


def _first(*inputs):
    return lambda module: module(*inputs)[0].pow(2).mean()


def _after(function, *more):
    """A function behind a linear layer."""
    return lambda module: function(module(X), *more).pow(2).mean()


def _seeded(make, *sizes, **options):
    def module():
        torch.manual_seed(1)
        return make(*sizes, **options)

    return module


LINEAR = _seeded(nn.Linear, 8, 4)
CONV = _seeded(nn.Conv2d, 3, 2, 2)
MODULES = (
    {
        "Linear": (_energy(X), LINEAR),
        "Bilinear weights": (
            lambda m: torch.einsum("bik,bjk->bij", m(X), m(X)).var(),
            LINEAR,
        ),
        "Conv1d": (_energy(X), _seeded(nn.Conv1d, 5, 4, 3, padding="same", dilation=2)),
        "Conv2d": (_energy(IMAGES), _seeded(nn.Conv2d, 3, 4, (3, 2), stride=(2, 1))),
        "Conv3d": (_energy(IMAGES[None]), _seeded(nn.Conv3d, 2, 3, 2)),
        "Conv2d circular": (
            _energy(IMAGES),
            _seeded(nn.Conv2d, 3, 6, 3, groups=3, padding=1, padding_mode="circular"),
        ),
        "ConvTranspose2d": (
            _energy(IMAGES),
            _seeded(nn.ConvTranspose2d, 3, 4, 3, stride=2, padding=1, output_padding=1),
        ),
        "ConvTranspose2d groups": (
            _energy(IMAGES[:, :2]),
            _seeded(nn.ConvTranspose2d, 2, 4, 3, stride=2, groups=2, dilation=2),
        ),
        "LSTM": (_first(X), _seeded(nn.LSTM, 8, 3, num_layers=2, bidirectional=True)),
        "GRU": (_first(X), _seeded(nn.GRU, 8, 3, batch_first=True)),
        "RNN": (_first(X), _seeded(nn.RNN, 8, 3)),
        "MultiheadAttention": (_first(X, X, X), _seeded(nn.MultiheadAttention, 8, 2)),
        "TransformerEncoderLayer": (
            _energy(X),
            _seeded(nn.TransformerEncoderLayer, 8, 2, 6, dropout=0.0, batch_first=True),
        ),
        "attention": (
            lambda m: (
                F.scaled_dot_product_attention(m(X), m(X) + 1, m(X), is_causal=True)
                .pow(2)
                .mean()
            ),
            LINEAR,
        ),
        "BatchNorm1d": (
            lambda m: m(X.reshape(15, 8)).pow(3).mean(),
            _seeded(nn.BatchNorm1d, 8),
        ),
        "BatchNorm2d eval": (
            lambda m: m.eval()(IMAGES).pow(3).mean(),
            _seeded(nn.BatchNorm2d, 3),
        ),
        "GroupNorm": (lambda m: m(IMAGES).pow(3).mean(), _seeded(nn.GroupNorm, 3, 3)),
        "InstanceNorm2d": (
            lambda m: m(IMAGES).pow(3).mean(),
            _seeded(nn.InstanceNorm2d, 3, affine=True),
        ),
        "LayerNorm": (lambda m: m(X).pow(3).mean(), _seeded(nn.LayerNorm, [5, 8])),
        "RMSNorm": (lambda m: m(X).pow(3).mean(), _seeded(nn.RMSNorm, 8)),
        "Embedding": (lambda m: m(LABELS).pow(3).mean(), _seeded(nn.Embedding, 4, 5)),
        "PReLU": (_energy(X), _seeded(nn.PReLU)),
        "weight_norm": (
            _energy(X),
            lambda: nn.utils.parametrizations.weight_norm(LINEAR()),
        ),
        "max_pool2d": (lambda m: F.max_pool2d(m(IMAGES), 3, 2, 1).pow(2).mean(), CONV),
        "avg_pool2d": (
            lambda m: F.avg_pool2d(m(IMAGES), 3, 2, 1, ceil_mode=True).pow(2).mean(),
            CONV,
        ),
        "adaptive_avg_pool2d": (
            lambda m: F.adaptive_avg_pool2d(m(IMAGES), (3, 2)).pow(2).mean(),
            CONV,
        ),
        "interpolate": (
            lambda m: (
                F.interpolate(m(IMAGES), scale_factor=2, mode="bilinear").pow(2).mean()
            ),
            CONV,
        ),
        "unfold": (lambda m: F.unfold(m(IMAGES), 2).pow(3).mean(), CONV),
        "cross_entropy": (
            lambda m: F.cross_entropy(
                m(X)[:, 0], LABELS, SIZES[0, 0], label_smoothing=0.1
            ),
            LINEAR,
        ),
        "nll_loss": (
            lambda m: F.nll_loss(
                F.log_softmax(m(X).mT, 1), LABELS[:, None].expand(3, 5)
            ),
            LINEAR,
        ),
        "bce": (lambda m: F.binary_cross_entropy(m(X).sigmoid(), SIZES), LINEAR),
        "log_prob": (
            lambda m: (
                torch.distributions.Normal(m(X), m(X).exp(), validate_args=False)
                .log_prob(SIZES)
                .mean()
            ),
            LINEAR,
        ),
        "cdist": (lambda m: torch.cdist(m(X), m(X) + 1).mean(), LINEAR),
        "logdet": (
            lambda m: torch.logdet(m(X)[0].T @ m(X)[0] + torch.eye(4)),
            LINEAR,
        ),
        "solve": (
            lambda m: torch.linalg.solve(
                m(X)[0].T @ m(X)[0] + torch.eye(4), X[0, :4]
            ).sum(),
            LINEAR,
        ),
        "sort": (lambda m: (m(X).sort(-1).values * torch.arange(4)).mean(), LINEAR),
        "topk": (lambda m: m(X).topk(2).values.pow(2).sum(), LINEAR),
        "scatter": (
            lambda m: (
                torch.zeros(4, 4)
                .index_add(0, LABELS, m(X)[:, 0])
                .scatter_add(0, torch.tensor([[0, 1, 2, 3], [0, 0, 1, 1]]), m(X)[0, :2])
                .gather(1, torch.tensor([[0, 1], [1, 1], [2, 1], [3, 1]]))
                .pow(2)
                .sum()
            ),
            LINEAR,
        ),
        "cumulative": (
            lambda m: m(X).cumsum(1).cumprod(2).flip(1).roll(1, 0).std(),
            LINEAR,
        ),
        "bfloat16": (lambda m: m(X.bfloat16().float()).half().pow(2).mean(), LINEAR),
    }
    | {
        name: (_after(getattr(F, name)), LINEAR)
        for name in [
            *["relu", "gelu", "silu", "mish", "elu", "selu"],
            *[
                "celu",
                "softplus",
                "hardswish",
                "hardsigmoid",
                "leaky_relu",
                "logsigmoid",
            ],
            *["tanhshrink", "softsign", "relu6", "hardtanh", "glu", "softshrink"],
            *["softmin"],
        ]
    }
    | {
        name: (lambda m, name=name: getattr(F, name)(m(X), SIZES), LINEAR)
        for name in [
            *[
                "mse_loss",
                "l1_loss",
                "smooth_l1_loss",
                "huber_loss",
                "binary_cross_entropy_with_logits",
                "kl_div",
            ],
            *["poisson_nll_loss", "soft_margin_loss"],
        ]
    }
)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", MODULES)
def test_backward_of_torch_is_right_and_compiled(name):
    loss, make = MODULES[name]
    module = make()
    before = {n: (p.data, p.data.clone()) for n, p in module.named_parameters()}
    report = check_gradient(loss, module)
    assert report.engine == "compiled", report.fallback
    assert report.verdict == "correct"
    assert [block.name for block in report.blocks] == list(before)
    for n, parameter in module.named_parameters():
        data, copy = before[n]
        assert parameter.data.data_ptr() == data.data_ptr()
        assert parameter.dtype == torch.float32
        assert torch.equal(parameter, copy)


@pytest.mark.parametrize(
    "name", ["LSTM", "Conv2d", "MultiheadAttention", "cross_entropy"]
)
def test_a_wrong_gradient_of_a_module_is_caught(name):
    loss, make = MODULES[name]
    module = make()
    module.zero_grad()
    loss(module).backward()
    grads = {n: p.grad.clone() for n, p in module.named_parameters()}
    assert check_gradient(loss, module, grads).ok
    first = next(iter(grads))
    grads[first].view(-1)[-1] *= 1.01
    report = check_gradient(loss, module, grads)
    assert report.verdict == "wrong"
    assert [entry.block for entry in report.wrong] == [first]


IN_PLACE = {
    "filled buffer": lambda m, b: [
        b.__setitem__((slice(None), i), m(X)[:, i]) for i in range(5)
    ],
    "views": lambda m, b: [
        b[:, 1].add_(m(X)[:, 1]),
        b.mT[..., 1].mul_(2.0),
        b[0].relu_(),
    ],
    "transposed": lambda m, b: [
        b.transpose(0, 1)[1:3].copy_(m(X)[:, 1:3].transpose(0, 1))
    ],
    "overwritten": lambda m, b: [b.add_(m(X)), b[1].zero_(), b[:, ::2].fill_(3.0)],
    "masked": lambda m, b: [b.add_(m(X)).masked_fill_(SIZES > 0.5, 1.0).clamp_(-1, 1)],
    "index_put": lambda m, b: [b.index_put_((LABELS % 3,), m(X), accumulate=True)],
}


@pytest.mark.parametrize("name", IN_PLACE)
def test_writing_into_views_is_followed(name):
    def loss(module):
        buffer = torch.ones(3, 5, 4)
        whole = buffer.flatten()
        IN_PLACE[name](module, buffer)
        return whole.pow(2).sum() + buffer.sum()

    report = check_gradient(loss, LINEAR())
    assert report.engine == "compiled", report.fallback
    assert report.verdict == "correct"


UNKNOWN = {
    "ctc_loss": lambda m: F.ctc_loss(
        m(X).transpose(0, 1).log_softmax(-1),
        torch.tensor([[1, 2], [2, 3], [3, 1]]),
        torch.tensor([5, 5, 5]),
        torch.tensor([2, 2, 2]),
    ),
    "linalg_eigh": lambda m: torch.linalg.eigvalsh(m(X)[0].T @ m(X)[0])[0],
    "trilinear": lambda m: F.bilinear(m(X), m(X), torch.ones(2, 4, 4)).pow(2).sum(),
    "special_i1": lambda m: torch.special.i1(m(X)).pow(2).mean(),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_an_operation_without_a_meaning_is_called(name):
    report = check_gradient(UNKNOWN[name], LINEAR())
    assert report.verdict == "correct"
    assert report.engine == "compiled"
    assert [name in operation for operation in report.python_operations] == [True]


def test_a_wrong_backward_before_an_unknown_operation_is_named():
    def loss(p):
        return torch.special.i1(Tanh.apply(X[0] @ p["W"] + p["b"])).pow(2).sum()

    report = check_gradient(loss, PARAMS)
    assert report.verdict == "wrong"
    assert "torch.tanh" in report.causes[0].message


OUTCOMES = {
    "branch": lambda m: m(X).mean() if m(X).sum() > 0 else m(X).pow(2).mean(),
    "position": lambda m: m(X)[0, :, m(X).sum((0, 1)).argmax()].pow(2).mean(),
    "mask": lambda m: m(X)[m(X) > 0].pow(2).mean(),
    "index of a maximum": lambda m: m(X)[0, 0][m(X).max(-1).indices[0, 0]] ** 2,
    "checked arguments": lambda m: (
        torch.distributions.Normal(m(X), m(X).exp()).log_prob(SIZES).mean()
    ),
}


@pytest.mark.parametrize("name", OUTCOMES)
def test_outcomes_that_depend_on_parameters_are_guarded(name):
    report = check_gradient(OUTCOMES[name], LINEAR())
    assert report.engine == "compiled", report.fallback
    assert report.verdict == "correct"
    assert report.python_operations == ()


def test_what_cannot_be_traced_is_called_many_points_at_a_time():
    def loss(m):
        return m(X).view(3, 5, 4, 1, 1, 1, 1, 1, 1).pow(2).mean()  # too many axes

    report = check_gradient(loss, LINEAR())
    assert report.engine == "vectorized"
    assert report.verdict == "correct"


def test_what_cannot_be_traced_says_why():
    def loss(m):
        return m(X).view(3, 5, 4, 1, 1, 1, 1, 1, 1).pow(2).mean()  # too many axes

    assert "9 axes" in check_gradient(loss, LINEAR()).fallback


def test_a_function_of_arrays_may_return_a_tensor():
    def loss(x):
        return (torch.from_numpy(x) ** 2).sum()

    x = np.arange(1.0, 4.0)
    report = fg.check_gradient(loss, x, 2 * x, engine="compiled")
    assert report.verdict == "correct"
    assert fg.check_gradient(loss, x, 2.02 * x).verdict == "wrong"


def test_a_number_that_escapes_does_not_become_a_constant():
    def loss(module):
        return module(X).pow(2).mean() * float(module.weight.detach().numpy()[0, 0])

    assert check_gradient(loss, LINEAR()).verdict == "wrong"  # torch sees no factor


# ---- custom backward passes ----------------------------------------------------------


class Tanh(torch.autograd.Function):
    @staticmethod
    def forward(ctx, z):
        y = torch.tanh(z)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, g):
        return g  # times 1 - y**2


class Affine(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, w, b):
        ctx.save_for_backward(x, w)
        return x @ w.T + b

    @staticmethod
    def backward(ctx, g):
        x, w = ctx.saved_tensors
        return g @ w, g.T @ x, g.mean(0)  # the sum over the batch


class LogSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx, z):
        y = torch.log_softmax(z, -1)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, g):
        return g  # minus softmax times the sum of g


def _network(function):
    x, y = X[:, 0], LABELS

    def loss(p):
        return -function(x @ p["W"] + p["b"])[range(3), y].mean() + (p["W"] ** 2).sum()

    return loss


PARAMS = {"W": 0.3 * torch.randn(8, 4), "b": torch.randn(4)}


@pytest.mark.parametrize(
    ("function", "line"),
    [(Tanh, "torch.tanh(z)"), (LogSoftmax, "torch.log_softmax(z, -1)")],
)
def test_a_wrong_backward_is_named_by_operation_and_line(function, line):
    report = check_gradient(_network(function.apply), PARAMS)
    assert report.engine == "compiled"
    assert report.verdict == "wrong"
    assert line in str(report.causes[0])
    assert report.causes[0].code in ("local_derivative", "cross_term")


def test_a_bias_averaged_over_the_batch():
    def loss(p):
        return Affine.apply(X[:, 0], p["W"].T, p["b"]).pow(2).mean()

    report = check_gradient(loss, PARAMS)
    assert report.verdict == "wrong"
    assert {entry.block for entry in report.wrong} == {"b"}
    assert report.causes[0].code in ("scale", "reduction")


# ---- arguments -----------------------------------------------------------------------


def test_unused_parameters_are_reported():
    module = nn.ModuleDict({"used": LINEAR(), "idle": nn.Linear(2, 1)})
    report = check_gradient(lambda m: m["used"](X).pow(2).mean(), module)
    assert "`idle.weight` is not used by the loss" in report.notes
    assert "`used.weight` is not used by the loss" not in report.notes


def test_frozen_parameters_and_static_leaves_are_left_alone():
    module = LINEAR()
    module.bias.requires_grad_(False)
    report = check_gradient(_energy(X), module)
    assert [block.name for block in report.blocks] == ["weight"]
    assert not module.bias.requires_grad
    params = {"w": [torch.randn(4)], "k": 3, "i": torch.arange(4), "none": None}
    report = check_gradient(lambda p: (p["w"][0] ** p["k"] * p["i"]).sum(), params)
    assert report.ok
    assert [block.name for block in report.blocks] == ["w.0"]


def test_a_loss_may_read_the_tensors_it_is_not_given():
    w = torch.randn(4, dtype=torch.float64, requires_grad=True)
    assert check_gradient(lambda _: w.exp().sum(), w).ok
    module = LINEAR()
    assert check_gradient(lambda _: module(X).pow(2).mean(), module).ok


COMPLEX = {
    "abs": lambda p: (p["z"] * p["w"]).abs().pow(2).sum(),
    "product": lambda p: (p["z"] @ p["z"].conj().T).real.pow(2).sum(),
    "exp": lambda p: (p["z"] * 1j).exp().imag.sum() + p["w"].sum(),
    "fft": lambda p: torch.fft.fft(p["w"]).abs().pow(2).sum() + p["z"].real.sum(),
}


@pytest.mark.parametrize("name", COMPLEX)
@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_complex_parameters(name, dtype):
    params = {"z": torch.randn(2, 3, dtype=dtype), "w": torch.randn(3)}
    report = check_gradient(COMPLEX[name], params)
    assert report.verdict == "correct"
    assert [block.shape for block in report.blocks] == [(2, 3, 2), (3,)]
    assert params["z"].dtype == dtype
    z, w = params["z"].clone().requires_grad_(), params["w"].clone().requires_grad_()
    COMPLEX[name]({"z": z, "w": w}).backward()
    w.grad = torch.zeros_like(w) if w.grad is None else w.grad
    assert check_gradient(COMPLEX[name], params, {"z": z.grad, "w": w.grad}).ok
    conjugate = {"z": z.grad.conj(), "w": w.grad}
    report = check_gradient(COMPLEX[name], params, conjugate)
    assert report.ok is bool((z.grad.imag == 0).all())


def test_checks_of_one_module_in_two_threads_take_turns():
    from concurrent.futures import ThreadPoolExecutor

    module = LINEAR()
    before = {n: p.clone() for n, p in module.named_parameters()}
    with ThreadPoolExecutor(4) as pool:
        reports = list(pool.map(lambda _: check_gradient(_energy(X), module), range(8)))
    assert all(report.ok for report in reports)
    assert len({report.relative_error for report in reports}) == 1
    for n, p in module.named_parameters():
        assert torch.equal(p, before[n])
        assert p.dtype == torch.float32


def test_tied_parameters():
    module = nn.Sequential(nn.Linear(8, 8, bias=False), nn.Linear(8, 8, bias=False))
    module[1].weight = module[0].weight
    report = check_gradient(_energy(X), module)
    assert report.ok
    assert [block.name for block in report.blocks] == ["0.weight"]


def test_grads_in_every_form():
    module = LINEAR()
    loss = _energy(X)
    expected = torch.autograd.grad(loss(module), list(module.parameters()))
    by_name = dict(zip(["weight", "bias"], expected, strict=True))
    for grads in (expected, list(expected), by_name, lambda m: by_name):
        assert check_gradient(loss, module, grads).ok


def test_buffers_and_random_state_are_restored():
    module = nn.BatchNorm1d(8)
    state = torch.random.get_rng_state()
    check_gradient(lambda m: m(X.reshape(15, 8)).pow(3).mean(), module)
    assert torch.equal(module.running_mean, torch.zeros(8))
    assert module.running_mean.dtype == torch.float32
    assert module.num_batches_tracked == 0
    assert torch.equal(torch.random.get_rng_state(), state)


def test_dropout_is_not_deterministic():
    report = check_gradient(lambda m: F.dropout(m(X)).pow(2).mean(), LINEAR())
    assert report.verdict == "undecided"
    assert report.causes[0].code == "nondeterministic"


def test_parameters_are_restored_when_the_loss_raises():
    module = LINEAR()
    before = module.weight.data

    def loss(m):
        raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        check_gradient(loss, module)
    assert module.weight.data_ptr() == before.data_ptr()
    assert module.weight.dtype == torch.float32


@pytest.mark.parametrize(
    ("params", "grads", "message"),
    [
        (3, None, "`params` must be a torch.nn.Module or a nest"),
        (nn.ReLU(), None, "`params` must be a module with a parameter"),
        (np.ones(3), None, "got ndarray of float64: use `fastgrad.check_gradient`"),
        (torch.arange(3), None, r"got Tensor of torch.int64: write `.double\(\)`"),
        (nn.Linear(8, 4).parameters(), None, "got generator: give the module itself"),
        (torch.sum, None, "`params` must be a torch.nn.Module or a nest"),
        (_energy, None, r"got function: the order is \(loss, params, grads\)"),
        (nn.Linear(8, 4), {"w": 1}, "`grads` must have the keys of `named_parameters`"),
        (nn.Linear(8, 4), [torch.zeros(4, 8)], "`grads` must have 2 members"),
        (nn.Linear(8, 4), 3.0, "`grads` must be a dict"),
        (torch.eye(3).to_sparse(), None, "`params` must be dense"),
    ],
)
def test_bad_arguments(params, grads, message):
    with pytest.raises((TypeError, ValueError), match=message):
        check_gradient(lambda m: m(X).sum(), params, grads)


def test_tensors_given_to_numpys_door_are_told_of_torchs():
    import fastgrad as fg

    w = torch.ones(2, requires_grad=True)
    for params, grads in [(w, 2 * w), (np.ones(2), 2 * w), (nn.Linear(2, 1), None)]:
        with pytest.raises(TypeError, match=r"use `fastgrad\.interop\.torch\.check"):
            fg.check_gradient(lambda p: (p**2).sum(), params, grads)


def test_a_loss_that_reads_other_tensors_is_told_so():
    module = nn.Linear(8, 4)
    with pytest.raises(fg.ConstantLossError) as raised:
        check_gradient(lambda _: module(X).pow(2).sum(), module.state_dict())
    assert "give the module itself" in str(raised.value.__notes__)


def test_further_arguments_of_the_loss():
    def loss(p, scale, *, shift):
        return (scale * p**2 + shift).sum()

    options = {"args": (3.0,), "kwargs": {"shift": 1.0}}
    x = torch.randn(3)
    assert check_gradient(loss, x, **options).ok
    assert check_gradient(loss, x, lambda p, scale, shift: 2 * scale * p, **options).ok
    wrong = check_gradient(loss, x, lambda p, scale, shift: 2 * p, **options)
    assert wrong.verdict == "wrong"


def test_a_loss_must_not_go_backward_itself():
    x = torch.ones(3, requires_grad=True)
    with pytest.raises(RuntimeError) as raised:
        check_gradient(lambda p: p.sum().backward(), x)
    assert "return it before `.backward()`" in str(raised.value.__notes__)


def test_a_loss_without_grad_says_so():
    with pytest.raises(ValueError, match="must return a tensor that requires grad"):
        check_gradient(lambda p: p.detach().sum(), torch.randn(3))
    with pytest.raises(ValueError, match="must return one number"):
        check_gradient(lambda p: p * 2, torch.randn(3), reduction="sum")
