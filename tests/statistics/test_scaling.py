import copy
import json
import math
import pickle
import re
import sys
import tracemalloc
import warnings
from decimal import Decimal

import numpy as np
import pytest
from exact import digits, exact_moments, exact_std
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import fastgrad as fg


def numacc(b):
    """Return NIST's NumAcc2, 3 or 4, by its rule, each decimal rounded once."""
    decimal = Decimal(str(b))
    low, high = (float(decimal + Decimal(d)) for d in ("-0.1", "0.1"))
    return np.array([b] + [low, high] * 500)


def state_bits(scaler):
    return [scaler.mean_.tobytes(), scaler.var_.tobytes(), scaler.scale_.tobytes()]


def moment_bits(m):
    return [np.asarray(v).tobytes() for v in (m.count, m.mean, m.var, m.std)]


# Certified and exact values.


def test_numacc1_is_exact():
    m = fg.moments([10000001.0, 10000003.0, 10000002.0], ddof=1)
    assert (m.count, m.mean, m.std) == (3, 10000002.0, 1.0)


@pytest.mark.parametrize(
    ("b", "mean", "std"),
    [
        (1.2, "1.2000000000000000665", "0.099999999999999977796"),
        (1000000.2, "1000000.2000000000116", "0.10000000003492459655"),
        (10000000.2, "10000000.200000000185", "0.10000000055879354477"),
    ],
)
def test_numacc_2_3_4_as_stored_to_15_digits(b, mean, std):
    import mpmath

    m = fg.moments(numacc(b), ddof=1)
    assert digits(m.mean, mpmath.mpf(mean)) >= 15
    assert digits(m.std, mpmath.mpf(std)) >= 15


def test_numacc_rounded_to_float32():
    import mpmath

    m = fg.moments(numacc(1.2).astype(np.float32), ddof=1)
    assert digits(m.std, mpmath.mpf("0.099999964237213152511")) >= 15
    m = fg.moments(numacc(1000000.2).astype(np.float32), ddof=1)
    assert digits(m.std, mpmath.mpf("0.09375520298582413561")) >= 15
    assert digits(m.mean, mpmath.mpf("1000000.2187187812188")) >= 15
    m = fg.moments(numacc(10000000.2).astype(np.float32), ddof=1)
    assert (m.mean, m.std) == (10000000.0, 0.0)


def test_half_huge_half_small_has_its_exact_mean_and_variance():
    x = np.r_[np.full(5000, 1e8), np.full(5000, np.log(1e-5))]
    mean, var = exact_moments(x)
    m = fg.moments(x)
    assert digits(mean, 49999994.243537267515) > 14
    assert digits(m.mean, mean) >= 15
    assert digits(m.var, var) >= 15


def test_merging_two_small_sets():
    m = fg.moments([1.0, 2.0, 3.0, 4.0]) + fg.moments([10.0, 20.0])
    assert m.count == 6
    assert digits(m.mean, exact_moments([1, 2, 3, 4, 10, 20])[0]) >= 16
    np.testing.assert_allclose(m.var * 6, 790 / 3, rtol=1e-15)


@pytest.mark.parametrize("offset", [0.0, 1e4, 1e6, 1e8])
def test_any_batching_has_15_digits_and_the_same_bits(offset, rng):
    x = rng.standard_normal((4_000, 1)) + offset
    exact = exact_std(x[:, 0])
    seen = []
    for batch in (1, 10, 100, len(x)):
        scaler = fg.StandardScaler()
        for start in range(0, len(x), batch):
            scaler.partial_fit(x[start : start + batch])
        seen.append(state_bits(scaler))
    assert seen == [seen[0]] * 4
    assert digits(scaler.scale_[0], exact) >= 15


def test_two_float32_values_a_quarter_apart():
    assert fg.moments(np.float32([2281.5, 2281.25]), ddof=1).var == 0.03125


def test_float32_ones_have_mean_one():
    m = fg.moments(np.ones((5_000_000, 2), np.float32))
    np.testing.assert_array_equal(m.mean, 1.0)
    np.testing.assert_array_equal(m.var, 0.0)


def test_a_constant_feature_is_exactly_constant_and_transforms_to_zero():
    for n in (1, 7, 512, 100_000):
        x = np.full((n, 1), 14.62)
        scaler = fg.StandardScaler().fit(x)
        assert (scaler.mean_[0], scaler.var_[0], scaler.scale_[0]) == (14.62, 0.0, 1.0)
        assert not scaler.transform(x).any()
        np.testing.assert_array_equal(scaler.constant_features_, [0])


def test_a_constant_feature_is_exact_under_weights(rng):
    scaler = fg.StandardScaler().fit(
        np.full((999, 1), 0.1), sample_weight=rng.random(999)
    )
    assert (scaler.mean_[0], scaler.var_[0]) == (0.1, 0.0)


def test_large_float32_values_give_what_float64_gives(rng):
    x = (rng.standard_normal(3000) * 1e19 + 1e20).astype(np.float32)
    m = fg.moments(x)
    assert digits(m.std, exact_std(x)) >= 15
    assert moment_bits(m) == moment_bits(fg.moments(x.astype(np.float64)))


def test_a_small_deviation_on_a_large_mean_is_scaled_whatever_n(rng):
    x = rng.standard_normal((1_000_000, 1)) * 1e-4 + 1e6
    for n in (100, 10_000, 1_000_000):
        scaler = fg.StandardScaler().fit(x[:n])
        assert not scaler.constant_features_.size
        np.testing.assert_allclose(scaler.scale_, np.std(x[:n] - 1e6), rtol=1e-9)


def test_rounding_noise_is_constant_whatever_n(rng):
    for n in (10, 1000, 100_000):
        x = 0.1 * (1 + rng.integers(-1, 2, (n, 1)) * np.finfo(float).eps)
        assert fg.StandardScaler().fit(x).scale_[0] == 1.0


