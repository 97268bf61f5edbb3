"""Malformed calls of everything public: what every refusal says."""

import inspect
import re
from functools import partial

import numpy as np
import pandas
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st

import fastgrad as fg
from fastgrad import _arguments, initializers, meanfield, signal
from fastgrad.interop.scipy import check_grad, check_hess, check_jac

W = np.array([0.5, -1.0, 2.0])
X = np.arange(12.0).reshape(4, 3) / 7


def loss(w):
    return np.sum(w**2)


def grads(w):
    return 2 * w


def sine(x):
    return np.sin(x)


def scaler(with_mean=True, with_std=True, copy=True, num_threads=None):
    options = {"with_mean": with_mean, "with_std": with_std, "copy": copy}
    return fg.StandardScaler(**options, num_threads=num_threads).fit(X)


def network(p):
    return np.mean((p["W2"] @ np.tanh(p["W1"] @ X.T)) ** 2)


NETWORK = {"W1": np.ones((4, 3)) / 3, "W2": np.ones((2, 4)) / 5}

# What no argument of a kind may be. None is left out where it stands for a default.
THING, ARRAY = object(), np.array([1.0, 2.0])
KINDS = {
    "count": ["x", 1.5, np.nan, True, 0, -3, [1], ARRAY, THING, 1j, b"1"],
    "integer": ["x", 1.5, True, ARRAY, THING],
    "positive": ["x", np.nan, np.inf, 0.0, -1.0, True, 1j, [1.0], ARRAY, THING, 10**400],
    "steps": ["x", np.nan, np.inf, 0.0, -1.0, True, 1j, [1.0] * 4, np.ones((2, 2)), THING,
              10**400, [1.0, 1.0, np.inf], [1.0, 0.0, 1.0], {"no such": 1.0}, [None, 1.0, 1.0]],
    "number": ["x", np.nan, -np.inf, True, 1j, [1.0], ARRAY, THING],
    "size": ["x", np.nan, np.inf, -1.0, True, 1j, [1.0], ARRAY, THING],
    "share": ["x", np.nan, -0.5, 1.5, True, 1j, [0.1], ARRAY, THING],
    "cosine": ["x", np.nan, -1.5, 1.5, True, 1j, [0.1], ARRAY, THING],
    "flag": ["x", None, 2, 0.5, [True], ARRAY, THING],
    "showing": ["x", 2, [True], ARRAY, THING],
    "choice": ["no such", 3, 1.5, ["mean"], ARRAY, THING, True, b"mean"],
    "callable": ["x", 3, 1.5, ARRAY, THING, [len]],
    "activation": ["no such", 3, ARRAY, THING, None, lambda x: x[:1], lambda x: x * np.nan,
                   lambda x: {"a": x}],
    "scheme": ["no such", 3, ARRAY, THING, None, {3: "he_normal"}],
    "seed": ["x", -1, 1.5, True, [1.5], ARRAY, THING, None],
    "text": [3, None, b"x", ["x"], THING, ARRAY],
    "layout": [3, None, "OO", "O", "", "OIX", ["OI"], THING],
    "axis": ["x", 1.5, 99, -99, True, THING, ARRAY],
    "axes": ["x", 1.5, 99, (0, 0), (0, 99), (), True, THING, ("x",), [0.5]],
    "dtype": ["x", "int32", int, complex, THING, 3, ">f4", ARRAY],
    "shape": ["x", None, 2.5, (2, -1), (2, 2.5), -1, [2, "x"], THING],
    "out": ["x", [1.0], 3, np.zeros(2), np.zeros((4, 3), int), THING],
    "rows": ["x", 3, (0,), (0, 1, 2), (2, 1), (0, 99), (-1, 1), (0.5, 1), THING],
    "stride": ["x", 0, -1, 1.5, (1, 1), (1, "x"), THING],
    "executor": ["x", 3, THING, ARRAY],
    "coverage": ["x", 0, -1, 1.5, True, None, [1], ARRAY, THING],
    "numbers": ["x", None, THING, 10**400, ["a", "b"], [[1.0], [1.0, 2.0]], 1j * W, {}],
    "point": ["x", None, THING, 10**400, ["a", "b"], [[1.0], [1.0, 2.0]], {}],
    "params": ["x", None, THING, 3, 10**400, np.ma.masked_array(W), W.view(np.matrix),
               np.arange(3), [], {}, np.array(["a"])],
    "grads": ["x", THING, [[1.0], [1.0, 2.0]], 1j * W, W[:2], {"a": W}, np.array(["a", "b", "c"])],
    "bounds": ["x", 3, (0.0,), (0.0, 1.0, 2.0), ("a", "b"), THING],
    "weights": ["x", THING, ["a", "b"], [-1.0] * 4, [1.0], [np.nan] * 4, 1j * W, {}],
    "words": ["x", 3, [1, 2, 3], [[1.0, 2.0]], [-1, 2], [2**40, 2], THING, [1, [2]]],
    "names": ["x", 3, ["no such"], [3], THING, np.array(1.0)],
    "mapping": ["x", 3, ARRAY, {"no such": 0}, {"params": 9}, {"params": "x"}, [0], THING],
    "args": ["x", 3, None, {"a": 1}, THING, ARRAY],
    "kwargs": ["x", 3, [1], {1: 2}, THING, ARRAY],
    "tuple": ["x", 3, X, {"X": X}, THING],
    "cache": [None, 3, (1, 2), THING],
}  # fmt: skip

