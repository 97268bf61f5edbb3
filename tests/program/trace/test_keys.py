"""Dictionaries whose keys are made of the parameters: caches, counters, sets."""

import collections
import hashlib

import numpy as np
import pytest

import fastgrad as fg

W = np.array([0.31, 0.72, -1.4])


def keys_of(kind):
    return {
        "bytes": lambda w: w.tobytes(),
        "tuple": tuple,
        "list": lambda w: tuple(w.tolist()),
        "rounded": lambda w: tuple(round(float(x), 9) for x in w),
        "nested": lambda w: ("w", (w[0], w[1:].tobytes())),
        "hash": lambda w: hash(w.tobytes()),
        "hash of a tuple": lambda w: hash(("w", tuple(w))),
        "digest": lambda w: hashlib.md5(w.tobytes()).hexdigest(),
        "digest of the array": lambda w: hashlib.sha256(w).digest()[:8],
    }[kind]


KINDS = (
    *("bytes", "tuple", "list", "rounded", "nested"),
    *("hash", "hash of a tuple", "digest", "digest of the array"),
)


@pytest.mark.parametrize("kind", KINDS)
def test_a_cache_by_its_parameters_is_what_it_keeps(kind):
    key, kept = keys_of(kind), collections.OrderedDict()

    def squares(w):
        if key(w) not in kept:
            if len(kept) > 2:
                kept.popitem(last=False)
            kept[key(w)] = w**2
        return kept[key(w)]

    def loss(w):
        return squares(w).sum() + squares(w)[0] * squares(w * 2)[1]

    right = 2 * W + [8 * W[0] * W[1] ** 2, 8 * W[0] ** 2 * W[1], 0]
    report = fg.check_gradient(loss, W.copy(), right)
    assert (report.engine, report.verdict) == ("compiled", "correct")
    assert fg.check_gradient(loss, W.copy(), right * 1.001).verdict == "wrong"
    # What it keeps is what an ordinary call leaves.
    fg.trace(loss, W.copy())
    assert {type(name) for name in kept} == {type(key(W))}
    assert {type(value) for value in kept.values()} == {np.ndarray}


@pytest.mark.parametrize("known", [slice(1), slice(2), slice(0)])
@pytest.mark.parametrize("kind", ["bytes", "tuple", "hash", "digest"])
def test_a_cache_that_forgets_a_parameter_is_no_program(known, kind):
    key, kept = keys_of(kind), {}

    def loss(w):
        return kept.setdefault(key(w[known]), np.sum(w**2))

    with pytest.raises(fg.TraceError):
        fg.trace(loss, W.copy())


@pytest.mark.parametrize(
    ("loss", "right"),
    [
        (lambda w: len({x for x in w}) * w[0], [3, 0, 0]),
        (lambda w: {w[0]: 1.0, w[1]: 2.0}[w[1]] * w[2], [0, 0, 2]),
        (lambda w: {w[0]: w[1]}.get(w[0] * 1.0, 9.0) ** 2, [0, 2 * W[1], 0]),
        (lambda w: {w[0]: w[1]}.get(w[2], 9.0) * w[0], [9, 0, 0]),
        (lambda w: sum(n * k for k, n in collections.Counter([*w, w[1]]).items()),
         [1, 2, 1]),
    ],
)  # fmt: skip
def test_which_keys_are_equal_is_guarded(loss, right):
    program = fg.trace(loss, W.copy())
    np.testing.assert_allclose(program.gradient(), right)
    assert program.guards
    moves = np.array([1e-3, W[1] - W[0], W[2] - W[0]])  # onto another
    found, _ = program.at_entries(np.zeros(3, dtype=int), moves)
    differences = [loss(W + [h, 0, 0]) - loss(W) for h in moves]
    assert np.isfinite(found[0])
    there = np.isfinite(found)
    np.testing.assert_allclose(found[there], np.array(differences)[there], atol=1e-14)


@pytest.mark.parametrize(
    "loss",
    [
        lambda w: len({np.round(x) for x in w}) * w[0],
        lambda w: {0.0: w[1], -1.0: w[2]}[np.floor(w[0])],
        lambda w: hash(w.tobytes()) % 7 + w[0],
        lambda w: int(hashlib.md5(w.tobytes()).hexdigest(), 16) % 7 + w[0],
        lambda w: {f"{hash(w[0])}": w[1]}[str(hash(w[0]))],
        lambda w: {w: 1.0}[w] + w[0],
    ],
)
def test_keys_that_are_more_than_keys_are_left_to_the_function(loss):
    with pytest.raises((fg.TraceError, TypeError)):
        fg.trace(loss, W.copy())


def assigned(w):
    z = np.zeros(6)
    z[:3] = w
    part = z[1:5]
    z.shape = (2, 3)
    z[0, 1] = w[0] * 2
    h = np.exp(w)
    h.shape = (3, 1)
    return z.sum(axis=0) @ h[:, 0] + part.sum() * h.shape[1]


@pytest.mark.filterwarnings("ignore:Setting the shape:DeprecationWarning")
def test_an_assigned_shape_is_that_of_views_and_writes_to_come():
    def truth(w):
        z = np.array([w[0], 2 * w[0], w[2]])
        return z @ np.exp(w) + 2 * w[0] + w[2]

    h = 1e-30
    right = [truth(W + 1j * h * e).imag / h for e in np.eye(3)]
    np.testing.assert_allclose(fg.trace(assigned, W).gradient(), right, rtol=1e-13)