@pytest.mark.parametrize("factor", [1e200, 1e-170, 1e300, 1e-290])
def test_deviations_whose_squares_are_out_of_range(factor, rng):
    x = rng.standard_normal((2000, 3)) * factor
    m, scaler = fg.moments(x), fg.StandardScaler().fit(x)
    for j in range(3):
        assert digits(m.std[j], exact_std(x[:, j])) >= 15
    np.testing.assert_array_equal(scaler.scale_, m.std)
    z = scaler.transform(x)
    np.testing.assert_allclose(z.std(axis=0), 1.0, rtol=1e-13)
    assert (m.var[0] == np.inf) if factor > 1 else (m.var[0] == 0.0)


def test_columns_and_chunks_of_very_different_sizes(rng):
    x = rng.standard_normal((1536, 2))
    x[:512] *= 1e-200
    x[512:1024] *= 1e200
    x[:, 1] = x[::-1, 1]
    m = fg.moments(x)
    for j in range(2):
        assert digits(m.std[j], exact_std(x[:, j])) >= 15


def test_a_trend_keeps_15_digits(rng):
    x = np.cumsum(rng.standard_normal(20_000)) * 1e5 + 1e9
    assert digits(fg.moments(x).std, exact_std(x)) >= 15


@pytest.mark.parametrize("k", [-30, 1, 12, 700, -600])
def test_powers_of_two_scale_exactly(k, rng):
    x = rng.standard_normal(5000)
    a, b = fg.moments(x), fg.moments(np.ldexp(x, k))
    assert b.mean == np.ldexp(a.mean, k)
    assert b.std == np.ldexp(a.std, k)


# The same bits.


@settings(max_examples=40)
@given(st.data())
def test_batching_layout_and_threads_do_not_change_a_bit(data):
    n, d = data.draw(st.integers(1, 2500)), data.draw(st.integers(1, 20))
    dtype = data.draw(st.sampled_from([np.float32, np.float64]))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    x = (rng.standard_normal((n, d)) * 10 + 1e3).astype(dtype)
    if data.draw(st.booleans()):
        x[rng.random((n, d)) < 0.1] = np.nan
    w = rng.random(n) + 0.1 if data.draw(st.booleans()) else None
    whole = fg.moments(x, weights=w, num_threads=1)
    strided = np.zeros((2 * n, 3 * d), dtype)[::2, ::3]
    strided[...] = x
    for other in (np.asfortranarray(x), strided, x.astype(np.float64)):
        assert moment_bits(fg.moments(other, weights=w)) == moment_bits(whole)
    assert moment_bits(fg.moments(x, weights=w, num_threads=3)) == moment_bits(whole)
    scaler = fg.StandardScaler(num_threads=2)
    cuts = sorted(data.draw(st.lists(st.integers(0, n), max_size=6)))
    for i, j in zip([0, *cuts], [*cuts, n], strict=True):
        if j > i:
            scaler.partial_fit(x[i:j], sample_weight=None if w is None else w[i:j])
    assert scaler.mean_.tobytes() == whole.mean.tobytes()
    assert scaler.var_.tobytes() == whole.var.tobytes()


def test_missing_values_leave_other_features_alone(rng):
    x = rng.standard_normal((3000, 9)).astype(np.float32)
    before = fg.moments(x)
    x[rng.random(3000) < 0.3, 4] = np.nan
    after = fg.moments(x)
    others = np.arange(9) != 4
    assert before.std[others].tobytes() == after.std[others].tobytes()
    assert after.count[4] == np.isfinite(x[:, 4]).sum()
    np.testing.assert_allclose(
        after.std[4], np.nanstd(x[:, 4].astype(float)), rtol=1e-14
    )


def test_zero_weights_drop_rows_exactly(rng):
    x, w = rng.standard_normal((3000, 3)), rng.integers(0, 3, 3000).astype(float)
    x[w == 0] = np.inf
    with_zeros = fg.moments(x, weights=w)
    without = fg.moments(x[w > 0], weights=w[w > 0])
    assert moment_bits(with_zeros) == moment_bits(without)


def test_frequency_weights_are_repetitions(rng):
    x, w = rng.standard_normal(800), rng.integers(1, 4, 800)
    a, b = fg.moments(x, weights=w, ddof=1), fg.moments(np.repeat(x, w), ddof=1)
    np.testing.assert_allclose([a.mean, a.var], [b.mean, b.var], rtol=1e-13)


def test_scaling_all_weights_changes_nothing(rng):
    x, w = rng.standard_normal(800), rng.random(800) + 0.01
    a, b = fg.moments(x, weights=w), fg.moments(x, weights=w * 1024)
    assert (a.mean, a.var) == (b.mean, b.var)
    assert digits(a.std, exact_std(x, w)) >= 15
    np.testing.assert_allclose(b.weight, 1024 * w.sum(), rtol=1e-14)


def test_reliability_weights_by_their_documented_formula(rng):
    x, w = rng.standard_normal(50), rng.random(50) + 0.1
    m = fg.moments(x, weights=w)
    k = m.effective_count
    mean = np.average(x, weights=w)
    expected = (w * (x - mean) ** 2).sum() / (w.sum() - (w**2).sum() / w.sum())
    np.testing.assert_allclose(m.var * k / (k - 1), expected, rtol=1e-12)


# Merging, and states on their way.


@settings(max_examples=30)
@given(
    hnp.arrays(np.float64, st.integers(1, 300), elements=st.floats(-1e6, 1e6)),
    st.integers(0, 300),
    st.integers(0, 300),
)
def test_merging_is_associative_and_commutative_to_an_ulp(x, i, j):
    i, j = sorted((min(i, len(x)), min(j, len(x))))
    a, b, c = (fg.moments(part) for part in (x[:i], x[i:j], x[j:]))
    exact = exact_moments(x)
    for m in ((a + b) + c, a + (b + c), (c + a) + b):
        assert m.count == len(x)
        np.testing.assert_allclose(m.mean, float(exact[0]), rtol=1e-15, atol=1e-9)
        np.testing.assert_allclose(m.var, float(exact[1]), rtol=1e-12, atol=1e-9)
    assert (a + b).mean == (b + a).mean or i == j == 0
    np.testing.assert_array_max_ulp(np.float64((a + b).std), np.float64((b + a).std), 1)


