"""Diagnosis of signals: closed forms, planted faults, healthy references."""

import json
import math

import numpy as np
import pytest
from families import every_second
from scipy import stats
from signal_networks import FAULTS, HEALTHY, batch_norm, linear, mlp, relu, residual

import fastgrad as fg
from fastgrad import initializers
from fastgrad.params.nest import Nest
from fastgrad.program.graph import topological
from fastgrad.program.trace.tracing import trace_graph
from fastgrad.signal.measure import concentration, growth, measure
from fastgrad.signal.scaled import Scaled, backpropagate, evaluate


def powers(factor, depth, dtype=np.float64):
    """Return the networks of the source post: every weight is factor times I."""
    X = np.ones((2, 1))

    def loss(weights):
        a = X
        for W in weights:
            a = W @ a
        return np.mean(a**2)

    return loss, [factor * np.eye(2, dtype=dtype) for _ in range(depth)]


# ---- the networks of the source post ------------------------------------------------


@pytest.mark.parametrize(
    ("factor", "depth", "dtype", "slope", "word"),
    [
        (0.5, 5000, np.float16, -1.0, "vanishing"),
        (1.5, 2000, np.float64, math.log2(1.5), "explod"),
    ],
)
def test_thousands_of_layers_report_the_exact_rate(factor, depth, dtype, slope, word):
    """0.5^5000 is 2^-5000 and 1.5^2000 is 2^1169.9, forward and backward."""
    report = fg.diagnose_signal(*powers(factor, depth, dtype))
    assert word in report.verdict
    assert report.first_layer == "0"
    assert report.cause == "weight scale"
    assert report.forward_growth == pytest.approx(slope, abs=1e-12)
    assert report.backward_growth == pytest.approx(slope, abs=1e-12)
    first, last = report.layers[0], report.layers[-1]
    assert last.forward_log2 == pytest.approx(depth * slope, rel=1e-14)
    # The gradient of the mean square at the output is a / n of two equal entries.
    assert last.backward_log2 == pytest.approx(depth * slope, rel=1e-14)
    assert first.backward_log2 == pytest.approx((2 * depth - 1) * slope, rel=1e-14)


@every_second
@pytest.mark.parametrize("depth", [50, 100, 150])
@pytest.mark.parametrize("factor", [0.5, 1.5])
def test_powers(factor, depth):
    """The size after `depth` layers is factor^depth."""
    report = fg.diagnose_signal(*powers(factor, depth))
    assert 2 ** report.layers[-1].forward_log2 == pytest.approx(
        factor**depth, rel=1e-12
    )
    assert not report.ok


def test_depths_at_which_number_formats_give_out():
    """1.5^L and 0.5^L leave float16, bfloat16, float32, float64 at these L."""
    up = fg.diagnose_signal(*powers(1.5, 20)).range_depth
    down = fg.diagnose_signal(*powers(0.5, 20)).range_depth
    formats = ("float16", "bfloat16", "float32", "float64")
    assert [up[f]["forward"] for f in formats] == [28, 219, 219, 1751]
    assert [down[f]["backward"] for f in formats] == [15, 127, 127, 1023]


def test_the_fix_is_the_factor_that_cures():
    """Scaling every weight as told leaves a healthy network."""
    loss, params = powers(0.5, 50)
    report = fg.diagnose_signal(loss, params)
    assert report.fix.startswith("scale every weight by 2:")
    assert fg.diagnose_signal(loss, [2 * W for W in params]).ok


def test_the_fix_of_one_layer_does_what_it_says(rng):
    """The gradient at layer 1 grows by the factor promised."""
    X, T = rng.standard_normal((2, 64, 50))
    params = [rng.standard_normal((64, 64)) * np.sqrt(2 / 64) for _ in range(9)]
    params[3] *= 0.02

    def loss(weights):
        a = X
        for W in weights:
            z = W @ a
            a = relu(z)
        return np.mean(z * T)

    before = fg.diagnose_signal(loss, params)
    factor = float(before.fix.split("by ")[1].split(":")[0])
    assert before.first_layer == "3"
    assert before.fix == f"scale 3 by {factor}: gradient at layer 1 x {factor}"
    params[3] *= factor
    after = fg.diagnose_signal(loss, params)
    assert after.ok
    gained = after.layers[0].backward_log2 - before.layers[0].backward_log2
    assert gained == pytest.approx(math.log2(factor), abs=1e-9)


