"""Which lines of the user's code a report shows, and code to be shown."""

import inspect
import re
from pathlib import Path


def shown(text):
    """Every (file, line) in a report: of causes, and in messages about a file."""
    text = re.sub(r"\s+", " ", text)
    found = re.findall(r"(\S+\.py):(\d+)", text)
    found += re.findall(r"([\w/]+\.py), line (\d+)", text)
    return {(Path(file).name, int(line)) for file, line in found}


def named(text):
    """The lines that a report says are wrong in the gradient code."""
    text = re.sub(r"\s+", " ", text)
    said = re.findall(r"(?:in|behind|from) lines? (\d[\d, or]*)", text)
    return {int(n) for one in said for n in re.findall(r"\d+", one)}


def lines_of(*functions):
    """The (file, line) pairs of functions and classes."""
    found = set()
    for function in functions:
        code, first = inspect.getsourcelines(inspect.unwrap(function))
        file = Path(inspect.getsourcefile(inspect.unwrap(function))).name
        found |= {(file, first + i) for i in range(len(code))}
    return found


def wrong_line(function):
    """The number of the line that ends in ``# wrong``."""
    code, first = inspect.getsourcelines(inspect.unwrap(function))
    (at,) = (i for i, line in enumerate(code) if line.rstrip().endswith("# wrong"))
    return first + at


# ---- functions of the tests, in any framework ----------------------------------------


def outputs(a, tanh, function):
    """A layer that a function of a test is applied to."""

    def f(x):
        h = tanh(a @ x)
        return function(h) * h

    return f


def loss_of(f):
    """The sum of the squares of what a function gives."""

    def loss(x):
        return (f(x) ** 2).sum()

    return loss
