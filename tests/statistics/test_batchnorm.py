import pickle

import numpy as np
import pytest
from exact import digits, exact_moments
from hypothesis import given, settings
from hypothesis import strategies as st

import fastgrad as fg


def twin(x, gamma, beta, axis, eps):
    """Batch normalisation in plain NumPy, in extended precision."""
    x = np.moveaxis(np.asarray(x, np.longdouble), axis, -1)
    rest = tuple(range(x.ndim - 1))
    mean, var = x.mean(axis=rest), x.var(axis=rest)
    y = gamma * (x - mean) / np.sqrt(var + eps) + beta
    return np.moveaxis(y, -1, axis)


def numerical_dx(loss, x):
    """Central differences in extended precision: about 10 digits."""
    x, h = np.asarray(x, np.longdouble), np.longdouble(1e-5)
    slope = np.empty_like(x)
    for i in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[i] += h
        down[i] -= h
        slope[i] = (loss(up) - loss(down)) / (2 * h)
    return slope


def batch(rng, shape, axis=1, dtype=np.float64):
    x = (rng.standard_normal(shape) * 2 + 3).astype(dtype)
    channels = shape[axis]
    return x, rng.standard_normal(channels), rng.standard_normal(channels)


SHAPES = [
    ((5, 3), 1),
    ((4, 3, 7), 1),
    ((2, 3, 4, 5), 1),
    ((2, 4, 5, 3), -1),
    ((3, 6), 0),
    ((2, 1, 600), 1),
]


def test_the_textbook_batch():
    y, cache = fg.batch_norm([[1.0], [2.0], [3.0], [4.0]], [1.0], [0.0])
    expected = [-1.34163541, -0.44721180, 0.44721180, 1.34163541]
    np.testing.assert_allclose(y.ravel(), expected, rtol=0, atol=2e-8)
    bn = fg.BatchNorm(1, momentum=0.1)
    bn(np.array([[1.0], [2.0], [3.0], [4.0]]))
    np.testing.assert_allclose(bn.running_mean, 0.25)
    np.testing.assert_allclose(bn.running_var, 0.9 + 0.1 * 5 / 3)
    assert (cache.mean, cache.var, cache.samples) == (2.5, 1.25, 4)


