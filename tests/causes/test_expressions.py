"""Formulas that are written down compute what they stand for."""

from itertools import product

import numpy as np
import pytest

from fastgrad.causes.expressions import call, symbol

RNG = np.random.default_rng(2)
SYMBOLS = {name: RNG.uniform(0.5, 2.0, size=(3, 3)) for name in "abc"}
PAIRS = (
    *(np.add, np.subtract, np.multiply, np.divide, np.matmul, np.power),
    *(np.greater, np.less_equal, np.not_equal),
)


@pytest.mark.parametrize(("outer", "inner"), [*product(PAIRS, PAIRS)])
@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("negated", [False, True])
def test_a_formula_is_what_it_computes(outer, inner, first, negated):
    """Python reads it as it was meant: brackets are where they are needed."""
    a, b, c = (symbol(*one) for one in SYMBOLS.items())
    with np.errstate(all="ignore"):  # roots of negative numbers, divisions by False
        part = call(inner, b, c)
        if negated and outer is not np.power and inner not in PAIRS[-3:]:
            part = -part
        whole = call(outer, *((part, a) if first else (a, part)))
        found = eval(str(whole), {"np": np, **SYMBOLS})
    np.testing.assert_allclose(found, whole.value, rtol=1e-12)
    assert "((" not in str(whole)


def test_arrays_without_a_name_are_told_by_their_value():
    a = symbol("a", np.ones(3))
    assert str(a * symbol("", np.zeros(3))) == "a * 0"
    assert str(a * symbol("", np.arange(3.0))) == "a * ..."
