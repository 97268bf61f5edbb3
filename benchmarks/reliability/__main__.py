"""The reliability campaign: what fastgrad promises, tried at random many times.

    python benchmarks/reliability [part ...] [--short] [--write]

Each part is a module with a `CLAIM`, the number of its cases (`CASES`, and `SHORT` for
continuous integration) and ``case(seed)``, which returns how many things it tried and
what failed. Cases run in processes of their own: a crash or a hang is a failure of the
case that caused it. `--write` puts the table into docs/reliability.md.
"""

import argparse
import importlib
import re
import sys
import time
from pathlib import Path

from isolation import outcomes

PARTS = (
    "calls",
    "programs",
    "gradients",
    "random_code",
    "right",
    "planted",
    "threads",
    "processes",
    "interrupts",
    "allocations",
    "growth",
    "ceilings",
    "failing",
    "ranges",
    "indices",
)
DOCS = Path(__file__).parents[2] / "docs" / "reliability.md"
HEADER = "| claim | tried | failed | seconds |\n|---|--:|--:|--:|\n"


def run(name: str, short: bool) -> tuple[str, int]:
    """Return a row of the table, and the number of failures, which are printed."""
    part = importlib.import_module(name)
    start = time.perf_counter()
    tried = failed = 0
    for seed, (count, failures) in outcomes(name, part.SHORT if short else part.CASES):
        tried += count
        failed += len(failures)
        for failure in failures:
            print(f"{name} {seed}: {failure}", flush=True)
    seconds = time.perf_counter() - start
    return f"| {part.CLAIM} | {tried:,} | {failed:,} | {seconds:.0f} |\n", failed


def write(table: str) -> None:
    """Replace the table between the marks of the page."""
    text = DOCS.read_text()
    marked = re.compile(r"(<!-- campaign -->\n).*?(<!-- end -->)", re.DOTALL)
    DOCS.write_text(marked.sub(rf"\1{table}\2", text))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="part", help=", ".join(PARTS))
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no part is called {', '.join(unknown)}")
    table, failed = HEADER, 0
    for name in options.parts or PARTS:
        row, failures = run(name, options.short)
        print(row, end="", flush=True)
        table, failed = table + row, failed + failures
    if options.write:
        write(table)
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
