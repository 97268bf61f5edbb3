"""Random Python: loops, branches, closures, classes, buffers and aliases."""

import linecache
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastgrad as fg

# Of many digits: no threshold is met, where a loss jumps.
W = np.array([0.6137, -0.4219, 0.8971, 0.2073])
BEGIN = """
class Cell:
    def __init__(self, x):
        self.x = x
    @property
    def twice(self):
        return 2 * self.x
    def __mul__(self, other):
        return Cell(self.x * other)
def loss(w):
    s, u = w[0], 0.5
    z = w * 1.5
    buf = np.zeros(4)
    row = buf[1:3]
    cell = Cell(w[1])
    items, table = [w[2]], {}
    def add(x, by=1.0):
        nonlocal s
        s = s + 0.3 * x * by
        return s
"""
END = """
    return float(s + u * 0.1 + z.sum() + (buf * np.array([1.0, 2.0, 3.0, 4.0])).sum()
                 + cell.x + sum(items) + sum(table.values()))
"""
index = st.integers(0, 3).map(str)
number = st.sampled_from(["0.7", "-1.3", "2.0"])
scalar = st.deferred(
    lambda: st.one_of(
        number,
        st.sampled_from(["s", "u", "w[0]", "w[3]", "cell.x", "cell.twice", "items[0]"]),
        index.map("z[{}]".format),
        index.map("buf[{}]".format),
        st.tuples(scalar, st.sampled_from("+-*"), scalar).map(
            lambda t: "({} {} {})".format(*t)
        ),
        st.tuples(st.sampled_from(["math.tanh", "np.sin", "abs", "float"]), scalar).map(
            lambda t: "{}({})".format(*t)
        ),
        scalar.map("max({}, 0.1)".format),
        scalar.map("math.exp(-abs({}))".format),
        scalar.map("(lambda x: x * 0.5)({})".format),
        scalar.map("(q if (q := {}) > 0.05 else -0.2)".format),
    )
)
vector = st.sampled_from(
    ["z", "w", "buf", "z[::-1]", "np.tanh(z)", "w + buf", "z.copy()"]
)
simple = st.one_of(
    scalar.map("s = {}".format),
    scalar.map("u += {}".format),
    st.tuples(index, scalar).map(lambda t: "z[{}] = {}".format(*t)),
    st.tuples(index, scalar).map(lambda t: "buf[{}] += {}".format(*t)),
    scalar.map("row[:] = 0.5 * row + {}".format),
    scalar.map("row *= {}".format),
    vector.map("z = 0.7 * {}".format),
    vector.map("buf += 0.3 * {}".format),
    vector.map("buf[{}[:4] > 0.3] = 0.25".format),
    scalar.map("add({}, by=0.5)".format),
    scalar.map("cell = cell * math.tanh({})".format),
    scalar.map("cell.x -= 0.2 * {}".format),
    scalar.map("items.append({})".format),
    scalar.map("items[0] = {}".format),
    st.tuples(index, scalar).map(lambda t: "table[{}] = {}".format(*t)),
    scalar.map("np.multiply(z, {}, out=z)".format),
    st.just("z, buf = buf.copy(), z.copy()"),
    st.just("s, u = u, s"),
)


def indented(lines):
    return ["    " + line for line in lines]


def block(inner):
    body = st.lists(inner, min_size=1, max_size=3).map(
        lambda parts: [line for part in parts for line in part]
    )
    return st.one_of(
        st.tuples(st.integers(1, 3), body).map(
            lambda t: [
                f"for i in range({t[0]}):",
                *indented(["s = s * 0.5 + z[i]", *t[1]]),
            ]
        ),
        st.tuples(vector, body).map(
            lambda t: [f"for x in {t[0]}:", *indented(["u = u * 0.5 + x", *t[1]])]
        ),
        st.tuples(scalar, body, body).map(
            lambda t: [f"if {t[0]} > 0.07:", *indented(t[1]), "else:", *indented(t[2])]
        ),
        body.map(
            lambda b: [
                "try:",
                *indented([*b, "raise KeyError"]),
                "except KeyError:",
                "    s += 1.0",
            ]
        ),
        scalar.map(lambda x: [f"s += sum(v * {x} for v in z if v > 0.11)"]),
    )


statement = st.recursive(simple.map(lambda line: [line]), block, max_leaves=6)
program = st.lists(statement, min_size=2, max_size=6).map(
    lambda parts: [line for part in parts for line in part]
)


def made(lines):
    source = BEGIN + "\n".join(indented(lines)) + END
    name = f"<random code {abs(hash(source))}>"
    linecache.cache[name] = (len(source), None, source.splitlines(True), name)
    namespace = {"np": np, "math": math}
    exec(compile(source, name, "exec"), namespace)
    return namespace["loss"], source


@settings(max_examples=60)
@given(program)
def test_traced_is_what_it_is_run(lines):
    with np.errstate(all="ignore"):
        loss, source = made(lines)
        try:
            base = loss(W.copy())
        except (OverflowError, ValueError):
            return
        if not np.isfinite(base) or abs(base) > 1e6:
            return
        w = W.copy()
        program = fg.trace(loss, w)
        np.testing.assert_array_equal(w, W)
        assert abs(program.value - base) <= 1e-11 * (1 + abs(base)), source
        rng = np.random.default_rng(0)
        for size in (1e-2, 1e-5):
            d = size * rng.normal(size=4)
            got = program.along(d, np.array([1.0]))[0]
            expected = loss(W + d) - base
            if np.isfinite(got):
                scale = 1 + abs(base) + abs(expected)
                assert abs(got - expected) <= 1e-9 * abs(expected) + 1e-12 * scale, (
                    source
                )
            else:
                assert program.guards, source


def test_code_changed_since_it_was_loaded_is_not_taken_for_it():
    loss, source = made(["s = s * 2.0"])
    name = loss.__code__.co_filename
    other = source.replace("s * 2.0", "s * 3.0")
    linecache.cache[name] = (len(other), None, other.splitlines(True), name)
    with pytest.raises(fg.TraceError):  # float() of code whose source is not known
        fg.trace(loss, W.copy())