def test_an_empty_part_changes_nothing():
    x = np.arange(12.0).reshape(6, 2)
    whole = fg.moments(x)
    for m in (whole + fg.moments(x[:0]), fg.moments(x[:0]) + whole):
        assert moment_bits(m) == moment_bits(whole)
    nothing = fg.moments(x[:0])
    assert nothing.count.tolist() == [0, 0]
    assert np.isnan(nothing.mean).all()


def test_moments_survive_pickle_and_json_to_the_bit(rng):
    m = fg.moments(rng.standard_normal((1000, 3)) * 1e250, weights=rng.random(1000) + 1)
    for other in (pickle.loads(pickle.dumps(m)), fg.Moments.from_json(m.to_json())):
        assert moment_bits(other) == moment_bits(m)
        assert moment_bits(other + m) == moment_bits(m + m)
    with pytest.raises(ValueError, match="version 1, got 7"):
        fg.Moments.from_json(json.dumps({**m.to_dict(), "version": 7}))


@pytest.mark.parametrize("text", ["", "nothing", b"\xff", None, 3])
def test_text_that_is_not_of_moments_is_refused(text):
    with pytest.raises(ValueError, match="`text` must be what `to_json` returned, got"):
        fg.Moments.from_json(text)


@pytest.mark.parametrize(
    "part",
    [
        {"shape": None},
        {"shape": [2]},
        {"shape": ["x"]},
        {"state": "x"},
        {"state": [["0x1p0"]]},
        {"state": [[1.0, 2.0, 3.0]] * 9},
        {"ddof": "x"},
    ],
)
def test_what_is_not_of_moments_is_refused(part, rng):
    whole = fg.moments(rng.standard_normal((5, 3))).to_dict()
    with pytest.raises(ValueError, match="`data` must be what `to_dict` returned, got"):
        fg.Moments.from_dict({**whole, **part})
    for key in part:
        with pytest.raises(ValueError, match="must be what `to_dict` returned, got"):
            fg.Moments.from_dict({k: v for k, v in whole.items() if k != key})
    with pytest.raises(TypeError, match="`data` must be what `to_dict` returned, got"):
        fg.Moments.from_dict([whole])


def test_moments_of_other_features_do_not_add():
    with pytest.raises(
        ValueError, match=r"same features and ddof, got shapes \(2,\) and"
    ):
        fg.moments(np.ones((3, 2))) + fg.moments(np.ones((3, 4)))
    with pytest.raises(
        ValueError, match=r"same features and ddof, .* ddof \S+ and 1\."
    ):
        fg.moments(np.ones((3, 2))) + fg.moments(np.ones((3, 2)), ddof=1)


def test_merged_scalers_are_the_scaler_of_all(rng):
    x = rng.standard_normal((5000, 4)) + 1e5
    a, b = fg.StandardScaler().fit(x[:1234]), fg.StandardScaler().fit(x[1234:])
    a.merge(pickle.loads(pickle.dumps(b)))
    assert a.n_samples_seen_ == 5000
    for j in range(4):
        assert digits(a.scale_[j], exact_std(x[:, j])) >= 15


def test_scalers_of_frames_merge_if_their_names_are_the_same(rng):
    pandas = pytest.importorskip("pandas")
    x = rng.standard_normal((40, 2))

    def fitted(names):
        return fg.StandardScaler().fit(pandas.DataFrame(x, columns=names))

    assert fitted(["a", "b"]).merge(fitted(["a", "b"])).n_samples_seen_ == 80
    for names, words in [
        (["b", "a"], "must be in the same order"),
        (["a", "c"], "unseen at fit time:\n- c\n.*yet now missing:\n- b\n$"),
    ]:
        with pytest.raises(ValueError, match=f"(?s){words}") as caught:
            fitted(["a", "b"]).merge(fitted(names))
        assert ("same order" in str(caught.value)) == (names == ["b", "a"])


# moments(): axes, types, errors.


@pytest.mark.parametrize("axis", [0, 1, 2, -1, (0, 2), (2, 0), (0, 1), None, (1,)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_moments_along_any_axes(axis, order, rng):
    x = np.asarray(rng.standard_normal((7, 5, 11)), order=order)
    m = fg.moments(x, axis=axis, ddof=1)
    np.testing.assert_allclose(m.mean, x.mean(axis=axis), rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(m.var, x.var(axis=axis, ddof=1), rtol=1e-13)
    assert m.mean.shape == x.mean(axis=axis).shape


def test_channels_of_images_first_or_last_have_the_same_bits(rng):
    x = rng.standard_normal((6, 5, 13, 17)).astype(np.float32)
    first = fg.moments(x, axis=(0, 2, 3))
    last = fg.moments(np.ascontiguousarray(x.transpose(0, 2, 3, 1)), axis=(0, 1, 2))
    assert moment_bits(first) == moment_bits(last)


@pytest.mark.parametrize(
    "dtype",
    ["?", "i1", "u1", "i2", "i4", "u8", "i8", "f2", "f4", "f8", ">f4", ">f8", "g"],
)
def test_every_real_type_is_accepted(dtype, rng):
    x = rng.integers(0, 2 if dtype == "?" else 100, (700, 3)).astype(dtype)
    m = fg.moments(x)
    expected = fg.moments(x.astype(np.float64))
    assert moment_bits(m) == moment_bits(expected)
    z = fg.StandardScaler().fit(x).transform(x)
    assert z.dtype == (
        np.dtype(dtype).newbyteorder("=") if x.dtype.kind == "f" else "f8"
    )


def test_bfloat16_is_accepted_and_kept(rng):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    x = rng.standard_normal((700, 3)).astype(ml_dtypes.bfloat16)
    scaler = fg.StandardScaler().fit(x)
    expected = fg.StandardScaler().fit(x.astype(np.float64))
    assert state_bits(scaler) == state_bits(expected)
    z = scaler.transform(x)
    assert z.dtype == ml_dtypes.bfloat16
    exact = expected.transform(x.astype(np.float64))
    np.testing.assert_allclose(z.astype(float), exact, rtol=2**-8)


def test_unaligned_and_oddly_strided_arrays(rng):
    x = rng.standard_normal((600, 3))
    table = np.zeros(600, dtype=[("tag", "i1"), ("x", "f8", 3)])
    table["x"] = x
    assert moment_bits(fg.moments(table["x"])) == moment_bits(fg.moments(x))
    z = fg.StandardScaler().fit(x).transform(table["x"])
    np.testing.assert_array_equal(z, fg.StandardScaler().fit(x).transform(x))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"x": [[1.0], [np.inf]]}, ValueError, r"infinity in column 0"),
        ({"x": np.full((600, 3), -np.inf)}, ValueError, r"infinity in columns 0, 1, 2"),
        ({"x": [["a"]]}, TypeError, "`x` must be numeric"),
        ({"x": [[1j]]}, ValueError, "`x` must be real"),
        (
            {"x": [1.0], "axis": 1},
            ValueError,
            "`axis` must be an axis of `x`, 1-d, got 1",
        ),
        ({"x": [[1.0]], "axis": (0, 0)}, ValueError, "`axis` must name different axes"),
        (
            {"x": [1.0], "ddof": -1},
            ValueError,
            "`ddof` must be finite and not negative, got -1",
        ),
        (
            {"x": [1.0], "weights": [1.0, 2.0]},
            ValueError,
            r"`weights` must have shape \(1,\)",
        ),
        *(
            (
                {"x": [1.0, 2.0, 3.0], "weights": [1.0, 2.0, weight]},
                ValueError,
                "`weights` must be 0 or between 1e-30 and 1e30, got .* at 2",
            )
            for weight in (-1.0, np.nan, np.inf, 1e-31, 1e31)
        ),
        (
            {"x": [[1.0]], "axis": None, "weights": [1.0]},
            ValueError,
            "`axis` must be one axis",
        ),
        ({"x": [1.0], "num_threads": 0}, ValueError, "`num_threads` must be positive"),
    ],
)
def test_bad_arguments_of_moments(arguments, error, message):
    with pytest.raises(error, match=message):
        fg.moments(**arguments)


