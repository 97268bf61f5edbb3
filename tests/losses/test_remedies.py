"""Every reason why a loss is not traced comes with what to write instead."""

import ast
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


@pytest.mark.parametrize(
    ("refused", "rewritten", "advice"),
    [
        (in_place, in_a_copy, "write into a copy"),
        (of_memory, of_the_array, "not its memory"),
        (awaited, called, "without `await`"),
    ],
)
def test_following_the_advice_makes_it_compile(refused, rewritten, advice):
    """The report gives the line, the advice, and what is lost."""
    p = np.array([0.7, 1.3])
    report = fg.check_gradient(refused, p, 2 * p)
    assert report.engine == "python"
    assert "test_remedies.py, line" in report.fallback
    assert advice in report.fallback
    text = " ".join(str(report).split())
    assert "slower, and causes are named from the numbers alone" in text
    assert fg.check_gradient(rewritten, p, 2 * p).engine == "compiled"
    with pytest.raises(ValueError, match=advice):
        fg.check_gradient(refused, p, 2 * p, engine="compiled")
