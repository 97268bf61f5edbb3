"""What Python does with objects runs their special methods, whoever calls those."""

import builtins
import functools
import math
import operator
from fractions import Fraction

import numpy as np
import pytest

import fastgrad as fg

W = np.array([0.5, -0.3, 0.8])


class Point:
    """Each method computes with numbers of Python, which compiled code would need."""

    def __init__(self, *v):
        self.v = list(v)

    def __abs__(self):
        return math.sqrt(sum(x * x for x in self.v))

    def __float__(self):
        return float(math.exp(self.v[0]))

    def __complex__(self):
        return complex(math.exp(self.v[0]), self.v[1])

    def __round__(self, digits=0):
        return math.tanh(self.v[1]) + digits

    def __floor__(self):
        return math.tanh(self.v[2])

    __ceil__ = __trunc__ = __floor__

    def __len__(self):
        return 1 + (math.exp(self.v[0]) > 1)

    def __bool__(self):
        return math.sin(self.v[0]) > 0

    def __divmod__(self, k):
        return math.log(abs(self) + k), math.cos(self.v[0])

    def __neg__(self):
        return Point(*[math.sinh(x) for x in self.v])

    def __lt__(self, other):
        return math.exp(self.v[0]) < math.exp(other.v[0])

    def __add__(self, other):
        return Point(*[math.hypot(a, b) for a, b in zip(self.v, other.v, strict=True)])

    def __radd__(self, other):
        return self if other == 0 else NotImplemented

    def __rmul__(self, k):
        return math.exp(k) * math.exp(self.v[0])

    def __rpow__(self, k):
        return math.cosh(k + self.v[0])

    def __matmul__(self, other):
        pairs = zip(self.v, other.v, strict=True)
        return math.fsum(math.sin(a) * b for a, b in pairs)

    def __reversed__(self):
        return (math.exp(x) for x in self.v[::-1])

    def __iter__(self):
        return (math.atan(x) for x in self.v)


class Pair(Point):
    """Compared by numbers that compiled code can take."""

    def __lt__(self, other):
        return self.v[0] < other.v[0]

    def __gt__(self, other):
        return self.v[0] > other.v[0]


class Steps:
    """An iterator."""

    def __init__(self, x):
        self.x, self.left = x, 3

    def __iter__(self):
        return self

    def __next__(self):
        if not self.left:
            raise StopIteration
        self.left -= 1
        self.x = math.tanh(self.x) + 0.1 * self.left
        return math.exp(self.x)


def first_of_a_condition(w):
    chosen = w[0] if Point(*w) else w[1]
    return chosen if bool(Point(w[1])) or not Point(w[2]) else chosen * w[2]


def points(w):
    return [Point(*w), Point(*w[::-1]), Point(1.0, 2.0, w[0])]


USES = {
    "abs": lambda w: abs(Point(*w)) + operator.abs(w[0]),
    "neg": lambda w: abs(-Point(*w)) + abs(operator.neg(Point(*w))),
    "float": lambda w: float(Point(*w)) * w[1],
    "complex": lambda w: abs(complex(Point(*w))),
    "round": lambda w: round(Point(*w), 2) + round(Point(w[1], w[0])),
    "floor": lambda w: math.floor(Point(*w)) + math.ceil(Point(*w[::-1])),
    "len": lambda w: len(Point(*w)) * w[0] + len(Point(-1.0)),
    "truth": first_of_a_condition,
    "divmod": lambda w: builtins.sum(divmod(Point(*w), 2.0)),
    "less": lambda w: w[0] ** 2 if Point(*w) < Point(*w[::-1]) else w[1],
    "greater": lambda w: w[0] ** 2 if operator.gt(Point(*w), Point(w[1])) else w[1],
    "sum": lambda w: abs(sum(points(w))) + abs(sum(p for p in points(w))),
    "reduce": lambda w: abs(functools.reduce(operator.add, points(w))),
    "reflected": lambda w: w[0] * Point(*w) + 2.0 * Point(w[1]) + w[2] ** Point(w[0]),
    "matmul": lambda w: operator.matmul(Point(*w), Point(1.0, 2.0, 3.0)),
    "reversed": lambda w: sum(reversed(Point(*w))) * w[0],
    "iter": lambda w: sum(iter(Point(*w))) + [*Point(*w)][1] + max(Point(*w)),
    "unpacked": lambda w: (lambda a, b, c: a * b + c)(*list(Point(*w))),
    "zip": lambda w: sum(a * b for a, b in zip(Point(*w), Steps(w[0]), strict=True)),
    "next": lambda w: next(Steps(w[0])) * next(iter(Steps(w[1]))),
    "for": lambda w: sum(x * w[1] for x in Steps(w[0])) + sum(Steps(w[2])),
    "sorted": lambda w: sorted(Steps(w[0]))[0] + tuple(Steps(w[1]))[1],
    "larger": lambda w: max(Pair(*w), Pair(*w[::-1])).v[0] ** 2 + min(Pair(w[1])),
    "fraction": lambda w: w[0] * Fraction(1, 3) + Fraction(2, 7) * w[1] ** 2 - w[2],
}


@pytest.mark.parametrize("name", USES)
def test_an_object_is_asked_as_it_is_run(name):
    loss = USES[name]
    program = fg.trace(loss, W.copy())
    assert not program.python_operations
    np.testing.assert_allclose(program.value, float(loss(W.copy())), rtol=1e-14)
    steps = 1e-6 * np.eye(3)
    slopes = [(loss(W + e) - loss(W - e)) / 2e-6 for e in steps]
    np.testing.assert_allclose(program.gradient(), slopes, rtol=1e-6, atol=1e-8)
    got = program.along(W, [1e-3])[0]
    np.testing.assert_allclose(got, loss(W * 1.001) - loss(W), rtol=1e-9)


def test_a_wrong_gradient_of_objects_is_wrong():
    right = fg.trace(USES["sum"], W.copy()).gradient()
    report = fg.check_gradient(USES["sum"], W.copy(), right)
    assert (report.engine, report.verdict) == ("compiled", "correct")
    report = fg.check_gradient(USES["sum"], W.copy(), right * [1, 1, -1])
    assert [entry.index for entry in report.wrong] == [(2,)]


def test_sums_of_numbers_are_pythons_own():
    """Which in newer versions are not taken term by term."""
    values = [1e16, 1.0, -1e16, *W]

    def loss(w):
        return sum(values) * w[0] + sum(x for x in values) + math.fsum(w)

    assert fg.trace(loss, W.copy()).value == loss(W)