def test_infinities_are_reported_by_column(rng):
    x = rng.standard_normal((2000, 20)).astype(np.float32)
    x[1500, 17] = np.inf
    x[3, 2] = -np.inf
    for array in (x, np.asfortranarray(x)):
        with pytest.raises(ValueError, match=r"got infinity in columns 2, 17\."):
            fg.moments(array)
    first = ", ".join(map(str, range(10)))
    for columns, more in ((10, ""), (11, ", ...")):
        bad = np.full((2, columns), np.inf)
        with pytest.raises(
            ValueError, match=rf"in columns {first}{re.escape(more)}\.$"
        ):
            fg.moments(bad)


# The scaler.


@pytest.mark.parametrize("with_mean", [True, False])
def test_scikit_learns_estimator_checks(with_mean):
    checks = pytest.importorskip("sklearn.utils.estimator_checks")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = checks.check_estimator(
            fg.StandardScaler(with_mean=with_mean), on_skip=None, on_fail=None
        )
    failed = [r["check_name"] for r in results if r["status"] == "failed"]
    assert failed == []
    assert sum(r["status"] == "passed" for r in results) > 40


def test_scikit_learn_is_told_what_is_kept():
    pytest.importorskip("sklearn", minversion="1.6")
    tags = fg.StandardScaler().__sklearn_tags__().transformer_tags
    assert set(tags.preserves_dtype) == {"float32", "float64"}
    names = fg.StandardScaler().fit(np.eye(2)).get_feature_names_out()
    assert (names.tolist(), names.dtype) == (["x0", "x1"], np.dtype(object))


