"""Every allocation of a call made to fail in turn, the first, the second, ...

`failing_malloc.c` is loaded before everything else. A call whose n-th allocation failed
ends with its right result, computed in another way, or with MemoryError; the caller's
arrays are as they were, and the same call, repeated, gives what it gives.
"""

import ast
import ctypes
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import fastgrad as fg

CLAIM = (
    "every allocation failed in turn: MemoryError or the right result, arrays intact"
)
FUNCTIONS, CHUNK = 14, 250
CASES, SHORT = 2 * FUNCTIONS, 2
#: PyDataMem_SetHandler, in NumPy's table of functions.
SET_HANDLER = 304
HERE = Path(__file__).parent


def calls():
    """Functions without arguments, and the arrays that they must leave alone."""
    rng = np.random.default_rng(0)
    W, V, X = (
        rng.normal(size=(20, 30)),
        rng.normal(size=(5, 20)),
        rng.normal(size=(30, 9)),
    )
    net = {"W": W / 5, "V": V / 5}
    B = rng.standard_normal((40, 6, 10)).astype(np.float32)
    gamma, beta = np.ones(6), np.zeros(6)

    def loss(p):
        return np.sum(np.tanh(p["V"] @ np.tanh(p["W"] @ X)) ** 2)

    def buffers(w):
        out = np.zeros(600)
        for k in range(3):
            out[k::3] = w.ravel()[k::3] ** 2
        return out.sum()

    right = fg.trace(loss, net).gradient()
    wrong = {name: g.copy() for name, g in right.items()}
    wrong["W"][2] *= 1.1
    y, cache = fg.batch_norm(B, gamma, beta)

    return [
        lambda: fg.check_gradient(loss, net, right).verdict,
        lambda: (
            fg.check_gradient(loss, net, right, engine="python", coverage=50).verdict
        ),
        lambda: fg.check_gradient(loss, net, wrong).verdict,
        lambda: fg.check_gradient(loss, net, wrong, coverage="locate").verdict,
        lambda: fg.check_gradient(buffers, W, 2 * W).verdict,
        lambda: fg.numerical_gradient(loss, net)["W"].round(4).tobytes(),
        lambda: fg.numerical_jacobian(np.sin, X[:, 0]).round(7).tobytes(),
        lambda: fg.moments(B, axis=(0, 2)).mean.tobytes(),
        lambda: fg.batch_norm(B, gamma, beta)[0].tobytes(),
        lambda: fg.batch_norm_backward(y, cache)[0].tobytes(),
        lambda: fg.StandardScaler().fit(W).transform(W).tobytes(),
        lambda: fg.initializers.he_normal((50, 60)).tobytes(),
        lambda: fg.initializers.orthogonal((50, 60)).tobytes(),
        lambda: fg.diagnose_signal(loss, net).verdict,
    ], [W, V, X, B, gamma, beta]


def failing_arrays(shim):
    """Make NumPy take the data of its arrays from the allocator that fails."""
    table = ctypes.pythonapi.PyCapsule_GetPointer
    table.restype, table.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    functions = ctypes.cast(
        table(np._core.multiarray._ARRAY_API, None), ctypes.POINTER(ctypes.c_void_p)
    )
    signature = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)
    set_handler = signature(functions[SET_HANDLER])
    capsule = ctypes.pythonapi.PyCapsule_New
    capsule.restype = ctypes.py_object
    capsule.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    handler = ctypes.addressof(ctypes.c_char.in_dll(shim, "handler"))
    return set_handler(capsule(handler, b"mem_handler", None))


def failures_of(seed):
    """Fail a chunk of the allocations of one call, one after the other."""
    k, first = seed % FUNCTIONS, seed // FUNCTIONS * CHUNK + 1
    shim = ctypes.CDLL(None)
    functions, arrays = calls()
    call = functions[k]
    call()
    failing_arrays(shim)
    wanted, before = call(), [a.tobytes() for a in arrays]
    tried, failures = 0, []
    for n in range(first, first + CHUNK):
        shim.fail_at(ctypes.c_long(n))
        try:
            got = call()
        except MemoryError:
            got = wanted
        except Exception as error:
            told = "memory" in str(error)
            got = wanted if told else f"{type(error).__name__}: {error}"
        if not shim.how_many_failed():
            break
        tried += 1
        if got != wanted:
            failures.append(f"call {k}, allocation {n}: {got!r}"[:120])
        if [a.tobytes() for a in arrays] != before:
            failures.append(f"call {k}, allocation {n}: arrays changed")
        if n % 10 == 0 and call() != wanted:
            failures.append(f"call {k}, after allocation {n}: another result")
    return tried, failures


def case(seed):
    with tempfile.TemporaryDirectory() as folder:
        shim = Path(folder) / "failing_malloc.so"
        source = HERE / "failing_malloc.c"
        build = ["cc", "-shared", "-fPIC", "-O1", "-o", str(shim), str(source)]
        subprocess.run(build, check=True)
        found = subprocess.run(
            [sys.executable, __file__, str(seed)],
            env={**os.environ, "LD_PRELOAD": str(shim), "OMP_NUM_THREADS": "2"},
            capture_output=True,
            text=True,
            timeout=100,
        )
    if found.returncode:
        last = found.stderr.splitlines()[-1:]
        return 1, [f"call {seed} ends with status {found.returncode}: {last}"]
    tried, failures = ast.literal_eval(found.stdout)
    return tried, failures


if __name__ == "__main__":
    print(failures_of(int(sys.argv[1])))
