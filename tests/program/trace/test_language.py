"""Python as it is written: each function of three numbers, traced against run."""

import abc
import bisect
import collections
import contextlib
import copy
import dataclasses
import enum
import functools
import heapq
import itertools
import logging
import math
import operator
import random
import statistics
import types
import typing

import numpy as np
import pytest
from scipy import optimize, sparse
from scipy import stats as scipy_stats
from scipy.sparse import linalg as sparse_linalg

import fastgrad as fg

W = np.array([0.5, -0.3, 0.8])
CASES = {}


def case(function):
    CASES[function.__name__] = function
    return function


class Base:
    def __init__(self, w):
        self.w = w

    def f(self):
        return np.sum(self.w**2)


class Child(Base):
    def __init__(self, w):
        super().__init__(w)
        self.__hidden = w * 2

    def f(self):
        return super().f() + np.sum(self.__hidden)

    @staticmethod
    def s(x):
        return x * 2

    @classmethod
    def c(cls, x):
        return cls.s(x) + 1

    def __len__(self):
        return len(self.w)

    def __getitem__(self, i):
        return self.w[i] * 2

    def __iter__(self):
        return iter(self.w)

    def __contains__(self, x):
        return True

    def __eq__(self, o):
        return True

    __hash__ = None


@case
def super_private(w):
    return Child(w).f()


@case
def static_class(w):
    return np.sum(Child.s(w)) + np.sum(Child.c(w))


@case
def special_methods(w):
    c = Child(w)
    return c[0] + sum(x for x in c) + len(c) * w[1] + (0.0 if w[0] in c else w[2])


@case
def star_args(w):
    def g(a, *b, k=1.0, **kw):
        return a * k + sum(b) + sum(kw.values())

    return g(*w, k=2.0, z=w[0])


@case
def closures_nonlocal(w):
    total = 0.0

    def add(x):
        nonlocal total
        total += x * x

    for x in w:
        add(x)
    return total


@case
def gen_expr(w):
    return sum(x * y for i, x in enumerate(w) for j, y in enumerate(w) if i != j)


@case
def dict_comp(w):
    d = {i: x**2 for i, x in enumerate(w)}
    return sum(d.values()) + max(d.values())


@case
def set_sorted(w):
    return sorted(w, key=lambda x: -x)[0] + sorted(w)[0] * 2


@case
def try_except(w):
    try:
        raise KeyError("x")
    except KeyError:
        y = w * 2
    finally:
        z = w + 1
    else_ = 0
    return np.sum(y * z)


@case
def while_else(w):
    i = 0
    s = 0.0
    while i < len(w):
        s += math.sin(w[i])
        i += 1
    else:
        s *= 2
    return s


@case
def chained(w):
    return np.sum(w) if 0.0 < w[0] < 1.0 <= 3 else np.prod(w)


@case
def ternary_bool(w):
    return (w[0] or w[1]) * 2 + (w[1] and w[2]) + (not w[0])


@case
def lambda_default(w):
    return (lambda x, y=2.0, *a: x * y)(w[0]) + (lambda: w[1])()


@case
def func_attr(w):
    def f(x):
        f.calls += 1
        return x * f.calls

    f.calls = 0
    return f(w[0]) + f(w[1])


@case
def partial_method(w):
    class A:
        def m(self, a, b):
            return a * b

        h = functools.partialmethod(m, 2.0)

    return A().h(w[0]) + functools.partial(operator.mul, 3.0)(w[1])


@case
def iter_tools(w):
    return (
        sum(a * b for a, b in itertools.product(w, w))
        + sum(itertools.accumulate(w))
        + sum(x * y for x, y in itertools.combinations(w, 2))
        + sum(itertools.chain(w, w))
    )


@case
def reduce_ops(w):
    return functools.reduce(operator.mul, w) + functools.reduce(
        lambda a, b: a + b * b, w, 0.0
    )


@case
def namedtup(w):
    P = collections.namedtuple("P", "a b")
    p = P(w[0], w[1])
    q = p._replace(a=w[2])
    return p.a * q.a + q.b


