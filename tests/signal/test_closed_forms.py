"""Sizes, spreads, causes and fixes of networks for which they are known beforehand."""

import math

import numpy as np
import pytest
from scipy import special, stats
from signal_networks import FAULTS, batch_norm, linear, mlp, relu

import fastgrad as fg
from fastgrad.params.nest import Nest
from fastgrad.program.graph import topological
from fastgrad.program.trace.tracing import trace_graph
from fastgrad.signal import finite_width
from fastgrad.signal.meanfield import MeanField
from fastgrad.signal.measure import growth, measure
from fastgrad.signal.scaled import Scaled, evaluate

LN2 = math.log(2)


def chain(weights, X, activation=linear, between=None):
    """Return a loss of dense layers; `between` changes what each hands on."""

    def loss(p):
        a = X
        for k, W in enumerate(p):
            z = W @ a
            a = activation(z) if k < len(p) - 1 else z
            a = between(a) if between and k < len(p) - 1 else a
        return np.mean(a**2)

    return loss, weights


def gaussian(rng, *shapes, gain=1.0):
    return [gain * rng.standard_normal(s) / math.sqrt(s[1]) for s in shapes]


# ---- what is measured ---------------------------------------------------------------


@pytest.mark.parametrize("n", range(3, 13))
def test_intervals_of_growth_are_those_of_student(n):
    """To a percent, from three layers on, and soon to far less."""
    x = np.arange(float(n))
    y = np.random.default_rng(n).standard_normal(n)
    bar = stats.t.ppf(0.975, n - 2) * stats.linregress(x, y).stderr
    assert growth(x, y).error == pytest.approx(bar, rel=0.25 / max(n - 2, 3) ** 3)


@pytest.mark.parametrize("power", [-80, -30, 30, 80])
def test_kurtosis_does_not_depend_on_the_unit(power):
    """Nor is it nan for small numbers."""
    x = np.random.default_rng(0).standard_exponential((30, 20))
    expected = stats.kurtosis(x, axis=None, fisher=False)
    assert measure(Scaled(x * 2.0**power), "us").kurtosis == pytest.approx(expected)


def test_psi_at_the_least_argument_of_its_series():
    """There every term of the asymptotic series counts."""
    x = np.array([10.0, 10.5, 11.0])
    np.testing.assert_allclose(
        finite_width.digamma(x), special.digamma(x), rtol=5e-15, atol=0
    )


def test_powers_that_are_no_halves_keep_their_scale():
    """(2^-900)^0.3 is 2^-270."""

    def far(x):
        return np.sum((x * 2.0**-450 * 2.0**-450) ** 0.3)

    graph = trace_graph(far, Nest(np.array([1.0, 3.0])))
    value = evaluate(topological(graph.result))[graph.result]
    assert value.true * 2.0**270 == pytest.approx(1 + 3**0.3, rel=1e-13)


def test_the_same_statistics_however_a_layer_is_written(rng):
    """Correlation of samples, transposed or reshaped behind the product."""
    X, W, V = rng.standard_normal((20, 12)), *gaussian(rng, (16, 12), (3, 16))

    def written(behind):
        def loss(p):
            return np.mean((p["V"] @ relu(behind(X @ p["W"].T))) ** 2)

        return fg.diagnose_signal(loss, {"W": W, "V": V}).layers[0]

    ways = [
        lambda z: z.T,
        lambda z: z.reshape(4, 5, 16).transpose(2, 0, 1).reshape(16, 20),
        lambda z: z.reshape(20, 1, 4, 4).reshape(20, 16).T,
    ]
    unit = (X @ W.T) / np.linalg.norm(X @ W.T, axis=1, keepdims=True)
    cosines = (unit @ unit.T)[np.triu_indices(20, 1)].mean()
    for way in ways:
        assert written(way).correlation == pytest.approx(cosines, abs=1e-12)


def test_units_saturated_throughout_are_counted():
    """A quarter of the units has a bias of ten."""
    loss, params = mlp(np.tanh, 3, 64, 1.0, 0)
    params["b1"][:16] = 10.0
    layer = fg.diagnose_signal(loss, params).layers[0]
    assert layer.saturated_units == 0.25
    assert layer.saturated == pytest.approx(0.25, abs=0.05)


@pytest.mark.parametrize("mirrored", [relu, lambda z: -relu(-z)])
def test_half_lines_do_not_saturate(mirrored):
    """Neither of relu and its mirror image: their slope does not fade, it ends."""
    report = fg.diagnose_signal(*mlp(mirrored, 4, 32, 2**0.5, 0))
    assert [x.saturated for x in report.layers] == [0, 0, 0, 0]