COUNTS = {"num_threads": "count"}
CHECK = {
    "rtol": "size", "method": "choice", "step": "steps", "coverage": "coverage",
    "reduction": "choice", "engine": "choice", "vectorized": "flag",
    "workers": "executor", "seed": "seed", "progress": "showing", "nondet_rtol": "size",
    **COUNTS,
}  # fmt: skip
MORE = {"args": "args", "kwargs": "kwargs", "blocks": "names", "bounds": "bounds"}
SCHEME = {
    "seed": "seed", "name": "text", "layout": "layout", "groups": "count",
    "transposed": "flag", "dtype": "dtype", "out": "out", **COUNTS,
}  # fmt: skip
FILLED = {**SCHEME, "stride": "stride", "rows": "rows"}
FIELD = {"activation": "activation", "sigma_w": "size", "sigma_b": "size"}


def pick(table, *names, **more):
    return {**{name: table[name] for name in names}, **more}


# name: (function, arguments that make sense, the kind of each argument there is)
CALLS = {
    "check_gradient": (
        fg.check_gradient, {"loss": loss, "params": W, "grads": grads},
        {"loss": "callable", "params": "params", "grads": "grads", **CHECK, **MORE},
    ),
    "numerical_gradient": (
        fg.numerical_gradient, {"loss": loss, "params": W},
        {"loss": "callable", "params": "params", "return_error": "flag", **MORE,
         **{k: v for k, v in CHECK.items() if k not in ("rtol", "coverage")}},
    ),
    "check_jacobian": (
        fg.check_jacobian, {"fun": sine, "x": W, "jac": np.diag(np.cos(W))},
        {"fun": "callable", "x": "point", "jac": "grads", "bounds": "bounds",
         "args": "args", "kwargs": "kwargs",
         **pick(CHECK, "rtol", "method", "step", "coverage", "vectorized", "workers", "seed",
                "progress")},
    ),
    "numerical_jacobian": (
        fg.numerical_jacobian, {"fun": sine, "x": W},
        {"fun": "callable", "x": "point", "bounds": "bounds", "return_error": "flag",
         "args": "args", "kwargs": "kwargs",
         **pick(CHECK, "method", "step", "vectorized", "workers", "seed", "progress")},
    ),
    "check_hessian": (
        fg.check_hessian, {"grad": grads, "x": W, "hess": 2 * np.eye(3)},
        {"grad": "callable", "hess": "grads", **pick(MORE, "args", "kwargs", "bounds"),
         **pick(CHECK, "rtol", "method", "step", "coverage", "vectorized", "workers", "seed",
                "progress")},
    ),
    "numerical_hessian": (
        fg.numerical_hessian, {"loss": loss, "params": W},
        {"loss": "callable", "params": "params", "args": "args", "kwargs": "kwargs",
         "return_error": "flag",
         **pick(CHECK, "step", "reduction", "engine", "progress", "num_threads")},
    ),
    "check_variations": (
        fg.check_variations, {"loss": lambda w, x: np.mean(x @ w), "params": W,
                              "grads": lambda w, x: x.mean(0), "data": (X,)},
        {"loss": "callable", "params": "params", "grads": "callable", "data": "tuple",
         "axis": "integer", "per_sample": "mapping", "variations": "names",
         **pick(CHECK, "rtol", "coverage", "reduction", "engine", "num_threads", "seed")},
    ),
    "GradientMonitor": (
        fg.GradientMonitor, {"loss": loss},
        {"loss": "callable", "share": "share", "raise_if_wrong": "flag"},
    ),
    "layer_loss": (
        fg.layer_loss, {"forward": np.tanh, "backward": lambda x, dy: dy},
        {"forward": "callable", "backward": "callable", "seed": "seed"},
    ),
    "trace": (
        fg.trace, {"loss": loss, "params": W},
        {"loss": "callable", "params": "params", "reduction": "choice"},
    ),
    "diagnose_signal": (
        fg.diagnose_signal, {"loss": network, "params": NETWORK},
        {"loss": "callable", "reduction": "choice", "learning_rate": "size",
         "jacobian": "flag"},
    ),
    "moments": (
        fg.moments, {"x": X},
        {"x": "numbers", "axis": "axes", "weights": "weights", "ddof": "size", **COUNTS},
    ),
    "batch_norm": (
        fg.batch_norm, {"x": X, "gamma": np.ones(3), "beta": np.zeros(3)},
        {"x": "numbers", "gamma": "numbers", "beta": "numbers", "axis": "axis",
         "eps": "size", **COUNTS},
    ),
    "batch_norm_backward": (
        fg.batch_norm_backward,
        {"dy": X, "cache": fg.batch_norm(X, np.ones(3), np.zeros(3))[1]},
        {"dy": "numbers", "cache": "cache", **COUNTS},
    ),
    "BatchNorm": (
        fg.BatchNorm, {"num_features": 3},
        {"num_features": "count", "axis": "integer", "eps": "size", "momentum": "share",
         "convention": "choice", "unbiased": "flag", "affine": "flag",
         "track_running_stats": "flag", **COUNTS},
    ),
    "StandardScaler.fit": (
        fg.StandardScaler().fit, {"X": X}, {"X": "numbers", "sample_weight": "weights", "progress": "flag"},
    ),
    "StandardScaler": (
        scaler, {},
        {"with_mean": "flag", "with_std": "flag", "copy": "flag", **COUNTS},
    ),
    "BatchNorm.__call__": (
        fg.BatchNorm(3), {"x": X}, {"x": "numbers", "training": "flag"},
    ),
    "gain": (fg.gain, {"activation": "relu"}, {"activation": "activation"}),
    "critical_init": (
        fg.critical_init, {"activation": "tanh"},
        {"activation": "activation", "q": "positive", "sigma_b": "size"},
    ),
    "residual_scale": (
        initializers.residual_scale, {"blocks": 3},
        {"blocks": "count", "rule": "choice", "layers_per_block": "count"},
    ),
    "fans": (
        initializers.fans, {"shape": (4, 3)},
        pick(FILLED, "layout", "groups", "transposed", "stride", shape="shape"),
    ),
    "initialize": (
        initializers.initialize, {"shapes": {"W": (4, 3), "b": (4,)}},
        {"scheme": "scheme", "bias": "number",
         **pick(SCHEME, "seed", "layout", "dtype", "num_threads")},
    ),
    "philox4x32": (
        initializers.philox4x32, {"counter": [0, 0, 0, 0], "key": [0, 0]},
        {"counter": "words", "key": "words"},
    ),
    "truncated_std": (initializers.truncated_std, {"bound": 2.0}, {"bound": "positive"}),
    "MeanField": (meanfield.MeanField, {"activation": "relu", "sigma_w": 1.0}, FIELD),
    "theory": (
        signal.theory,
        {"activation": "relu", "sigma_w": 1.0, "sigma_b": 0.0, "depth": 3},
        {**FIELD, "depth": "count", "q": "positive", "correlation": "cosine"},
    ),
    "dead_probability": (
        meanfield.dead_probability, {"batch": 3}, {"correlation": "share"},
    ),
    "first_depth_outside": (
        meanfield.first_depth_outside, {"log2_growth": 1.0, "dtype": "float16"},
        {"log2_growth": "number", "dtype": "choice", "subnormal": "flag"},
    ),
    **{
        name: (getattr(initializers, name), {"shape": (4, 3)},
               {"shape": "shape", "gain": "number", "rows": "rows", **SCHEME})
        for name in ("orthogonal", "identity")
    },
    **{
        name: (getattr(initializers, name), {"shape": (4, 3)},
               {"shape": "shape", "gain": "size", "mode": "choice", **FILLED})
        for name in ("he_normal", "he_uniform", "xavier_normal", "xavier_uniform",
                     "lecun_normal", "lecun_uniform")
    },
    "variance_scaling": (
        initializers.variance_scaling, {"shape": (4, 3)},
        {"shape": "shape", "scale": "size", "mode": "choice", "distribution": "choice",
         **FILLED},
    ),
    **{
        name: (getattr(initializers, name), {"shape": (4, 3)},
               {**own, **pick(FILLED, "seed", "name", "dtype", "out", "rows", "num_threads")})
        for name, own in {
            "truncated_normal": {"std": "size", "bound": "positive"},
            "normal": {"mean": "number", "std": "size"},
            "uniform": {"low": "number", "high": "number"},
            "constant": {"value": "number"},
        }.items()
    },
}  # fmt: skip