@pytest.mark.parametrize(("shape", "axis"), SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_forward_is_the_formula(shape, axis, dtype, rng):
    x, gamma, beta = batch(rng, shape, axis, dtype)
    y, _ = fg.batch_norm(x, gamma, beta, axis=axis, eps=1e-3)
    exact = twin(x, gamma, beta, axis, 1e-3)
    tolerance = 4 * np.finfo(dtype).eps
    np.testing.assert_allclose(y, exact.astype(float), rtol=tolerance, atol=tolerance)
    assert y.dtype == dtype


@pytest.mark.parametrize(("shape", "axis"), SHAPES)
def test_backward_is_the_derivative_of_forward(shape, axis, rng):
    x, gamma, beta = batch(rng, shape, axis)
    weights = rng.standard_normal(shape)
    _, cache = fg.batch_norm(x, gamma, beta, axis=axis)
    dx, dgamma, dbeta = fg.batch_norm_backward(weights, cache)

    def loss(x=x, gamma=gamma, beta=beta):
        return (weights * twin(x, gamma, beta, axis, np.longdouble(1e-5))).sum()

    for found, numerical in (
        (dx, numerical_dx(lambda v: loss(x=v), x)),
        (dgamma, numerical_dx(lambda v: loss(gamma=v), gamma)),
        (dbeta, numerical_dx(lambda v: loss(beta=v), beta)),
    ):
        scale = float(np.abs(numerical).max())
        np.testing.assert_allclose(
            found, numerical.astype(float), rtol=1e-8, atol=1e-8 * scale
        )


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_agrees_with_torch(layout, rng):
    torch = pytest.importorskip("torch")
    x, gamma, beta = batch(rng, (4, 6, 9, 11), dtype=np.float64)
    dy = rng.standard_normal(x.shape)
    t = [torch.tensor(a, requires_grad=True) for a in (x, gamma, beta)]
    mean, var = torch.zeros(6).double(), torch.ones(6).double()
    ty = torch.nn.functional.batch_norm(t[0], mean, var, t[1], t[2], training=True)
    expected = torch.autograd.grad(ty, t, torch.tensor(dy))
    bn = fg.BatchNorm(6, axis=1 if layout == "NCHW" else -1)
    bn.gamma, bn.beta = gamma, beta
    if layout == "NHWC":
        x, dy = x.transpose(0, 2, 3, 1).copy(), dy.transpose(0, 2, 3, 1).copy()
    y, (dx, dgamma, dbeta) = bn(x), bn.backward(dy)
    if layout == "NHWC":
        y, dx = y.transpose(0, 3, 1, 2), dx.transpose(0, 3, 1, 2)
    found = (y, dx, dgamma, dbeta, bn.running_mean, bn.running_var)
    for a, b in zip(found, (ty.detach(), *expected, mean, var), strict=True):
        np.testing.assert_allclose(a, b.numpy(), rtol=1e-11, atol=1e-11)


@settings(max_examples=25)
@given(
    st.integers(1, 5),
    st.integers(1, 20),
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from([np.float32, np.float64]),
)
def test_channels_first_and_last_and_threads_have_the_same_bits(n, c, h, w, dtype):
    rng = np.random.default_rng(n + 7 * c)
    x, gamma, beta = batch(rng, (n + 1, c, h, w), dtype=dtype)
    dy = rng.standard_normal(x.shape).astype(dtype)
    y, cache = fg.batch_norm(x, gamma, beta, num_threads=1)
    first = fg.batch_norm_backward(dy, cache, num_threads=1)
    last, dy_last = (a.transpose(0, 2, 3, 1).copy() for a in (x, dy))
    y_last, cache_last = fg.batch_norm(last, gamma, beta, axis=-1, num_threads=3)
    second = fg.batch_norm_backward(dy_last, cache_last, num_threads=2)
    np.testing.assert_array_equal(y_last.transpose(0, 3, 1, 2), y)
    np.testing.assert_array_equal(second[0].transpose(0, 3, 1, 2), first[0])
    for a, b in zip(second[1:], first[1:], strict=True):
        np.testing.assert_array_equal(a, b)
    # Channels first by shape, last in memory: as torch's channels_last.
    view, _ = fg.batch_norm(last.transpose(0, 3, 1, 2), gamma, beta)
    np.testing.assert_array_equal(view, y)
    assert view.transpose(0, 2, 3, 1).flags.c_contiguous


def test_many_samples_of_1_and_3_have_mean_2_and_variance_1():
    x = np.empty((1 << 11, 1 << 11, 1), np.float32)
    x[0::2], x[1::2] = 1, 3
    for threads in (1, 2):
        _, cache = fg.batch_norm(x, [1.0], [0.0], axis=-1, num_threads=threads)
        assert (cache.mean[0], cache.var[0]) == (2.0, 1.0)


@pytest.mark.parametrize("axis", [1, -1])
def test_float32_far_from_zero_keeps_its_statistics(axis, rng):
    x = (rng.standard_normal((16, 2, 30, 30)) + 1e4).astype(np.float32)
    data = x if axis == 1 else x.transpose(0, 2, 3, 1).copy()
    _, cache = fg.batch_norm(data, [1.0, 1.0], [0.0, 0.0], axis=axis)
    for c in range(2):
        mean, var = exact_moments(x[:, c].ravel())
        assert digits(cache.mean[c], mean) >= 15
        assert digits(cache.var[c], var) >= 14.7


def test_gradients_sum_to_zero_and_are_orthogonal_to_the_normalised_batch(rng):
    x, gamma, beta = batch(rng, (8, 4, 20, 20))
    _, cache = fg.batch_norm(x, gamma, beta, eps=0.0)
    dx, _, _ = fg.batch_norm_backward(rng.standard_normal(x.shape), cache)
    xhat = (x - cache.mean[:, None, None]) / np.sqrt(cache.var)[:, None, None]
    np.testing.assert_allclose(dx.sum(axis=(0, 2, 3)), 0, atol=1e-11)
    np.testing.assert_allclose((dx * xhat).sum(axis=(0, 2, 3)), 0, atol=1e-11)


def test_inputs_are_not_changed(rng):
    x, gamma, beta = batch(rng, (4, 3, 5))
    dy = rng.standard_normal(x.shape)
    copies = [a.copy() for a in (x, gamma, beta, dy)]
    _, cache = fg.batch_norm(x, gamma, beta)
    fg.batch_norm_backward(dy, cache)
    for a, b in zip((x, gamma, beta, dy), copies, strict=True):
        np.testing.assert_array_equal(a, b)


def test_half_precision_integers_and_strides(rng):
    x, gamma, beta = batch(rng, (6, 3, 8), dtype=np.float16)
    y, cache = fg.batch_norm(x, gamma, beta)
    assert y.dtype == np.float16
    exact = fg.batch_norm(x.astype(np.float64), gamma, beta)[0]
    np.testing.assert_array_equal(y, exact.astype(np.float16))
    assert fg.batch_norm_backward(y, cache)[0].dtype == np.float16
    integers = np.arange(30).reshape(10, 3)
    assert fg.batch_norm(integers, gamma, beta)[0].dtype == np.float64
    wide = rng.standard_normal((6, 6, 16))
    strided = fg.batch_norm(wide[:, ::2, ::2], gamma, beta)
    solid = fg.batch_norm(wide[:, ::2, ::2].copy(), gamma, beta)
    np.testing.assert_array_equal(strided[0], solid[0])
    dx = fg.batch_norm_backward(wide[:, 1::2, ::2], strided[1])[0]
    expected = fg.batch_norm_backward(wide[:, 1::2, ::2].copy(), solid[1])[0]
    np.testing.assert_array_equal(dx, expected)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_bad_value_spoils_its_channel_only(bad, rng):
    x, gamma, beta = batch(rng, (600, 3))
    before = fg.batch_norm(x, gamma, beta)[0]
    x[5, 1] = bad
    y, cache = fg.batch_norm(x, gamma, beta)
    assert np.isnan(y[:, 1]).all()
    assert np.isnan(cache.mean[1])
    np.testing.assert_array_equal(y[:, [0, 2]], before[:, [0, 2]])


# Running statistics.


def test_momentum_of_torch_and_keras_are_complements(rng):
    x = rng.standard_normal((3, 50, 4)) + 1
    torch = fg.BatchNorm(4, axis=-1, momentum=0.01, convention="torch")
    keras = fg.BatchNorm(4, axis=-1, momentum=0.99, convention="keras")
    for sample in x:
        torch(sample)
        keras(sample)
    np.testing.assert_allclose(torch.running_mean, keras.running_mean, rtol=1e-13)
    expected = np.zeros(4)
    for sample in x:
        expected = 0.99 * expected + 0.01 * sample.mean(axis=0)
    np.testing.assert_allclose(keras.running_mean, expected, rtol=1e-13)


def test_without_momentum_running_statistics_are_averages(rng):
    x = rng.standard_normal((7, 20, 3))
    bn = fg.BatchNorm(3, axis=-1, momentum=None)
    for sample in x:
        bn(sample)
    np.testing.assert_allclose(bn.running_mean, x.mean(axis=(0, 1)), rtol=1e-12)
    unbiased = x.var(axis=1, ddof=1).mean(axis=0)
    np.testing.assert_allclose(bn.running_var, unbiased, rtol=1e-12)
    assert bn.num_batches == 7


def test_biased_running_variance_if_asked(rng):
    x = rng.standard_normal((5, 2))
    bn = fg.BatchNorm(2, momentum=1.0, unbiased=False)
    bn(x)
    np.testing.assert_allclose(bn.running_var, x.var(axis=0), rtol=1e-14)


@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("tracked", [False, True])
def test_without_affine_or_running_statistics(affine, tracked, rng):
    """As torch's layer of these options, by the formulas."""
    bn = fg.BatchNorm(3, affine=affine, track_running_stats=tracked)
    x, dy = rng.standard_normal((2, 8, 3, 4)) + 2
    ones, zeros = np.ones(3), np.zeros(3)
    y, cache = fg.batch_norm(x, ones, zeros)
    np.testing.assert_array_equal(bn(x), y)
    dx, *others = bn.backward(dy)
    expected = fg.batch_norm_backward(dy, cache)
    np.testing.assert_array_equal(dx, expected[0])
    for found, right in zip(others, expected[1:], strict=True):
        assert found is None if not affine else (found == right).all()
    other = rng.standard_normal((5, 3, 4))
    assert (bn.gamma is None) == (not affine)
    assert (bn.running_mean is None) == (not tracked)
    if tracked:
        mean, var = 0.1 * cache.mean, 0.9 + 0.1 * cache.var * 32 / 31
        right = (other - mean[:, None]) / np.sqrt(var + 1e-5)[:, None]
        scale, shift = bn.folded()
        folded = scale[:, None] * other + shift[:, None]
        np.testing.assert_allclose(folded, right, rtol=1e-12, atol=1e-12)
    else:
        right = fg.batch_norm(other, ones, zeros)[0]
        with pytest.raises(ValueError, match="track_running_stats=True"):
            bn.folded()
    np.testing.assert_allclose(bn(other, training=False), right, rtol=1e-12, atol=1e-12)
    assert bn.cache.x.shape == x.shape  # inference leaves the batch of training


@pytest.mark.parametrize("axis", [1, 2, -1])
def test_channels_are_where_they_are_said_to_be(axis, rng):
    x = rng.standard_normal((6, 4, 4, 4)) * np.arange(1.0, 5) + 3
    y = np.moveaxis(fg.BatchNorm(4, axis=axis, eps=0.0)(x), axis, -1).reshape(-1, 4)
    np.testing.assert_allclose(y.mean(axis=0), 0, atol=1e-13)
    np.testing.assert_allclose(y.var(axis=0), 1, rtol=1e-13)


def test_inference_uses_running_statistics_and_changes_nothing(rng):
    bn = fg.BatchNorm(3)
    bn.gamma, bn.beta = np.array([1.0, 2.0, -1.0]), np.array([0.0, 1.0, 5.0])
    bn(rng.standard_normal((64, 3, 4)) + 7)
    kept = pickle.dumps(bn)
    x = rng.standard_normal((1, 3, 4))
    y = bn(x, training=False)
    expected = twin_with(bn, x)
    np.testing.assert_allclose(y, expected, rtol=1e-13, atol=1e-13)
    scale, shift = bn.folded()
    folded = scale[:, None] * x + shift[:, None]
    np.testing.assert_allclose(folded, expected, rtol=1e-12, atol=1e-12)
    assert pickle.dumps(bn) == kept


def twin_with(bn, x):
    centred = (x - bn.running_mean[:, None]) / np.sqrt(bn.running_var + bn.eps)[:, None]
    return bn.gamma[:, None] * centred + bn.beta[:, None]


# Errors.


@pytest.mark.parametrize(
    ("x", "keywords", "message"),
    [
        (np.ones((1, 3)), {}, "at least 2 samples per channel"),
        (np.ones(3), {}, "`x` must have at least 2 axes"),
        (
            np.ones((4, 3)),
            {"axis": 2},
            "`axis` must be an axis of `x`",
        ),
        (np.ones((4, 2)), {}, r"`gamma` must have shape \(2,\), got \(3,\)"),
        (
            np.ones((4, 3)),
            {"eps": -1.0},
            "`eps` must be finite and not negative, got -1.0",
        ),
        (np.ones((4, 3)), {"num_threads": 0}, "`num_threads` must be positive"),
    ],
)
def test_bad_arguments_of_batch_norm(x, keywords, message):
    with pytest.raises(ValueError, match=message):
        fg.batch_norm(x, np.ones(3), np.zeros(3), **keywords)


def test_a_failed_batch_updates_nothing():
    bn = fg.BatchNorm(3)
    with pytest.raises(ValueError, match="`x` must"):
        bn(np.ones((1, 3)))
    for training in (True, False):
        with pytest.raises(ValueError, match="`x` must have 3 channels along axis 1"):
            bn(np.ones((5, 2)), training=training)
    bn.gamma = np.ones(1)  # which would go with any number of channels
    for training in (True, False):
        with pytest.raises(ValueError, match=r"`gamma` must have shape \(3,\)"):
            bn(np.arange(15.0).reshape(5, 3), training=training)
    assert bn.num_batches == 0
    assert not bn.running_mean.any()


def test_backward_needs_a_batch_and_its_shape():
    bn = fg.BatchNorm(3)
    with pytest.raises(ValueError, match="There is no batch yet"):
        bn.backward(np.ones((4, 3)))
    bn(np.arange(12.0).reshape(4, 3))
    with pytest.raises(
        ValueError, match=r"`dy` must have shape \(4, 3\), got \(3, 4\)"
    ):
        bn.backward(np.ones((3, 4)))


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"num_features": 0}, "`num_features` must be positive, got 0"),
        ({"num_features": 2**50}, "`num_features` must be as many as memory has room"),
        ({"num_features": 1, "momentum": 2.0}, "`momentum` must be from 0 to 1"),
        ({"num_features": 1, "convention": "jax"}, '`convention` must be "torch" or'),
        (
            {"num_features": 1, "eps": np.nan},
            "`eps` must be finite and not negative, got nan",
        ),
    ],
)
def test_bad_parameters_of_batchnorm(keywords, message):
    with pytest.raises(ValueError, match=message):
        fg.BatchNorm(**keywords)


