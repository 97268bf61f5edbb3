"""Mean-field theory against closed forms, quadrature of another kind and simulation."""

import math

import numpy as np
import pytest
from families import every_second
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, special, stats

from fastgrad import initializers
from fastgrad.initializers import activations, gains
from fastgrad.initializers.gaussian import correlation, find_root, moments
from fastgrad.signal import finite_width
from fastgrad.signal.meanfield import (
    MeanField,
    batch_norm_growth,
    dead_probability,
    first_depth_outside,
    jacobian_moments,
)

# --- expectations and gains: 25-digit quadrature of another program ---

# E phi^2, unit gain, E phi'^2, backward gain, fixed point, chi forward, chi gradient
TABLE = {
    "relu": (0.5, 2**0.5, 0.5, 2**0.5, 2**0.5, 1, 1),
    "tanh": (
        (0.39429449039784, 1.5925374197228, 0.46440290244827, 1.46741359163)
        + (None, None, 1.1778072323)
    ),
    "sigmoid": (
        (0.29337903585809, 1.8462285453386, 0.044836241350194, 4.72264608594)
        + (None, None, 0.152827011716)
    ),
    "softsign": (
        (0.18301402126655, 2.3375333631085, 0.22767134042218, 2.09578060894)
        + (None, None, 1.24401037061)
    ),
    "elu": (
        (0.64494541749292, 1.2451983007007, 0.66810200122317, 1.22342855755)
        + (1.2779600754047, 0.89814952, 1.04331356039)
    ),
    "selu": (1, 1, 1.0715749924558, 0.966025776974, 1, 0.78264788, 1.07157499246),
    "gelu": (
        (0.4252214825703, 1.5335304411955, 0.45585086564929, 1.48111441271)
        + (1.4680112605468, 1.0835926, 1.06040625296)
    ),
    "silu": (
        (0.35577551981735, 1.6765324703311, 0.37948235163283, 1.62332025795)
        + (1.5587599300695, 1.1468073, 1.06706032851)
    ),
    "mish": (
        (0.45234219237588, 1.4868475812732, 0.47908375837397, 1.44475523255)
        + (1.4514912399603, 1.0516102, 1.0590452355)
    ),
    "softplus": (
        (0.9212459088593, 1.0418668355353, 0.29337903585809, 1.84622854534)
        + (1.0831218815076, 0.53528975, 0.350247538186)
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_gains_are_those_of_25_digit_quadrature(name):
    """All definitions; None where there is none."""
    square, unit, slope, backward, fixed, forward, gradient = TABLE[name]
    m, gain = moments(name), gains.gain(name)
    assert math.isclose(m.square, square, rel_tol=1e-13)
    assert math.isclose(m.slope_square, slope, rel_tol=1e-13)
    assert math.isclose(gain.unit, unit, rel_tol=1e-13)
    assert math.isclose(gain.backward, backward, rel_tol=1e-11)
    assert math.isclose(gain.chi_gradient, gradient, rel_tol=1e-11)
    if fixed is None:
        assert gain.fixed_point is None
        assert gain.chi_forward is None
    else:
        assert math.isclose(gain.fixed_point, fixed, rel_tol=1e-13)
        assert math.isclose(gain.chi_forward, forward, abs_tol=5e-8)


def test_closed_forms():
    """Mean of ReLU, leaky ReLU, erf; and linear, for which all are 1."""
    assert math.isclose(moments("relu").mean, (2 * math.pi) ** -0.5, rel_tol=1e-14)
    assert math.isclose(moments("leaky_relu").square, (1 + 1e-4) / 2, rel_tol=1e-14)
    erf = 2 / math.pi * math.asin(2 / 3)
    assert math.isclose(moments("erf").square, erf, rel_tol=1e-13)
    assert gains.gain("linear") == pytest.approx((1, 1, 1, 1, 1), rel=1e-13)
    assert moments("relu").silent == pytest.approx(0.5, rel=1e-13)
    assert moments("relu").kurtosis == pytest.approx(6, rel=1e-13)


@pytest.mark.parametrize(
    ("function", "kinks"),
    [
        (lambda x: np.clip(x, -1, 1), [-1, 1]),
        (lambda x: np.clip(x, 0, 6), [0, 6]),
        (lambda x: x * np.clip(x + 3, 0, 6) / 6, [-3, 3]),
        (lambda x: np.maximum(x - math.pi / 7, 0) + 2, [math.pi / 7]),
        (np.abs, [0]),
        (lambda x: np.where(x > 0.3, 1.0, -1.0), [0.3]),
        (lambda x: np.abs(np.abs(x) - 2.5), [-2.5, 0, 2.5]),
        (lambda x: np.maximum(x - 2**0.5, 0), [2**0.5]),
        (lambda x: np.where(x > 1 / 3, np.expm1(x - 1 / 3), 0), [1 / 3]),
        (np.sin, []),
        (lambda x: np.exp(-(x**2)), []),
        (np.tanh, []),
    ],
)
def test_kinks_of_any_callable_are_found(function, kinks):
    """Where they are, and none where there are none."""
    found = activations.as_activation(function).kinks
    np.testing.assert_allclose(found, kinks, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("a", [0.3, 1.0, 2.7])
@pytest.mark.parametrize("q", [0.01, 1.0, 9.0, 400.0])
def test_moments_of_a_clipped_line(a, q):
    """E clip(x, -a, a)² and P(|x| < a) in closed form."""
    z = a / math.sqrt(q)
    inside = special.erf(z / 2**0.5)
    square = q * (inside - 2 * z * math.exp(-z * z / 2) / (2 * math.pi) ** 0.5)
    square += a * a * (1 - inside)
    m = moments(lambda x: np.clip(x, -a, a), q)
    assert math.isclose(m.square, square, rel_tol=1e-11)
    assert math.isclose(m.slope_square, inside, rel_tol=1e-10)


@given(st.floats(-6, 3.2), st.floats(0.1, 3))
def test_moments_of_sines_at_every_frequency_and_variance(log_q, frequency):
    """E sin² = (1 - exp(-2 w² q)) / 2 and E cos² = (1 + exp(-2 w² q)) / 2."""
    q = math.exp(log_q)
    m = moments(lambda x: np.sin(frequency * x), q)
    damped = math.exp(-2 * frequency**2 * q)
    assert math.isclose(m.square, -math.expm1(-2 * frequency**2 * q) / 2, rel_tol=1e-9)
    slope = frequency**2 * (1 + damped) / 2
    assert math.isclose(m.slope_square, slope, rel_tol=1e-9)


def test_the_elasticity_is_the_slope_of_the_length_map():
    """By a difference quotient."""
    for name in TABLE:
        ratio = moments(name, 1.01).square / moments(name, 1 / 1.01).square
        slope = math.log(ratio) / (2 * math.log(1.01))
        assert math.isclose(moments(name).elasticity, slope, rel_tol=1e-4)


@pytest.mark.parametrize("q", [1e-300, 1e-40, 1e20, 1e300])
def test_extreme_variances_are_extrapolated(q):
    """Homogeneous activations exactly, saturating ones to their limits."""
    assert math.isclose(moments("relu", q).square, q / 2, rel_tol=1e-10)
    assert math.isclose(moments("relu", q).slope_square, 0.5, rel_tol=1e-10)
    assert math.isclose(moments("tanh", q).square, q if q < 1 else 1, rel_tol=1e-3)
    assert math.isclose(moments("sigmoid", 1e-40).square, 0.25, rel_tol=1e-9)


# --- the correlation map ---


@every_second
@pytest.mark.parametrize("c", [-1.0, -0.7, 0.0, 0.3, 0.9, 0.9999, 1 - 1e-9, 1.0])
@pytest.mark.parametrize("q", [0.1, 1.0, 20.0])
def test_correlation_is_that_of_closed_forms(c, q):
    """Linear, erf (Williams) and ReLU (Cho & Saul), close to 1 too."""
    assert math.isclose(
        correlation("linear", c, q), c * q, rel_tol=1e-12, abs_tol=1e-14
    )
    erf = 2 / math.pi * math.asin(2 * q * c / (1 + 2 * q))
    assert math.isclose(correlation("erf", c, q), erf, rel_tol=1e-9, abs_tol=1e-12)
    arc = math.sqrt(1 - c * c) + c * (math.pi - math.acos(c))
    relu = q * arc / (2 * math.pi)
    assert math.isclose(correlation("relu", c, q), relu, rel_tol=1e-9, abs_tol=1e-12)


@pytest.mark.parametrize("c", [-0.7, 0.3, 0.99])
@pytest.mark.parametrize("q", [1.0, 20.0])
def test_correlation_of_a_kink_that_is_not_at_zero(c, q):
    """Of max(x - 1, 0): y given x is normal, which leaves one integral."""
    s = math.sqrt(q * (1 - c * c))

    def integrand(x):
        d = (c * x - 1) / s
        inner = s * (stats.norm.pdf(d) + d * stats.norm.cdf(d))
        return (x - 1) * inner * stats.norm.pdf(x, scale=math.sqrt(q))

    right, _ = integrate.quad(integrand, 1, 12 * math.sqrt(q), epsabs=1e-13, limit=400)
    found = correlation(lambda x: np.maximum(x - 1, 0), c, q)
    assert math.isclose(found, right, rel_tol=1e-7, abs_tol=1e-11)


def test_he_relu_correlations_tend_to_one():
    """From orthogonal samples: the arc-cosine map, layer by layer."""
    expected = {1: 0.3183098862, 2: 0.4937310902, 5: 0.7359463506, 10: 0.8715355160}
    expected |= {20: 0.9484284792, 50: 0.9878619449, 100: 0.9964231467}
    relu, c = MeanField("relu", 2**0.5), 0.0
    for layer in range(1, 101):
        c = relu.correlate(c, 1.0)
        if layer in expected:
            assert math.isclose(c, expected[layer], abs_tol=1e-10)


# --- fixed points, chi, critical lines ---


@pytest.mark.parametrize(
    ("square_w", "square_b", "q", "chi", "depth"),
    [
        (0.5, 0.05, 0.0875798651868, 0.431987381821, 1.19139),
        (1, 0.05, 0.193592520245, 0.759031647185, 3.62698),
        (1.5, 0.05, 0.418037200533, 0.938636268199, 15.791),
        (2, 0.05, 0.721761872652, 1.04766599958, None),
        (2.5, 0.05, 1.06395837742, 1.1335156987, None),
        (4, 0.05, 2.19549392803, 1.34240241445, None),  # mpmath, 25 digits
        (1.3, 0.01, 0.204756888841, 0.975237832711, 39.8821),
        (25 / 9, 0, 1.17848049039, 1.20983132038, None),  # torch's gain of tanh
    ],
)
def test_tanh_phases(square_w, square_b, q, chi, depth):
    """q*, chi and xi_c of Poole et al. and Schoenholz et al."""
    tanh = MeanField("tanh", square_w**0.5, square_b**0.5)
    found = tanh.fixed_point()
    assert math.isclose(found, q, rel_tol=5e-11)
    assert math.isclose(tanh.chi(found), chi, rel_tol=5e-11)
    if depth is None:
        assert tanh.correlation_depth() is None
    else:
        assert math.isclose(tanh.correlation_depth(), depth, rel_tol=1e-5)


@pytest.mark.parametrize(
    ("square_b", "square_w"),
    [
        (0.05, 1.76095463961),
        (0.01, 1.42420529049),
        (0.1, 1.98607264114),
        (0.3, 2.50512718968),  # mpmath, 25 digits
    ],
)
def test_the_critical_line_of_tanh(square_b, square_w):
    """By sigma_b; and chi is 1 there, with q the fixed point."""
    critical = gains.critical_init("tanh", sigma_b=square_b**0.5)
    assert math.isclose(critical.sigma_w**2, square_w, rel_tol=1e-11)
    field = MeanField("tanh", critical.sigma_w, critical.sigma_b)
    assert math.isclose(field.chi(critical.q), 1, rel_tol=1e-12)
    assert math.isclose(field.fixed_point(), critical.q, rel_tol=1e-6)
    if square_b == 0.05:
        assert math.isclose(critical.q, 0.570047881641, rel_tol=1e-11)


@pytest.mark.parametrize(
    ("q", "square_w", "square_b"),
    [
        (0.25, 1.39396162831, 0.00812515416223),
        (1, 2.1533026489, 0.150964629379),
    ],
)
def test_the_critical_line_of_tanh_by_variance(q, square_w, square_b):
    """sigma_w and sigma_b that keep q."""
    critical = gains.critical_init("tanh", q=q)
    assert math.isclose(critical.sigma_w**2, square_w, rel_tol=1e-11)
    assert math.isclose(critical.sigma_b**2, square_b, rel_tol=1e-10)
    assert critical.q == q


def test_critical_points_there_are_and_are_not():
    """ReLU at every q without biases; sigmoid and softplus nowhere."""
    relu = gains.critical_init("relu")
    assert relu == pytest.approx((2**0.5, 0, 1), abs=1e-12)
    assert gains.critical_init("relu", sigma_b=0) == pytest.approx((2**0.5, 0, 1))
    assert gains.critical_init("relu", q=7.0) == pytest.approx((2**0.5, 0, 7))
    assert gains.critical_init("relu", sigma_b=0.1) is None
    assert gains.critical_init("tanh", sigma_b=0) == pytest.approx((1, 0, 0))
    assert gains.critical_init("gelu", sigma_b=0) == pytest.approx((2, 0, 0))
    for name in ("sigmoid", "softplus"):
        for sigma_b in (0.0, 0.1, 1.0):
            assert gains.critical_init(name, sigma_b=sigma_b) is None
        assert gains.critical_init(name) is None
    assert gains.critical_init(np.ones_like) is None
    assert gains.critical_init(np.sign, sigma_b=0) is None


def test_fixed_points_that_vanish_explode_and_stay():
    """0, infinity and 1."""
    assert MeanField("tanh", 0.9).fixed_point() == 0
    assert MeanField("relu", 1.5).fixed_point() == math.inf
    assert MeanField("relu", 1.0).fixed_point() == 0
    assert MeanField("relu", 2**0.5).fixed_point() == 1
    assert MeanField("relu", 2**0.5).correlation_depth() == math.inf
    assert math.isclose(
        MeanField("tanh", 0.9).correlation_depth(), -1 / math.log(0.81), rel_tol=1e-8
    )
    assert math.isclose(MeanField("relu", 1.0, 1.0).fixed_point(), 2, rel_tol=1e-12)


def test_xavier_tanh_shrinks_as_one_over_twice_the_depth():
    """sigma_w = 1, no biases: the pre-activation variances of 100 layers."""
    q = 2.0 ** MeanField("tanh", 1.0).propagate(100).log2_q
    expected = {2: 0.39429449, 5: 0.12790474, 10: 0.05801185}
    expected |= {20: 0.02728616, 50: 0.01043074, 100: 0.00512072}
    for layer, value in expected.items():
        assert math.isclose(q[layer - 1], value, abs_tol=5e-9)
    default = 2.0 ** MeanField("tanh", 3**-0.5).propagate(6).log2_q
    np.testing.assert_allclose(
        default[1:],
        [0.1314315, 0.03525632, 0.01099698, 0.00358745, 0.00118732],
        atol=6e-9,
    )


def test_networks_that_die_or_explode_faster_than_any_number():
    """Without a warning, and with nothing but nan behind that layer."""
    dead = MeanField(lambda x: np.minimum(x, 0) * 0, 1.0).propagate(5, width=8)
    assert dead.log2_q.tolist() == [0, -math.inf, -math.inf, -math.inf, -math.inf]
    assert np.isnan(dead.chi[1:]).all()
    biased = MeanField(np.zeros_like, 1.0, 0.5).propagate(5, width=8)
    assert biased.log2_q.tolist() == [0, -2, -2, -2, -2]
    assert not biased.spread.any()
    cubes = MeanField(lambda x: x**3, 1.0).propagate(60).log2_q
    assert cubes[2:] == pytest.approx(3 * cubes[1:-1] + math.log2(15), rel=1e-9)


# --- growth with depth, in log2 so that nothing over- or underflows ---


def test_deep_linear_growth_is_exact():
    """Weights a I to the power of L, over the range of float64 and far beyond."""
    for a in (0.5, 1.5):
        curves = MeanField("linear", a).propagate(201)
        depth = np.arange(201)
        np.testing.assert_allclose(curves.log2_q / 2, depth * math.log2(a), atol=1e-9)
        np.testing.assert_allclose(
            curves.log2_backward / 2, depth[::-1] * math.log2(a), atol=1e-9
        )
    assert math.isclose(2 ** (50 * math.log2(1.5)), 637621500.214, rel_tol=1e-12)
    deep = MeanField("linear", 0.5).propagate(5001)
    assert math.isclose(deep.log2_q[-1] / 2, -5000, rel_tol=1e-9)
    assert math.isclose(deep.log2_backward[0] / 2, -5000, rel_tol=1e-9)


@pytest.mark.parametrize(
    ("dtype", "over", "subnormal", "zero"),
    [
        ("float16", 28, 15, 25),
        ("bfloat16", 219, 127, 134),
        ("float32", 219, 127, 150),
        ("float64", 1751, 1023, 1075),
    ],
)
def test_depths_at_which_dtypes_give_out(dtype, over, subnormal, zero):
    """1.5^L and 0.5^L, by multiplying in that dtype where NumPy has it."""
    assert first_depth_outside(math.log2(1.5), dtype) == over
    assert first_depth_outside(-1.0, dtype) == subnormal
    assert first_depth_outside(-1.0, dtype, subnormal=True) == zero
    assert first_depth_outside(0.0, dtype) is None
    if dtype != "bfloat16":
        with np.errstate(over="ignore", under="ignore"):
            kind = np.dtype(dtype).type
            assert np.isfinite(
                kind(2.0 ** ((over - 1) * math.log2(1.5)) if over < 1000 else 1)
            )
            assert kind(2.0 ** -(zero - 1)) > 0
            assert kind(2.0**-zero) == 0


@pytest.mark.parametrize("growth", [0.3, 2.5, 7.0, -0.3, -2.5, -7.0])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_the_first_depth_outside_is_where_numbers_end(growth, dtype):
    """One after the other, in float64 and rounded."""
    with np.errstate(over="ignore", under="ignore"):
        sizes = (2.0 ** (growth * np.arange(1, 600))).astype(dtype)
    outside = ~np.isfinite(sizes) | (sizes < np.finfo(dtype).smallest_normal)
    gone = ~np.isfinite(sizes) | (sizes == 0)
    name = np.dtype(dtype).name
    assert first_depth_outside(growth, name) == np.argmax(outside) + 1
    assert first_depth_outside(growth, name, subnormal=True) == np.argmax(gone) + 1


def test_the_default_of_linear_layers_shrinks_relu_networks():
    """Variance 1 / (3 fan_in): q x 1/6 a layer, 1.2e-39 after 50."""
    curves = MeanField("relu", 3**-0.5).propagate(51)
    assert math.isclose(curves.log2_q[-1], 50 * math.log2(1 / 6), rel_tol=1e-9)
    assert math.isclose(2.0 ** curves.log2_q[-1], 1.2372e-39, rel_tol=1e-4)
    # Xavier on ReLU, 27 layers (He et al., 2015)
    xavier = MeanField("relu", 1.0).propagate(28)
    assert math.isclose(2.0 ** xavier.log2_q[-1], 7.45e-9, rel_tol=1e-3)


def test_the_gradient_factor_of_vgg_b_in_the_paper_of_he():
    """Deviation 0.01: from conv10 to conv2 the gradient shrinks by 1 / 1.7e4."""
    std, factor = 0.01, 1.0
    slope = moments("relu").slope_square
    for channels in [512] * 1 + [256] * 2 + [128] * 2 + [64] * 4:
        fan_out = initializers.fans((channels, 1, 3, 3)).fan_out
        factor *= math.sqrt(fan_out * slope) * std
    rounded = 1 / (5.9 * 4.2**2 * 2.9**2 * 2.1**4) * 1.0
    # the paper rounds each layer's factor
    exact = [math.sqrt(9 * d / 2) * 0.01 for d in (64, 128, 256, 512)]
    assert [round(1 / e, 1) for e in exact] == [5.9, 4.2, 2.9, 2.1]
    one = exact[0] * exact[1] ** 2 * exact[2] ** 2 * exact[3] ** 4
    assert math.isclose(one, 5.9777e-05, rel_tol=1e-4)
    assert math.isclose(rounded, 5.87e-5, rel_tol=2e-3)


def test_gradients_grow_at_the_fixed_point_of_smooth_activations():
    """chi_gradient^25: 50 layers, in norm."""
    growth = {
        "gelu": 4.33,
        "silu": 5.07,
        "elu": 2.89,
        "selu": 5.63,
        "softplus": 4.07e-12,
    }
    for name, factor in growth.items():
        chi = gains.gain(name).chi_gradient
        assert math.isclose(chi**25, factor, rel_tol=3e-3)


# --- finite width ---


def test_digamma_and_trigamma():
    """Against scipy."""
    x = np.concatenate([np.geomspace(1e-3, 1e6, 500), np.arange(1, 60) / 2])
    np.testing.assert_allclose(
        finite_width.digamma(x), special.digamma(x), rtol=1e-13, atol=1e-13
    )
    np.testing.assert_allclose(
        finite_width.trigamma(x), special.polygamma(1, x), rtol=1e-13
    )


@pytest.mark.parametrize(
    ("width", "mean", "variance"), [(64, -0.78532, 1.58717), (16, -3.19000, 6.65685)]
)
def test_the_spread_of_deep_linear_networks(width, mean, variance):
    """50 layers: L (psi(n/2) - log(n/2)) and L psi'(n/2)."""
    curves = MeanField("linear", 1.0).propagate(51, width=width)
    assert math.isclose(curves.drift[-1], mean, abs_tol=6e-6)
    assert math.isclose(curves.spread[-1] ** 2, variance, abs_tol=6e-6)


def test_the_spread_of_relu_layers():
    """A binomial mixture of log chi², width 100; and a small width summed by hand."""
    spread = finite_width.layer_spread(moments("relu"), 100)
    assert math.isclose(spread.mean, -0.025421, abs_tol=6e-7)
    assert math.isclose(spread.variance, 0.051940, abs_tol=6e-7)
    n = 5
    k = np.arange(1, n + 1)
    p = special.comb(n, k) / (2**n - 1)
    log = special.digamma(k / 2) + math.log(2) + math.log(2 / n)
    mean = p @ log
    variance = p @ (special.polygamma(1, k / 2) + (log - mean) ** 2)
    found = finite_width.layer_spread(moments("relu"), n)
    assert found == pytest.approx((mean, variance), rel=1e-9)


@pytest.mark.parametrize(
    ("activation", "gain", "depth"),
    [("relu", "he_normal", 20), ("tanh", "lecun_normal", 12), ("gelu", None, 12)],
)
def test_the_spread_of_networks_drawn_with_these_initialisers(activation, gain, depth):
    """Mean and deviation of log q over 400 networks of width 128."""
    width, networks = 128, 400
    phi = activations.as_activation(activation)
    sigma = {"he_normal": 2**0.5, "lecun_normal": 1.0}.get(gain, 1.48)
    x = np.ones((networks, width, 1))
    for layer in range(depth):
        w = initializers.variance_scaling(
            (networks * width, width), scale=sigma**2, seed=layer, dtype=np.float32
        ).reshape(networks, width, width)
        x = w @ (phi(x) if layer else x).astype(np.float32)
    # the last pre-activations: their variance given the layer before, by its units
    log_q = np.log(sigma**2 * np.mean(phi(x)[..., 0].astype(float) ** 2, axis=1))
    curves = MeanField(activation, sigma).propagate(depth + 1, q=sigma**2, width=width)
    found = log_q.mean() - curves.log2_q[-1] * math.log(2)
    spread = curves.spread[-1]
    assert abs(found - curves.drift[-1]) < 4 * spread / networks**0.5 + 0.1 * spread
    assert abs(log_q.std() / spread - 1) < 0.2


def test_the_lyapunov_spectrum_is_newman_s():
    """Width 8, and a product of 4000 matrices, re-orthogonalised."""
    expected = [-0.0651, -0.1416, -0.2318, -0.3416, -0.4818, -0.6749, -0.9818, -1.6749]
    found = finite_width.lyapunov_spectrum(8)
    np.testing.assert_allclose(found, expected, atol=6e-5)
    q, total, layers = np.eye(8), np.zeros(8), 4000
    w = initializers.lecun_normal((layers * 8, 8), seed=1).reshape(layers, 8, 8)
    for layer in w:
        q, r = np.linalg.qr(layer @ q)
        total += np.log(np.abs(np.diag(r)))
    np.testing.assert_allclose(total / layers, found, atol=0.06)


# --- Jacobians, batch normalisation, dead units, residual networks ---


def test_jacobian_moments():
    """Linear Gaussian: mean s⁴ = L + 1; ReLU: variance 2 L, or L if orthogonal."""
    for depth in (1, 4, 10):
        linear = jacobian_moments("linear", 1.0, depth)
        assert linear == pytest.approx((1, depth), rel=1e-10)
        assert jacobian_moments("relu", 2**0.5, depth) == pytest.approx((1, 2 * depth))
        orthogonal = jacobian_moments("relu", 2**0.5, depth, orthogonal=True)
        assert orthogonal == pytest.approx((1, depth))
        isometry = jacobian_moments("linear", 1.0, depth, orthogonal=True)
        assert isometry == pytest.approx((1, 0), abs=1e-10)


def test_jacobians_of_networks_drawn_with_these_initialisers():
    """ReLU, four layers, width 400: below the 2 L = 8 of infinite width."""
    n, depth = 400, 4
    x, jacobian = np.random.default_rng(0).standard_normal(n), np.eye(n)
    for layer in range(depth):
        w = initializers.he_normal((n, n), seed=0, name=f"W{layer}")
        h = w @ x
        x, jacobian = np.maximum(h, 0), (h > 0)[:, None] * (w @ jacobian)
    squares = np.linalg.svd(jacobian, compute_uv=False) ** 2
    variance = squares.var() / squares.mean() ** 2
    theory = jacobian_moments("relu", 2**0.5, depth)
    assert 0.6 * theory.relative_variance < variance < 1.1 * theory.relative_variance


def test_batch_normalisation_makes_gradients_grow():
    """ReLU: pi / (pi - 1) a layer, 2.1e8 over 50; linear: not at all."""
    growth = batch_norm_growth("relu")
    assert math.isclose(growth, 1.46694220692426, rel_tol=1e-13)
    assert math.isclose(growth**50, 2.1e8, rel_tol=0.02)
    assert math.isclose(batch_norm_growth("linear"), 1, rel_tol=1e-12)


@given(st.floats(0.001, 0.999))
def test_dead_units_by_the_orthant_formula(c):
    """Two and three samples; first layer and limit exactly."""
    two = 0.25 + math.asin(c) / (2 * math.pi)
    three = 0.125 + 3 * math.asin(c) / (4 * math.pi)
    assert math.isclose(dead_probability(2, c), two, rel_tol=1e-8)
    assert math.isclose(dead_probability(3, c), three, rel_tol=1e-8)


def test_dead_units_at_the_ends():
    """2^-B for independent samples, one half for equal ones."""
    assert dead_probability(10) == 2**-10
    assert dead_probability(10, 1.0) == 0.5


def test_residual_scaling_by_the_growth_it_leaves():
    """2^L without, (1 + 1/L)^L with 1/sqrt(L), nothing with a zero last layer."""
    assert gains.residual_scale(10, "none") == (1.0, 1.0, 10.0)
    depth = gains.residual_scale(10)
    assert (depth.inner, depth.last) == (1.0, 10**-0.5)
    assert math.isclose(2**depth.log2_growth, 1.1**10, rel_tol=1e-13)
    assert math.isclose(2**depth.log2_growth, 2.5937, rel_tol=1e-4)
    fixup = gains.residual_scale(16, "fixup", layers_per_block=3)
    assert fixup == (0.5, 0.0, 0.0)
    # Of m layers L^(-1 / (2m - 2)), Zhang et al. (2019).
    for layers, branch in ((2, 0.25), (5, 16**-0.125)):
        scale = gains.residual_scale(16, "fixup", layers_per_block=layers)
        assert scale == (branch, 0.0, 0.0)
    assert gains.residual_scale(16, "zero") == (1.0, 0.0, 0.0)


def test_residual_networks_drawn_with_these_initialisers():
    """Blocks x + W relu(x), ten blocks of width 256, mean over 200 networks."""
    width, networks, blocks = 256, 200, 10
    for rule in ("none", "depth"):
        scale = gains.residual_scale(blocks, rule)
        x = initializers.variance_scaling((networks * width, 1), seed=99)
        x = x.reshape(networks, width, 1).astype(np.float32)
        before = (x**2).mean(axis=(1, 2))
        for block in range(blocks):
            w = initializers.he_normal(
                (networks * width, width), seed=block, dtype=np.float32
            ).reshape(networks, width, width)
            x = x + scale.last * (w @ np.maximum(x, 0))
        growth = (x**2).mean(axis=(1, 2)) / before
        error = growth.std() / networks**0.5
        assert abs(growth.mean() - 2**scale.log2_growth) < 5 * error


# --- roots and refusals ---


def test_roots():
    """Steep, flat and at the end."""
    assert math.isclose(
        find_root(lambda x: x**3 - 2, 0, 3), 2 ** (1 / 3), rel_tol=1e-13
    )
    assert math.isclose(find_root(math.tan, 3, 3.3), math.pi, rel_tol=1e-13)
    assert math.isclose(find_root(lambda x: math.exp(x) - 1e5, 0, 50), math.log(1e5))
    assert find_root(lambda x: x, 0.0, 1.0) == 0


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: gains.gain("swoosh"),
            ValueError,
            "`activation` must be callable or one",
        ),
        (lambda: gains.gain(3), TypeError, "`activation` must be callable or one of"),
        (lambda: gains.gain(np.sum), ValueError, "`activation` must keep the shape"),
        (lambda: gains.gain(np.sqrt), ValueError, "`activation` must not give nan"),
        (
            lambda: gains.gain(lambda x: np.tanh(x.astype(np.float32))),
            ValueError,
            "`activation` must be smooth on pieces",
        ),
        (lambda: gains.critical_init("tanh", q=1, sigma_b=0), ValueError, "`q` and"),
        (
            lambda: gains.critical_init("tanh", q=-1.0),
            ValueError,
            "`q` must be positive",
        ),
        (
            lambda: gains.critical_init("tanh", sigma_b=-1.0),
            ValueError,
            "`sigma_b` must",
        ),
        (lambda: moments("tanh", 0.0), ValueError, "`q` must be positive"),
        (lambda: moments("tanh", math.nan), ValueError, "`q` must be positive"),
        (lambda: correlation("tanh", 1.1, 1.0), ValueError, "`c` must be from -1 to 1"),
        (lambda: MeanField("tanh", -1.0), ValueError, "`sigma_w` must be finite"),
        (lambda: MeanField("tanh", 1.0, math.inf), ValueError, "`sigma_b` must be"),
        (lambda: MeanField("tanh", 1.0).propagate(0), ValueError, "`depth` must be"),
        (lambda: MeanField("tanh", 1.0).propagate(5, q=0), ValueError, "`q` must be"),
        (lambda: gains.residual_scale(0), ValueError, "`blocks` must be positive"),
        (lambda: gains.residual_scale(3, "half"), ValueError, "`rule` must be one of"),
        (
            lambda: gains.residual_scale(3, "fixup", layers_per_block=1),
            ValueError,
            "`layers_per_block` must be at least 2",
        ),
        (lambda: dead_probability(3, 1.5), ValueError, "`correlation` must be from 0"),
        (
            lambda: finite_width.layer_spread(moments("relu"), 0),
            ValueError,
            "`width` must be positive",
        ),
        (
            lambda: first_depth_outside(1.0, "int8"),
            ValueError,
            "`dtype` must be one of",
        ),
    ],
)
def test_calls_that_make_no_sense_are_refused(call, error, message):
    """The message names the argument."""
    with pytest.raises(error, match=message):
        call()
