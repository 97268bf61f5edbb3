"""The edit of the user's gradient code that makes it right."""

import re

import numpy as np
import pytest
import scipy.special

import fastgrad as fg
from fastgrad.causes.names import Names

RNG = np.random.default_rng(3)
X, Y = RNG.normal(size=(7, 4)), RNG.normal(size=(7, 4))
OTHER = RNG.normal(size=(7, 4))
PARAMS = {"W": RNG.normal(size=(4, 4)), "V": RNG.normal(size=(4, 4))}
XS = RNG.normal(size=(4, 3, 4))
CELL = {"U": RNG.normal(size=(4, 4)) * 0.5, "R": RNG.normal(size=(4, 4)) * 0.5}


def loss(p):
    h = np.tanh(X @ p["W"])
    return 0.5 * np.sum((h @ p["V"] - Y) ** 2)


def written(**lines):
    """A gradient of the loss, with other expressions for some of its lines."""
    code = {
        "x": "X",
        "w": "p['W']",
        "h": "np.tanh(x @ w)",
        "e": "h @ p['V'] - Y",
        "dV": "h.T @ e",
        "dh": "e @ p['V'].T",
        "dz": "dh * (1 - h**2)",
        "dW": "x.T @ dz",
    } | lines
    names = list(code)
    body = "".join(f"    {name} = {code[name]}\n" for name in names)
    return f"def grads(p):\n{body}    return {{'W': dW, 'V': dV}}\n", names


def checked(folder, **lines):
    """The report on it, and the numbers of the lines that are others."""
    source, names = written(**lines)
    file = folder / "gradient.py"
    file.write_text(source)
    scope = {"np": np, "X": X, "Y": Y, "OTHER": OTHER}
    exec(compile(source, str(file), "exec"), scope)
    report = fg.check_gradient(loss, PARAMS, scope["grads"])
    return report, [2 + names.index(name) for name in lines]