def test_agrees_with_scikit_learn(rng):
    from sklearn.preprocessing import StandardScaler

    x = rng.standard_normal((1000, 6)) * [1, 10, 0, 1e3, 1, 1] + 5
    x[::7, 1] = np.nan
    w = rng.random(1000)
    for weight in (None, w):
        ours = fg.StandardScaler().fit(x, sample_weight=weight)
        theirs = StandardScaler().fit(x, sample_weight=weight)
        for name in ("mean_", "var_", "scale_", "n_samples_seen_"):
            np.testing.assert_allclose(
                getattr(ours, name), getattr(theirs, name), rtol=1e-12, atol=1e-20
            )
        z = ours.transform(x)
        np.testing.assert_allclose(z, theirs.transform(x), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(ours.inverse_transform(z), x, rtol=1e-15, atol=1e-13)


def test_works_in_a_pipeline_with_frames(rng):
    pandas = pytest.importorskip("pandas")
    from sklearn.base import clone
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    x = pandas.DataFrame(
        rng.standard_normal((60, 2)), columns=["a", "b"], index=range(5, 65)
    )
    y = (x["a"] > 0).to_numpy()
    pipeline = make_pipeline(fg.StandardScaler(), LogisticRegression())
    assert clone(pipeline).fit(x, y).score(x, y) > 0.9
    z = fg.StandardScaler().set_output(transform="pandas").fit_transform(x)
    assert list(z.columns) == ["a", "b"]
    assert list(z.index) == list(x.index)
    scaler = fg.StandardScaler().fit(x)
    np.testing.assert_array_equal(scaler.get_feature_names_out(), ["a", "b"])
    with pytest.raises(ValueError, match="The feature names should match"):
        scaler.transform(x[["b", "a"]])
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        scaler.transform(x.to_numpy())


def test_missing_values_of_pandas_are_nan():
    pandas = pytest.importorskip("pandas")
    x = pandas.DataFrame({"a": pandas.array([1, None, 3], dtype="Int64")})
    scaler = fg.StandardScaler().fit(x)
    assert scaler.mean_[0] == 2.0
    assert scaler.n_samples_seen_ == 2


def test_polars_frames_in_and_out():
    polars = pytest.importorskip("polars")
    x = polars.DataFrame({"a": [1.0, 2.0, 3.0], "b": [1, None, 5]})
    scaler = fg.StandardScaler().set_output(transform="polars").fit(x)
    np.testing.assert_array_equal(scaler.mean_, [2.0, 3.0])
    assert scaler.transform(x).columns == ["a", "b"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("order", ["C", "F", "strided"])
@pytest.mark.parametrize("shape", [(1, 1), (700, 3), (513, 130), (5, 2000)])
def test_transform_is_the_formula_rounded_once(dtype, order, shape, rng):
    x = (rng.standard_normal(shape) + 1e3).astype(dtype)
    if order == "F":
        x = np.asfortranarray(x)
    elif order == "strided":
        x = np.repeat(x, 2, axis=1)[:, ::2]
    scaler = fg.StandardScaler().fit(x)
    expected = ((x.astype(float) - scaler.mean_) / scaler.scale_).astype(dtype)
    out = np.empty(shape[::-1], dtype).T
    for z in (scaler.transform(x), scaler.transform(x, out=out)):
        np.testing.assert_array_equal(z, expected)
        assert z.dtype == dtype
    back = scaler.inverse_transform(expected)
    formula = (expected.astype(float) * scaler.scale_ + scaler.mean_).astype(dtype)
    np.testing.assert_array_equal(back, formula)
    unit = np.spacing(np.abs(x)) + 0.5 * np.spacing(np.abs(expected)) * scaler.scale_
    assert (np.abs(back - x) <= unit * (1 + 1e-6)).all()


def test_float32_far_from_zero_is_right_to_half_an_ulp(rng):
    x = (rng.standard_normal((5000, 1)) + 1e6).astype(np.float32)
    scaler = fg.StandardScaler().fit(x)
    exact = (x.astype(np.longdouble) - scaler.mean_) / scaler.scale_
    z = scaler.transform(x)
    assert (np.abs(z - exact) <= 0.5001 * np.spacing(np.abs(z))).all()


def test_in_place_and_out(rng):
    x = rng.standard_normal((50, 3))
    kept = x.copy()
    scaler = fg.StandardScaler().fit(x)
    z = scaler.transform(x)
    np.testing.assert_array_equal(x, kept)
    assert scaler.transform(x, copy=False) is x
    np.testing.assert_array_equal(x, z)
    whole = np.arange(6).reshape(3, 2)  # cannot hold the result
    z_of_whole = scaler.fit(whole).transform(whole, copy=False)
    np.testing.assert_allclose(
        z_of_whole, 1.5**0.5 * np.repeat([[-1], [0], [1]], 2, axis=1)
    )
    np.testing.assert_array_equal(whole, np.arange(6).reshape(3, 2))
    x = kept.copy()
    assert scaler.fit(x).transform(x, out=x) is x
    np.testing.assert_array_equal(x, z)
    overlapping = np.concatenate([kept, kept])
    scaler.transform(overlapping[:50], out=overlapping[1:51])
    np.testing.assert_array_equal(overlapping[1:51], z)
    square = rng.standard_normal((6, 6))  # its transpose begins where it does
    z = fg.StandardScaler().fit(square).transform(square)
    fg.StandardScaler().fit(square).transform(square, out=square.T)
    np.testing.assert_array_equal(square.T, z)
    with pytest.raises(ValueError, match=r"`out` must be an array of shape \(50, 3\)"):
        scaler.transform(kept, out=np.empty((50, 3), np.float32))


def test_read_only_memory_maps(tmp_path, rng):
    x = rng.standard_normal((3000, 4))
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    a, b = fg.StandardScaler(copy=False).fit(mapped), fg.StandardScaler().fit(x)
    assert state_bits(a) == state_bits(b)
    np.testing.assert_array_equal(a.transform(mapped), b.transform(x))
    x.flags.writeable = False
    z = a.transform(x)
    assert z.flags.writeable
    np.testing.assert_array_equal(x, np.load(tmp_path / "x.npy"))


def test_a_generator_of_chunks_is_one_fit(rng):
    x = rng.standard_normal((5000, 3))
    whole = fg.StandardScaler().fit(x)
    chunks = fg.StandardScaler().fit(x[i : i + 700] for i in range(0, 5000, 700))
    assert state_bits(chunks) == state_bits(whole)
    with pytest.raises(ValueError, match="at least one chunk"):
        fg.StandardScaler().fit(iter(()))


def test_the_progress_bar_counts_chunks(capsys):
    pytest.importorskip("tqdm")
    fg.StandardScaler().fit((np.ones((4, 2)) * i for i in range(3)), progress=True)
    assert "3 chunks" in capsys.readouterr().err
    scaler = fg.StandardScaler()
    scaler.partial_fit(np.ones((4, 2)) * i for i in range(3))
    scaler.partial_fit(np.ones((4, 2)))
    assert not capsys.readouterr().err
    assert (scaler.n_samples_seen_, scaler.n_samples_seen_.dtype.kind) == (16, "i")


@pytest.mark.parametrize("dtype", [np.float64, np.int32])
def test_weights_go_with_their_rows_through_all_slabs(dtype, monkeypatch, rng):
    """Where rows of weight zero are left out, and where types are converted."""
    monkeypatch.setattr("fastgrad.statistics.tables._SLAB", 64)
    monkeypatch.setattr("fastgrad.statistics.affine._SLAB", 64)
    x = rng.integers(-50, 50, (101, 3)).astype(dtype)
    z = fg.StandardScaler().fit_transform(x)
    np.testing.assert_allclose(z, (x - x.mean(0)) / x.std(0), rtol=1e-13, atol=1e-13)
    w = rng.integers(0, 4, 101)
    found, right = (
        fg.moments(x, weights=w),
        exact_moments(np.repeat(x, w, axis=0)[:, 1]),
    )
    assert found.count[1] == np.count_nonzero(w)
    assert digits(found.mean[1], right[0]) >= 15
    np.testing.assert_array_equal(found.weight, w.sum())


def test_memory_does_not_grow_with_the_rows(rng):
    peaks = []
    for n in (100_000, 400_000):
        x = rng.standard_normal((n, 20)).astype(np.float32)
        tracemalloc.start()
        fg.StandardScaler(num_threads=2).fit(x)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 8_000_000


def test_a_failed_fit_or_partial_fit_changes_nothing(rng):
    x = rng.standard_normal((700, 3))
    scaler = fg.StandardScaler().fit(x)
    before = state_bits(scaler)
    bad = x.copy()
    bad[699, 1] = np.inf

    def chunks():
        yield x
        raise RuntimeError("disk")

    for call, error in (
        (lambda: scaler.partial_fit(bad), ValueError),
        (lambda: scaler.fit(bad), ValueError),
        (lambda: scaler.partial_fit(x[:, :2]), ValueError),
        (lambda: scaler.partial_fit([["a", "b", "c"]]), TypeError),
        (lambda: scaler.partial_fit(x, sample_weight=-np.ones(700)), ValueError),
        (lambda: scaler.fit(chunks()), RuntimeError),
    ):
        with pytest.raises(error):
            call()
        assert state_bits(scaler) == before
        assert scaler.n_samples_seen_ == 700
    again = fg.StandardScaler().fit(np.concatenate([x, x]))
    assert state_bits(scaler.partial_fit(x)) == state_bits(again)


def test_a_frozen_scaler_refuses_to_learn(rng):
    from sklearn.base import clone

    x = rng.standard_normal((100, 2))
    scaler = fg.StandardScaler().fit(x).freeze()
    before = state_bits(scaler)
    for call in (scaler.fit, scaler.partial_fit, scaler.fit_transform):
        with pytest.raises(ValueError, match="This scaler is frozen"):
            call(x + 1)
    with pytest.raises(ValueError, match="This scaler is frozen"):
        scaler.merge(fg.StandardScaler().fit(x))
    assert state_bits(scaler) == before
    with pytest.raises(ValueError, match="This scaler is frozen"):
        copy.deepcopy(scaler).fit(x)
    clone(scaler).fit(x)
    assert scaler.transform(x).shape == (100, 2)


def test_drift_is_seen_and_its_absence_too(rng):
    train = rng.standard_normal((20_000, 3)) * [1, 2, 3] + 100
    scaler = fg.StandardScaler().fit(train)
    z, ratio = scaler.drift(
        rng.standard_normal((5000, 3)) * [1, 2, 6] + [100, 100.2, 100]
    )
    assert abs(z[0]) < 4.5
    assert z[1] > 4.5
    np.testing.assert_allclose(ratio, [1, 1, 2], rtol=0.06)
    error = scaler.scale_ * np.sqrt(1 / 20_000 + 1 / 4)
    z = scaler.drift(train[:4]).z
    np.testing.assert_allclose(z, (train[:4].mean(0) - scaler.mean_) / error, rtol=1e-9)


def test_all_nan_columns_warn_and_stay_nan():
    x = np.array([[1.0, np.nan], [2.0, np.nan]])
    scaler = fg.StandardScaler()
    with pytest.warns(
        RuntimeWarning, match=r"Column\(s\) 1 of `X` are all NaN"
    ) as told:
        scaler.fit(x)
    assert told[0].filename == __file__
    np.testing.assert_array_equal(scaler.mean_, [1.5, np.nan])
    np.testing.assert_array_equal(scaler.n_samples_seen_, [2, 0])
    np.testing.assert_array_equal(scaler.transform(x)[:, 1], [np.nan, np.nan])


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.ones((0, 3)), ValueError, r"0 sample\(s\)"),
        (np.ones((3, 0)), ValueError, r"0 feature\(s\)"),
        (np.ones(3), ValueError, "Reshape your data"),
        (
            np.ones((2, 2, 2)),
            ValueError,
            r"must have shape \(samples, features\), got 3D",
        ),
        ([["a"]], TypeError, "`X` must be numeric"),
    ],
)
def test_what_is_not_a_table_is_refused(x, error, message):
    with pytest.raises(error, match=message):
        fg.StandardScaler().fit(x)


