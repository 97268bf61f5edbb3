"""Mutation testing of the C kernels that replay programs.

    python benchmarks/reliability/kernel_mutants.py [FILE ...] [--count 100] [--seed 0]

FILEs are those of src/fastgrad/_kernels/simd, all that the rules of boxes and of
differences are in unless given. A mutant, one change of `c_changes.py`, is compiled for
the baseline and loaded in a fork of a process that has collected the tests, and in
processes that they start. Tests are run until one fails, those that caught others,
those of the file and the fastest first. What survives is printed. `mutation.py record`
tells how fast tests are; Cython and GCC must be there.
"""

import argparse
import collections
import ctypes
import os
import random
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import mutation
import pytest
from c_changes import Change, changes

KERNELS = mutation.ROOT / "src" / "fastgrad" / "_kernels"
FOLDER = mutation.KEPT / "kernels"
MODULE = FOLDER / "_replay.so"
FILES = (
    "boxes.h",
    "contract.h",
    "differences.h",
    "elementwise.h",
    "lanes.h",
    "linear.h",
    "reductions.h",
    "replay.c",
    "shapes.h",
    "smooth.h",
    "sorting.h",
    "vecmath.h",
)
#: Those with numbers alone, which are held to mpmath; the others hold boxes.
NUMBERS = ("differences.h", "smooth.h", "vecmath.h")
TESTS = ("tests/kernels", "tests/program/primitives", "tests/program/test_program.py")
TESTS += tuple(f"tests/program/test_{name}.py" for name in ("ties", "part", "windows"))
CFLAGS = ("-std=gnu11", "-O1", "-fPIC", "-shared", "-fopenmp", "-w", "-fno-math-errno")

#: The table that the kernels are called by, of a library that is loaded instead.
TABLE = """
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
struct { void *run, *prepare, *map; } fg_replay_base;
void load(const char *path)
{
    void *library = dlopen(path, RTLD_NOW);
    memcpy(&fg_replay_base, dlsym(library, "fg_replay_base"), sizeof fg_replay_base);
}
__attribute__((constructor)) static void begin(void)
{
    load(getenv("FASTGRAD_MUTANT"));
}
"""
#: For every process: the module that has this table.
FINDER = f"""
import importlib.util, sys

class Finder:
    def find_spec(name, path=None, target=None):
        if name == "fastgrad._kernels._replay":
            return importlib.util.spec_from_file_location(name, {str(MODULE)!r})

sys.meta_path.insert(0, Finder)
"""


def compiled(source: Path, library: Path, *options: str) -> bool:
    """Whether C code could be compiled to a library."""
    command = ["gcc", *CFLAGS, *options, str(source), "-o", str(library), "-lm"]
    return subprocess.run(command, capture_output=True).returncode == 0


def build() -> None:
    """Compile the module that calls kernels by a table, and the kernels as they are."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "table.c").write_text(TABLE)
    (FOLDER / "sitecustomize.py").write_text(FINDER)
    code = FOLDER / "_replay.c"
    directives = ("boundscheck=False", "wraparound=False", "cdivision=True")
    command = [sys.executable, "-m", "cython", "-3", "fastgrad/_kernels/_replay.pyx"]
    command += [part for each in directives for part in ("-X", each)]
    subprocess.run([*command, "-o", str(code)], cwd=KERNELS.parents[1], check=True)
    include = ["-I" + sysconfig.get_path("include"), f"-I{KERNELS / 'simd'}"]
    rest = [str(FOLDER / "table.c"), str(KERNELS / "simd" / "dispatch.c")]
    assert compiled(code, MODULE, *include, *rest)
    assert mutant("replay.c", None, FOLDER / "original.so")


def mutant(file: str, change: Change | None, library: Path) -> bool:
    """Whether the kernels could be compiled with a change of a file."""
    folder = library.with_suffix("")
    folder.mkdir(exist_ok=True)
    for source in (KERNELS / "simd").glob("*.[ch]"):
        text = source.read_text()
        changed = change is not None and source.name == file
        (folder / source.name).write_text(change.of(text) if changed else text)
    options = ("-DSUF=base", "-ffp-contract=fast")
    return compiled(folder / "replay.c", library, *options)


def trial(files: list[str], options: argparse.Namespace):
    """The job that tries mutants."""
    load = ctypes.CDLL(str(MODULE)).load
    seconds, _ = mutation.recorded()
    original = (FOLDER / "original.so").read_bytes()
    library = FOLDER / "mutant.so"
    catches: collections.Counter[str] = collections.Counter()
    last = FOLDER / "running"

    def precedence(name: str, file: str) -> tuple[int, bool, float]:
        of_numbers = name.startswith("tests/kernels/test_differences")
        other = of_numbers != (file in NUMBERS)
        return -catches[name], other, seconds.get(name, 1.0)

    def job(items: list[pytest.Item]) -> None:
        def work(file: str) -> None:
            os.environ["FASTGRAD_MUTANT"] = str(library)
            load(str(library).encode())
            total = 0.0
            run = sorted(items, key=lambda x: precedence(x.nodeid, file))
            for item, following in zip(run, [*run[1:], None], strict=True):
                took = seconds.get(item.nodeid, 1.0)
                total += took
                last.write_text(item.nodeid)
                if not mutation.passes(item, following, took):
                    os._exit(1)
                if total > options.patience:
                    break

        chance, tried, survivors = random.Random(options.seed), 0, 0
        every = [(f, c) for f in files for c in changes(KERNELS / "simd" / f)]
        drawn, start = iter(chance.sample(every, len(every))), time.perf_counter()
        while tried < options.count and (pair := next(drawn, None)):
            file, change = pair
            library.unlink(missing_ok=True)
            if not mutant(*pair, library) or library.read_bytes() == original:
                continue
            tried += 1
            if mutation.forked(lambda: work(file)) == 0:
                survivors += 1
                text = (KERNELS / "simd" / file).read_text()
                print(f"    {file}:{change.shown(text)}", flush=True)
            else:
                catches[last.read_text()] += 1
        share, took = 100 * (1 - survivors / tried), time.perf_counter() - start
        print(
            f"| kernels | {len(every):,} | {tried} | {tried - survivors} "
            f"| {share:.1f} % | {took:.0f} |"
        )

    return job


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", metavar="FILE", default=FILES)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--patience", type=float, default=mutation.PATIENCE)
    options = parser.parse_args()
    if "FASTGRAD_MUTANT" in os.environ:
        mutation.collected(list(TESTS), trial(options.files, options))
        return 0
    build()
    path = os.pathsep.join([str(FOLDER), os.environ.get("PYTHONPATH", "")])
    own = {"PYTHONPATH": path, "FASTGRAD_MUTANT": str(FOLDER / "original.so")}
    return subprocess.run(sys.orig_argv, env={**os.environ, **own}).returncode


if __name__ == "__main__":
    sys.exit(main())