MALFORMED = [
    (name, argument, k)
    for name, (_, _, kinds) in CALLS.items()
    for argument, kind in kinds.items()
    for k in range(len(KINDS.get(kind, ())))
]


@settings(max_examples=1500, derandomize=True)
@given(st.sampled_from(MALFORMED))
def test_malformed_calls_say_what_must_be_and_what_was_got(case):
    """`argument` must be ..., got ...: a ValueError or TypeError, whatever is called."""
    name, argument, k = case
    function, sense, kinds = CALLS[name]
    value = KINDS[kinds[argument]][k]
    with pytest.raises((TypeError, ValueError)) as caught:
        function(**{**sense, argument: value})
    message = str(caught.value)
    found = re.search(r"`([\w.\[\]\"]+)` must \S.*, got \S.*", message, re.DOTALL)
    assert found, f"{name}({argument}={value!r}): {caught.type.__name__}: {message}"
    assert re.match(rf"{argument}\b|grads\b", found[1]), (case, value, message)
    assert len(message) < 400


@pytest.mark.parametrize("name", CALLS)
def test_calls_that_make_sense_are_not_refused(name):
    function, sense, _ = CALLS[name]
    function(**sense)


def test_every_public_function_and_argument_is_called_malformed():
    """But for those that anything may be: nests of anything, options passed on."""
    public = {getattr(fg, name) for name in fg.__all__}
    public = {x for x in public if inspect.isfunction(x)}
    assert public <= {function for function, _, _ in CALLS.values()}
    free = {
        "hvp",
        "x",
        "options",
        "vjp",
        "jvp",
        "sparsity",
        "y",
        "initial",
        "shapes",
        "stride",
    }
    for function, _, kinds in CALLS.values():
        arguments = set(inspect.signature(function).parameters)
        left = arguments - set(kinds) - free
        assert left <= {"params", "batch", "shape", "groups", "layout", "transposed"}, (
            function,
            left,
        )


