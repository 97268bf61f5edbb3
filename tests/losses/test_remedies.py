"""Every reason why a loss is not traced comes with what to write instead."""

import ast
import re
from pathlib import Path

import numpy as np
import pytest

import fastgrad as fg
from fastgrad.losses.remedies import remedy

SOURCE = Path(fg.__file__).parent


def reasons():
    """The reasons that are written in the source, without what is filled in."""
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            name = getattr(node, "func", None)
            if getattr(name, "id", getattr(name, "attr", "")) != "TraceError":
                continue
            [reason, *_] = node.args or [None]
            if isinstance(reason, ast.Constant | ast.JoinedStr):
                yield ast.unparse(reason).strip("f'\"")


def test_every_reason_has_a_remedy():
    """Of its own, unless it is a function that simply is not known."""
    written = list(reasons())
    assert len(written) > 30
    usual = remedy("")
    plain = ("cannot be traced", "{label}", "{reason}", "which is not traced", "raises")
    for reason in written:
        assert remedy(reason) != usual or any(words in reason for words in plain), (
            reason
        )


def in_place(p):
    p[0] = p[0] * 1.0
    return np.sum(p**2)


def in_a_copy(p):
    q = p.copy()
    q[0] = q[0] * 1.0
    return np.sum(q**2)


def of_memory(p):
    return np.sum(np.frombuffer(p.tobytes()) ** 2)


def of_the_array(p):
    return np.sum(p**2)


def awaited(p):
    async def squares():
        return np.sum(p**2)

    try:
        squares().send(None)
    except StopIteration as done:
        return done.value


def called(p):
    def squares():
        return np.sum(p**2)

    return squares()


def in_float32(p):
    return float(np.float32(100) + np.sum(p.astype(np.float32) ** 2))


def in_a_float32_buffer(p):
    terms = np.full(3, 10, np.float32)
    terms[:2] = p
    return float(np.sum(terms**2))


def summed_in_float32(p):
    return float(np.sum(np.append(p**2, 100.0), dtype=np.float32))


def in_float16(p):
    return float(np.dot(p.astype(np.float16), p))


def of_many_axes(p):
    return np.sum(p.reshape((1,) * 9 + p.shape) ** 2)


@pytest.mark.parametrize(
    ("refused", "rewritten", "advice"),
    [
        (in_place, in_a_copy, "write into a copy"),
        (of_memory, of_the_array, "not its memory"),
        (awaited, called, "without `await`"),
        (in_float32, of_the_array, "rounds to float32.*compute in float64"),
        (in_a_float32_buffer, of_the_array, "rounds to float32.*compute in float64"),
        (summed_in_float32, of_the_array, "rounds to float32.*compute in float64"),
        (in_float16, of_the_array, "rounds to float16.*compute in float64"),
        (of_many_axes, of_the_array, "axes; at most 8.*join axes"),
    ],
)
def test_following_the_advice_makes_it_compile(refused, rewritten, advice):
    """The report gives the line, the advice, and what is lost."""
    p = np.array([0.7, 1.3])
    report = fg.check_gradient(refused, p, 2 * p)
    assert report.engine == "python"
    assert "test_remedies.py, line" in report.fallback
    assert re.search(advice, report.fallback)
    text = " ".join(str(report).split())
    assert "slower, and causes are named from the numbers alone" in text
    assert fg.check_gradient(rewritten, p, 2 * p).engine == "compiled"
    with pytest.raises(ValueError, match=advice):
        fg.check_gradient(refused, p, 2 * p, engine="compiled")
