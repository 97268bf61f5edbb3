"""What torch's operations mean, in NumPy: the table the recorder reads.

Names are those of `torch.ops.aten`, ``name`` or ``name.overload``; arguments are
theirs. An operation that is not here is taken apart by torch's decompositions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastgrad.interop.meanings import (
    Unasked,
    log_softmax,
    logsumexp,
    sigmoid,
    softmax,
    softplus,
    special,
)
from fastgrad.interop.torch import arithmetic, indexing, layers
from fastgrad.program import TraceError

#: Their result depends on shapes alone.
OF_SHAPE = frozenset(
    [
        *("zeros_like", "ones_like", "full_like", "empty_like", "rand_like"),
        *("randn_like", "new_zeros", "new_ones", "new_full", "new_empty"),
        *("new_empty_strided", "sym_size", "is_same_size"),
    ]
)
#: They overwrite their first argument with something else.
FILLING = frozenset(["zero_", "fill_", "normal_", "uniform_", "bernoulli_", "random_"])


def meaning(name: str, overload: str) -> Callable[..., Any] | None:
    """Return what an operation means; None if it is not in the table."""
    return ATEN.get(f"{name}.{overload}", ATEN.get(name))


def _number(x: Any) -> Any:
    """What Python asks for: an outcome is guarded, a float may not be had."""
    if x.dtype.kind == "f":
        raise TraceError("needs a number where the parameters enter")
    return bool(x) if x.dtype.kind == "b" else int(x)


def _same(x: Any, *rest: Any, **options: Any) -> Any:
    return x


_SAME_NAME = (
    *("abs", "exp", "expm1", "exp2", "log", "log1p", "log2", "log10", "sqrt"),
    *("square", "sin", "cos", "tan", "sinh", "cosh", "tanh", "reciprocal"),
    *("sign", "floor", "ceil", "trunc"),
)
_UNARY = {name: getattr(np, name) for name in _SAME_NAME} | {
    "acos": np.arccos,
    "asin": np.arcsin,
    "atan": np.arctan,
    "acosh": np.arccosh,
    "asinh": np.arcsinh,
    "atanh": np.arctanh,
    "neg": np.negative,
    "round": np.rint,
    "round.decimals": lambda x, decimals: np.round(x, decimals),
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "sigmoid": sigmoid,
    "conj_physical": np.conj,
    "_conj_physical": np.conj,
    "angle": np.angle,
    "digamma": special("digamma"),
    "special_entr": special("entr"),
    "special_log_ndtr": special("log_ndtr"),
    "relu": lambda x: np.maximum(x, 0.0),
    "silu": lambda x: x * sigmoid(x),
    "mish": lambda x: x * np.tanh(softplus(x)),
    "erf": special("erf"),
    "erfc": special("erfc"),
    "lgamma": special("gammaln"),
    "logical_not": np.logical_not,
    "bitwise_not": np.logical_not,
}
_BINARY = {
    "mul": np.multiply,
    "pow": np.power,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "fmax": np.maximum,
    "fmin": np.minimum,
    "atan2": np.arctan2,
    "hypot": np.hypot,
    "logaddexp": np.logaddexp,
    "remainder": np.remainder,
    "fmod": np.fmod,
    "copysign": np.copysign,
    "polygamma": special("polygamma"),
    "xlogy": special("xlogy"),
    "gt": np.greater,
    "ge": np.greater_equal,
    "lt": np.less,
    "le": np.less_equal,
    "eq": np.equal,
    "ne": np.not_equal,
    "logical_and": np.logical_and,
    "logical_or": np.logical_or,
    "logical_xor": np.logical_xor,
    "bitwise_and": np.logical_and,
    "bitwise_or": np.logical_or,
}

ATEN: dict[str, Callable[..., Any]] = {
    **_UNARY,
    **_BINARY,
    "add": arithmetic.add,
    "sub": arithmetic.sub,
    "rsub": lambda x, y, alpha=1: arithmetic.sub(y, x, alpha),
    "div": arithmetic.divide,
    "floor_divide": lambda x, y: np.floor(x / y),
    "addcmul": lambda c, x, y, value=1: c + value * (x * y),
    "addcdiv": lambda c, x, y, value=1: c + value * (x / y),
    "lerp": lambda x, y, weight: x + weight * (y - x),
    "where.self": arithmetic.where,
    "where.ScalarSelf": arithmetic.where,
    "where.ScalarOther": arithmetic.where,
    "masked_fill": lambda x, mask, value: np.where(mask, value, x),
    "clamp": arithmetic.clamp,
    "clamp_min": lambda x, low: np.maximum(x, low),
    "clamp_max": lambda x, high: np.minimum(x, high),
    "hardtanh": lambda x, low=-1.0, high=1.0: arithmetic.clamp(x, low, high),
    "leaky_relu": lambda x, slope=0.01: np.where(x > 0, x, slope * x),
    "threshold": lambda x, threshold, value: np.where(x > threshold, x, value),
    "elu": arithmetic.elu,
    "gelu": arithmetic.gelu,
    "softplus": arithmetic.softplus,
    "log_sigmoid_forward": lambda x: (-softplus(-x), Unasked("a buffer")),
    "_local_scalar_dense": _number,
    "is_nonzero": bool,
    "equal": lambda x, y: bool(np.all(np.equal(x, y))),
    "_is_all_true": lambda x: bool(np.all(x)),
    "_to_copy": arithmetic.cast,
    "convert_element_type": arithmetic.cast,
    "clone": _same,
    "alias": _same,
    "detach": _same,
    "lift_fresh": _same,
    "contiguous": _same,
    "view_of": _same,
    # reductions
    "sum": arithmetic.reduction(np.sum),
    "mean": arithmetic.reduction(np.mean),
    "amax": arithmetic.reduction(np.max),
    "amin": arithmetic.reduction(np.min),
    "prod": arithmetic.reduction(np.prod),
    "max": np.max,
    "min": np.min,
    "max.other": np.maximum,
    "min.other": np.minimum,
    "argmax": arithmetic.truth(np.argmax),
    "argmin": arithmetic.truth(np.argmin),
    "argsort": lambda x, dim=-1, descending=False: np.argsort(
        -x if descending else x, axis=dim, kind="stable"
    ),
    "any": arithmetic.truth(np.any),
    "all": arithmetic.truth(np.all),
    "max.dim": arithmetic.extreme(np.max, np.argmax),
    "min.dim": arithmetic.extreme(np.min, np.argmin),
    "var": lambda x, unbiased=True: np.var(x, ddof=int(unbiased)),
    "std": lambda x, unbiased=True: np.sqrt(np.var(x, ddof=int(unbiased))),
    "var.correction": arithmetic.var,
    "std.correction": arithmetic.std,
    "var_mean.correction": arithmetic.var_mean,
    "linalg_vector_norm": arithmetic.norm,
    "norm.ScalarOpt_dim": arithmetic.norm,
    "norm.Scalar": arithmetic.norm,
    "logsumexp": lambda x, dim, keepdim=False: logsumexp(x, tuple(dim), keepdim),
    "cumsum": lambda x, dim, **dtype: np.cumsum(x, axis=dim),
    "cumprod": lambda x, dim, **dtype: np.cumprod(x, axis=dim),
    "_softmax": lambda x, dim, half: softmax(x, dim),
    "_log_softmax": lambda x, dim, half: log_softmax(x, dim),
    "logcumsumexp": lambda x, dim: np.logaddexp.accumulate(x, axis=dim),
    "cummax": indexing.running(np.maximum),
    "cummin": indexing.running(np.minimum),
    "median": lambda x: indexing.kth(x.ravel(), (x.size + 1) // 2, 0)[0],
    "median.dim": lambda x, dim, keepdim=False: indexing.kth(
        x, (np.shape(x)[dim] + 1) // 2, dim, keepdim
    ),
    "kthvalue": indexing.kth,
    # complex numbers
    "complex": lambda re, im: re + 1j * im,
    "polar": lambda r, angle: r * np.cos(angle) + 1j * (r * np.sin(angle)),
    "view_as_real": lambda x: np.stack([np.real(x), np.imag(x)], axis=-1),
    "view_as_complex": lambda x: x[..., 0] + 1j * x[..., 1],
    "_fft_c2c": arithmetic.fourier,
    "_fft_r2c": arithmetic.fourier_of_real,
    "_fft_c2r": arithmetic.fourier_to_real,
    # products
    "mm": np.matmul,
    "bmm": np.matmul,
    "mv": np.matmul,
    "dot": np.dot,
    "linear": layers.linear,
    "addmm": layers.addmm,
    "addmv": layers.addmm,
    "baddbmm": layers.addmm,
    "addbmm": lambda c, a, b, beta=1, alpha=1: (
        beta * c + alpha * np.sum(np.matmul(a, b), axis=0)
    ),
    "convolution": layers.convolution,
    "_cdist_forward": layers.distances,
    "_linalg_det": lambda x: (np.linalg.det(x),),
    "_linalg_slogdet": lambda x: tuple(np.linalg.slogdet(x)),
    "_linalg_solve_ex": layers.solve,
    "linalg_solve_triangular": layers.solve_triangular,
    "linalg_inv_ex": lambda x, check_errors=False: (np.linalg.inv(x), None),
    "linalg_cholesky_ex": lambda x, upper=False, check_errors=False: (
        np.linalg.cholesky(x),
        None,
    ),
    # normalisation, windows, losses
    "native_layer_norm": layers.layer_norm,
    "native_group_norm": layers.group_norm,
    "native_batch_norm": layers.batch_norm,
    "_native_batch_norm_legit": layers.batch_norm,
    "_native_batch_norm_legit.no_stats": layers.batch_norm_stats,
    "_native_batch_norm_legit_no_training": layers.batch_norm_kept,
    "_batch_norm_no_update": layers.batch_norm_kept,
    "_batch_norm_with_update": layers.batch_norm_updated,
    "max_pool2d_with_indices": layers.max_pool(2),
    "max_pool3d_with_indices": layers.max_pool(3),
    "avg_pool1d": layers.avg_pool(1),
    "avg_pool2d": layers.avg_pool(2),
    "avg_pool3d": layers.avg_pool(3),
    "nll_loss_forward": layers.nll_loss,
    "nll_loss2d_forward": layers.nll_loss,
    "mse_loss": lambda x, y, reduction=1: layers.reduced((x - y) ** 2, reduction),
    "_scaled_dot_product_flash_attention_for_cpu": layers.attention,
    # shape
    "view": lambda x, size: np.reshape(x, tuple(size)),
    "_unsafe_view": lambda x, size: np.reshape(x, tuple(size)),
    "reshape": lambda x, size: np.reshape(x, tuple(size)),
    "expand": indexing.expand,
    "permute": lambda x, dims: np.transpose(x, tuple(dims)),
    "transpose.int": indexing.transpose,
    "t": indexing.t,
    "unsqueeze": indexing.unsqueeze,
    "squeeze": indexing.squeeze,
    "slice.Tensor": indexing.narrow,
    "select.int": indexing.select,
    "split.Tensor": indexing.split,
    "split_with_sizes": indexing.split,
    "unbind.int": indexing.unbind,
    "cat": indexing.cat,
    "stack": lambda xs, dim=0: np.stack(xs, axis=dim),
    "flip": lambda x, dims: np.flip(x, tuple(dims)),
    "roll": indexing.roll,
    "repeat": lambda x, repeats: np.tile(x, tuple(repeats)),
    "tril": lambda x, diagonal=0: np.tril(x, diagonal),
    "triu": lambda x, diagonal=0: np.triu(x, diagonal),
    "diagonal": lambda x, offset=0, dim1=0, dim2=1: np.diagonal(x, offset, dim1, dim2),
    "constant_pad_nd": indexing.pad,
    "index.Tensor": indexing.index,
    "index_select": indexing.index_select,
    "masked_select": lambda x, mask: np.broadcast_arrays(x, mask)[0][
        np.broadcast_to(mask, np.broadcast_shapes(np.shape(x), mask.shape))
    ],
    "index_put": indexing.index_put,
    "index_add": indexing.index_add,
    "gather": indexing.gather,
    "scatter.src": indexing.scatter,
    "scatter.value": indexing.scatter,
    "scatter_add": indexing.scatter_add,
    "slice_scatter": indexing.slice_scatter,
    "select_scatter": indexing.select_scatter,
    "embedding": indexing.embedding,
    "sort": indexing.sort,
    "sort.stable": lambda x, stable=None, dim=-1, descending=False: indexing.sort(
        x, dim, descending
    ),
    "topk": indexing.topk,
}