# ---- scaled values ------------------------------------------------------------------

_HOMOGENEOUS = {
    "sum": (lambda x: np.sum(x, axis=0), 1),
    "max": (lambda x: np.max(x, axis=1), 1),
    "abs": (np.abs, 1),
    "relu": (relu, 1),
    "where": (lambda x: np.where(x > 0, x, 0.25 * x), 1),
    "add": (lambda x: x + 3 * x[::-1], 1),
    "hypot": (lambda x: np.hypot(x, 2 * x[::-1]), 1),
    "cumsum": (lambda x: np.cumsum(x, axis=1), 1),
    "concatenate": (lambda x: np.concatenate([x, 2 * x]), 1),
    "pad": (lambda x: np.pad(x, 1), 1),
    "take": (lambda x: x[[2, 0, 0]], 1),
    "transpose": (lambda x: x.T.reshape(2, -1), 1),
    "norm": (lambda x: np.linalg.norm(x, axis=0), 1),
    "square": (np.square, 2),
    "cube": (lambda x: x**3, 3),
    "multiply": (lambda x: x * x[::-1], 2),
    "matmul": (lambda x: x @ x.T, 2),
    "divide": (lambda x: x / (1 / x), 2),
    "normalised": (lambda x: x / np.sqrt(np.mean(x**2)), 0),
    "reciprocal": (np.reciprocal, -1),
    "sign": (lambda x: np.sign(x) * x, 1),
    "arctan2": (lambda x: np.arctan2(x, x[::-1]), 0),
    "softmax of ratios": (lambda x: np.exp(x / np.max(x)), 0),
    "power": (lambda x: np.abs(x) ** 1.5, 1.5),
}


def values_and_gradient(function, x):
    graph = trace_graph(function, Nest(x))
    parameters, result = graph.parameters, graph.result
    nodes = topological(result)
    values = evaluate(nodes)
    kept = backpropagate(nodes, result, values, {parameters[0]})
    return values[result], kept[parameters[0]]


