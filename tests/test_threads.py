import os
import subprocess
import sys

import pytest

from fastgrad._threads import resolve_num_threads


def test_a_positive_count_is_taken_as_it_is():
    assert resolve_num_threads(7) == 7


def test_default_respects_omp_num_threads_and_affinity():
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});"
        "from fastgrad._threads import resolve_num_threads as r; print(r(None))"
    )
    for env in ({}, {"OMP_NUM_THREADS": "1"}):
        out = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, **env},
            capture_output=True,
            text=True,
            check=True,
        )
        assert out.stdout.strip() == "1"


@pytest.mark.parametrize("bad", [0, -1])
def test_counts_that_are_not_positive_are_refused(bad):
    with pytest.raises(ValueError, match="`num_threads` must be positive"):
        resolve_num_threads(bad)


@pytest.mark.parametrize("bad", [True, 1.5, "2"])
def test_non_integers_are_refused(bad):
    with pytest.raises(TypeError, match="`num_threads` must be a positive integer"):
        resolve_num_threads(bad)