#: What a line is, the cause, and what is said of it.
MISTAKES = {
    "sign": ({"e": "Y - h @ p['V']"}, {"sign"}, ""),
    "sign of a line": ({"dz": "-dh * (1 - h**2)"}, {"sign", "local_derivative"}, ""),
    "number": ({"dz": "0.25 * dh * (1 - h**2)"}, {"scale"}, ""),
    "slope left out": ({"dz": "dh"}, {"local_derivative"}, ""),
    "slope": ({"dz": "dh * (1 - h)"}, {"local_derivative"}, ""),
    "other value": ({"dV": "x.T @ e"}, {"local_derivative", "layout"}, ""),
    "other parameter": ({"dh": "e @ p['W'].T"}, {"local_derivative"}, "`V` is due"),
    "transposed": ({"dh": "e @ p['V']"}, {"layout"}, "transposed"),
    "moved parameters": ({"w": "p['W'] + 0.1"}, {"stale"}, "`W` is due"),
    "other data": ({"x": "OTHER"}, {"stale"}, "constant array"),
    "clipped": ({"dh": "np.clip(e @ p['V'].T, -0.5, 0.5)"}, {"clipped"}, "np.clip"),
    "bounded": ({"dz": "np.minimum(dh, 1) * (1 - h**2)"}, {"clipped"}, "np.minimum"),
    "one term more": ({"dW": "x.T @ dz + x.T @ e"}, {"accumulation"}, ""),
    "term left out": ({"e": "h @ p['V']"}, {"accumulation", "local_derivative"}, ""),
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_the_line_is_repaired(kind, tmp_path):
    lines, codes, said = MISTAKES[kind]
    report, numbers = checked(tmp_path, **lines)
    cause = report.causes[0]
    assert cause.code in codes
    assert said in cause.message
    if kind == "other data":  # which is read on two lines
        assert "or in a constant array that goes in" in cause.message
    elif kind != "slope left out":  # which is on no line
        assert any(f"line {n} of your gradient code" in cause.message for n in numbers)


@pytest.mark.parametrize(
    ("name", "line", "code", "said"),
    [
        ("dz", "-(dh * (1 - h**2))", "sign", "the sign of `dh * (1 - (h ** 2))`"),
        ("dz", "0.5 * (dh * (1 - h**2))", "scale", "is due where `dz` stands"),
        ("dz", "dh * (h**2 - 1)", "sign", "the sign of `(h ** 2) - 1`"),
        ("dz", "dh * (1 - 3 * h**2)", "local_derivative", "`h ** 2` is due where"),
        ("dz", "dh * -(h**2)", "local_derivative", "is to be increased by"),
        ("dz", "dh * (2 - h**2)", "local_derivative", "2 stands where 1 is due"),
        ("dz", "dh * (0 - h**2)", "accumulation", "0 stands where 1 is due"),
        ("dz", "dh * (0.9 - h**2)", "local_derivative", "0.9 stands where 1 is due"),
        (
            "dz",
            "dh / (2 + h**2 / (1 - h**2))",
            "local_derivative",
            "2 stands where 1 is",
        ),
        ("dz", "dh / (1 - h**2)", "local_derivative", "np.multiply is due in"),
        ("dz", "dh", "local_derivative", "`dh` is to be multiplied by the derivative"),
        ("e", "h @ p['V']", "accumulation", "`Y` of the loss is to be subtracted from"),
    ],
)
def test_the_line_is_repaired_whatever_the_loss_says(
    name, line, code, said, tmp_path, monkeypatch
):
    """Without the edits of the loss's program, which have names for these, too."""
    monkeypatch.setattr("fastgrad.causes.naming.guess", lambda *_: [])
    report, (number,) = checked(tmp_path, **{name: line})
    cause = report.causes[0]
    assert (cause.code, said in cause.message) == (code, True), cause.message
    if line != "dh":  # what is left out is on no line
        assert f"line {number} of your gradient code" in cause.message


def test_rows_that_are_taken_again_instead_of_put_back():
    order = np.array([3, 0, 4, 1, 6, 2, 5])  # which is not its own inverse

    def sorted_rows(p):
        return np.sum(OTHER * np.tanh((X @ p["W"])[order]))

    def grads(p):
        dz = OTHER * (1 - np.tanh((X @ p["W"])[order]) ** 2)
        return {"W": X.T @ dz[order]}

    (cause,) = fg.check_gradient(sorted_rows, {"W": PARAMS["W"]}, grads).causes
    assert cause.code == "layout"
    assert "other elements of `dz` are due" in cause.message


BOTH = OTHER[:4] + OTHER[:4].T


@pytest.mark.parametrize(
    ("product", "given", "code", "said"),
    [
        (lambda v: v @ v.T, 2, "local_derivative", "by the matrix `V`"),
        (lambda v: v.T @ v, 2, "local_derivative", "by `V`, from the left"),
        (lambda v: v.T @ v, 1, "reparametrized", "by `V`, from the left, and by 2"),
    ],
)
def test_a_matrix_that_is_missing(product, given, code, said):
    """The derivative of what a parameter is a factor of, for that of the parameter."""

    def grads(p):
        slopes = BOTH * np.cos(product(p["V"]))
        return {"V": given * slopes}

    params = {"V": PARAMS["V"]}
    report = fg.check_gradient(
        lambda p: np.sum(BOTH * np.sin(product(p["V"]))), params, grads
    )
    assert report.causes[0].code == code
    assert said in report.causes[0].message


@pytest.mark.parametrize("factor", [-1.0, 7.0])
def test_a_factor_that_is_missing(factor, monkeypatch):
    monkeypatch.setattr("fastgrad.causes.naming.guess", lambda *_: [])

    def grads(p):
        h = np.tanh(X @ p["W"])
        e = h @ p["V"] - Y
        return {"W": X.T @ (e @ p["V"].T * (1 - h**2)), "V": h.T @ e}

    report = fg.check_gradient(lambda p: factor * loss(p), PARAMS, grads)
    assert report.causes[0].code == ("sign" if factor < 0 else "scale")
    assert {"W", "V"} == set(report.causes[0].blocks)


def test_a_mean_that_is_to_be_a_sum(monkeypatch):
    """Is no number that is missing, but a reduction."""
    monkeypatch.setattr("fastgrad.causes.naming.guess", lambda *_: [])

    def biased(p):
        return np.sum(np.tanh(X + p["b"]) * OTHER)

    def grads(p):
        return {"b": np.mean(OTHER * (1 - np.tanh(X + p["b"]) ** 2), axis=0)}

    report = fg.check_gradient(biased, {"b": RNG.normal(size=4)}, grads)
    assert report.causes[0].code == "reduction"


def test_a_right_gradient_has_no_causes(tmp_path):
    report, _ = checked(tmp_path)
    assert report.ok
    assert report.causes == ()


@pytest.mark.parametrize("noise", [1e-3, 1.0])
def test_what_no_edit_repairs_is_not_named(noise, tmp_path):
    """The line is told nevertheless."""
    report, (number,) = checked(tmp_path, dz=f"np.cos({noise} * dh)")
    (cause,) = report.causes
    assert cause.code == "unknown"
    assert f"line {number} of your gradient code" in cause.message


@pytest.mark.parametrize(("read", "width"), [("x", 4), ("y", 4), ("xy", 4), ("x", 1)])
def test_arrays_of_another_batch_are_stale(read, width):
    batches = {"x": RNG.normal(size=(2, 7, width)), "y": RNG.normal(size=(2, 7, 4))}

    def squares(p):
        return np.sum((np.tanh(batches["x"][0] @ p["W"]) - batches["y"][0]) ** 2)

    def grads(p):
        x, y = (batches[name][int(name in read)] for name in "xy")
        h = np.tanh(x @ p["W"])
        return {"W": x.T @ (2 * (h - y) * (1 - h**2))}

    report = fg.check_gradient(squares, {"W": PARAMS["W"][:width].copy()}, grads)
    assert report.causes[0].code == "stale"
    assert "constant array" in report.causes[0].message


@pytest.mark.parametrize("factor", [1, 4])
def test_the_factor_of_a_penalty(factor):
    def penalized(p):
        return loss(p) + 0.3 * np.sum(p["W"] ** 2)

    def grads(p):
        h = np.tanh(X @ p["W"])
        e = h @ p["V"] - Y
        dW = X.T @ (e @ p["V"].T * (1 - h**2))
        return {"W": dW + factor * 0.3 * p["W"], "V": h.T @ e}

    report = fg.check_gradient(penalized, PARAMS, grads)
    assert report.causes[0].code == "regularization"


# ---- loops ---------------------------------------------------------------------------


def states(p):
    hs = [np.zeros((3, 4))]
    for x in XS:
        hs.append(np.tanh(x @ p["U"] + hs[-1] @ p["R"]))
    return hs


def sequence_loss(p):
    return 0.5 * sum(np.sum(h**2) for h in states(p)[1:])


def unrolled(p, read, carry, slope):
    hs, d = states(p), np.zeros((3, 4))
    g = {name: np.zeros((4, 4)) for name in p}
    for t in reversed(range(len(XS))):
        da = slope(d + hs[t + 1], hs[t + 1])
        g["U"] = g["U"] + XS[t].T @ da
        g["R"] = g["R"] + read(hs, t).T @ da
        d = carry(da, p["R"])
    return g


RIGHT = {
    "read": lambda hs, t: hs[t],
    "carry": lambda da, R: da @ R.T,
    "slope": lambda d, h: d * (1 - h**2),
}
IN_TURNS = {
    "the step after": ({"read": lambda hs, t: hs[t + 1]}, {"stale"}),
    "transposed": ({"carry": lambda da, R: da @ R}, {"layout"}),
    "negated": ({"carry": lambda da, R: -da @ R.T}, {"sign", "local_derivative"}),
    "clipped": ({"carry": lambda da, R: np.clip(da @ R.T, -0.3, 0.3)}, {"clipped"}),
    "slope": ({"slope": lambda d, h: d * (1 - h)}, {"local_derivative"}),
}


@pytest.mark.parametrize("kind", IN_TURNS)
def test_a_line_in_a_loop_is_repaired_in_all_turns(kind):
    wrong, codes = IN_TURNS[kind]

    def grads(p):
        return unrolled(p, **RIGHT | wrong)

    report = fg.check_gradient(sequence_loss, CELL, grads)
    assert report.causes[0].code in codes
    assert "of your gradient code" in report.causes[0].message


def test_the_loop_is_right():
    assert fg.check_gradient(sequence_loss, CELL, lambda p: unrolled(p, **RIGHT)).ok


RATE = {"a": np.array([0.5, 1.2, 2.0, -0.4, 0.9]), "s": np.array(0.7)}
Z = RNG.normal(size=5)


def likelihood(p):
    return np.sum(0.5 * ((Z - p["a"]) / np.exp(p["s"])) ** 2 + p["s"])


def residual(p):
    return (Z - p["a"]) / np.exp(p["s"])


def of_rate(p, s):
    return {"a": -residual(p) / np.exp(p["s"]), "s": s}


def scaled_down(p):
    return of_rate(p, ((1 - residual(p) ** 2) / np.exp(p["s"])).sum())


def counted_once(p):
    return of_rate(p, 1 - (residual(p) ** 2).sum())


def normalised(p):
    g = of_rate(p, (1 - residual(p) ** 2).sum())["a"]
    return {"a": g / np.sqrt(np.sum(g**2)), "s": (1 - residual(p) ** 2).sum()}


@pytest.mark.parametrize(
    ("grads", "is_clipped"),
    [(scaled_down, False), (counted_once, False), (normalised, True)],
)
def test_what_is_divided_by_a_number_is_clipped_if_that_is_made_of_it(
    grads, is_clipped
):
    causes = fg.check_gradient(likelihood, RATE, grads).causes
    assert ("clipped" in {cause.code for cause in causes}) == is_clipped
    for cause in causes:  # a number is not told to be itself
        assert not re.search(r"(\S+), which is \1\b", cause.message)


CALLS = {
    "square": lambda q: q**2,
    "cube": lambda q: q**3,
    "fourth power": lambda q: q**4,
    "root": lambda q: q**0.5,
    "inverse": lambda q: q**-1,
    "power": lambda q: q**2.5,
    "mean": np.mean,
    "variance": np.var,
    "deviation": np.std,
    "norm": np.linalg.norm,
    "sinc": np.sinc,
    "expit": scipy.special.expit,
    "softmax": scipy.special.softmax,
    "logsumexp": scipy.special.logsumexp,
    "product": lambda q: q * q,
    "difference": lambda q: 1 - q,
}


@pytest.mark.parametrize("name", CALLS)
def test_values_are_called_by_what_gives_them(name):
    """However many operations a call is made of."""

    def total(p):
        return np.sum(CALLS[name](p["q"]))

    q = np.linspace(0.3, 2.0, 6)
    program = fg.trace(total, {"q": q})
    last = program.nodes[-1]
    value = last.inputs[0] if last.label == "np.sum" else last
    said = Names(program.nodes)(value).strip("`")
    found = eval(said, {"np": np, "scipy": scipy, "q": q})
    np.testing.assert_allclose(found, value.value, rtol=1e-12)


@pytest.mark.parametrize("wrong", [lambda p: p, lambda p: {"W": p["W"], "V": p["W"]}])
def test_a_gradient_that_hands_parameters_back(wrong, monkeypatch):
    monkeypatch.setattr("fastgrad.checking.check._SECONDS", 1.0)  # nothing fits
    report = fg.check_gradient(loss, PARAMS, wrong)
    assert report.verdict == "wrong"
    assert {block for cause in report.causes for block in cause.blocks} == {"W", "V"}


def complex_layer(p):
    """The real and imaginary part of (X + iZ) A (B + iC), and what goes in."""
    r, i = XS[0] @ p["A"], XS[1] @ p["A"]
    return r, i, r @ p["B"] - i @ p["C"], r @ p["C"] + i @ p["B"]


def complex_loss(p):
    *_, u, v = complex_layer(p)
    return np.sum(np.sin(u) + np.cos(v))


def complex_grads(p, turn):
    r, i, u, v = complex_layer(p)
    du, dv = np.cos(u), -np.sin(v)
    dr = du @ turn(p["B"]) + dv @ turn(p["C"])
    di = dv @ p["B"].T - du @ p["C"].T
    dA = XS[0].T @ dr + XS[1].T @ di
    return {"A": dA, "B": r.T @ du + i.T @ dv, "C": r.T @ dv - i.T @ du}


def test_both_parts_of_a_complex_product_are_one_mistake():
    rng = np.random.default_rng(0)
    shapes = {"A": (XS[0].shape[1], 3), "B": (3, 3), "C": (3, 3)}
    params = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    assert fg.check_gradient(
        complex_loss, params, lambda p: complex_grads(p, np.transpose)
    ).ok
    report = fg.check_gradient(
        complex_loss, params, lambda p: complex_grads(p, np.array)
    )
    assert report.causes[0].code == "layout"
    assert "transposed" in report.causes[0].message