@pytest.mark.parametrize("shift", [-1600, 1600])
@pytest.mark.parametrize("name", _HOMOGENEOUS)
def test_homogeneous_operations_beyond_the_range_of_float64(name, shift):
    """f(s x) is s^d f(x), and its gradient s^d f'(x), to the last bits."""
    function, degree = _HOMOGENEOUS[name]
    x = np.random.default_rng(4).standard_normal((3, 4))
    weight = np.random.default_rng(5).standard_normal(function(x).shape)
    step = 2.0 ** (shift // 4)

    def far(y):
        for _ in range(4):
            y = y * step
        return np.sum(function(y) * weight)

    value, slope = values_and_gradient(far, x)
    near_value, near_slope = values_and_gradient(
        lambda y: np.sum(function(y) * weight), x
    )
    scale = round(degree * shift)
    for found, expected in ((value, near_value), (slope, near_slope)):
        back = np.ldexp(found.mantissa, found.exponent - scale)
        np.testing.assert_allclose(back, expected.true, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize(
    ("function", "slope"),
    [(np.tanh, 1.0), (np.sin, 1.0), (np.expm1, 1.0), (np.arctan, 1.0), (np.log1p, 1.0)],
)
def test_activations_near_zero_are_their_slope(function, slope):
    """tanh(2^-1600 x) is 2^-1600 x, not 0."""

    def tiny(x):
        for _ in range(4):
            x = x * 2.0**-400
        return np.sum(function(x))

    value, gradient = values_and_gradient(tiny, np.array([1.0, 2.5]))
    assert value.exponent + math.log2(value.mantissa) == pytest.approx(
        -1600 + math.log2(3.5 * slope), abs=1e-12
    )
    assert gradient.log2_rms == pytest.approx(-1600, abs=1e-12)


def test_logarithms_see_the_exponent():
    """log of 2^4000 is 4000 log 2, and softmax cross-entropy of huge logits is right."""

    def huge(x):
        for _ in range(10):
            x = x * 2.0**400
        return np.log(np.sum(x))

    value, gradient = values_and_gradient(huge, np.array([1.0, 3.0]))
    assert value.true == pytest.approx(4000 * math.log(2) + math.log(4), rel=1e-14)
    np.testing.assert_allclose(gradient.true, [0.25, 0.25], rtol=1e-13)


def test_ordinary_gradients_are_those_of_the_program():
    """In the range of float64 nothing is different, tanh's last bits apart."""
    loss, params = mlp(np.tanh, 4, 16, 1.0, 0)
    graph = trace_graph(loss, Nest(params))
    parameters, result = graph.parameters, graph.result
    nodes = topological(result)
    found = backpropagate(nodes, result, evaluate(nodes), set(parameters))
    expected = fg.trace(loss, params).gradient()
    for p in parameters:
        np.testing.assert_allclose(found[p].true, expected[p.label], rtol=1e-10)


# ---- statistics ---------------------------------------------------------------------


@pytest.mark.parametrize("axes", ["us", "su"])
def test_statistics_are_those_of_scipy(axes, rng):
    """Mean, kurtosis and correlation against scipy and all pairs of samples."""
    x = rng.standard_exponential((30, 20)) + rng.standard_normal((30, 1))
    size = measure(Scaled(x), axes)
    rms = np.sqrt(np.mean(x**2))
    assert 2**size.log2_rms == pytest.approx(rms, rel=1e-13)
    assert size.mean == pytest.approx(x.mean() / rms, rel=1e-12)
    assert size.kurtosis == pytest.approx(
        stats.kurtosis(x, axis=None, fisher=False), rel=1e-12
    )
    rows = x if axes == "su" else x.T
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    cosines = (unit @ unit.T)[np.triu_indices(len(unit), 1)]
    assert size.correlation == pytest.approx(cosines.mean(), abs=1e-13)
    n = len(rows)
    mean_square = np.square(rows @ rows.T).sum() - (rows**2).sum(1) @ (rows**2).sum(1)
    pairs = mean_square / ((x**2).sum() ** 2 - (rows**2).sum(1) @ (rows**2).sum(1))
    assert concentration(x, axes) == pytest.approx(1 / n + (1 - 1 / n) * pairs)


def test_samples_that_hardly_differ_are_told_apart(rng):
    """1 - correlation of 1e-12 keeps its digits."""
    a, b = rng.standard_normal((2, 50))
    b -= a * (a @ b) / (a @ a)
    b *= 1e-6 * np.linalg.norm(a) / np.linalg.norm(b)
    size = measure(Scaled(np.array([a + b, a - b])), "su")
    assert size.decorrelation == pytest.approx(2e-12, rel=1e-3)


def test_growth_is_the_regression_of_scipy(rng):
    """Slope and confidence interval against scipy.stats.linregress."""
    x = np.arange(12.0)
    y = 0.3 * x + rng.standard_normal(12)
    line = stats.linregress(x, y)
    found = growth(x, y)
    assert found.slope == pytest.approx(line.slope, rel=1e-12)
    bar = stats.t.ppf(0.975, 10) * line.stderr
    assert found.error == pytest.approx(bar, rel=0.01)


# ---- theory beside what is measured -------------------------------------------------


@pytest.mark.parametrize(
    ("width", "mean", "variance"), [(64, -0.78532, 1.58717), (16, -3.19000, 6.65685)]
)
def test_deep_gaussian_linear_networks(width, mean, variance):
    """log(q_50 / q_0) has mean L(psi(n/2) - log(n/2)) and variance L psi1(n/2)."""
    found = []
    for seed in range(20):
        loss, params = mlp(linear, 50, width, 1.0, seed, samples=1, outputs=None)
        report = fg.diagnose_signal(loss, params)
        last = report.layers[-1]
        found.append(2 * math.log(2) * (last.forward_log2 - report.input_log2))
    assert abs(np.mean(found) - mean) < 4 * math.sqrt(variance / 20)
    assert 0.3 < np.var(found) / variance < 2.2
    spread = 2 * math.log(2) * last.forward_spread
    assert spread**2 == pytest.approx(variance, rel=1e-3)


def test_he_relu_layers_lose_a_little_in_the_logarithm():
    """At width 100 log q changes by -0.0254 a layer, with variance 0.0519."""
    steps = []
    for seed in range(10):
        report = fg.diagnose_signal(
            *mlp(relu, 60, 100, 2**0.5, seed, samples=1, outputs=None)
        )
        steps += np.diff([x.forward_log2 for x in report.layers]).tolist()
    steps = 2 * math.log(2) * np.array(steps)
    # Successive values of mean z² share no noise but that of their own 2/n.
    assert np.mean(steps) == pytest.approx(-0.0254, abs=0.03)


def test_the_default_of_linear_layers_with_relu():
    """A weight of variance 1 / 3n divides q by 6: 1.2e-39 after 50 layers."""
    loss, params = mlp(relu, 51, 200, 3**-0.5, 0, samples=8, outputs=None)
    report = fg.diagnose_signal(loss, params)
    ratio = report.layers[50].forward_log2 - report.layers[0].forward_log2
    assert ratio == pytest.approx(math.log2(1.2372e-39) / 2, abs=2)
    assert "vanishing (forward, backward)" in report.verdict
    assert report.layers[0].sigma_w == pytest.approx(3**-0.5, rel=0.02)
    assert report.fix.startswith("scale every weight by 2.4")  # sqrt(6) = 2.449
    assert max(abs(x.forward_z) for x in report.layers) < 4


def test_xavier_tanh_shrinks_as_the_theory_says():
    """q_l is .3943, .1279, .0580, .0273 in layers 2, 5, 10, 20."""
    loss, params = mlp(np.tanh, 20, 500, 1.0, 3, samples=32, outputs=None)
    layers = fg.diagnose_signal(loss, params).layers
    curves = fg.signal.theory("tanh", 1.0, 0.0, 20)
    for depth, q in (
        (2, 0.39429449),
        (5, 0.12790474),
        (10, 0.05801185),
        (20, 0.02728616),
    ):
        assert curves.q[depth - 1] == pytest.approx(q, rel=1e-6)
        layer = layers[depth - 1]
        assert 2 ** (2 * layer.forward_log2) == pytest.approx(q, rel=0.1)
        assert abs(layer.forward_z) < 4


def test_he_relu_correlations():
    """Samples grow alike: c = .3183, .4937, .7359, .8715 after 1, 2, 5, 10 layers."""
    loss, params = mlp(relu, 11, 500, 2**0.5, 1, samples=32, outputs=None)
    layers = fg.diagnose_signal(loss, params).layers
    curves = fg.signal.theory("relu", 2**0.5, 0.0, 11)
    for depth, c in ((1, 0.3183098862), (2, 0.4937310902), (5, 0.7359463506),
                     (10, 0.8715355160)):  # fmt: skip
        assert curves.c[depth] == pytest.approx(c, abs=1e-9)
        assert layers[depth].correlation == pytest.approx(c, abs=0.05)


def test_backward_sizes_are_those_expected():
    """Gradients, measured from the last layer, lie within their spread."""
    for seed in range(3):
        report = fg.diagnose_signal(*mlp(relu, 10, 256, 2**0.5, seed))
        assert max(abs(x.backward_z) for x in report.layers[:-1]) < 5


def test_batch_normalisation_makes_gradients_grow():
    """By pi / (pi - 1) = 1.467 a layer in the square; it cures nothing."""
    report = fg.diagnose_signal(*batch_norm(16, 384, 0, samples=384))
    slope = np.polyfit(
        range(12), [x.backward_log2 for x in report.layers[2:14]][::-1], 1
    )[0]
    assert 4**slope == pytest.approx(math.pi / (math.pi - 1), abs=0.06)
    assert all(x.activation == "relu" for x in report.layers[:-1])


def test_residual_sums_double_the_square():
    """x + W relu(x) doubles q with He weights, (1 + 1/L)^L with branches / sqrt(L)."""
    for scale, factor in ((1.0, 2.0), (10**-0.5, 1.1)):
        growths = [
            fg.diagnose_signal(*residual(10, 200, scale, seed)).forward_growth
            for seed in range(6)
        ]
        assert 4 ** np.mean(growths) == pytest.approx(factor, rel=0.05)


def test_units_dead_by_chance_are_expected():
    """With 3 samples an eighth of the first layer is never positive."""
    loss, params = mlp(relu, 2, 1200, 2**0.5, 0, samples=3)
    layer = fg.diagnose_signal(loss, params).layers[0]
    assert layer.dead_expected == pytest.approx(0.125, abs=0.01)
    assert layer.dead == pytest.approx(layer.dead_expected, abs=0.05)


# ---- the Jacobian -------------------------------------------------------------------


def test_the_jacobian_of_orthogonal_linear_networks_is_orthogonal():
    """All singular values are 1 at any depth."""
    loss, params = mlp(linear, 100, 30, 1.0, 0, orthogonal=True, outputs=None)
    jacobian = fg.diagnose_signal(loss, params, jacobian=True).jacobian
    assert jacobian.log2_largest == pytest.approx(0, abs=1e-12)
    assert jacobian.log2_smallest == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(jacobian.lyapunov, 0, atol=1e-13)


@pytest.mark.parametrize("layout", ["W @ x", "x @ W"])
def test_the_jacobian_is_that_of_numpy(layout):
    """Of a small tanh network, against the matrix multiplied out."""
    loss, params = mlp(np.tanh, 4, 6, 1.2, 2, layout=layout, outputs=None)
    jacobian = fg.diagnose_signal(loss, params, jacobian=True).jacobian
    rng = np.random.default_rng(2)
    a, total = rng.standard_normal((6, 64))[:, 0], np.eye(6)
    for k in range(1, 5):
        W = params[f"W{k}"] if layout == "W @ x" else params[f"W{k}"].T
        z = W @ a
        total = W @ total
        if k < 4:
            a = np.tanh(z)
            total = (1 - a**2)[:, None] * total
    s = np.linalg.svd(total, compute_uv=False)
    assert 2**jacobian.log2_largest == pytest.approx(s[0], rel=1e-9)
    assert 2**jacobian.log2_smallest == pytest.approx(s[-1], rel=1e-6)


def test_lyapunov_exponents_of_gaussian_products():
    """They tend to Newman's (log(2/n) + psi((n - i + 1) / 2)) / 2."""
    newman = [-0.0651, -0.1416, -0.2318, -0.3416, -0.4818, -0.6749, -0.9818, -1.6749]
    loss, params = mlp(linear, 1500, 8, 1.0, 0, samples=2, outputs=None)
    found = fg.diagnose_signal(loss, params, jacobian=True).jacobian.lyapunov
    np.testing.assert_allclose(np.array(found) * math.log(2), newman, atol=0.09)


def test_the_jacobian_needs_a_chain_of_dense_layers():
    """A residual network is refused, by name."""
    with pytest.raises(ValueError, match=r"`jacobian` must be False .* 1 does not"):
        fg.diagnose_signal(*residual(3, 8, 1.0, 0), jacobian=True)


# ---- verdicts -----------------------------------------------------------------------


@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_references_raise_no_alarm(name):
    """benchmarks/signals.py does 100 seeds of each."""
    report = fg.diagnose_signal(*HEALTHY[name](0))
    assert report.verdict == "healthy", report
    assert report.ok
    assert report.first_layer is report.cause is report.fix is None


@pytest.mark.parametrize("name", FAULTS)
def test_planted_faults_are_named(name):
    """The word of the verdict, the layer, the cause."""
    make, word, layer, cause = FAULTS[name]
    report = fg.diagnose_signal(*make(0))
    assert word in report.verdict
    assert not report
    if layer is not None:
        assert report.first_layer == layer
    if cause is not None:
        assert report.cause == cause
    assert report.fix


def test_a_learning_rate_that_is_too_large():
    """One step larger than the weights themselves is named."""
    loss, params = mlp(relu, 4, 32, 2**0.5, 0)
    assert fg.diagnose_signal(loss, params, learning_rate=0.01).ok
    report = fg.diagnose_signal(loss, params, learning_rate=1000.0)
    assert "exploding" in report.verdict
    assert report.cause == "learning rate"
    gradient = fg.trace(loss, params).gradient()["W2"]
    ratio = 1000 * np.linalg.norm(gradient) / np.linalg.norm(params["W2"])
    assert report.layers[1].update_ratio == pytest.approx(ratio, rel=1e-9)


def test_weights_after_such_steps():
    """A network that blew up is exploding."""
    loss, params = mlp(relu, 6, 32, 2**0.5, 0)
    for name, g in fg.trace(loss, params).gradient().items():
        params[name] = params[name] - 1e4 * g
    report = fg.diagnose_signal(loss, params)
    assert "exploding" in report.verdict or "dead" in report.verdict


@pytest.mark.parametrize("layout", ["W @ x", "x @ W"])
def test_small_healthy_networks(layout):
    """Four samples, one sample, few layers: nothing to complain of."""
    for samples in (1, 4, 64):
        for depth in (2, 3, 6):
            for seed in range(3):
                loss, params = mlp(
                    relu, depth, 32, 2**0.5, seed, samples=samples, layout=layout
                )
                report = fg.diagnose_signal(loss, params)
                assert report.ok, report


# ---- finding layers -----------------------------------------------------------------


def convolution(kind, rng):
    """Return one convolution with relu before a dense layer, written in three ways."""
    X = rng.standard_normal((6, 3, 10, 10))
    params = {
        "K": rng.standard_normal((16, 3, 3, 3)) * np.sqrt(2 / 27),
        "c": 0.1 * rng.standard_normal(16),
        "W": rng.standard_normal((10, 16)) / 4,
    }

    def conv(p):
        if kind == "taps":
            z = 0.0
            for i in range(3):
                for j in range(3):
                    z = z + np.einsum(
                        "nchw,oc->nohw",
                        X[:, :, i : i + 8, j : j + 8],
                        p["K"][..., i, j],
                    )
            return z + p["c"][:, None, None]
        windows = np.lib.stride_tricks.sliding_window_view(X, (3, 3), axis=(2, 3))
        if kind == "windows":
            z = np.einsum("nchwij,ocij->nohw", windows, p["K"])
            return z + p["c"][:, None, None]
        rows = windows.transpose(0, 2, 3, 1, 4, 5).reshape(-1, 27)
        z = rows @ p["K"].reshape(16, 27).T + p["c"]
        return z.reshape(6, 8, 8, 16).transpose(0, 3, 1, 2)

    def loss(p):
        a = relu(conv(p)).mean(axis=(2, 3))
        return np.mean((a @ p["W"].T) ** 2)

    return loss, params


@pytest.mark.parametrize("kind", ["windows", "im2col", "taps"])
def test_convolutions_are_layers(kind, rng):
    """However they are written: fan-in 27, the same sizes, relu behind."""
    report = fg.diagnose_signal(*convolution(kind, rng))
    first, last = report.layers
    assert (first.name, last.name) == ("K", "W")
    assert (first.fan_in, first.activation) == (27, "relu")
    assert first.sigma_w == pytest.approx(2**0.5, rel=0.1)
    assert first.sigma_b == pytest.approx(0.1, rel=0.5)
    assert abs(first.forward_z) < 3
    assert first.dead == 0
    assert report.ok


def test_recurrent_weights_are_a_layer_each_time(rng):
    """W x + U h + b is one layer, named by the weight of the deeper signal."""
    xs = rng.standard_normal((5, 8, 16))
    params = {
        "W": rng.standard_normal((32, 8)) / np.sqrt(8),
        "U": rng.standard_normal((32, 32)) / np.sqrt(32),
        "b": np.zeros((32, 1)),
    }

    def loss(p):
        h = np.zeros((32, 16))
        for x in xs:
            h = np.tanh(p["W"] @ x + p["U"] @ h + p["b"])
        return np.mean(h**2)

    report = fg.diagnose_signal(loss, params)
    assert [x.name for x in report.layers] == ["W", "U", "U", "U", "U"]
    assert [x.depth for x in report.layers] == [1, 2, 3, 4, 5]
    assert report.layers[0].activation == "tanh"


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("sigmoid", lambda z: 1 / (1 + np.exp(-z))),
        ("silu", lambda z: z / (1 + np.exp(-z))),
        ("relu", lambda z: z * (z > 0)),
        ("relu", lambda z: np.where(z > 0, z, 0)),
        ("softplus", lambda z: np.log1p(np.exp(z))),
        ("elu", lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0)))),
        ("leaky_relu", lambda z: np.maximum(z, 0.01 * z)),
        ("leaky_relu(0.2)", lambda z: np.maximum(z, 0.2 * z)),
        ("softsign", lambda z: z / (1 + np.abs(z))),
        ("gelu", lambda z: z / 2 * (1 + np.tanh(0.7978845608 * (z + 0.044715 * z**3)))),
    ],
)
def test_activations_are_recognised_by_what_they_do(name, function):
    """Whatever operations they are written with."""
    report = fg.diagnose_signal(*mlp(function, 3, 16, 1.0, 0))
    assert [x.activation for x in report.layers] == [name, name, "linear"]


