"""What is said of networks that are unusual: the wrong cause would be believed."""

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy import special
from signal_networks import FAULTS, linear, mlp, relu

import fastgrad as fg
from fastgrad.params.nest import Nest
from fastgrad.program.graph import topological
from fastgrad.program.trace.tracing import trace_graph
from fastgrad.signal import diagnose, growth
from fastgrad.signal.meanfield import MeanField
from fastgrad.signal.measure import measure
from fastgrad.signal.scaled import Scaled, evaluate


def gaussian(rng, *shapes, gain=1.0):
    return [gain * rng.standard_normal(s) / math.sqrt(s[1]) for s in shapes]


def causes(report):
    return {fault.cause for fault in report.faults}


# ---- not finite ---------------------------------------------------------------------


def test_what_is_infinite_for_having_exploded_is_a_consequence():
    """The growth comes first, the overflow of exp after it, with its count."""
    loss, params = mlp(linear, 12, 16, 8.0, 0, samples=5)

    def overflowing(p):
        return loss(p) + np.sum(np.exp(1e4 * (p["W12"] @ np.ones((16, 3)))))

    params["W12"] = np.abs(params["W12"])
    found = fg.diagnose_signal(overflowing, params).faults
    assert (found[0].kind, found[0].direction) == ("exploding", "forward")
    (invalid,) = [fault for fault in found if fault.kind == "non-finite"]
    assert "infinite in 30 of 30 entries" in invalid.message


@pytest.mark.parametrize(
    "activation",
    [
        lambda z: np.where(z > 0, z, 1.0),
        lambda z: np.where(z > 0, np.tanh(z), 0.5),
        relu,
        np.tanh,
        np.sign,
    ],
)
def test_what_is_not_finite_is_not_said_to_be_cut_off(activation, rng):
    """Comparisons with nan are false: no gradient comes through the other branch."""
    weights, X = gaussian(rng, *[(8, 8)] * 4), rng.standard_normal((8, 6))
    weights[1][:] = np.nan

    def loss(p):
        a = X
        for W in p:
            a = activation(W @ a)
        return np.mean(a**2)

    found = fg.diagnose_signal(loss, weights)
    assert (found.faults[0].kind, found.first_layer) == ("non-finite", "1")
    assert "disconnected" not in causes(found)


def test_nan_entries_of_a_weight_are_counted():
    (first, *_) = fg.diagnose_signal(*FAULTS["nan in a weight"][0](0)).faults
    assert "nan in 1 of 16,384 entries" in first.message


def test_gradients_that_are_nan_where_the_signal_is_not(rng):
    """The derivative of sqrt(max(z, 0)) below zero is infinity times zero."""
    weights, X = gaussian(rng, (8, 8), (8, 8)), rng.standard_normal((8, 6))

    def loss(p):
        return np.mean((p[1] @ np.sqrt(relu(p[0] @ X))) ** 2)

    (first, *_) = fg.diagnose_signal(loss, weights).faults
    assert (first.kind, first.direction, first.layer) == ("non-finite", "backward", "0")


# ---- dead and saturated units -------------------------------------------------------


def dead_network(W, b, X, bias=lambda z, b: z + b):
    V = np.random.default_rng(0).standard_normal((3, len(W))) / math.sqrt(len(W))

    def loss(p):
        return np.mean((p["V"] @ relu(bias(p["W"] @ X, p["b"]))) ** 2)

    return fg.diagnose_signal(loss, {"W": W, "b": b, "V": V})


@pytest.mark.parametrize("others", [3.0, -0.1])
def test_units_that_are_dead_for_their_weights_are_not_for_a_bias(others, rng):
    """Most weights are negative and the data positive; a tiny bias is below zero.

    Without the bias they are as dead, however much the few others have of signal.
    """
    W = np.full((1000, 16), -0.1)
    W[:50] = others
    X = rng.random((16, 30)) + 0.5
    b = np.full((1000, 1), -1e-3)
    dead = [dead_network(W, bias, X).faults[0] for bias in (b, 0 * b)]
    assert [(fault.kind, fault.cause) for fault in dead] == [("dead", "activation")] * 2


@pytest.mark.parametrize("unit", [2.0**-12, 1.0, 2.0**12])
@pytest.mark.parametrize(
    "bias",
    [lambda z, b: z + b, lambda z, b: z + b.T[0][:, None], lambda z, b: z - (-b)],
)
def test_units_that_are_dead_for_their_bias_in_any_unit(unit, bias, rng):
    """Biases of most are below zero and those of some above, so that the mean is small."""
    b = np.full((100, 1), -4.0)
    b[:10] = 30.0
    W = unit * gaussian(rng, (100, 16))[0]
    report = dead_network(W, unit * b, rng.standard_normal((16, 30)), bias)
    (fault,) = [fault for fault in report.faults if fault.kind == "dead"]
    assert (fault.layer, fault.cause) == ("W", "dead bias")
    assert fault.fix.startswith("set b to 0")