@pytest.mark.parametrize("further", [{}, {"args": (1.0, 2.0)}])
def test_functions_that_do_not_take_the_parameters(further):
    """It is said what they must take, and what these do."""
    p = np.ones(2)
    with pytest.raises(
        TypeError, match=r"`loss` must take the parameters.*got <lambda>"
    ):
        fg.check_gradient(lambda: 1.0, p, p, **further)
    with pytest.raises(
        TypeError, match=r"`grads` must take the parameters, got <lambda>"
    ):
        fg.check_gradient(lambda p: p @ p, p, lambda: p)


def _endless():
    """Containers that contain themselves, and some that are only deep."""
    inside, named, deep = [1.0], {}, np.ones(3)
    inside.append(inside)
    named["a"] = (named, 1.0)
    for _ in range(3000):
        deep = [deep]
    return [inside, named, deep]


@pytest.mark.parametrize("endless", _endless(), ids=["list", "dict", "deep"])
@pytest.mark.parametrize(
    ("name", "call"),
    [
        (name, partial(function, *args))
        for function, *args, names in [
            (fg.check_gradient, np.sum, "params grads step bounds blocks"),
            (fg.numerical_gradient, np.sum, "params step"),
            (fg.trace, np.sum, "params"),
            (fg.diagnose_signal, np.sum, "params"),
            (fg.check_jacobian, np.sin, "x jac step bounds sparsity"),
            (fg.numerical_jacobian, np.sin, "x sparsity"),
            (fg.check_hessian, np.sum, "x hess"),
            (fg.check_variations, np.sum, "params data"),
        ]
        for name in names.split()
    ],
)
def test_containers_without_end(name, call, endless):
    """They are refused by their name, wherever they are walked."""
    known = inspect.signature(call).parameters
    given = {k: np.ones(3) for k in ("params", "x", "jac", "hess")}
    given |= {"grads": np.ones_like, "data": (np.ones(3),)}
    given = {k: v for k, v in given.items() if k in known} | {name: endless}
    with pytest.raises((ValueError, TypeError), match=f"`{name}` must"):
        call(**given)