@pytest.mark.parametrize("axis", [1, 3])
def test_the_backward_pass_is_checked_by_check_gradient(axis):
    rng = np.random.default_rng(4)
    shape = (3, 4, 2, 5) if axis == 1 else (3, 2, 5, 4)
    weights = rng.standard_normal(shape)
    params = {
        "x": rng.standard_normal(shape),
        "gamma": 1 + rng.standard_normal(4) / 4,
        "beta": rng.standard_normal(4),
    }

    def forward(p):
        y, cache = fg.batch_norm(p["x"], p["gamma"], p["beta"], axis=axis)
        return np.sum(weights * np.tanh(y)), y, cache

    def grads(p):
        _, y, cache = forward(p)
        dy = weights * (1 - np.tanh(y) ** 2)
        dx, dgamma, dbeta = fg.batch_norm_backward(dy, cache)
        return {"x": dx, "gamma": dgamma, "beta": dbeta}

    assert fg.check_gradient(lambda p: forward(p)[0], params, grads).ok
    swapped = {**grads(params), "gamma": grads(params)["beta"]}
    assert not fg.check_gradient(lambda p: forward(p)[0], params, swapped).ok


def test_batch_norm_written_in_numpy_is_traced():
    rng = np.random.default_rng(5)
    x = rng.standard_normal((6, 3))
    params = {
        "w": rng.standard_normal((3, 4)),
        "gamma": np.ones(4),
        "beta": np.zeros(4),
    }

    def loss(p):
        z = x @ p["w"]
        z_hat = (z - z.mean(axis=0)) / np.sqrt(z.var(axis=0) + 1e-5)
        return np.mean(np.tanh(p["gamma"] * z_hat + p["beta"]) ** 3)

    program = fg.trace(loss, params)
    report = fg.check_gradient(loss, params, program.gradient(), engine="compiled")
    assert report.ok, report
