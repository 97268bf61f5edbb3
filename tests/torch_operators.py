"""torch's operators with the samples that torch tests them with (its OpInfo)."""

import itertools
import warnings

import torch
from torch.utils import _pytree as pytree

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from torch.testing._internal.common_methods_invocations import op_db

DOUBLE = torch.float64


def _by_name():
    found = {}
    for op in op_db:
        if DOUBLE in op.supported_dtypes("cpu") and op.supports_autograd:
            found.setdefault(op.name, op)
    return found


OPERATORS = _by_name()


class Sample:
    """One call of an operator, of the inputs that have a gradient alone."""

    def __init__(self, op, sample):
        self._op, self._sample = op, sample
        self._leaves, self._tree = pytree.tree_flatten(
            ((sample.input, *sample.args), sample.kwargs)
        )
        self._at = [i for i, x in enumerate(self._leaves) if self._moves(x)]
        self.inputs = tuple(self._leaves[i] for i in self._at)

    @staticmethod
    def _moves(x):
        return isinstance(x, torch.Tensor) and x.requires_grad

    def __call__(self, *inputs):
        leaves = list(self._leaves)
        for i, x in zip(self._at, inputs, strict=True):
            leaves[i] = x
        args, kwargs = pytree.tree_unflatten(leaves, self._tree)
        out = self._op.gradcheck_wrapper(self._op.op, *args, **kwargs)
        process = self._sample.output_process_fn_grad
        return out if process is None else process(out)


def samples(name, least, most, count=1):
    """The first samples of an operator whose inputs have so many numbers, if any."""
    torch.manual_seed(0)
    op = OPERATORS[name]
    every = op.sample_inputs("cpu", DOUBLE, requires_grad=True)
    calls = (Sample(op, sample) for sample in every)
    small = (c for c in calls if least <= sum(x.numel() for x in c.inputs) <= most)
    return list(itertools.islice(small, count))


def planted(call):
    """The same values, and a gradient that has 0.01 too much."""

    def wrong(*inputs):
        x = inputs[0]
        extra = 0.01 * (x - x.detach()).sum()
        return pytree.tree_map(
            lambda y: (
                y + extra
                if isinstance(y, torch.Tensor) and y.is_floating_point()
                else y
            ),
            call(*inputs),
        )

    return wrong


def total_of(outputs):
    """Real and imaginary parts of all outputs in one number."""
    total = 0
    for y in pytree.tree_leaves(outputs):
        if isinstance(y, torch.Tensor) and (y.is_floating_point() or y.is_complex()):
            y = torch.view_as_real(y.resolve_conj()) if y.is_complex() else y
            weights = torch.linspace(0.5, 1.5, y.numel(), dtype=y.dtype)
            total = total + (y * weights.view_as(y)).sum()
    return total