def test_long_and_strange_values_are_quoted_shortly():
    class Endless:
        def __repr__(self):
            raise RuntimeError("not to be called")

    error = _arguments.refusal(ValueError, "a.b", "be short", "x" * 10_000)
    assert str(error).startswith("`a.b` must be short, got 'xxx")
    assert len(str(error)) < 120
    assert str(_arguments.refusal(TypeError, "a", "be", Endless())).endswith(
        "got Endless."
    )


class FakeTensor:
    """Stands for a tensor among the data."""

    def detach(self):
        return self


class Tensor:
    """Stands for torch's, which is not installed everywhere."""


Tensor.__module__ = "torch"


@pytest.mark.parametrize(
    ("params", "words"),
    [
        (np.arange(3), r"got int64: write `.astype\(float\)`"),
        ({"n": 3}, r'`params\["n"\]` .* got int 3: write 3.0'),
        ({"b": None}, r'`params\["b"\]` .* got None: leave out'),
        (Tensor(), r"got Tensor: use `fastgrad.interop.torch.check_gradient`"),
        (iter([np.ones(2)]), r"got list_iterator: write `list\(...\)` of it"),
        (scipy.sparse.eye_array(2), r"got dia_array: write `.toarray\(\)`"),
        (pandas.DataFrame({"a": [1.0]}), r"got DataFrame: make its columns blocks"),
    ],
)
def test_parameters_that_people_have_are_told_what_to_write(params, words):
    with pytest.raises(TypeError, match=words):
        fg.check_gradient(loss, params, grads)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"eps": 1e-6}, "`eps` must be `step`"),
        ({"epsilon": 1e-6}, "`epsilon` must be `step`"),
        ({"atol": 1e-6}, "`atol` must be left out: error bars are measured"),
        ({"random_state": 0}, "`random_state` must be `seed`"),
        ({"fast_mode": True}, "`fast_mode` must be left out, or `coverage`"),
        ({"threads": 2}, "`threads` must be `num_threads`"),
        ({"covrage": 2}, "got an unexpected keyword argument 'covrage': `coverage`[?]"),
        ({"raise_exception": True}, "left out: `report.raise_if_wrong\\(\\)` raises"),
        ({"gradients": 1.0}, "`gradients` must be `grads`"),
        ({"verbose": True}, "`verbose` must be `progress`"),
    ],
)
def test_names_of_other_checkers_are_told_their_name_here(options, words):
    for check in (fg.check_gradient, fg.check_variations):
        with pytest.raises(TypeError, match=words):
            check(loss, W, grads, **options)
        said = rf"^{check.__name__}\(\) got an unexpected keyword argument 'anything'"
        with pytest.raises(TypeError, match=said):
            check(loss, W, grads, anything=1)