def test_units_that_are_dead_for_a_number(rng):
    """A constant that is no parameter."""
    W, X = gaussian(rng, (64, 16))[0], rng.standard_normal((16, 30))
    report = dead_network(W, np.zeros((64, 1)), X, lambda z, b: z + b - 12.0)
    assert ("dead", "dead bias") in {(f.kind, f.cause) for f in report.faults}


def test_inner_layers_are_not_saturated_by_the_data():
    """The first layer, without an activation, makes the signal thirty times as large."""
    loss, params = mlp([linear, np.tanh, np.tanh, np.tanh], 4, 64, 1.0, 0)
    params["W1"] *= 30
    report = fg.diagnose_signal(loss, params)
    (fault,) = [fault for fault in report.faults if fault.kind == "saturated"]
    assert (fault.layer, fault.cause) == ("W2", "weight scale")


def test_the_line_of_a_function_without_slope_is_named():
    """It is the activation's, not the product's."""
    report = fg.diagnose_signal(*FAULTS["step function"][0](0))
    assert "np.sign(z)" in report.faults[0].source_line


# ---- data and samples ---------------------------------------------------------------


@pytest.mark.parametrize("factor", [1e-5, 1e5])
def test_parameters_that_are_multiplied_with_each_other_are_no_data(factor, rng):
    """The second of two factors of a matrix is not to be divided by its deviation."""
    U, V = rng.standard_normal((30, 5)), factor * rng.standard_normal((5, 20))
    T = rng.standard_normal((30, 20))

    def loss(p):
        return np.mean((p["U"] @ p["V"] - T) ** 2)

    found = causes(fg.diagnose_signal(loss, {"U": U, "V": V}))
    assert "input not normalised" not in found


def test_samples_that_are_alike_have_not_collapsed(rng):
    """They were alike in the data."""
    X = rng.standard_normal((32, 1)) + 1e-4 * rng.standard_normal((32, 20))
    report = fg.diagnose_signal(*mlp(relu, 4, 32, 2**0.5, 0, X=X))
    assert max(layer.decorrelation for layer in report.layers) < 1e-4
    assert all(fault.kind != "collapsed" for fault in report.faults)


@pytest.mark.parametrize("away", [1e-6, 1e-3, 0.1])
def test_small_distances_of_samples_keep_their_digits(away, rng):
    """1 - the mean cosine of pairs, in more digits than float64 has."""
    x = rng.standard_normal(12) + away * rng.standard_normal((9, 12))
    long = x.astype(np.longdouble)
    long /= np.sqrt((long**2).sum(axis=1, keepdims=True))
    total = long.sum(axis=0)
    apart = 1 - (total @ total - 9) / 72
    found = measure(Scaled(x), "su").decorrelation
    assert found == pytest.approx(float(apart), rel=1e-13 / away + 1e-12, abs=0)


# ---- weights ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "factor"),
    [
        (lambda W: 0.25 * W, 0.25),
        (lambda W: W[::-1], 1.0),
        (lambda W: W[[2, 0, 1, *range(3, 20)]], 1.0),
        (lambda W: W * np.tile([0.5, -0.5], 15), 0.5),
    ],
)
def test_what_is_made_of_a_weight_is_one(made, factor, rng):
    """Scaled, permuted, and with signs."""
    W, V = gaussian(rng, (20, 30), (4, 20))
    X = rng.standard_normal((30, 9))

    def loss(p):
        return np.mean((p["V"] @ np.tanh(made(p["W"]) @ X)) ** 2)

    layer = fg.diagnose_signal(loss, {"W": W, "V": V}).layers[0]
    assert (layer.name, layer.fan_in) == ("W", 30)
    assert layer.sigma_w == pytest.approx(factor * math.sqrt(30 * np.mean(W**2)))


def test_layers_of_which_samples_and_units_are_mixed(rng):
    """Sizes of it are told; what is of units is not."""
    W, V = gaussian(rng, (20, 30), (4, 20))
    X = rng.standard_normal((30, 9))

    def loss(p):
        flat = relu((p["W"] @ X).reshape(-1))
        return np.mean((p["V"] @ flat.reshape(20, 9)) ** 2)

    layer = fg.diagnose_signal(loss, {"W": W, "V": V}).layers[0]
    assert 4**layer.forward_log2 == pytest.approx(np.mean((W @ X) ** 2))
    assert (layer.correlation, layer.dead) == (None, 0)


def test_zero_weights_behind_a_step(rng):
    """Where gradients cannot be kept, the deviation is that of a linear layer."""
    weights = gaussian(rng, *[(16, 16)] * 4)
    weights[2] *= 0

    def loss(p):
        a = rng_X
        for W in p:
            a = np.sign(W @ a)
        return np.mean((p[-1] @ a) ** 2)

    rng_X = rng.standard_normal((16, 10))
    faults = fg.diagnose_signal(loss, weights).faults
    fixes = [fault.fix for fault in faults if fault.cause == "weight scale"]
    assert fixes == ["initialise 2 with deviation 0.25"]


