"""The table of features in the docs is what the checkers that are installed do."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]


def _features():
    path = ROOT / "benchmarks" / "features.py"
    spec = importlib.util.spec_from_file_location("fastgrad_features", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


def _documented():
    """The rows of the page, each by its title: column -> cell."""
    text = (ROOT / "docs" / "comparison.md").read_text("utf-8")
    lines = text[text.index("|  | fastgrad |") :].split("\n\n")[0].splitlines()
    titles, _, *rows = ([c.strip() for c in line.split("|")[1:-1]] for line in lines)
    return {row[0]: dict(zip(titles, row, strict=True)) for row in rows}


@pytest.mark.usefixtures("time_for_causes")
def test_the_table_of_features():
    """Words to the letter, numbers of differences to a factor of 30."""
    documented = _documented()
    titles, *rows = _features().table()
    assert len(titles) > 4  # fastgrad, SciPy, numdifftools, jacobi at least
    assert [row[0] for row in rows] == list(documented)
    for row in rows:
        for title, cell in zip(titles, row, strict=True):
            said = documented[row[0]][title]
            if "e" in said and said[0].isdigit():
                assert abs(np.log(float(cell) / float(said))) < np.log(30)
            elif said.startswith("hold"):
                assert abs(float(cell.split()[1]) - float(said.split()[1])) <= 15
            else:
                assert cell == said, (row[0], title)