@pytest.mark.parametrize("common", [0.0, 1.0])
def test_chance_of_dead_units_is_that_but_for_biases(common, rng):
    """An orthant of three normal variables: 1/8 + 3 arcsin(c) / 4 pi."""
    X = rng.standard_normal((200, 3)) + common * rng.standard_normal((200, 1))
    X /= np.linalg.norm(X, axis=0) / math.sqrt(200)
    W, V = gaussian(rng, (3000, 200), (2, 3000))
    params = {"W": W, "b": rng.standard_normal((3000, 1)), "V": V}

    def loss(p):
        return np.mean((p["V"] @ relu(p["W"] @ X + p["b"])) ** 2)

    cosines = (X.T @ X / 200)[np.triu_indices(3, 1)]
    orthant = 1 / 8 + np.arcsin(cosines).sum() / (4 * math.pi)
    layer = fg.diagnose_signal(loss, params).layers[0]
    assert layer.dead_expected == pytest.approx(orthant, abs=0.01)


# ---- what is expected ---------------------------------------------------------------


def test_scales_behind_a_product_belong_to_its_weights(rng):
    """0.5 (W x) / 4 is the layer of W / 8."""
    W, V = gaussian(rng, (40, 30), (5, 40))
    X = rng.standard_normal((30, 50))

    def loss(p):
        return np.mean((p["V"] @ relu(0.5 * (p["W"] @ X) / 4.0)) ** 2)

    layer = fg.diagnose_signal(loss, {"W": W, "V": V}).layers[0]
    expected = math.sqrt(30 * np.mean(W**2)) / 8
    assert layer.sigma_w == pytest.approx(expected, rel=1e-12)


def test_one_gaussian_layer_spreads_as_chi_square(rng):
    """Of width n and one sample log q has the variance psi'(n / 2)."""
    loss, params = chain(gaussian(rng, (64, 32), (8, 64)), rng.standard_normal((32, 1)))
    layer = fg.diagnose_signal(loss, params).layers[0]
    spread = math.sqrt(special.polygamma(1, 32)) / (2 * LN2)
    assert layer.forward_spread == pytest.approx(spread, rel=1e-9)
    mean = math.log(np.mean(params[0] ** 2) * 32) + special.digamma(32) - math.log(32)
    before = LN2 * 2 * fg.diagnose_signal(loss, params).input_log2
    assert layer.expected_forward_log2 == pytest.approx((mean + before) / (2 * LN2))


def test_deviations_are_counted_in_spreads():
    """z is (measured - expected) / spread, of signals and of gradients."""
    layers = fg.diagnose_signal(*mlp(np.tanh, 6, 48, 1.1, 4)).layers
    for way in ("forward", "backward"):
        for x in layers[:-1]:
            size, spread = getattr(x, f"{way}_log2"), getattr(x, f"{way}_spread")
            away = size - getattr(x, f"expected_{way}_log2")
            assert getattr(x, f"{way}_z") == pytest.approx(away / spread, rel=1e-9)


def test_gradients_deviate_by_their_spread():
    """Over networks, the deviations of gradients have a deviation near 1."""
    found = []
    for seed in range(40):
        report = fg.diagnose_signal(*mlp(relu, 3, 128, 2**0.5, seed, samples=16))
        found.append(report.layers[0].backward_z)
    assert 0.5 < np.std(found) < 1.6


def test_what_masks_and_scales_do_is_expected():
    """A mask that keeps a tenth divides mean squares by ten, layer after layer."""
    rng = np.random.default_rng(2)
    mask = (rng.random((400, 30)) < 0.1).astype(float)
    weights = gaussian(rng, *[(400, 400)] * 4, gain=2**0.5)
    X = rng.standard_normal((400, 30)) / 2**0.5
    report = fg.diagnose_signal(*chain(weights, X, relu, lambda a: a * mask))
    for k, layer in enumerate(report.layers):
        expected = 10.0**-k
        assert 4**layer.expected_forward_log2 == pytest.approx(expected, rel=0.3)
        assert abs(layer.forward_z) < 4


@pytest.mark.parametrize("phi", [np.tanh, special.erf])
def test_correlations_of_a_network_whose_variance_moves(phi):
    """c of the next layer, against sums over a plane of two samples, at each q."""
    x = np.linspace(-9, 9, 361)
    w = np.exp(-(x**2) / 2) * (x[1] - x[0]) / math.sqrt(2 * math.pi)
    w = np.outer(w, w)
    curves = fg.signal.theory(phi, 1.5, 0.3, 5, q=4.0, correlation=0.2)
    q, c = 4.0, 0.2
    for depth in range(5):
        assert curves.q[depth] == pytest.approx(q, rel=1e-6)
        assert curves.c[depth] == pytest.approx(c, rel=1e-6)
        s, r = math.sqrt(q), math.sqrt(1 - c * c)
        one, other = phi(s * x)[:, None], phi(s * (c * x[:, None] + r * x))
        q = 2.25 * float((w * one**2).sum()) + 0.09
        c = (2.25 * float((w * one * other).sum()) + 0.09) / q