@case
def deque_counter(w):
    d = collections.deque(maxlen=2)
    for x in w:
        d.append(x)
    return d[0] * d[1] + d.popleft()


@case
def defaultd(w):
    d = collections.defaultdict(lambda: 0.0)
    for i, x in enumerate(w):
        d[i % 2] += x
    return d[0] * d[1]


@case
def ordered(w):
    o = collections.OrderedDict()
    o["a"] = w[0]
    o["b"] = w[1]
    o.update(c=w[2])
    return sum(o.values()) + o.pop("a")


@case
def simple_ns(w):
    s = types.SimpleNamespace(x=w[0])
    s.y = s.x * 2
    setattr(s, "z", w[1])
    return s.y + getattr(s, "z") * s.x


@case
def deepcopies(w):
    return np.sum(copy.deepcopy(w) ** 2) + np.sum(copy.copy(w))


@case
def enums(w):
    class K(enum.Enum):
        A = 1
        B = 2

    return sum(x if k is K.A else x * x for x, k in zip(w, [K.A, K.B, K.A]))


@case
def abstract(w):
    class A(abc.ABC):
        @abc.abstractmethod
        def f(self, x): ...
        def g(self, x):
            return self.f(x) * 2

    class B(A):
        def f(self, x):
            return np.tanh(x)

    return np.sum(B().g(w))


@case
def slots(w):
    class S:
        __slots__ = ("x",)

        def __init__(self, x):
            self.x = x

    s = S(w[0])
    s.x = s.x * w[1]
    return s.x


@case
def descriptor_setter(w):
    class S:
        @property
        def x(self):
            return self._x

        @x.setter
        def x(self, v):
            self._x = np.exp(v)

    s = S()
    s.x = w
    return np.sum(s.x)


@case
def getattr_dyn(w):
    class S:
        def __init__(self):
            self.p = {"w": w}

        def __getattr__(self, n):
            try:
                return self.__dict__["p"][n]
            except KeyError:
                raise AttributeError(n)

    return np.sum(S().w ** 2)


@case
def fstring_log(w):
    msg = f"{w[0]:.3f} {w.sum()!r:>5}"
    logging.getLogger("x").debug("v %s", w)
    s = "%.2f" % w[0]
    t = "{:.2f}".format(w[1])
    print(msg, end="")
    return np.sum(w) * len(s) / len(s)


@case
def recursion(w):
    def fact(n):
        return 1.0 if n == 0 else w[n % 3] * fact(n - 1)

    return fact(6)


@case
def yield_from(w):
    def a():
        yield from (x * 2 for x in w)
        yield w[0]

    def sender():
        t = 0.0
        while True:
            x = yield t
            if x is None:
                return
            t += x

    s = sender()
    next(s)
    for x in a():
        v = s.send(x)
    return v


@case
def swap_unpack(w):
    a, b, c = w
    a, b = b, a
    (d, *e) = w
    x = [0.0, 0.0]
    x[0], x[1] = a, b
    return a * 2 + b * 3 + c + d * e[0] * e[1] + x[0] * x[1]


@case
def aug_forms(w):
    x = np.zeros(3)
    x += w
    x -= 0.5
    x *= w
    x /= 2
    x **= 2
    y = [0.0]
    y[0] += w[0]
    d = {"a": 1.0}
    d["a"] *= w[1]
    z = 1.0
    z -= w[2]
    l = [w[0]]
    l += [w[1]]
    l *= 2
    return x.sum() + y[0] + d["a"] + z + sum(l)


@case
def masks(w):
    z = w.copy()
    z[z < 0] = 0
    z[(z > 0) & (z < 0.6)] *= 2
    return z.sum() + w[w > 0].sum() + np.where(w > 0)[0].size * w[0]


@case
def int_ops(w):
    k = int(w[0] * 10 + 0.3)
    return (
        w[k % 3]
        + k * w[1]
        + round(w[2] * 10) * w[0]
        + w[int(np.argmax(w))]
        + abs(w[np.argmin(w)])
    )


