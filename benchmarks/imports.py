"""How long `import fastgrad` takes beyond NumPy, and which modules take it.

    python benchmarks/imports.py [--count 20]

Fresh interpreters, taken in turns; the least time of each counts.
"""

import argparse
import subprocess
import sys

CODE = """
import time, numpy
start = time.perf_counter()
import {module}
print(time.perf_counter() - start)
"""


def seconds(module: str) -> float:
    """Seconds of an import after NumPy's, in an interpreter of its own."""
    command = [sys.executable, "-c", CODE.format(module=module)]
    return float(subprocess.check_output(command))


def slowest(count: int = 8) -> list[tuple[float, str]]:
    """Milliseconds of the modules that take longest by themselves, and their names."""
    command = [sys.executable, "-X", "importtime", "-c", "import numpy, fastgrad"]
    report = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    rows = (line.removeprefix("import time:").split("|") for line in report.split("\n"))
    own = [
        (int(row[0]) / 1e3, row[2].strip())
        for row in rows
        if len(row) == 3 and row[2].strip().startswith("fastgrad")
    ]
    return sorted(own, reverse=True)[:count]


def main() -> None:
    """Print the time beyond NumPy and the slowest modules."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=20)
    count = parser.parse_args().count
    least = min(seconds("fastgrad") for _ in range(count))
    print(f"import fastgrad: {1e3 * least:.1f} ms beyond NumPy")
    for milliseconds, name in slowest():
        print(f"  {milliseconds:5.1f} ms  {name}")


if __name__ == "__main__":
    main()
