"""Families of tests: products of parameters."""

from itertools import product

import pytest


def every_second(test):
    """Run every second member of the product, in which each value still takes part.

    Of three axes and more any two values of different axes still meet.
    """
    axes = [mark.args for mark in test.pytestmark if mark.name == "parametrize"]
    test.pytestmark = [mark for mark in test.pytestmark if mark.name != "parametrize"]
    names, values = [], []
    for given, members in axes:
        alone = isinstance(given, str)
        names += [given] if alone else given
        values.append([(one,) if alone else tuple(one) for one in members])
    chosen = [
        sum((one for _, one in member), ())
        for member in product(*map(enumerate, values))
        if sum(place for place, _ in member) % 2 == 0
    ]
    return pytest.mark.parametrize(names, chosen)(test)
