"""The variation battery: bugs that hide at default values, and correct gradients."""

import contextlib
import json
import warnings

import numpy as np
import pytest

import fastgrad as fg
import fastgrad_zoo as zoo
from fastgrad.reports import GradientError
from fastgrad_zoo._opened import opened

M, D, H = 6, 4, 3  # samples, features, outputs


def dense(rng):
    """Return a linear layer with squared error: loss, params, right grads, data."""
    params = {"W": rng.standard_normal((H, D)), "b": rng.standard_normal((H, 1))}
    data = (rng.standard_normal((D, M)), rng.standard_normal((H, M)))

    def loss(p, X, Y):
        return np.sum((p["W"] @ X + p["b"] - Y) ** 2) / X.shape[1]

    def grads(p, X, Y):
        e = 2 * (p["W"] @ X + p["b"] - Y) / X.shape[1]
        return {"W": e @ X.T, "b": e.sum(axis=1, keepdims=True)}

    return loss, params, grads, data


def outcomes(report):
    """Return the names of the variations by outcome."""
    found = {}
    for variation in report.variations:
        found.setdefault(variation.outcome, set()).add(variation.name)
    return found


@pytest.mark.parametrize("number", range(0, len(zoo.problems()), 6))
def test_right_gradients_of_the_zoo_raise_no_alarm(number):
    """One problem in six; benchmarks/variations.py takes all."""
    problem = opened(zoo.problems()[number], seed=number, batch=2 + number // 2 % 4)
    report = fg.check_variations(*problem[:4], **problem.options, coverage=2)
    assert report.verdict != "wrong", str(report)
    assert not any(v.outcome == "raises" for v in report.variations)


def test_a_right_gradient_passes_everywhere(rng):
    loss, params, grads, data = dense(rng)
    report = fg.check_variations(loss, params, grads, data, axis=-1)
    assert report.ok
    assert report
    assert report.summary == "Gradient CORRECT: right in all 11 variations."
    assert all(identity.holds for identity in report.identities)
    assert report["as given"].verdict == "correct"
    report.raise_if_wrong()


def test_loss_may_return_the_gradient_too(rng):
    loss, params, grads, data = dense(rng)

    def both(p, X, Y):
        return loss(p, X, Y), grads(p, X, Y)

    assert fg.check_variations(both, params, data=data, axis=-1).ok


def test_per_sample_losses_are_reduced(rng):
    _, params, grads, data = dense(rng)

    def losses(p, X, Y):
        return np.sum((p["W"] @ X + p["b"] - Y) ** 2, axis=0)

    report = fg.check_variations(losses, params, grads, data, axis=-1, reduction="mean")
    assert report.ok
    assert any("a mean" in identity.name for identity in report.identities)


def test_a_bias_gradient_that_is_not_summed_is_right_for_one_sample_only(rng):
    """As in mlpack #3679: the gradient is the error."""
    loss, params, right, (X, Y) = dense(rng)

    def grads(p, X, Y):
        e = 2 * (p["W"] @ X + p["b"] - Y) / X.shape[1]
        return right(p, X, Y) | {"b": e[:, -1:]}

    one = (X[:, :1], Y[:, :1])
    assert fg.check_gradient(
        lambda p: loss(p, *one), params, lambda p: grads(p, *one)
    ).ok
    report = fg.check_variations(loss, params, grads, one, axis=-1)
    assert outcomes(report)["wrong"] == {"samples duplicated"}
    assert report["samples duplicated"].wrong[0].block == "b"
    many = fg.check_variations(loss, params, grads, (X, Y), axis=-1)
    assert "Gradient WRONG: right only with a batch of 1;" in many.summary


def test_an_average_over_the_wrong_dimension(rng):
    """As in dl4j #1452; as many samples as features hide it."""
    loss, params, right, (X, Y) = dense(rng)

    def grads(p, X, Y):
        wrong = X.shape[1] / X.shape[0]
        return {name: wrong * g for name, g in right(p, X, Y).items()}

    data = X[:, :D], Y[:, :D]
    report = fg.check_variations(loss, params, grads, data, axis=-1)
    assert report["as given"].ok
    assert outcomes(report)["wrong"] == {
        "a batch of 1", "a batch of 2", "a batch of 3", "samples duplicated",
    }  # fmt: skip


def test_an_average_of_averages_is_wrong_for_odd_batches(rng):
    """Gradients accumulated over pairs of samples, whatever the last pair has."""
    loss, params, right, data = dense(rng)

    def grads(p, X, Y):
        parts = [
            right(p, X[:, k : k + 2], Y[:, k : k + 2]) for k in range(0, X.shape[1], 2)
        ]
        return {name: np.mean([g[name] for g in parts], axis=0) for name in p}

    report = fg.check_variations(loss, params, grads, data, axis=-1)
    assert outcomes(report)["wrong"] == {"a batch of 3"}
    assert report.summary.startswith("Gradient WRONG: wrong only with a batch of 3")


def batch_norm(eps, missing=None):
    """Return a normalised layer, after which comes an activation, and its gradient."""

    def forward(p):
        xhat = (p["x"] - p["x"].mean(axis=0)) / np.sqrt(p["x"].var(axis=0) + eps)
        return p["gamma"] * xhat + p["beta"]

    def backward(p, dy):
        e = 0 if missing == "eps" else eps
        inverse = 1 / np.sqrt(p["x"].var(axis=0) + e)
        xhat = (p["x"] - p["x"].mean(axis=0)) * inverse
        dxhat = dy if missing == "gamma" else dy * p["gamma"]
        dx = dxhat - dxhat.mean(axis=0) - xhat * (dxhat * xhat).mean(axis=0)
        return {
            "x": inverse * dx,
            "gamma": (dy * xhat).sum(axis=0),
            "beta": dy.sum(axis=0),
        }

    return fg.layer_loss(forward, backward)


def normalised(rng):
    return {"x": rng.standard_normal((M, D)), "gamma": np.ones(D), "beta": np.zeros(D)}


def test_a_right_normalisation_passes(rng):
    loss, grads = batch_norm(1e-5)
    report = fg.check_variations(loss, normalised(rng), grads, per_sample={"x": 0})
    assert report.ok, str(report)
    assert "parameters off their defaults" in report


def test_a_dropped_gamma_hides_where_it_is_one(rng):
    """As in Knet #288."""
    params = normalised(rng)
    loss, grads = batch_norm(1e-5, missing="gamma")
    assert fg.check_gradient(loss, params, grads).ok
    report = fg.check_variations(loss, params, grads, per_sample={"x": 0})
    assert outcomes(report)["wrong"] == {
        "parameters off their defaults", "other parameters",
    }  # fmt: skip


def test_a_missing_eps_hides_where_it_is_small(rng):
    """As in chainer #4191."""
    params = normalised(rng)
    loss, grads = batch_norm(1e-12, missing="eps")
    assert fg.check_gradient(loss, params, grads).ok
    report = fg.check_variations(loss, params, grads, per_sample={"x": 0})
    assert outcomes(report)["wrong"] >= {"a batch of 1", "a batch of 2"}
    assert outcomes(report)["wrong"] <= {f"a batch of {m}" for m in (1, 2, 3)}
    assert report["a batch of 1"].causes[0].code == "nonfinite"


def test_an_ignored_upstream_gradient_is_found(rng):
    """As in chainer #1178: right only where it is one."""
    params = {"w": rng.standard_normal(D)}
    x = rng.standard_normal((M, D))

    def forward(p, x):
        return np.tanh(x * p["w"])

    def backward(p, x, dy):
        return {"w": ((1 - np.tanh(x * p["w"]) ** 2) * x).sum(axis=0)}

    def of_ones(p):
        return backward(p, x, np.ones((M, D)))

    assert fg.check_gradient(lambda p: forward(p, x).sum(), params, of_ones).ok
    report = fg.check_variations(*_placed(fg.layer_loss(forward, backward), params, x))
    assert report.summary.startswith("Gradient WRONG: wrong in all")


def _placed(layer, params, *data):
    loss, grads = layer
    return loss, params, grads, data


def test_an_upstream_gradient_has_the_dtype_of_the_output(rng):
    seen = []
    loss, grads = fg.layer_loss(
        lambda w, x: x * w, lambda w, x, dy: [seen.append(dy.dtype), (dy * x).sum(0)][1]
    )
    x = rng.standard_normal((M, D)).astype(np.float32)
    fg.check_variations(loss, np.ones(D, np.float32), grads, (x,), coverage=2)
    assert set(seen) == {np.dtype(np.float32)}


def test_upstream_as_data_follows_its_samples(rng):
    def loss(w, x, dy):
        return np.sum(dy * np.tanh(x * w))

    def backward(w, x, dy):
        return (dy * x * (1 - np.tanh(x * w) ** 2)).sum(axis=0)

    data = rng.standard_normal((2, M, D))
    report = fg.check_variations(loss, rng.standard_normal(D), backward, tuple(data))
    assert report.ok
    assert any("another order" in identity.name for identity in report.identities)


def test_squeeze_drops_the_batch_of_one(rng):
    loss, params, _, data = dense(rng)

    def grads(p, X, Y):
        e = np.squeeze(2 * (p["W"] @ X + p["b"] - Y) / X.shape[1])
        return {"W": e @ X.T, "b": e.sum(axis=1, keepdims=True)}

    report = fg.check_variations(loss, params, grads, data, axis=-1)
    assert outcomes(report)["raises"] == {"a batch of 1"}
    [variation] = [v for v in report.variations if v.outcome == "raises"]
    assert isinstance(variation.error, ValueError)
    assert "raises only with a batch of 1" in report.summary
    with pytest.raises(GradientError) as caught:
        report.raise_if_wrong()
    assert caught.value.__cause__ is variation.error


def test_a_sum_over_the_longest_axis_is_wrong_for_small_batches(rng):
    loss, params, right, data = dense(rng)

    def grads(p, X, Y):
        e = 2 * (p["W"] @ X + p["b"] - Y) / X.shape[1]
        b = e.sum(axis=int(np.argmax(e.shape)))
        return right(p, X, Y) | {"b": np.resize(b, (H, 1))}

    report = fg.check_variations(loss, params, grads, data, axis=-1)
    assert report["as given"].ok
    assert outcomes(report)["wrong"] == {
        "a batch of 1", "a batch of 2", "a batch of 3",
    }  # fmt: skip


def test_memory_order_taken_for_that_of_the_axes(rng):
    loss, params, right, data = dense(rng)

    def of_parameters(p, X, Y):
        g = right(p, X, Y)
        order = "F" if p["W"].flags.f_contiguous else "C"
        return g | {"W": g["W"].ravel(order).reshape(g["W"].shape)}

    def of_data(p, X, Y):
        again = right(p, X.ravel("K").reshape(X.shape), Y)
        return again if X.flags.f_contiguous else right(p, X, Y)

    report = fg.check_variations(loss, params, of_parameters, data, axis=-1)
    assert outcomes(report)["wrong"] == {"parameters in another order"}
    report = fg.check_variations(loss, params, of_data, data, axis=-1)
    assert "data in another order" in outcomes(report)["wrong"]
    assert report["data not contiguous"].ok


def as_if_contiguous(x):
    """Return what C code reads that takes a pointer and a shape, but no strides."""
    strides = np.empty(x.shape, x.dtype).strides
    return np.lib.stride_tricks.as_strided(x, x.shape, strides)


def test_a_view_read_as_if_it_were_contiguous(rng):
    """As in pytorch #30303 and many more."""
    loss, params, right, data = dense(rng)

    def grads(p, X, Y):
        return right(p, as_if_contiguous(X), Y)

    report = fg.check_variations(loss, params, grads, data, axis=-1)
    assert report["as given"].ok
    assert outcomes(report)["wrong"] == {"data in another order", "data not contiguous"}
    assert report["data not contiguous"].causes[0].code == "nonfinite"


def test_a_loss_that_reads_between_the_elements_is_told(rng):
    loss, params, grads, data = dense(rng)

    def reads(p, X, Y):
        return loss(p, as_if_contiguous(X), Y)

    report = fg.check_variations(
        reads, params, grads, data, axis=-1, variations=["data not contiguous"]
    )
    _, variation = report.variations
    assert variation.outcome == "wrong"
    assert "reads memory" in variation.detail
    assert variation.name not in report


def test_rows_taken_twice_are_overwritten(rng):
    """As in pytorch #1631; all different as given."""
    params = {"E": rng.standard_normal((8, D))}
    rows, y = rng.permutation(8)[:5], rng.standard_normal((5, D))

    def loss(p, rows, y):
        return np.sum((p["E"][rows] - y) ** 2)

    def grads(p, rows, y):
        g = np.zeros_like(p["E"])
        g[rows] = 2 * (p["E"][rows] - y)
        return {"E": g}

    report = fg.check_variations(loss, params, grads, (rows, y))
    assert outcomes(report)["wrong"] == {"samples duplicated"}
    broken = {identity.name for identity in report.identities if not identity.holds}
    assert broken == {"twice as large with every sample twice, a sum"}


def test_a_forgotten_bias_hides_where_it_is_zero(rng):
    params = {"w": rng.standard_normal(D), "b": np.zeros(1)}
    X, y = rng.standard_normal((M, D)), rng.standard_normal(M)

    def loss(p, X, y):
        return np.mean((np.tanh(X @ p["w"] + p["b"]) - y) ** 2)

    def grads(p, X, y):
        a = np.tanh(X @ p["w"])
        dz = 2 * (a - y) * (1 - a**2) / len(y)
        return {"w": dz @ X, "b": dz.sum(keepdims=True)}

    report = fg.check_variations(loss, params, grads, (X, y))
    assert outcomes(report)["wrong"] == {
        "parameters off their defaults", "other parameters",
    }  # fmt: skip


def test_what_a_batch_of_one_raises_is_kept(rng):
    loss, params, right, data = dense(rng)

    def grads(p, X, Y):
        _ = X[:, 1]
        return right(p, X, Y)

    report = fg.check_variations(loss, params, grads, data, axis=-1)
    [variation] = [v for v in report.variations if v.outcome == "raises"]
    assert variation.name == "a batch of 1"
    assert isinstance(variation.error, IndexError)
    assert variation.error.__traceback__ is not None
    assert "IndexError: index 1 is out of bounds" in str(report)
    assert not report.ok


def test_what_the_arguments_as_given_raise_is_let_through(rng):
    loss, params, _, data = dense(rng)

    def grads(p, X, Y):
        raise KeyError("dz1")

    with pytest.raises(KeyError, match="dz1"):
        fg.check_variations(loss, params, grads, data, axis=-1)


def test_where_the_loss_is_not_defined_nothing_is_said(rng):
    """Twice the same point makes a kernel matrix singular."""
    x = np.array([0.0, 1.0, 2.5])
    y = rng.standard_normal(3)

    def loss(p, x, y):
        return _likelihood(p, x, y)[0]

    def grads(p, x, y):
        return _likelihood(p, x, y)[1]

    params = {"scale": np.array(1.3)}
    report = fg.check_variations(loss, params, grads, (x, y), engine="python")
    assert outcomes(report)["skipped"] == {"samples duplicated"}
    assert report.ok, str(report)


def _likelihood(p, x, y):
    """Return a Gaussian log-likelihood without noise, and its gradient."""
    distance = np.abs(x[:, None] - x)
    K = p["scale"] * np.exp(-distance)
    if np.linalg.matrix_rank(K) < len(x):
        raise np.linalg.LinAlgError("Singular matrix")
    alpha = np.linalg.solve(K, y)
    value = 0.5 * y @ alpha + 0.5 * np.linalg.slogdet(K)[1]
    slope = 0.5 * (len(x) - y @ alpha) / p["scale"]
    return value, {"scale": slope}


def test_a_loss_without_a_gradient_in_a_batch_of_one_is_not_held_against_it(rng):
    """A contrastive loss of one sample is zero whatever the parameters are.

    Where rounding hides that, its batch is skipped.
    """
    x = rng.standard_normal((M, D))

    def loss(w, x):
        z = (x * w) @ x.T
        return np.mean(np.log(np.exp(z).sum(axis=1)) - np.diagonal(z))

    def grads(w, x):
        p = np.exp((x * w) @ x.T)
        p = p / p.sum(axis=1, keepdims=True) - np.eye(len(x))
        return np.einsum("ij,id,jd->d", p, x, x) / len(x)

    report = fg.check_variations(loss, rng.standard_normal(D), grads, (x,))
    assert outcomes(report).get("skipped", set()) <= {"a batch of 1"}
    assert report.ok, str(report)


class Boom(BaseException):
    pass


@pytest.mark.parametrize("kind", [None, RuntimeError, Boom])
def test_everything_of_the_user_is_left_as_it_was(rng, kind, monkeypatch):
    # Other tests may have left threads behind, as Dask does.
    monkeypatch.setattr("threading.active_count", lambda: 1)
    loss, params, right, data = dense(rng)
    calls = []

    def grads(p, X, Y):
        calls.append(1)
        if kind is not None and len(calls) == 40:
            raise kind
        np.random.rand()  # noqa: NPY002
        return right(p, X, Y)

    arrays = [*params.values(), *data]
    before = [array.tobytes() for array in arrays]
    np.random.seed(5)  # noqa: NPY002
    expected = np.random.get_state()[1].tobytes()  # noqa: NPY002
    with contextlib.suppress(Boom):
        fg.check_variations(loss, params, grads, data, axis=-1)
    assert [array.tobytes() for array in arrays] == before
    assert np.random.get_state()[1].tobytes() == expected  # noqa: NPY002


def test_changed_data_are_put_back_and_told(rng):
    loss, params, right, data = dense(rng)

    def grads(p, X, Y):
        g = right(p, X, Y)
        X -= X.mean(axis=1, keepdims=True)
        return g

    before = data[0].copy()
    with pytest.raises(ValueError, match=r"must not change .* `data\[0\]`"):
        fg.check_variations(loss, params, grads, data, axis=-1)
    np.testing.assert_array_equal(data[0], before)


def test_a_model_that_reads_its_own_arrays_is_varied_in_place(rng):
    loss, params, grads, data = dense(rng)
    report = fg.check_variations(
        lambda _, X, Y: loss(params, X, Y),
        params,
        lambda _, X, Y: grads(params, X, Y),
        data,
        axis=-1,
    )
    assert report["other parameters"].ok
    assert outcomes(report)["skipped"] == {
        "parameters in another order", "parameters not contiguous",
    }  # fmt: skip
    assert report.ok


def test_data_may_be_nests_and_anything_else(rng):
    loss, params, grads, (X, Y) = dense(rng)

    def nested(function):
        return lambda p, batch, kind: function(p, batch["X"], batch["Y"])

    report = fg.check_variations(
        nested(loss), params, nested(grads), ({"X": X, "Y": Y}, "train"), axis=-1
    )
    assert report.ok
    assert "samples reordered" in report


def test_members_without_samples_are_passed_as_they_are(rng):
    weights = np.array([1.0, 2.0])

    def loss(w, x, weights):
        return np.mean((x @ w) ** 2 @ weights)

    def grads(w, x, weights):
        return 2 * x.T @ ((x @ w) * weights) / len(x)

    params, data = rng.standard_normal((D, 2)), (rng.standard_normal((M, D)), weights)
    with pytest.raises(ValueError, match=r"`data\[1\]` must have 6 samples"):
        fg.check_variations(loss, params, grads, data)
    assert fg.check_variations(loss, params, grads, data, axis=(0, None)).ok


def test_tied_weights_stay_tied(rng):
    W = rng.standard_normal((D, D))
    x = rng.standard_normal((M, D))

    def loss(p, x):
        return np.mean((np.tanh(x @ p["W"]) @ p["V"].T - x) ** 2)

    def grads(p, x):
        a = np.tanh(x @ p["W"])
        d = 2 * (a @ p["V"].T - x) / x.size
        total = d.T @ a + x.T @ ((d @ p["V"]) * (1 - a**2))
        return {"W": total, "V": total}

    report = fg.check_variations(loss, {"W": W, "V": W}, grads, (x,))
    assert report.ok, str(report)
    assert "parameters in another order" not in report


def test_only_the_variations_asked_for(rng):
    loss, params, grads, data = dense(rng)
    report = fg.check_variations(
        loss, params, grads, data, axis=-1, variations=["a batch of 1"]
    )
    assert list(report) == ["as given", "a batch of 1"]
    assert len(report) == 2
    with pytest.raises(KeyError):
        report["a batch of 2"]


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"grads": {"W": 1, "b": 2}}, TypeError, "`grads` must be a function"),
        ({"data": np.ones((3, 3))}, TypeError, "`data` must be the tuple"),
        ({"axis": (0,)}, ValueError, "one member for each of the 2"),
        ({"axis": (-1, 3)}, ValueError, r"`axis\[1\]` must be None or an axis"),
        ({"axis": 2}, ValueError, r"`axis` must be an axis of an array in `data`"),
        ({"axis": 9}, ValueError, r"`axis` must be .*got 9"),
        ({"axis": -5}, ValueError, r"`axis` must be .*got -5"),
        ({"axis": 0}, ValueError, r"`data\[1\]` must have 4 samples, as `data\[0\]`"),
        ({"variations": ["a batch of 4"]}, ValueError, "`variations` must be some of"),
        ({"per_sample": {"c": 0}}, ValueError, "`per_sample` must name blocks"),
        ({"per_sample": {"b": 2}}, ValueError, r'`per_sample\["b"\]` must be an axis'),
        ({"data": (np.ones((D, 0)), 1)}, ValueError, "must have samples, got none"),
    ],
)
def test_calls_that_make_no_sense_are_refused(rng, changes, kind, message):
    loss, params, grads, data = dense(rng)
    arguments = {"grads": grads, "data": data, "axis": -1} | changes
    with pytest.raises(kind, match=message):
        fg.check_variations(loss, params, **arguments)


