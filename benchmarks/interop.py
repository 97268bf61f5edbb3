"""fastgrad's doors against the checkers of the frameworks: seconds, same work.

Each pair runs interleaved, five times; the least counts. Every entry of every input is
checked by central differences on both sides.

    python benchmarks/interop.py
"""

import itertools
import time

import torch

from fastgrad.interop.torch import check_gradient, gradcheck

torch.manual_seed(0)
DOUBLE = {"dtype": torch.float64, "requires_grad": True}
LSTM = torch.nn.LSTM(6, 5, batch_first=True).double()
OPERATIONS = {
    "conv2d, 402 inputs": (
        lambda x, w: torch.nn.functional.conv2d(x, w).tanh(),
        (torch.randn(2, 3, 7, 7, **DOUBLE), torch.randn(4, 3, 3, 3, **DOUBLE)),
    ),
    "LSTM, 192 inputs": (lambda x: LSTM(x)[0], (torch.randn(4, 8, 6, **DOUBLE),)),
    "matrix product, 600 inputs": (
        lambda a, b: (a @ b).sin(),
        (torch.randn(20, 15, **DOUBLE), torch.randn(15, 20, **DOUBLE)),
    ),
    "softmax, 200 inputs": (lambda a: a.softmax(-1), (torch.randn(20, 10, **DOUBLE),)),
}


def least(calls, times=5):
    """Least seconds of each call."""
    best = [float("inf")] * len(calls)
    for _ in range(times):
        for k, call in enumerate(calls):
            began = time.perf_counter()
            assert call()
            best[k] = min(best[k], time.perf_counter() - began)
    return best


def network(widths=(32, 24, 10), batch=32):
    """A classifier, its loss as a function of its parameters, and these."""
    x = torch.randn(batch, widths[0], dtype=torch.float64)
    y = torch.randint(widths[-1], (batch,))
    layers = []
    for n, m in itertools.pairwise(widths):
        layers += [torch.nn.Linear(n, m), torch.nn.Tanh()]
    model = torch.nn.Sequential(*layers[:-1]).double()
    names = [name for name, _ in model.named_parameters()]

    def loss(m):
        return torch.nn.functional.cross_entropy(m(x), y)

    def function(*tensors):
        given = dict(zip(names, tensors, strict=True))
        outputs = torch.func.functional_call(model, given, (x,))
        return torch.nn.functional.cross_entropy(outputs, y)

    return model, loss, function, tuple(model.parameters())


def main():
    """Print the table."""
    torch.set_num_threads(1)
    print(f"{'':34}{'torch':>10}{'fastgrad':>10}{'ratio':>8}")
    rows = {
        f"gradcheck: {name}": (
            lambda f=f, x=x: torch.autograd.gradcheck(f, x),
            lambda f=f, x=x: gradcheck(f, x),
        )
        for name, (f, x) in OPERATIONS.items()
    }
    model, loss, function, inputs = network()
    size = sum(p.numel() for p in inputs)
    rows[f"check_gradient: network of {size:,}"] = (
        lambda: torch.autograd.gradcheck(function, inputs),
        lambda: check_gradient(loss, model, progress=False),
    )
    for name, calls in rows.items():
        theirs, ours = least(calls)
        show(name, theirs, ours)
    model, loss, function, inputs = network((784, 256, 128, 10))
    size = sum(p.numel() for p in inputs)
    some, ours = least(
        [
            lambda: [function(*inputs) for _ in range(50)],
            lambda: check_gradient(loss, model, progress=False),
        ],
        times=2,
    )
    # Two evaluations for each entry, and nothing else.
    show(f"network of {size:,} *", 2 * size * some / 50, ours)
    print("* torch: evaluations alone, from the time of 50")


def show(name, theirs, ours):
    """Print a row."""
    print(f"{name:34}{theirs:10.4f}{ours:10.4f}{theirs / ours:8.1f}")


if __name__ == "__main__":
    main()