def test_the_users_line_is_given():
    """Faults and layers point at the line that multiplies the weight."""
    report = fg.diagnose_signal(*powers(0.5, 30))
    assert "test_signal.py, line" in report.layers[0].source_line
    assert "a = W @ a" in report.faults[0].source_line


# ---- reports ------------------------------------------------------------------------


def test_reports_read_in_every_form():
    """Text, dict, JSON and HTML say the same."""
    report = fg.diagnose_signal(*FAULTS["one layer x 0.01"][0](0))
    text = str(report)
    assert "VANISHING" in text
    assert "W4" in text
    assert report.fix in text.replace("\n    ", " ")
    assert len(text.splitlines()) < 40
    data = json.loads(report.to_json())
    assert data["verdict"] == report.verdict
    assert data["layers"][3]["name"] == "W4"
    assert data["layers"][3]["forward_log2"] == report.layers[3].forward_log2
    assert report.to_html().count("<tr") == len(report.layers) + 1
    assert "fastgrad" in report._repr_html_()


def test_long_reports_are_cut():
    """A hundred layers take fewer than a hundred lines."""
    report = fg.diagnose_signal(*powers(0.5, 100))
    assert len(str(report).splitlines()) < 70


def test_reports_are_drawn():
    """Two panels, with measured and expected sizes."""
    pytest.importorskip("matplotlib")
    figure = fg.diagnose_signal(*mlp(relu, 5, 32, 2**0.5, 0)).plot()
    assert [len(ax.lines) for ax in figure.axes] == [2, 2]