def test_the_report_can_be_handed_on(rng):
    loss, params, right, data = dense(rng)

    def grads(p, X, Y):
        if X.shape[1] == 2:
            raise IndexError("no third sample")
        return {name: -g for name, g in right(p, X, Y).items()}

    report = fg.check_variations(loss, params, grads, data, axis=-1)
    handed = json.loads(report.to_json())
    assert handed["verdict"] == "wrong"
    assert not handed["ok"]
    first, second, third = handed["variations"][:3]
    assert (first["name"], first["outcome"]) == ("as given", "wrong")
    assert second["report"]["causes"][0]["code"] == "sign"
    assert third["error"] == "IndexError: no third sample"
    assert third["report"] is None
    assert {"name", "block", "holds"} <= set(handed["identities"][0])
    text = str(report)
    assert "as given: sign (W, b)" in text
    assert text.count("sign (W, b):") == 1
    assert "raises with a batch of 2, and wrong elsewhere" in report.summary
    assert repr(report) == f"<VariationReport: {report.summary}>"
    with pytest.raises(GradientError, match="Gradient WRONG"):
        report.raise_if_wrong()


def test_nothing_is_printed_or_warned(rng, capsys):
    loss, params, grads, data = dense(rng)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fg.check_variations(loss, params, grads, data, axis=-1)
    assert capsys.readouterr() == ("", "")
