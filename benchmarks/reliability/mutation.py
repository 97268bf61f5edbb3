"""Mutation testing: rules and verdicts changed on purpose are to make tests fail.

    python benchmarks/reliability/mutation.py [--count 200] [--seed 0] [--room causes]

A mutant is a copy of the package with one expression or statement of one function
changed, as in `mutants.py`. First the tests that mirror its module are run, then, if
they pass, the whole suite. Survivors are printed: what they change is either without
consequence, or a test is missing. Needs a Python in which fastgrad is installed from a
wheel, not editable.
"""

import argparse
import ast
import copy
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import isolation  # noqa: F401  the way to the benchmarks
import mutants

import fastgrad

SOURCE = Path(fastgrad.__file__).parent
ROOT = Path(__file__).parents[2]
#: What holds the rules, and the tests that mirror it.
ROOMS = {
    "program/primitives": ["tests/program"],
    "program/gradient.py": ["tests/program", "tests/causes"],
    "causes": ["tests/causes"],
    "checking": ["tests/checking"],
    "params": ["tests/params", "tests/test_arguments.py"],
    "_arguments.py": ["tests/test_arguments.py"],
    "statistics": ["tests/statistics"],
    "initializers": ["tests/initializers"],
    "signal": ["tests/signal"],
}
#: A mutant that takes longer than the tests ever do is caught: it hangs.
PATIENCE = 900


@dataclass
class Mutant:
    module: Path
    function: str
    what: str
    before: str
    after: str
    source: str


def modules(room: str) -> list[Path]:
    """The modules of a room."""
    path = SOURCE / room
    return sorted(path.rglob("*.py")) if path.is_dir() else [path]


def of_module(module: Path) -> Iterator[Mutant]:
    """All mutants of the functions of a module."""
    tree = ast.parse(module.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            bare = copy.deepcopy(node)
            if ast.get_docstring(bare):
                bare.body = bare.body[1:] or [ast.Pass()]
            for what, before, after, mutated in mutants.mutants(bare, {}):
                kept = node.body
                node.body = mutated.body
                source = ast.unparse(ast.fix_missing_locations(tree))
                node.body = kept
                yield Mutant(module, node.name, what, before, after, source)


def drawn(room: str, count: int, chance: random.Random) -> list[Mutant]:
    """Some mutants: a module by its length, then one of it."""
    every = modules(room)
    lengths = [path.stat().st_size for path in every]
    chosen = chance.choices(every, lengths, k=count)
    of = {module: list(of_module(module)) for module in dict.fromkeys(chosen)}
    return [chance.choice(of[module]) for module in chosen if of[module]]


def caught(mutant: Mutant, tests: list[str]) -> bool:
    """Whether tests fail on the package with this mutant."""
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "fastgrad"
        shutil.copytree(SOURCE, package)
        (package / mutant.module.relative_to(SOURCE)).write_text(mutant.source)
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-n", "auto"]
        command += ["-p", "no:cacheprovider", *tests]
        try:
            done = subprocess.run(
                command,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": folder},
                capture_output=True,
                timeout=PATIENCE,
            )
        except subprocess.TimeoutExpired:
            return True
        return done.returncode != 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--room", choices=ROOMS, action="append")
    options = parser.parse_args()
    chance = random.Random(options.seed)
    rooms = options.room or list(ROOMS)
    sizes = {r: sum(m.stat().st_size for m in modules(r)) for r in rooms}
    print(f"{'room':24s}{'mutants':>8s}{'caught':>8s}{'by its own tests':>18s}")
    for room in rooms:
        count = max(3, round(options.count * sizes[room] / sum(sizes.values())))
        found = drawn(room, count, chance)
        own = [caught(mutant, ROOMS[room]) for mutant in found]
        left = [m for m, done in zip(found, own, strict=True) if not done]
        survivors = [m for m in left if not caught(m, ["tests"])]
        numbers = f"{len(found):8d}{len(found) - len(survivors):8d}{sum(own):18d}"
        print(f"{room:24s}{numbers}", flush=True)
        for m in survivors:
            where = f"{m.module.relative_to(SOURCE)}, {m.function}"
            print(f"    {where}: {m.what}: {m.before}  ->  {m.after}", flush=True)


if __name__ == "__main__":
    main()