# ---- what is expected ---------------------------------------------------------------


def test_gradients_through_masks_are_expected():
    """A mask that keeps a tenth divides mean squares by ten, layer after layer."""
    rng = np.random.default_rng(2)
    mask = (rng.random((300, 30)) < 0.1).astype(float)
    weights = gaussian(rng, *[(300, 300)] * 4, gain=2**0.5)
    X = rng.standard_normal((300, 30))

    def loss(p):
        a = X
        for W in p[:-1]:
            a = relu(W @ a) * mask
        return np.mean(p[-1] @ a * np.sign(X))

    layers = fg.diagnose_signal(loss, weights).layers
    for one, other in pairwise(layers[:-1]):
        away = one.expected_backward_log2 - other.expected_backward_log2
        assert 4**away == pytest.approx(0.1, rel=0.3)


def test_gradients_are_expected_where_they_are():
    """Over networks, their deviations have a mean near 0 where the loss is linear."""
    found = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        weights = gaussian(rng, *[(64, 64)] * 3, gain=2**0.5)
        X, T = rng.standard_normal((2, 64, 16))

        def loss(p, X=X, T=T):
            return np.mean(p[2] @ relu(p[1] @ relu(p[0] @ X)) * T)

        found.append(fg.diagnose_signal(loss, weights).layers[0].backward_z)
    assert abs(np.mean(found)) < 0.5


def test_gradients_of_one_sample_through_gaussian_layers(rng):
    """The log of a sum of n squares is psi(n / 2) - log(n / 2) on average."""
    sizes = [(12, 30), (8, 12), (20, 8), (6, 20)]
    weights, X = gaussian(rng, *sizes), rng.standard_normal((30, 1))
    T = rng.standard_normal((6, 1))

    def loss(p):
        a = X
        for W in p:
            a = W @ a
        return np.sum(T * a)

    layers = fg.diagnose_signal(loss, weights).layers
    for k, n in ((0, 12), (1, 8)):
        log = math.log(len(weights[k + 1]) * np.mean(weights[k + 1] ** 2))
        log += special.digamma(n / 2) - math.log(n / 2)
        away = layers[k].expected_backward_log2 - layers[k + 1].expected_backward_log2
        assert away == pytest.approx(log / (2 * math.log(2)))


@pytest.mark.parametrize("gain", [0.6, 1.0, 1.7])
def test_growth_at_infinite_width_is_that_in_closed_form(gain, monkeypatch):
    """Of erf: sigma_w² E erf'² = sigma_w² 4 / (pi sqrt(1 + 4 q)) a layer."""
    seen = []
    monkeypatch.setattr(diagnose, "find_faults", lambda e: seen.append(e) or [])
    fg.diagnose_signal(*mlp(special.erf, 5, 200, gain, 0, outputs=None))
    (evidence,) = seen
    logs = []
    for before, after in zip(evidence.layers[:-1], evidence.layers[1:], strict=True):
        slope = 4 / (math.pi * math.sqrt(1 + 4 * 4**before.forward_log2))
        logs.append(math.log2(after.sigma_w**2 * slope) / 2)
    found = growth._mean_field_growth(evidence, backward=True)
    assert found == pytest.approx(sum(logs), rel=1e-6)


def test_correlations_of_a_constant_are_one_at_once():
    """Its depth scale is zero."""
    assert MeanField(np.ones_like, 1.0).correlation_depth() == 0


def test_directions_that_a_matrix_loses_are_lost():
    """A layer of rank one: one exponent is finite."""
    rng = np.random.default_rng(0)
    weights = [rng.standard_normal((4, 4)) for _ in range(3)]
    weights[1] = np.outer(*rng.standard_normal((2, 4)))

    def loss(p):
        a = np.ones((4, 3))
        for W in p:
            a = W @ a
        return np.mean(a**2)

    found = fg.diagnose_signal(loss, weights, jacobian=True).jacobian
    assert np.isfinite(found.lyapunov).tolist() == [True, False, False, False]


@pytest.mark.parametrize("power", [-1500, 1500])
def test_choices_between_numbers_beyond_the_range(power):
    """where(y > 0, x, 0) of x = 2^power (1, 3, 5, 7)."""

    def chosen(p):
        x = p
        for _ in range(3):
            x = x * 2.0 ** (power / 3)
        return np.sum(np.where(p > 2, x, 0.0))

    graph = trace_graph(chosen, Nest(np.array([1.0, 3.0, 5.0, 7.0])))
    value = evaluate(topological(graph.result))[graph.result]
    assert float(value.mantissa) * 2.0 ** (value.exponent - power) == 15
