"""A coverage-guided fuzzer over the tests that draw programs and Python at random.

    pip install atheris
    python benchmarks/reliability/fuzz.py {programs,code} -max_len=400 -runs=50000

libFuzzer changes the bytes that hypothesis draws from, and keeps those that reach lines
of fastgrad's tracing, planning or derivatives that none before reached. It ends with a
traceback at the first failure; arguments behind the test's name are libFuzzer's. Bytes
that are no whole case are not counted.
"""

import itertools
import sys

import atheris
import isolation  # noqa: F401  the way to the tests
import numpy as np

with atheris.instrument_imports(include=["fastgrad.program", "fastgrad.params"]):
    import test_random
    import test_random_code

TESTS = {
    "programs": test_random.test_random_programs_are_their_functions,
    "code": test_random_code.test_traced_is_what_it_is_run,
}


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in TESTS:
        sys.exit(__doc__)
    test = TESTS[sys.argv.pop(1)].hypothesis.fuzz_one_input
    cases = itertools.count(1)

    def run(data: bytes) -> None:
        if test(data) is not None and (count := next(cases)) % 1000 == 0:
            print(f"{count:,} cases", flush=True)

    np.seterr(all="ignore")
    atheris.Setup(sys.argv, run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