def test_sparse_matrices_are_refused_with_advice():
    """Where they are to be centred, and where there is nothing else to give."""
    from scipy import sparse

    x = sparse.eye(3, format="csr")
    advice = r"not sparse. Pass X\.toarray\(\), or scale with `with_mean=False`"
    with pytest.raises(TypeError, match=advice):
        fg.StandardScaler().fit(x)
    with pytest.raises(TypeError, match=advice):
        fg.StandardScaler().fit(np.eye(3)).transform(x)
    scaler = fg.StandardScaler(with_mean=False).fit(x)
    with pytest.raises(ValueError, match="`out` must be None for a sparse"):
        scaler.transform(x, out=np.empty((3, 3)))
    with pytest.raises(ValueError, match="must not become a frame"):
        scaler.set_output(transform="pandas").transform(x)
    with pytest.raises(ValueError, match=r"`X` must have shape \(samples, features\)"):
        scaler.fit(sparse.coo_array([1.0, 0.0, 2.0]))
    bad = x.copy()
    bad.data[1] = np.inf
    with pytest.raises(ValueError, match="infinity in column 1"):
        scaler.fit(bad)


@settings(max_examples=40)
@given(
    st.integers(0, 10**6),
    st.sampled_from(["csr", "csc", "coo", "lil", "bsr"]),
    st.sampled_from([0.0, 0.1, 0.6, 1.0]),
    st.sampled_from(
        [
            "plain",
            "weighted",
            "missing",
            "huge",
            "tiny",
            "tiny, missing",
            "weighted, missing",
            "constant",
        ]
    ),
    st.booleans(),
)
def test_sparse_statistics_are_those_of_the_dense(seed, layout, density, kind, whole):
    """Of any pattern, weights and size; by one fit, or in parts."""
    from scipy import sparse

    rng = np.random.default_rng(seed)
    x = sparse.random_array((60, 7), density=density, rng=rng).toarray()
    x *= 1e290 if kind == "huge" else 1e-290 if "tiny" in kind else 1.0
    if kind == "constant":
        x[:, 3] = 0.1
    if "missing" in kind:
        x[rng.random(x.shape) < 0.2] = np.nan
    w = rng.random(60) * (rng.random(60) < 0.8) if "weighted" in kind else None
    given = sparse.coo_array(x).asformat(layout)
    dense = fg.StandardScaler(with_mean=False).fit(x, sample_weight=w)
    if whole:
        ours = fg.StandardScaler(with_mean=False).fit(given, sample_weight=w)
    else:
        ours, given_rows = fg.StandardScaler(with_mean=False), given.tocsr()
        for part in (slice(0, 17), slice(17, 60)):
            weights = None if w is None else w[part]
            if weights is None or weights.any():
                ours.partial_fit(given_rows[part], sample_weight=weights)
    for name in ("mean_", "scale_", "n_samples_seen_", "constant_features_"):
        np.testing.assert_allclose(
            getattr(ours, name), getattr(dense, name), rtol=1e-13
        )
    counts = (each._fitted.moments.effective_count for each in (ours, dense))
    np.testing.assert_allclose(*counts, rtol=1e-12)
    if "missing" not in kind:
        for found, right in zip(ours.drift(given), dense.drift(x), strict=True):
            np.testing.assert_allclose(found, right, rtol=1e-12, atol=1e-12)
    before = given.toarray()
    z = ours.transform(given)
    assert sparse.issparse(z)
    np.testing.assert_allclose(z.toarray(), dense.transform(x), rtol=1e-13)
    np.testing.assert_array_equal(given.toarray(), before)
    np.testing.assert_allclose(ours.inverse_transform(z).toarray(), x, rtol=1e-13)


