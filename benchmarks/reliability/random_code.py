"""Random Python, traced against run: loops, branches, closures, classes, aliases.

The generator is that of the tests; a case is fifty functions of another random seed.
"""

import hypothesis
import test_random_code as tests

CLAIM = "functions of random Python, traced, are what they are run"
CASES, SHORT = 100, 4
FUNCTIONS = 50


def case(seed):
    inner = tests.test_traced_is_what_it_is_run.hypothesis.inner_test
    settings = hypothesis.settings(
        max_examples=FUNCTIONS, deadline=None, database=None, derandomize=False
    )
    run = hypothesis.seed(seed)(settings(hypothesis.given(tests.program)(inner)))
    try:
        run()
    except Exception as error:
        return FUNCTIONS, [f"{type(error).__name__}: {error}"[:2000]]
    return FUNCTIONS, []