def test_activations_without_a_theory_are_measured_all_the_same(rng):
    """A root of positive signals: none is expected there, and no warning given."""
    weights, X = [rng.random((24, 24)) for _ in range(4)], rng.random((24, 10))
    report = fg.diagnose_signal(*chain(weights, X, np.sqrt))
    expected = [x.expected_forward_log2 is not None for x in report.layers]
    assert expected == [True, False, True, False]
    a = X
    for W, layer in zip(weights, report.layers, strict=True):
        assert 4**layer.forward_log2 == pytest.approx(np.mean((W @ a) ** 2), rel=1e-12)
        a = np.sqrt(W @ a)


def test_a_reciprocal_is_an_activation(rng):
    """1 / (W x) is no scaled product: what it is applied to is the layer."""
    weights, X = gaussian(rng, (24, 24), (24, 24)), rng.standard_normal((24, 10))
    first = fg.diagnose_signal(*chain(weights, X, lambda z: 1 / z)).layers[0]
    assert 4**first.forward_log2 == pytest.approx(np.mean((weights[0] @ X) ** 2))
    assert first.activation != "linear"


# ---- the Jacobian -------------------------------------------------------------------


def test_the_jacobian_of_layers_of_other_widths(rng):
    """Its smallest singular value, too, is that of the matrix multiplied out."""
    weights = gaussian(rng, (7, 4), (6, 7), (5, 6))
    X = rng.standard_normal((4, 3))
    found = fg.diagnose_signal(*chain(weights, X), jacobian=True).jacobian
    s = np.linalg.svd(weights[2] @ weights[1] @ weights[0], compute_uv=False)
    assert 2**found.log2_largest == pytest.approx(s[0], rel=1e-12)
    assert 2**found.log2_smallest == pytest.approx(s[-1], rel=1e-12)


def test_jacobians_beyond_float64_and_its_digits():
    """Of diag(1, 2^-20) thirty times; and of 2^-300 times it."""
    for scale, exponent in ((1.0, 0), (2.0**-300, -300)):
        weights = [scale * np.diag([1.0, 2.0**-20])] * 30
        found = fg.diagnose_signal(*chain(weights, np.ones((2, 1))), jacobian=True)
        jacobian = found.jacobian
        assert jacobian.log2_largest == pytest.approx(30 * exponent)
        assert jacobian.log2_smallest == pytest.approx(30 * (exponent - 20))
        assert jacobian.lyapunov == pytest.approx([exponent, exponent - 20])


# ---- causes and fixes ---------------------------------------------------------------


def faults(report, kind):
    return [fault for fault in report.faults if fault.kind == kind]


@pytest.mark.parametrize("factor", [1e-5, 1e5])
def test_data_of_an_unusual_size(factor, rng):
    """Too small or too large: the fix divides by the size that it has."""
    X = factor * rng.standard_normal((32, 40))
    report = fg.diagnose_signal(*mlp(np.tanh, 4, 32, 1.0, 0, X=X))
    kind = "vanishing" if factor < 1 else "exploding"
    (fault,) = [f for f in report.faults if f.cause == "input not normalised"][:1]
    size = math.sqrt(np.mean(X**2))
    assert fault.kind == kind if factor < 1 else fault.kind in (kind, "saturated")
    assert f"dividing all by {size:.3g} " in fault.fix


def test_saturated_by_its_data():
    """The fix divides the data by their size."""
    report = fg.diagnose_signal(*FAULTS["input 0 to 255, tanh"][0](0))
    rms = 255 / math.sqrt(3)
    said = float(report.fix.split("dividing all by ")[1].split()[0])
    assert said == pytest.approx(rms, rel=0.03)


def test_collapsed_by_what():
    """By biases that outweigh the signal, or by the activation."""
    (fault,) = faults(
        fg.diagnose_signal(*FAULTS["collapsed by biases"][0](0)), "collapsed"
    )
    assert (fault.cause, "biases" in fault.fix) == ("weight scale", True)
    rng = np.random.default_rng(0)
    weights = [np.abs(W) / 16 for W in gaussian(rng, *[(64, 64)] * 12, gain=2)]
    report = fg.diagnose_signal(*chain(weights, rng.standard_normal((64, 30)), relu))
    (fault,) = faults(report, "collapsed")
    assert (fault.cause, "residual" in fault.fix) == ("activation", True)


def test_what_is_not_finite_first_is_named_first():
    """A nan parameter of a network that explodes; the line of a root, of no weight."""
    loss, params = FAULTS["xavier with relu, depth 30"][0](0)
    params = {k: 6 * v for k, v in params.items()}
    params["W20"][0, 0] = np.nan
    report = fg.diagnose_signal(loss, params)
    assert (report.faults[0].kind, report.first_layer) == ("non-finite", "W20")
    assert report.faults[0].source_line == ""
    root = fg.diagnose_signal(*FAULTS["root of negative numbers"][0](0)).faults[0]
    assert "np.sqrt(z)" in root.source_line


