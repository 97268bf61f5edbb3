"""Constants of a module changed on purpose: tests are to notice, up and down.

    python benchmarks/reliability/constants.py ROOM_OR_MODULE ... [--patience 6]

Numbers become four times as large, and a quarter; small counts one more and one less.
A constant is changed where it is defined and wherever it was imported, in a fork; what
is derived from it at import is not. Then tests are run that execute a line which names
it, until one fails: `mutation.py record` wrote down which these are. What survives is
printed, with how many of its tests were run.
"""

import argparse
import ast
import os
import re
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mutation import (
    SOURCE,
    collected,
    forked,
    functions,
    in_turns,
    mirrors,
    modules,
    passes,
    recorded,
)

NAME = re.compile(r"_?[A-Z][A-Z0-9_]*")
COUNT = 8  # what is no larger counts something


def constants(path: Path) -> list[str]:
    """The names of the constants that a module defines."""
    found = []
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                names = target.elts if isinstance(target, ast.Tuple) else [target]
                found += [n.id for n in names if isinstance(n, ast.Name)]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.append(node.target.id)
    return [name for name in found if NAME.fullmatch(name)]


def others(value: Any) -> Iterator[tuple[str, Any]]:
    """What to put in the place of a number, or of numbers."""
    if isinstance(value, bool):
        return
    if isinstance(value, int) and value <= COUNT:
        yield from (("+1", value + 1), ("-1", value - 1))
    elif isinstance(value, int):
        yield from (("x4", 4 * value), ("/4", value // 4))
    elif isinstance(value, float) or (
        isinstance(value, np.ndarray) and value.dtype.kind == "f"
    ):
        yield from (("x4", 4 * value), ("/4", value / 4))
    elif isinstance(value, tuple) and any(isinstance(each, float) for each in value):
        yield ("x4", tuple(4 * each for each in value))
        yield ("/4", tuple(each / 4 for each in value))


def owners(value: Any, name: str) -> list[Any]:
    """The modules that know a constant by this name."""
    found = [m for key, m in sys.modules.items() if key.startswith("fastgrad")]
    return [m for m in found if getattr(m, name, None) is value]


def uses(module: Any, name: str) -> set[int]:
    """The lines of functions of a module which name a constant."""
    tree = ast.parse(Path(module.__file__).read_text())
    inside = (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.Lambda))
    names = (n for function in inside for n in ast.walk(function))
    return {n.lineno for n in names if isinstance(n, ast.Name) and n.id == name}


def sweep(rooms: list[str], patience: float, items: list[pytest.Item]) -> None:
    """Try every constant of some rooms."""
    seconds, lines = recorded()
    by_name = {item.nodeid: item for item in items}
    functions()  # imports everything
    for path in (path for room in rooms for path in modules(room)):
        dotted = ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts)
        module = sys.modules[dotted.removesuffix(".__init__")]
        for name in constants(path):
            value = getattr(module, name)
            where = owners(value, name)
            tests = [
                lines.get(str(owner.__file__), {}).get(line, [])
                for owner in where
                for line in uses(owner, name)
            ]
            # Not all lines are seen of what traces by itself.
            tests.append([n for n in seconds if mirrors(n, path.stem)])
            known = [[n for n in of if n in seconds and n in by_name] for of in tests]
            order = in_turns(known, path.stem, seconds)
            for what, new in others(value):
                run, total = [], 0.0
                for test in order:
                    total += seconds[test]
                    if total < patience:
                        run.append(by_name[test])

                def work(where=where, name=name, new=new, run=run) -> None:
                    for owner in where:
                        setattr(owner, name, new)
                    for item, following in pairwise([*run, None]):
                        if not passes(item, following, seconds[item.nodeid]):
                            os._exit(1)

                if forked(work) == 0:
                    place = path.relative_to(SOURCE)
                    print(
                        f"{place}: {name} {what} [{len(run)}/{len(order)}]", flush=True
                    )


def main() -> None:
    """Print the constants that no test notices."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rooms", nargs="+")
    parser.add_argument("--patience", type=float, default=6.0)
    options = parser.parse_args()
    collected([], lambda items: sweep(options.rooms, options.patience, items))


if __name__ == "__main__":
    main()