@case
def buffers_alias(w):
    buf = np.zeros((2, 3))
    row = buf[0]
    row[:] = w
    v = buf.T
    v[1, 1] = w[0] * w[1]
    buf[1] += row
    flat = buf.ravel()
    flat[5] *= 3
    return buf.sum() + (buf**2).sum()


@case
def out_args(w):
    o = np.empty(3)
    np.multiply(w, w, out=o)
    np.exp(o, out=o)
    np.add(o, 1, o)
    return o.sum()


@case
def np_at(w):
    o = np.zeros(2)
    np.add.at(o, [0, 0, 1], w)
    np.fill_diagonal(m := np.zeros((2, 2)), w[0])
    return o[0] * o[1] + m.sum()


@case
def list_buffers(w):
    A = [[0.0] * 3 for _ in range(3)]
    for i in range(3):
        for j in range(3):
            A[i][j] = w[i] * w[j]
    return np.array(A).trace() + np.linalg.norm(A)


@case
def empty_object(w):
    o = np.empty(3, dtype=object)
    for i in range(3):
        o[i] = w[i] * 2
    return sum(o)


@case
def heap(w):
    h = []
    for x in w:
        heapq.heappush(h, x)
    return heapq.heappop(h) * 2 + bisect.bisect(sorted(w.tolist()), 0.1) * w[0]


@case
def stat(w):
    return statistics.fmean(w.tolist()) * 2


@case
def tolist_item(w):
    l = w.tolist()
    return (
        l[0] * 2
        + w[1].item()
        + w.item(2)
        + float(w[0])
        + np.float64(w[1])
        + w.astype(float)[0]
    )


@case
def random_fixed(w):
    r = np.random.RandomState(0)
    rr = random.Random(1)
    return np.sum(w * r.randn(3)) + rr.random() * w[0]


@case
def dtype_checks(w):
    assert (
        isinstance(w, np.ndarray)
        and w.dtype == np.float64
        and w.ndim == 1
        and w.shape == (3,)
        and type(w) is np.ndarray
        and np.isscalar(w[0])
        and isinstance(w[0], float)
    )
    assert (
        callable(w.sum)
        and hasattr(w, "T")
        and not np.iscomplexobj(w)
        and np.isfinite(w).all()
        and not np.isnan(w).any()
    )
    return w.sum()


@case
def typed(w: np.ndarray) -> float:
    x: float = w[0]
    y: typing.List[float] = [x]
    return y[0] * 2


@case
def exec_code(w):
    ns = {}
    exec("def f(x): return x*x", ns)
    return np.sum(ns["f"](w)) + eval("w[0]*2")


@case
def globals_locals(w):
    x = w[0] * 2
    return locals()["x"] + globals()["W"][0] * 0 + vars()["w"][1]


@case
def walrus_comp(w):
    return sum(y for x in w if (y := x * x) > 0.05)


@case
def match_seq(w):
    match list(w):
        case [a, b, c]:
            return a * b * c
        case _:
            return w[0]


@case
def match_cls(w):
    @dataclasses.dataclass
    class P:
        x: float
        y: float

    match P(w[0], w[1]):
        case P(x=a, y=b) if a > 0:
            return a * b
        case _:
            return w[2]


@case
def with_multi(w):
    @contextlib.contextmanager
    def cm(x):
        yield x * 2

    with cm(w) as a, np.errstate(all="ignore"), contextlib.suppress(ValueError):
        return np.sum(a)


@case
def assert_msg(w):
    assert w[0] > 0, f"bad {w[0]}"
    return w.sum()


@case
def del_stmt(w):
    d = {"a": w[0], "b": w[1]}
    del d["a"]
    l = [*w]
    del l[0]
    return d["b"] + l[0]


@case
def global_stmt(w):
    global KEPT
    KEPT = w * 2
    return np.sum(KEPT)


@case
def einsum_stuff(w):
    return (
        np.einsum("i,j->", w, w)
        + np.tensordot(w, w, 1)
        + np.inner(w, w)
        + np.vdot(w, w)
        + (w[:, None] @ w[None]).trace()
    )


@case
def nested_cls(w):
    class Outer:
        class Inner:
            def __call__(self, x):
                return x**3

        def run(self):
            return self.Inner()(w).sum()

    return Outer().run()