def test_weights_of_another_mean_than_zero():
    """Are noted with what they do to a constant; grown networks are said to, too."""
    loss, params = mlp(relu, 8, 32, 2**0.5, 0)
    assert fg.diagnose_signal(loss, params).notes == ()
    rng = np.random.default_rng(0)
    for scale in (2.0**-300, 2.0**-8, 1.0, 1e307):
        weights = [scale * rng.random((40, 40)) for _ in range(3)]
        report = fg.diagnose_signal(*chain(weights, rng.standard_normal((40, 5))))
        gain = 40 * np.mean(weights[0]) if scale < 1e300 else None
        said = f"multiplied by {gain:.3g}," if gain else ""
        assert said in (report.notes or [""])[0]
    weights = [rng.random((40, 40)) for _ in range(6)]
    report = fg.diagnose_signal(*chain(weights, rng.standard_normal((40, 5))))
    assert "mean zero" in report.fix
    weights = [2.0**-12 * W for W in weights]
    report = fg.diagnose_signal(*chain(weights, rng.standard_normal((40, 5))))
    assert report.cause == "weight scale"
    assert report.fix.startswith("scale every weight by")


def test_signals_that_shrink_before_normalisation():
    """Are no matter of gradients that grow through it."""
    loss, params = batch_norm(14, 64, 0)
    params = {name: W * 2.0**-k for k, (name, W) in enumerate(params.items())}
    shrinking = [
        f for f in fg.diagnose_signal(loss, params).faults if f.direction == "forward"
    ]
    assert shrinking
    assert all(f.cause != "batch-norm gradient growth" for f in shrinking)


@pytest.mark.parametrize("layer", [1, 2, 5])
def test_growth_begins_where_it_begins(layer):
    """Not at the first layer, where that and some others are as they should be."""
    loss, params = mlp(linear, 24, 128, 1.0, 0)
    for k in range(layer, 25):
        params[f"W{k}"] *= 1.7
    report = fg.diagnose_signal(loss, params)
    (forward,) = [f for f in report.faults if f.direction == "forward"][:1]
    assert (forward.kind, forward.layer) == ("exploding", f"W{layer}")


def test_a_bias_below_zero_that_is_smaller_than_the_signal(rng):
    """-0.9 deviations: half of the units are dead where an eighth is by chance."""
    loss, params = mlp(relu, 3, 1000, 2**0.5, 0, samples=3)
    params["b1"] -= 0.9 * math.sqrt(2)
    report = fg.diagnose_signal(loss, params)
    (fault,) = faults(report, "dead")
    assert (fault.layer, fault.cause) == ("W1", "dead bias")
    assert "set b1 to 0" in fault.fix


def test_how_many_dead_units_are_too_many():
    """Of ten thousand and one sample, half by chance, three tenths and five deviations."""
    rng = np.random.default_rng(0)
    params = {
        "W": rng.standard_normal((10_000, 4)),
        "V": rng.standard_normal((2, 10_000)),
    }
    X = np.full((4, 1), 0.5)

    def diagnosed(share):
        z = np.sort((params["W"] @ X).ravel())
        p = {**params, "b": -z[round(share * len(z))]}

        def loss(p):
            return np.mean((p["V"] @ relu(p["W"] @ X + p["b"])) ** 2)

        return fg.diagnose_signal(loss, p)

    assert not faults(diagnosed(0.82), "dead")
    assert faults(diagnosed(0.83), "dead")


def test_layers_that_nothing_comes_through(rng):
    """Zero weights before a root, and a function that is zero: no theory, no error."""
    weights, X = [rng.random((16, 16)) for _ in range(4)], rng.random((16, 10))
    weights[2] *= 0
    report = fg.diagnose_signal(*chain(weights, X, np.sqrt))
    (fault,) = [f for f in report.faults if f.cause == "weight scale"][:1]
    assert (fault.layer, fault.fix) == ("2", "initialise 2 with deviation 0.25")
    report = fg.diagnose_signal(*chain(weights[:2] * 2, X, lambda z: 0.0 * np.sin(z)))
    assert report.verdict == "dead (forward)"
    assert [x.forward_log2 for x in report.layers[1:]] == [-math.inf] * 3


def test_a_fan_taken_for_the_other_is_recognised():
    report = fg.diagnose_signal(*FAULTS["transposed fan"][0](0))
    assert "fan-out instead of its fan-in" in report.faults[0].message


def test_activations_are_checked_where_a_field_is_made():
    with pytest.raises(ValueError, match="`activation` must be callable or one of"):
        MeanField("nonsense", 1.0)