def test_sparse_matrices_of_repeated_entries_and_of_one_row():
    """Entries in any order, which add up; the matrix itself stays as it is."""
    from scipy import sparse

    parts = np.array([1.0, 2.0, 5.0, 0.5]), np.array([2, 0, 0, 1]), np.array([0, 3, 4])
    x = sparse.csc_array(parts, shape=(3, 2), copy=True)
    dense = fg.StandardScaler(with_mean=False).fit(x.toarray())
    ours = fg.StandardScaler(with_mean=False).fit(x)
    np.testing.assert_allclose(ours.mean_, dense.mean_, rtol=1e-15)
    np.testing.assert_allclose(ours.scale_, dense.scale_, rtol=1e-15)
    for before, after in zip(parts, (x.data, x.indices, x.indptr), strict=True):
        np.testing.assert_array_equal(after, before)
    one = fg.StandardScaler(with_mean=False).fit(sparse.csr_array([[3.0, 0.0]]))
    np.testing.assert_array_equal(one.mean_, [3.0, 0.0])


def test_sparse_statistics_are_exact(rng):
    """The mean to its last digit; zeros count, where half of the column is missing."""
    from scipy import sparse

    data = rng.random(3000) + 1e5
    x = sparse.csc_array(
        (data, (np.arange(0, 6000, 2), np.zeros(3000, int))), (6001, 1)
    )
    found = fg.StandardScaler(with_mean=False).fit(x).mean_[0]
    assert found == pytest.approx(math.fsum(data) / 6001, rel=2e-16, abs=0)
    x = sparse.csc_array([[np.nan], [3.0], [np.nan], [0.0]])
    scaler = fg.StandardScaler(with_mean=False).fit(x)
    assert (scaler.mean_[0], scaler.var_[0]) == (1.5, 2.25)
    x = sparse.csc_array([[np.nan], [3.0]])
    scaler = fg.StandardScaler(with_mean=False).fit(x, sample_weight=[1.0, 2.0])
    assert (scaler.mean_[0], scaler.var_[0]) == (3.0, 0.0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_sparse_matrices_keep_their_type_and_may_be_overwritten(dtype, rng):
    from scipy import sparse

    x = sparse.csc_array(rng.integers(0, 9, (20, 4)).astype(dtype))
    scaler = fg.StandardScaler(with_mean=False).fit(x)
    z = scaler.transform(x, copy=False)
    assert z.dtype == (np.float64 if dtype is np.int64 else dtype)
    assert (z is x) == (dtype is not np.int64)


def test_metadata_is_routed(rng):
    """Weights reach the scaler in a pipeline, once asked for, in clones too."""
    sklearn = pytest.importorskip("sklearn")
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    x, w = rng.standard_normal((40, 2)), rng.random(40)
    y = x[:, 0] > 0
    with pytest.raises(RuntimeError, match="routing must be enabled"):
        fg.StandardScaler().set_fit_request(sample_weight=True)
    with sklearn.config_context(enable_metadata_routing=True):
        scaler = fg.StandardScaler().set_fit_request(sample_weight=True)
        model = LogisticRegression().set_fit_request(sample_weight=False)
        pipeline = sklearn.base.clone(make_pipeline(scaler, model))
        pipeline.fit(x, y, sample_weight=w)
        expected = np.average(x, axis=0, weights=w)
        np.testing.assert_allclose(pipeline[0].mean_, expected, rtol=1e-12)
        unsaid = make_pipeline(fg.StandardScaler(), model)
        with pytest.raises(ValueError, match="sample_weight"):
            unsaid.fit(x, y, sample_weight=w)


def test_notebooks_show_what_scikit_learn_shows():
    from sklearn.pipeline import make_pipeline

    assert "StandardScaler" in fg.StandardScaler()._repr_html_()
    assert "StandardScaler" in make_pipeline(fg.StandardScaler())._repr_html_()


def test_outputs_that_there_are_none_of_are_refused():
    with pytest.raises(ValueError, match="'pandas', 'polars' or None, got 'excel'"):
        fg.StandardScaler().set_output(transform="excel")


def test_not_fitted():
    new = fg.StandardScaler()
    for call in (new.transform, new.inverse_transform, new.drift):
        with pytest.raises(ValueError, match="is not fitted yet: call `fit` first"):
            call([[1.0]])
    assert not hasattr(fg.StandardScaler(), "mean_")


def test_other_numbers_of_features_are_refused():
    scaler = fg.StandardScaler().fit([[1.0, 2.0], [3.0, 4.0]])
    for call in (
        scaler.transform,
        scaler.inverse_transform,
        scaler.partial_fit,
        scaler.drift,
    ):
        with pytest.raises(
            ValueError, match="X has 1 features, but StandardScaler is expec"
        ):
            call([[1.0]])


def test_parameters_and_their_effect():
    x = np.array([[1.0], [3.0]])
    np.testing.assert_array_equal(
        fg.StandardScaler(with_mean=False).fit_transform(x), [[1.0], [3.0]]
    )
    np.testing.assert_array_equal(
        fg.StandardScaler(with_std=False).fit_transform(x * 4), [[-4.0], [4.0]]
    )
    bare = fg.StandardScaler(with_mean=False, with_std=False).fit(x)
    assert (bare.mean_, bare.var_, bare.scale_) == (None, None, None)
    assert repr(fg.StandardScaler(copy=False)) == "StandardScaler(copy=False)"
    assert (
        fg.StandardScaler().set_params(with_mean=False).get_params()["with_mean"]
        is False
    )
    with pytest.raises(ValueError, match="Invalid parameter 'bad'"):
        fg.StandardScaler().set_params(bad=1)


def test_importing_does_not_import_what_is_used_later():
    import subprocess
    import sys

    code = "import sys, fastgrad; print([m for m in {!r} if m in sys.modules])"
    heavy = ["sklearn", "scipy", "pandas", "polars", "dask", "tqdm", "torch"]
    out = subprocess.run(
        [sys.executable, "-c", code.format(heavy)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert out.stdout.strip() == "[]"


# Dask.


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed")
    pytest.importorskip("dask.array")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with (
            distributed.LocalCluster(
                n_workers=2, threads_per_worker=1, dashboard_address=":0"
            ) as local,
            distributed.Client(local) as client,
        ):
            yield client


def test_dask_fits_on_a_cluster_and_transforms_lazily(cluster, rng):
    import dask.array as da

    from fastgrad.interop.dask import moments

    x = rng.standard_normal((5000, 6)) + 1e6
    w = rng.random(5000)
    blocks = da.from_array(x, chunks=(700, 4))
    whole = fg.StandardScaler().fit(x, sample_weight=w)
    scaler = fg.StandardScaler().fit(blocks, sample_weight=w)
    assert scaler.n_features_in_ == 6
    for j in range(6):
        assert digits(scaler.scale_[j], exact_std(x[:, j], w)) >= 15
    np.testing.assert_allclose(scaler.mean_, whole.mean_, rtol=1e-15)
    plain = moments(blocks, ddof=1)
    assert plain.count.tolist() == [5000] * 6
    assert digits(plain.std[0], exact_std(x[:, 0], ddof=1)) >= 15
    z = scaler.transform(blocks.rechunk((700, -1)))
    assert isinstance(z, da.Array)
    np.testing.assert_array_equal(z.compute(), scaler.transform(x))


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
def test_what_is_masked_is_missing(dtype):
    """A masked value is skipped like a nan, never read."""
    data = np.array([[1, 5], [3, 999], [9, 7]], dtype)
    x = np.ma.masked_array(data, [[0, 0], [0, 1], [0, 0]])
    m = fg.moments(x)
    assert m.count.tolist() == [3, 2]
    assert m.mean.tolist() == [13 / 3, 6.0]
    scaler = fg.StandardScaler().fit(x)
    assert scaler.mean_.tolist() == [13 / 3, 6.0]
    z = scaler.transform(x)
    assert np.isnan(z).tolist() == x.mask.tolist()
    assert z.dtype == (dtype if dtype is np.float32 else np.float64)


def test_only_a_scaler_can_be_merged():
    scaler = fg.StandardScaler().fit([[1.0], [2.0]])
    with pytest.raises(TypeError, match="`other` must be a StandardScaler, got int"):
        scaler.merge(3)
    with pytest.raises(ValueError, match="not fitted"):
        scaler.merge(fg.StandardScaler())
    with pytest.raises(ValueError, match="not fitted"):
        fg.StandardScaler().merge(scaler)


@pytest.mark.parametrize("axis", [0, (0, 2), 1])
def test_moments_of_any_axes_go_through_all_slabs(axis, monkeypatch, rng):
    monkeypatch.setattr(sys.modules["fastgrad.statistics.moments"], "_SLAB", 64)
    x = rng.integers(-50, 50, (17, 9, 6))
    found = fg.moments(x, axis=axis)
    np.testing.assert_allclose(found.mean, x.mean(axis), rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(found.var, x.var(axis), rtol=1e-13)


def test_infinities_in_a_few_rows_are_reported_by_column():
    for rows in (2, 3, 70):
        x = np.ones((rows, 3))
        x[-1, 1] = np.inf
        with pytest.raises(ValueError, match=r"got infinity in column 1\."):
            fg.StandardScaler().fit(x)


def test_weights_once_given_count_further_rows():
    scaler = fg.StandardScaler().partial_fit(np.eye(2), sample_weight=[0.5, 2.0])
    assert scaler.n_samples_seen_ == 2.5
    assert scaler.partial_fit(np.eye(2)).n_samples_seen_ == 4.5


def test_columns_that_are_numbers_are_no_names():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(np.eye(2))
    scaler = fg.StandardScaler().fit(frame)
    assert not hasattr(scaler, "feature_names_in_")
    assert scaler.get_feature_names_out().tolist() == ["x0", "x1"]
    with pytest.raises(TypeError, match=r"input has \['int', 'str'\] as feature name"):
        scaler.fit(frame.rename(columns={1: "one"}))


def test_sparse_matrices_without_rows_are_refused():
    from scipy import sparse

    with pytest.raises(ValueError, match=r"0 sample|at least|empty"):
        fg.StandardScaler(with_mean=False).fit(sparse.csr_array((0, 3)))


def test_names_and_widths_of_others_are_refused(rng):
    """Names of another number of features, other names, scalers of another width."""
    scaler = fg.StandardScaler().fit(rng.standard_normal((9, 3)))
    assert scaler.get_feature_names_out(["a", "b", "c"]).tolist() == ["a", "b", "c"]
    assert scaler.get_feature_names_out(["a", "b", "c"]).dtype == object
    with pytest.raises(ValueError, match=r"number of features \(3\), got 2"):
        scaler.get_feature_names_out(["a", "b"])
    with pytest.raises(ValueError, match="`other` must have 3 features, got 4"):
        scaler.merge(fg.StandardScaler().fit(rng.standard_normal((9, 4))))