def test_a_list_of_numbers_is_no_array_and_the_note_says_so():
    with pytest.raises(AttributeError) as caught:
        fg.check_gradient(lambda w: w.sum(), [1.0, 2.0], [1.0, 1.0])
    assert (
        "a list of numbers: for an array, np.array(params)" in caught.value.__notes__[0]
    )
    assert fg.check_gradient(lambda w: w[0] * w[1], [1.0, 2.0], [2.0, 1.0]).ok


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: fg.check_gradient(W, loss, grads),
            "check_gradient(loss, params, grads)",
        ),
        (
            lambda: fg.check_gradient(loss, grads, W),
            "check_gradient(loss, params, grads)",
        ),
        (lambda: fg.numerical_gradient(W, loss), "numerical_gradient(loss, params)"),
        (lambda: fg.check_jacobian(loss, grads, W), "check_jacobian(fun, x, jac)"),
        (lambda: fg.check_hessian(grads, grads, W), "check_hessian(grad, x, hess)"),
        (lambda: check_grad(loss, W, grads), "check_grad(func, grad, x0)"),
        (lambda: check_jac(loss, W, grads), "check_jac(fun, jac, x0)"),
        (lambda: check_hess(grads, W, grads), "check_hess(grad, hess, x0)"),
    ],
)
def test_functions_and_arrays_in_each_others_places(call, words):
    order = f"got function: the order is {words}."
    with pytest.raises(TypeError, match=re.escape(order)):
        call()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: initializers.constant((2, 3), 3.0), "constant() takes shape by place, got 2 values: the others go by name, of value=, seed="),
        (lambda: initializers.he_normal(2, 3), "he_normal() takes shape by place, got 2 values"),
        (lambda: fg.check_gradient(loss, W, grads, 1e-5), "check_gradient() takes loss, params, grads by place, got 4 values: the others go by name, of "),
        (lambda: check_grad(loss, grads, W, args=(2,)), "`args` must be given after `x0`"),
        (lambda: check_grad(loss, grads, W, eps=1e-5), "`eps` must be `epsilon`"),
        (lambda: check_jac(sine, "2-point", W), "`jac` must be the Jacobian, or return it, got str '2-point': it is checked against differences."),
        (lambda: fg.check_variations(loss, W, grads, (FakeTensor(),)), "`data[0]` must be an array, got FakeTensor: write `.detach().numpy()`."),
        (lambda: initializers.he_normal((2, 3), rng=0), "`rng` must be `seed`"),
        (lambda: fg.check_jacobian(lambda x: None, W, np.eye(3)), "`fun` returned None: is its `return` missing?"),
        (lambda: fg.check_gradient(loss, W, lambda p: (loss(p), p)), "`grads` must return the gradient alone, got tuple"),
    ],
)  # fmt: skip
def test_what_to_write_instead(call, words):
    with pytest.raises(TypeError, match=re.escape(words)):
        call()


@pytest.mark.parametrize(
    ("module", "name", "words"),
    [
        (fg, "gradcheck", "use fastgrad.interop.torch.gradcheck"),
        (fg, "check_grad", "use fastgrad.interop.scipy.check_grad"),
        (initializers, "kaiming_normal", "use he_normal"),
        (initializers, "glorot_uniform", "use xavier_uniform"),
        (initializers, "zeros", "use constant"),
    ],
)
def test_names_of_other_libraries(module, name, words):
    with pytest.raises(AttributeError, match=words):
        getattr(module, name)
    with pytest.raises(AttributeError, match=r"no attribute 'nothing'$"):
        _ = module.nothing
