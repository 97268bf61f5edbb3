"""Random programs: whatever operations follow each other, replay is the function."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from program_functions import trace

CONSTANTS = [np.cos(np.arange(n, dtype=float)) for n in range(64)]


def constant(*shape):
    return np.sin(1.0 + np.arange(np.prod(shape, dtype=int))).reshape(shape)


def matmul(x, y, k):
    return (x if x.ndim else x[None]) @ constant(
        x.shape[-1] if x.ndim else 1, 1 + k % 3
    )


def window(x, y, k):
    axis = k % x.ndim if x.ndim else None
    if axis is None or x.shape[axis] < 2 or x.ndim > 4:
        return x
    return np.lib.stride_tricks.sliding_window_view(x, 2, axis=axis)


def pieces(x, y, k):
    axis = k % x.ndim if x.ndim else None
    return (
        x
        if axis is None
        else np.concatenate([x, 2 * x, x[:1] if not axis else x], axis)
    )


def some(x, y, k):
    return x[k % len(x) :] if x.ndim and len(x) else x


def chosen(x, y, k):
    return x[np.array([0, k % len(x), 0])] if x.ndim and len(x) else x


def outer_sum(x, y, k):
    return np.add.outer(x.ravel()[:4], y.ravel()[:3])


def both(x, y, k):
    if x.ndim and x.shape == y.shape:
        return np.einsum("...i,...i->...", x, y)
    return np.tanh(x)


OPERATIONS = [
    lambda x, y, k: np.tanh(x),
    lambda x, y, k: np.exp(-x * x),
    lambda x, y, k: np.maximum(x, 0.1 * k),
    lambda x, y, k: np.abs(x) + k,
    # Away from the bounds of the maxima: what equals one does but for rounding.
    lambda x, y, k: np.where(x > 0.05 * k + 0.0137, x, 0.3 * x),
    lambda x, y, k: x * x - k,
    lambda x, y, k: x / (1 + x * x),
    lambda x, y, k: x.T,
    lambda x, y, k: x.ravel(),
    lambda x, y, k: x.reshape(-1, *x.shape[-1:]) if x.ndim else x,
    lambda x, y, k: x[..., None],
    lambda x, y, k: x.sum(axis=-1) if x.ndim else x,
    lambda x, y, k: x - x.mean(axis=0, keepdims=True) if x.ndim and len(x) else x,
    lambda x, y, k: x.max(axis=-1, keepdims=True) if x.ndim and x.shape[-1] else x,
    lambda x, y, k: np.cumsum(x, axis=k % x.ndim) if x.ndim else x,
    lambda x, y, k: np.pad(x, 1) if x.ndim and x.ndim < 4 else x,
    lambda x, y, k: x[..., ::-2] if x.ndim else x,
    lambda x, y, k: x + y.sum(),
    lambda x, y, k: x * y.mean() + y.ravel()[k % y.size] if y.size else x,
    outer_sum, both, matmul, window, pieces, some, chosen,
]  # fmt: skip


def build(steps, operations=OPERATIONS):
    def loss(p):
        values = [p["a"], p["b"]]
        for which, first, second, k in steps:
            x = values[first % len(values)]
            y = values[second % len(values)]
            out = operations[which](x, y, k)
            if 0 < out.size < 400 and out.ndim < 6:
                values.append(out)
        total = 0.0
        for value in values[-3:]:
            weights = np.cos(np.arange(value.size, dtype=float)).reshape(value.shape)
            total = total + np.sum(weights * np.tanh(value))
        return total

    return loss


step = st.tuples(
    st.integers(0, len(OPERATIONS) - 1),
    st.integers(0, 50),
    st.integers(0, 50),
    st.integers(0, 5),
)


@given(st.lists(step, min_size=1, max_size=12), st.integers(0, 2**32 - 1))
@settings(max_examples=150)
def test_random_programs_are_their_functions(steps, seed):
    rng = np.random.default_rng(seed)
    params = {"a": rng.normal(size=(3, 4)), "b": rng.normal(size=(4,))}
    loss = build(steps)
    program = trace(loss, params)
    base = loss(params)
    np.testing.assert_allclose(program.value, base, rtol=1e-12, atol=1e-12)
    index = np.repeat(np.arange(16), 2)
    delta = rng.normal(size=32)
    got, _ = program.at_entries(index, delta, num_threads=2)
    for k, (i, d) in enumerate(zip(index, delta, strict=True)):
        moved = {name: a.copy() for name, a in params.items()}
        block, entry = ("a", i) if i < 12 else ("b", i - 12)
        moved[block].flat[entry] += d
        np.testing.assert_allclose(got[k], loss(moved) - base, rtol=1e-9, atol=1e-10)
    direction = rng.normal(size=16)
    moved = {
        "a": params["a"] + direction[:12].reshape(3, 4),
        "b": params["b"] + direction[12:],
    }
    (along,) = program.along(direction, [1.0])
    np.testing.assert_allclose(along, loss(moved) - base, rtol=1e-9, atol=1e-10)