@case
def metaclass(w):
    class M(type):
        def __call__(cls, *a):
            o = super().__call__(*a)
            o.tag = 2.0
            return o

    class A(metaclass=M):
        def __init__(self, x):
            self.x = x

    a = A(w[0])
    return a.x * a.tag


@case
def new_method(w):
    class A:
        def __new__(cls, x):
            o = object.__new__(cls)
            o.x = x * 2
            return o

        def __init__(self, x):
            self.y = x

    a = A(w[0])
    return a.x * a.y


@case
def inherit_list(w):
    class L(list):
        def total(self):
            return sum(self)

    l = L(w)
    l.append(w[0])
    return l.total()


@case
def inherit_dict(w):
    class D(dict):
        def __missing__(self, k):
            self[k] = w[0] * k
            return self[k]

    d = D()
    return d[2] * d[3]


@case
def callable_map(w):
    return (
        sum(map(math.exp, w))
        + sum(map(lambda x, y: x * y, w, w))
        + sum(filter(lambda x: x > 0, w))
    )


@case
def memo(w):
    cache = {}

    def fib(n):
        if n < 2:
            return w[n]
        if n not in cache:
            cache[n] = fib(n - 1) + fib(n - 2) * w[2]
        return cache[n]

    return fib(6)


@case
def lru(w):
    @functools.lru_cache(None)
    def fib(n):
        return w[n] if n < 2 else fib(n - 1) + fib(n - 2) * w[2]

    return fib(6)


@case
def operator_overload_r(w):
    class V:
        def __init__(s, x):
            s.x = x

        def __mul__(s, o):
            return V(s.x * (o.x if isinstance(o, V) else o))

        __rmul__ = __mul__

        def __neg__(s):
            return V(-s.x)

        def __matmul__(s, o):
            return s.x @ o.x

        def __lt__(s, o):
            return s.x[0] < o.x[0]

        def __abs__(s):
            return V(abs(s.x))

        def __pow__(s, n):
            return V(s.x**n)

    v = 2.0 * V(w)
    u = -v * 3
    return (v @ u) * (1.0 if u < v else 2.0) + np.sum(abs(u).x) + np.sum((v**2).x)


@case
def numpy_poly(w):
    return np.polyval(w, 2.0) + np.poly1d([1, 2])(w[0])


@case
def interp_bool_sum(w):
    return (
        np.sum(w > 0) * w[0]
        + np.mean(w < 0) * w[1]
        + (w > 0).astype(float) @ w
        + np.count_nonzero(w > 0) * w[2]
    )


@case
def while_true_break(w):
    x = w[0]
    n = 0
    while True:
        x = x - (x * x - abs(w[1])) / (2 * x)
        n += 1
        if abs(x * x - abs(w[1])) < 1e-12 or n > 50:
            break
    return x


@case
def continue_loop(w):
    s = 0.0
    for i, x in enumerate(w):
        if x < 0:
            continue
        s += x * i
    return s


@case
def zip_star(w):
    a, b = zip(*[(x, x * 2) for x in w])
    return sum(a) * sum(b)


@case
def str_keys(w):
    p = {f"w{i}": x for i, x in enumerate(w)}
    return sum(p[f"w{i}"] ** i for i in range(3))


@case
def slice_obj(w):
    s = slice(0, 2)
    i = np.s_[1:]
    return w[s].sum() * w[i].sum() + w[::-1][0] + w[..., 0] + w[np.newaxis, :][0, 1]


@case
def np_matrix_things(w):
    A = np.outer(w, w) + np.eye(3)
    return (
        np.linalg.det(A)
        + np.trace(np.linalg.inv(A))
        + np.linalg.eigvalsh(A)[0]
        + np.linalg.norm(A, 2)
    )


@case
def view_of_a_copy(w):
    pairs = np.lib.stride_tricks.sliding_window_view(w[::-1], 2).ravel()
    return pairs.ravel()[:3] @ np.array([1.0, 2.0, 3.0])


