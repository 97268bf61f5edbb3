"""The examples in docstrings."""

import doctest
import importlib
import pathlib

import pytest

import fastgrad

SOURCE = pathlib.Path(fastgrad.__file__).parent
#: Their examples need what they are for, and are run with its tests.
ELSEWHERE = ("interop/jax", "interop/torch", "interop/scipy")


def _modules():
    for path in sorted(SOURCE.rglob("*.py")):
        place = path.relative_to(SOURCE).with_suffix("").as_posix()
        if ">>> " in path.read_text("utf-8") and not place.startswith(ELSEWHERE):
            parts = place.removesuffix("__init__").rstrip("/").split("/")
            yield ".".join(["fastgrad", *filter(None, parts)])


@pytest.mark.parametrize("name", list(_modules()))
def test_examples(name):
    """Every example runs as printed."""
    results = doctest.testmod(importlib.import_module(name))
    assert results.attempted > 0
    assert results.failed == 0
