"""What to write instead of what cannot be traced.

By words of the reason: the first that fits. Every reason has one.
"""

_REMEDIES = (
    ("in place", "write into a copy, `q = p.copy()`"),
    ("but no `out=`", "choose with `np.where`"),
    ("share memory", "give each its own array, `p.copy()`"),
    ("past the trace", "compute it by NumPy's functions, in the loss's own thread"),
    ("complex", "compute with real and imaginary parts apart"),
    ("out=", "leave `out=` away and assign the result"),
    ("with dtype=", "leave `dtype=` away, or convert with `astype`"),
    ("rounds to", "compute in float64"),
    ("dtype", "keep it in arrays of float64 or float32"),
    ("where a number", "keep to NumPy's functions of the array"),
    ("needs a number", "keep to NumPy's functions of the array, not its memory"),
    ("a constant is due", "give it as a number that does not depend on the parameters"),
    ("async", "an ordinary function, called without `await`"),
    ("await", "an ordinary function, called without `await`"),
    ("singular", "add to the diagonal of the matrix"),
    ("positions that depend", "choose with `np.where`, by comparisons"),
    ("interpolates at", "fit once and evaluate with `np.interp`"),
    ("changes the shape", "assign the result to a new name"),
    ("axes; at most", "join axes with `reshape`"),
    ("of length", "transform shorter pieces"),
    ("without elements", "leave the call out where there are none"),
    ("has no jaxpr", "a function that `jax.make_jaxpr` accepts"),
    ("nest of arrays", "solve for one array, raveled"),
    ("has no meaning here", "use functions of torch that the documentation lists"),
    (
        "returns an array of shape",
        "return its `.mean()`, or say `reduction`",
    ),
    (
        "does not come from",
        "return what NumPy computes from the argument, in the loss's own thread; it is "
        "lost in text, bytes and files",
    ),
    ("does not depend on", "compute it from the argument"),
    ("does not end", "let iterations end after a number of steps"),
    ("next to the parameters", "have it defined around the parameters, too"),
    ("parameters next to these", "compute the same at all parameters, without a cache"),
    ("more than its arguments", "pass what it reads as arguments, and keep no state"),
    ("traced program gives", "compute it from the argument alone, without a cache"),
    ("since it was made", "make a new object instead of changing one"),
    ("operations", "compute with whole arrays, not number by number"),
    ("where it is not seen", "call it in the loss itself"),
    (
        "not known to the trace",
        "write it in NumPy, or have it return numbers",
    ),
)
_OTHERWISE = "write it with plain functions of NumPy"


def remedy(reason: str) -> str:
    """Return what to write instead of what a reason says.

    Examples
    --------
    >>> remedy("changes a parameter in place")
    'write into a copy, `q = p.copy()`'
    """
    fitting = (instead for words, instead in _REMEDIES if words in reason)
    return next(fitting, _OTHERWISE)