@case
def view_of_a_copy_written_to(w):
    table = np.outer(w, w)
    columns = table.T.ravel()
    first = columns.reshape(3, 3)[0]
    columns[1], table[0, 0] = 7.0, 5.0
    first[2] *= 2.0
    return first.sum() * w[0] + columns @ columns + table.sum()


@case
def views_by_name(w):
    x = w * 1.0
    x.view()[0] *= 3.0
    return x.sum() + (w.view(np.float64) ** 2)[::-1] @ w.view(np.ndarray)


class Cached:
    def __init__(self, w):
        self.w = w

    @functools.lru_cache  # noqa: B019
    def power(self, i):
        return math.exp(self.w[i])


@case
def cached_method(w):
    model = Cached(w)
    return model.power(0) + model.power(1) * model.power(0) + Cached.power(model, 2)


class Loose:
    def __init__(self, w):
        self.w = w

    @property
    def missing(self):
        raise AttributeError

    def __getattr__(self, name):
        if name.startswith("w_"):
            return self.w[int(name[2:])]
        raise AttributeError(name)


@case
def asked_what_it_has(w):
    loose, total = Loose(w), 0.0
    for x in (w, w[0], loose):
        total = total + hasattr(x, "mean") * w[0] + hasattr(x, "w_1") * w[1] ** 2
    assert not hasattr(loose, "missing")
    assert not hasattr(loose, "v")
    return total + w[2] * hasattr(w, "T")


@case
def memory_of_the_parameters(w):
    seen = memoryview(w)
    return sum(math.sin(seen[i]) for i in range(len(seen))) * seen[1:].tolist()[0]


class Wrapped:
    def __init__(self, x):
        self.x = x

    def __array__(self, dtype=None, copy=None):
        return self.x * 2.0

    def __add__(self, other):
        return Wrapped(self.x + other)


@case
def arrays_in_their_own_way(w):
    return np.sum(np.asarray(Wrapped(w) + 1.0)) + np.dot(Wrapped(w), w)


@case
def chosen_by_a_method(w):
    return w.compress(w > 0).prod() + w.compress([True, False, True], axis=0) @ w[:2]


@case
def polynomials_of_polynomials(w):
    return np.polyder(np.poly1d(w))(0.5) + np.poly1d(w)(w[0])


class Measured(np.ndarray):
    def squared(self):
        return self * self


@case
def seen_as_a_subclass(w):
    return np.sum(w.view(Measured).squared()) + w.view(type=Measured)[0]


class Raised(contextlib.ContextDecorator):
    """Doubles a number while it is entered."""

    factor = 1.0

    def __enter__(self):
        type(self).factor *= 2

    def __exit__(self, *error):
        type(self).factor /= 2


@Raised()
def raised(x):
    return x**2 * Raised.factor


@case
def decorated_by_a_manager(w):
    return np.sum(raised(w)) + w[0] * Raised.factor


@case
def entered_in_a_stack(w):
    @contextlib.contextmanager
    def scaled(by):
        yield by * 2

    with contextlib.ExitStack() as stack:
        return stack.enter_context(scaled(w[0])) * stack.enter_context(scaled(w[1]))


@case
def arrays_of_other_sequences(w):
    window = collections.deque(w, maxlen=2)
    window.append(w[0] * w[1])
    return np.mean(window) ** 2 + np.dot(collections.UserList(w), w) + np.max(window)


@case
def walked_and_written(w):
    doubled, exponentials = w.copy(), np.zeros_like(w)
    with np.nditer(doubled, op_flags=["readwrite"]) as it:
        for x in it:
            x[...] = x * w[0]
    for x, y in np.nditer([w, exponentials], op_flags=[["readonly"], ["writeonly"]]):
        y[...] = np.exp(x)
    return doubled @ exponentials


@case
def single_elements_as_views(w):
    v, u = w.copy(), w * 2
    v[1, ...][...] = w[0] ** 2
    one = u[2, ...]
    one[...] = one * w[1]
    return np.sum(v * u)