def test_parameters_are_left_alone():
    """Bit for bit, nan included."""
    loss, params = FAULTS["nan in a weight"][0](0)
    before = {name: array.copy() for name, array in params.items()}
    fg.diagnose_signal(loss, params)
    for name, array in params.items():
        np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: fg.diagnose_signal(lambda x: np.sum(x**2), np.ones(3)), ValueError,
         "`loss` must multiply"),
        (lambda: fg.diagnose_signal(*powers(0.5, 3), learning_rate=-1), ValueError,
         "`learning_rate` must be finite and not negative, got -1"),
        (lambda: fg.diagnose_signal(*powers(0.5, 3), reduction="max"), ValueError,
         "`reduction` must be None, \"mean\" or \"sum\", got 'max'"),
        (lambda: fg.diagnose_signal(lambda p: p.tobytes()[0], np.ones(3)),
         fg.TraceError, "tobytes"),
        (lambda: fg.diagnose_signal(lambda p: 1.0, [1]), TypeError, "floating point"),
        (lambda: fg.signal.theory("relu", 1.0, 0.0, 0), ValueError, "`depth`"),
        (lambda: fg.signal.theory("relu", 1.0, 0.0, 3, correlation=2), ValueError,
         "`correlation`"),
    ],
)  # fmt: skip
def test_calls_that_make_no_sense(call, error, message):
    """They name the argument and what is wrong with it."""
    with pytest.raises(error, match=message):
        call()


def test_with_the_initialisers(rng):
    """A network drawn as told is healthy."""
    shapes = {f"W{k}": (64, 64) for k in range(1, 9)}
    params = initializers.initialize(shapes, "he_normal", seed=3)
    X = rng.standard_normal((64, 100))

    def loss(p):
        a = X
        for W in p.values():
            a = relu(W @ a)
        return np.mean(a**2)

    assert fg.diagnose_signal(loss, params).ok


@pytest.mark.parametrize("share", [0.75, 0.9, 1.0])
def test_units_that_a_bias_switches_off_are_not_dead_by_chance(share):
    """Whether a bias of -10 leaves a few units alive or none, it is the fault."""
    loss, params = mlp(relu, 10, 64, 2**0.5, 0)
    params["b5"][: round(share * 64)] = -10.0
    report = fg.diagnose_signal(loss, params)
    assert report.verdict.startswith("dead (forward)")
    assert (report.first_layer, report.cause) == ("W5", "dead bias")
    assert "b5" in report.fix


def test_a_loss_that_cannot_be_called():
    with pytest.raises(TypeError, match="`loss` must be callable, got int"):
        fg.diagnose_signal(3, np.ones((2, 2)))
