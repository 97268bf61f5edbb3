"""Every kind of report is shown in every way, however odd what it is about."""

import io
import json
import pickle
import unicodedata

import numpy as np
import pytest
import scipy.sparse

import fastgrad as fg

BAND = scipy.sparse.diags_array([np.ones(5), np.ones(6)], offsets=[-1, 0]).tocsr()


def square(p):
    return sum(np.sum(block**2) for block in p.values())


def off(p):
    return {name: 3 * block for name, block in p.items()}


def of(params, grads=off):
    return fg.check_gradient(square, params, grads)


def mean(w, x):
    return np.mean(np.tanh(x @ w))


REPORTS = {
    "scalar": lambda: of({"s": 2.0}),
    "empty block": lambda: of({"w": np.ones(3), "none": np.zeros((0, 2))}),
    "half a surrogate": lambda: of({"\ud800w": np.ones(2)}),
    "terminal codes": lambda: of(
        {"\x1b[31mred\r\n\x07": np.ones(2), "\u202ew": np.ones(2)}
    ),
    "markup": lambda: of({"</script><b>&": np.ones(2)}),
    "nan": lambda: of({"w": np.ones(3)}, {"w": np.array([np.nan, np.inf, 2.0])}),
    "very long": lambda: of({"w": np.linspace(1, 2, 3000)}),
    "many axes": lambda: of({"w": np.ones((2, 3, 2, 2))}),
    "many blocks": lambda: of({f"w{k}": np.ones(1) for k in range(40)}),
    "undecided": lambda: fg.check_gradient(
        lambda w: float(np.sum(w**2)) + np.random.default_rng().random(),
        np.ones(2),
        np.ones(2),
    ),
    "correct": lambda: of({"w": np.ones(3)}, lambda p: {"w": 2 * p["w"]}),
    "jacobian": lambda: fg.check_jacobian(np.tanh, np.ones(3), np.eye(3)),
    "sparse": lambda: fg.check_jacobian(
        lambda x: BAND @ x**2, np.arange(1.0, 7), lambda x: 3 * BAND, sparsity=BAND
    ),
    "hessian": lambda: fg.check_hessian(lambda x: np.sum(x**3), np.ones(2), np.eye(2)),
    "variations": lambda: fg.check_variations(
        mean, np.ones(2), lambda w, x: x.sum(0), (np.eye(3, 2),)
    ),
    "vanishing": lambda: fg.diagnose_signal(
        lambda p: np.mean((p["b"] @ np.tanh(p["a"] @ np.ones((3, 4)))) ** 2),
        {"a": np.zeros((3, 3)), "b": np.ones((2, 3))},
    ),
}


@pytest.mark.parametrize("name", REPORTS)
def test_every_way_to_show_it(name):
    """Text, JSON that reads back, a page, the notebook, a figure, a pickle."""
    report = REPORTS[name]()
    assert str(report).splitlines()[0]
    assert max(map(len, str(report).splitlines())) < 200
    shown = str(report) + report.in_short + report.to_html()
    assert {c for c in shown if unicodedata.category(c)[0] == "C"} == {"\n"}
    found = json.loads(report.to_json(), parse_constant=pytest.fail)
    assert found == report.to_dict()
    assert found["ok"] == report.ok == bool(report)
    page = report.to_html()
    page.encode()
    assert page.count("<h1") == 1
    assert "</script>" not in page
    assert report._repr_html_() in page
    report.plot().savefig(io.BytesIO(), dpi=20)
    assert str(pickle.loads(pickle.dumps(report))) == str(report)
    assert report.in_short


def test_blocks_are_found_by_name():
    report = of({"a": np.ones(2), "b": np.ones(3)})
    assert report.blocks["b"] is report.blocks[1]
    assert report.blocks[0].name == "a"
    assert [block.name for block in report.blocks[:1]] == ["a"]
    with pytest.raises(KeyError, match="there is no block 'c'; there are a, b"):
        report.blocks["c"]
    with pytest.raises(KeyError) as caught:
        of({f"block {k}": np.ones(1) for k in range(80)}).blocks["x" * 10**6]
    assert len(str(caught.value)) < 600


def test_jacobians_and_hessians_are_called_so():
    assert str(REPORTS["jacobian"]()).startswith("Jacobian WRONG")
    assert str(REPORTS["hessian"]()).startswith("Hessian WRONG")