@case
def sparse_matrix_by_elements(w):
    K = sparse.lil_matrix((3, 3))
    K[2, 2] = 1.0
    for i in range(2):
        K[i, i] += np.exp(w[i])
        K[i, i + 1] -= w[2]
    fixed = sparse.dok_array((2, 2))
    fixed[0, 1] = 3.0
    K[2, 0] = fixed[0, 1] * 0.1
    u = sparse_linalg.spsolve(K.tocsc(), np.ones(3))
    return u @ u + (K @ w)[0] + K[0, 1] * K.toarray()[0, 0] + K.tocsr()[1:, 1:].sum()


@case
def random_place_and_scale(w):
    total = 0.0
    for generator in (np.random.default_rng(4), np.random.RandomState(4)):
        for name in ("normal", "laplace", "gumbel", "logistic"):
            draws = getattr(generator, name)(w[0], np.exp(w[1]), size=(2, 3))
            total += np.mean(np.tanh(draws)) + getattr(generator, name)(w)[1]
        total += generator.uniform(w[0], w[2] + 3.0) * generator.uniform(w[:2], 4.0)[0]
        total += generator.exponential(np.exp(w), size=3) @ w
        total += generator.rayleigh(np.exp(w[1])) + generator.gamma(2.0, np.exp(w))[2]
        total += 0.1 * generator.lognormal(w[0], sigma=0.3, size=4).sum()
        total += generator.multivariate_normal(w, np.eye(3), size=2)[1, 2] ** 2
        total += generator.random() * w[0]
    np.random.seed(2)  # noqa: NPY002
    total += np.sum(np.random.normal(scale=np.exp(w[2]), size=4))  # noqa: NPY002
    own = random.Random(3)
    drawn = own.gauss(w[0], w[1] + 1) * own.uniform(w[1], 2.0)
    return total + drawn + own.normalvariate(w[2]) + own.expovariate(np.exp(w[0]))


@case
def picked_at_random(w):
    generator, own = np.random.default_rng(6), random.Random(6)
    residuals = generator.choice(np.sin(w), size=(4, 3)) * generator.permutation(w)
    columns = generator.choice(np.outer(w, w), 2, axis=1, shuffle=False)
    picked = own.sample(list(w), 2) + own.choices([w[0], w[2]], [1, 3], k=2)
    return np.sum(residuals**2) + columns.sum() * own.choice(picked) + np.prod(picked)


@case
def found_by_a_solver(w):
    found = optimize.root_scalar(
        lambda x: x**3 + np.exp(w[0]) * x - w[2], bracket=[-5, 5], xtol=1e-15
    )
    line = scipy_stats.linregress([0.0, 1.0, 3.0], w)
    return found.root if found.converged else line.slope * line.intercept_stderr


#: Those that call something nobody knows.
IN_PYTHON = {
    "found_by_a_solver",
    *("stat", "numpy_poly", "np_matrix_things", "seen_as_a_subclass"),
    "polynomials_of_polynomials",
}


@pytest.mark.parametrize("name", CASES)
def test_traced_is_what_it_is_run(name):
    function = CASES[name]
    program = fg.trace(function, W.copy())
    assert bool(program.python_operations) == (name in IN_PYTHON)
    np.testing.assert_allclose(program.value, float(function(W.copy())), rtol=1e-14)
    rng = np.random.default_rng(3)
    for size in (1e-2, 1e-4):
        d = size * rng.normal(size=3)
        got = program.along(d, np.array([1.0]))[0]
        if np.isfinite(got):
            expected = float(function(W + d)) - float(function(W.copy()))
            np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-13)
        else:
            assert program.guards or program.opaque


@pytest.mark.parametrize("name", CASES)
def test_its_gradient_is_right_and_another_is_wrong(name):
    function = CASES[name]
    steps = 1e-6 * np.eye(3)
    slopes = np.array([(function(W + e) - function(W - e)) / 2e-6 for e in steps])
    gradient = fg.trace(function, W.copy()).gradient()
    np.testing.assert_allclose(gradient, slopes.ravel(), rtol=1e-6, atol=1e-7)
    assert fg.check_gradient(function, W.copy(), gradient).ok
    gradient[np.abs(gradient).argmax()] *= 1.05
    report = fg.check_gradient(function, W.copy(), gradient)
    assert report.verdict == "wrong"
    assert report.engine == "compiled"
