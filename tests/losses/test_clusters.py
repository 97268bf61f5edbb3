"""Workers of other processes: Dask's, MPI's, and those of a pool that may break."""

import multiprocessing
import os
import shutil
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import cluster_losses as own
import numpy as np
import pytest

import fastgrad as fg

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def pool():
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as workers:
        yield workers


@pytest.fixture(scope="module")
def dask():
    """Executor of a cluster of two processes, of two threads each."""
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=2, processes=True, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster) as client,
        client.get_executor() as workers,
    ):
        yield workers


@pytest.fixture(params=["pool", "dask"])
def workers(request):
    return request.getfixturevalue(request.param)


def bits(nest):
    return {name: leaf.tobytes() for name, leaf in nest.items()}


@pytest.mark.parametrize(
    ("loss", "local", "sent"),
    [
        (own.loss, "python", "auto"),
        (own.slow, "python", "auto"),
        (own.loss, "compiled", "compiled"),
        (own.branching, "compiled", "compiled"),
    ],
)
def test_the_bits_are_those_of_this_process(workers, loss, local, sent):
    """Of the function, and of its program replayed by the workers."""
    params = own.shape()
    here = fg.numerical_gradient(loss, params, engine=local)
    there = fg.numerical_gradient(loss, params, engine=sent, workers=workers)
    assert bits(here) == bits(there)


def test_reports_are_those_of_this_process(workers):
    params = own.shape()
    here = fg.check_gradient(own.loss, params, own.wrong, engine="python")
    there = fg.check_gradient(own.loss, params, own.wrong, workers=workers)
    assert there.engine == "workers"
    assert [e.name for e in there.wrong] == ["W[2, 3]"]
    assert there.wrong == here.wrong
    assert bits(there.error) == bits(here.error)
    assert bits(params) == bits(own.shape())


def test_a_program_in_the_workers_is_said_to_be_there(workers):
    given = (own.branching, own.shape(), own.right)
    report = fg.check_gradient(*given, workers=workers, engine="compiled")
    assert report.engine == "compiled"
    assert any(" was replayed by " in note for note in report.notes)


def test_jacobians_are_those_of_this_process(workers):
    x = np.linspace(-1, 1, 6)
    here = fg.numerical_jacobian(own.outputs, x)
    there = fg.numerical_jacobian(own.outputs, x, workers=workers)
    assert here.tobytes() == there.tobytes()


def test_a_dead_process_is_replaced(tmp_path, pool):
    """What it was doing is done again, by another."""
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as workers:
        deadly = own.Deadly(str(tmp_path), deaths=2)
        there = fg.numerical_gradient(deadly, own.shape(), workers=workers)
    assert len(list(tmp_path.iterdir())) >= 2
    here = fg.numerical_gradient(own.loss, own.shape(), engine="python")
    assert bits(here) == bits(there)


def test_a_dead_worker_of_dask_is_replaced(tmp_path, dask):
    deadly = own.Deadly(str(tmp_path))
    there = fg.numerical_gradient(deadly, own.shape(), workers=dask)
    assert list(tmp_path.iterdir())
    here = fg.numerical_gradient(own.loss, own.shape(), engine="python")
    assert bits(here) == bits(there)


def test_who_kills_all_workers_is_told_so(tmp_path):
    deadly = own.Deadly(str(tmp_path), deaths=1000)
    with (
        ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as workers,
        pytest.raises(BrokenProcessPool) as caught,
    ):
        fg.numerical_gradient(deadly, own.shape(), workers=workers)
    assert "a worker, which died" in caught.value.__notes__[0]


def test_an_exception_names_its_perturbation(workers):
    """Whatever its class takes to be made, which is why it may not travel."""
    with pytest.raises((own.Picky, RuntimeError), match="too picky at b") as caught:
        fg.numerical_gradient(own.raising, own.shape(), workers=workers)
    assert any("b[1, 0] = " in note for note in caught.value.__notes__)


def test_an_entry_at_which_workers_cannot_evaluate_is_named(workers):
    """A report says which, and what was raised there."""
    params = own.shape()
    report = fg.check_gradient(
        own.raising, params, own.wrong(params), engine="workers", workers=workers
    )
    assert [entry.name for entry in report.wrong] == ["W[2, 3]"]
    [text] = [note for note in report.notes if note.startswith("undecided")]
    assert "b[1, 0]" in text
    assert "raises Picky" in text


def test_an_exception_of_a_function_of_many_outputs_names_its_perturbation(workers):
    for where in (None, workers):
        with pytest.raises(ArithmeticError, match="not there") as caught:
            fg.numerical_jacobian(own.outputs_but_one, np.ones(6), workers=where)
        assert "with x[4] = " in caught.value.__notes__[0]


def test_a_loss_is_unpacked_once_in_each_process(tmp_path, workers):
    params = {"W": np.ones((5, 6)), "b": np.ones((5, 1))}
    fg.check_gradient(own.Heavy(str(tmp_path)), params, own.right, workers=workers)
    arrived = [path.name.partition("-")[0] for path in tmp_path.iterdir()]
    assert len(arrived) == len(set(arrived)) <= 2


def test_dask_takes_lambdas_and_its_own_client(dask):
    here = fg.numerical_gradient(lambda p: own.loss(p), own.shape(), engine="python")
    for workers in (dask, dask._client):
        there = fg.numerical_gradient(
            lambda p: own.loss(p), own.shape(), workers=workers
        )
        assert bits(here) == bits(there)


def test_a_loss_that_reads_its_own_arrays_is_refused(workers):
    model = own.OwnArrays()
    with pytest.raises(ValueError, match="cannot be used with workers"):
        fg.check_gradient(model, model.params, own.right, workers=workers)


@pytest.mark.parametrize("engine", ["python", "vectorized", "callback"])
def test_workers_call_the_function_or_its_program(engine):
    with (
        ThreadPoolExecutor(1) as workers,
        pytest.raises(ValueError, match="contradicts"),
    ):
        fg.check_gradient(
            own.loss, own.shape(), own.right, workers=workers, engine=engine
        )


MPI = """
import sys
from mpi4py.futures import MPIPoolExecutor
import cluster_losses as own
import fastgrad as fg

if __name__ == "__main__":
    with MPIPoolExecutor() as workers:
        for local, sent in (("python", "auto"), ("compiled", "compiled")):
            here = fg.numerical_gradient(own.loss, own.shape(), engine=local)
            there = fg.numerical_gradient(own.loss, own.shape(), engine=sent, workers=workers)
            assert all((here[k] == there[k]).all() for k in here)
        report = fg.check_gradient(own.loss, own.shape(), own.wrong, workers=workers)
        print(report.engine, workers.num_workers, [e.name for e in report.wrong])
"""


MPIEXEC = shutil.which("mpiexec", path=Path(sys.executable).parent)


@pytest.mark.skipif(MPIEXEC is None, reason="needs MPI: pip install mpi4py mpich")
def test_ranks_of_mpi(tmp_path):
    """Real ones: one that asks, two that work."""
    script = tmp_path / "ranks.py"
    script.write_text(MPI)
    module = [sys.executable, "-m", "mpi4py.futures", str(script)]
    done = subprocess.run(
        [MPIEXEC, "-n", "3", *module],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests"), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "workers 2 ['W[2, 3]']"
