"""Nests of arrays, their vector and the names of their entries."""

import json
import threading
from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import fastgrad as fg
from fastgrad.params.bounds import limits
from fastgrad.params.claims import _overlap, claimed
from fastgrad.params.nest import Nest

Pair = namedtuple("Pair", "w b")


@dataclass
class Layer:
    """A layer as people write them."""

    W: object
    b: object


@dataclass(frozen=True, slots=True)
class Frozen:
    """A dataclass that refuses assignment."""

    W: object


ARRAYS = hnp.arrays(
    dtype=st.sampled_from([np.float32, np.float64]),
    shape=hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
    elements=st.floats(-8, 8, width=32),
)
LEAVES = ARRAYS | st.floats(-8, 8)
NESTS = st.recursive(
    LEAVES,
    lambda child: (
        st.dictionaries(st.text("abcW12", min_size=1, max_size=3), child, max_size=3)
        | st.lists(child, max_size=3)
        | st.lists(child, max_size=3).map(tuple)
        | st.builds(Layer, child, child)
        | st.builds(Pair, child, child)
        | st.builds(Frozen, child)
    ),
    max_leaves=6,
)


def flat(nest):
    """Return all numbers of a nest, by a twin of the walk under test."""
    if isinstance(nest, dict):
        return [x for child in nest.values() for x in flat(child)]
    if isinstance(nest, Layer):
        return flat(nest.W) + flat(nest.b)
    if isinstance(nest, Frozen):
        return flat(nest.W)
    if isinstance(nest, list | tuple):
        return [x for child in nest for x in flat(child)]
    return [float(x) for x in np.ravel(nest)]


@given(NESTS)
def test_vector_and_back(params):
    """The vector holds all numbers in order; unvector rebuilds the structure."""
    numbers = flat(params)
    if not numbers:
        with pytest.raises(ValueError, match="at least one entry"):
            Nest(params)
        return
    nest = Nest(params)
    vector = nest.vector(params)
    assert vector.tolist() == numbers
    back = nest.unvector(-vector)
    assert type(back) is (np.float64 if isinstance(params, float) else type(params))
    assert flat(back) == [-x for x in numbers]
    assert Nest(back).names == nest.names


def test_numbers_come_back_as_numbers():
    """Whatever floats they are; arrays of no axes stay arrays."""
    assert Nest(2.5).unvector(np.array([1.5])) == 1.5
    params = {"a": 2.5, "b": np.float32(0.5), "c": np.array(1.0)}
    nest = Nest(params)
    assert [dtype.name for dtype in nest.dtypes] == ["float64", "float32", "float64"]
    back = nest.unvector(np.array([1.0, 2.0, 3.0]))
    assert [type(x) for x in back.values()] == [np.float64, np.float64, np.ndarray]


@given(NESTS.filter(flat), st.lists(st.integers(0, 100)))
def test_entries_by_block(params, index):
    """Places in the list of each block's entries, in the order in which they stand."""
    nest = Nest(params)
    index = np.array([k % nest.size for k in index], dtype=np.int64)
    found = [(block, here.tolist()) for block, here in nest.by_block(index)]
    blocks = nest.block_of(index).tolist()
    assert found == [
        (b, [k for k, other in enumerate(blocks) if other == b])
        for b in sorted(set(blocks))
    ]


@given(NESTS.filter(flat), st.data())
def test_locate_names_the_number_in_the_vector(params, data):
    """The entry that locate names holds the number at that place of the vector."""
    nest = Nest(params)
    index = data.draw(st.integers(0, nest.size - 1))
    name, where = nest.locate(index)
    assert nest.leaves[nest.names.index(name)][where] == nest.vector(params)[index]


def test_names():
    """Blocks are named by their path, joined with dots."""
    params = {
        "encoder": [Layer(np.ones((2, 3)), 1.5), Pair(np.ones(()), np.ones((0, 4)))],
        7: (np.ones(2, np.float32),),
    }
    nest = Nest(params)
    assert nest.names == [
        "encoder.0.W",
        "encoder.0.b",
        "encoder.1.w",
        "encoder.1.b",
        "7.0",
    ]
    assert nest.offsets.tolist() == [0, 6, 7, 8, 8, 10]
    assert nest.block_of(np.array([5, 6, 7, 8, 9])).tolist() == [0, 1, 2, 4, 4]
    assert [nest.label(i) for i in (5, 6, 9)] == [
        "encoder.0.W[1, 2]",
        "encoder.0.b",
        "7.0[1]",
    ]
    assert Nest(np.ones(2)).label(1) == "params[1]"


def test_writable_arrays_are_the_users_own():
    """Structure and arrays are handed on as they are, whatever their strides."""
    base = np.arange(24.0).reshape(4, 6)
    params = {"a": base[::2, ::3], "b": np.asfortranarray(base), "c": base.T.copy().T}
    nest = Nest(params)
    assert nest.structure is params
    assert all(leaf is a for leaf, a in zip(nest.leaves, params.values(), strict=True))
    assert nest.vector(params)[:4].tolist() == [0.0, 3.0, 12.0, 15.0]


def test_floats_and_read_only_arrays_are_copied():
    """What cannot be moved in place is replaced by something that can."""
    fixed = np.ones(3)
    fixed.flags.writeable = False
    own = np.ones(2)
    params = OrderedDict(fixed=fixed, number=2.5, own=own)
    nest = Nest(params)
    assert type(nest.structure) is OrderedDict
    assert nest.structure["own"] is own
    for leaf in nest.leaves:
        leaf += 1
    assert fixed.tolist() == [1.0, 1.0, 1.0]
    assert params["number"] == 2.5
    assert nest.structure["number"] == 3.5


def test_memory_that_overlaps_itself_is_copied():
    """An entry moved in place would move another one."""
    three = np.ones(3)
    (leaf,) = Nest(np.lib.stride_tricks.as_strided(three, (2, 2), (8, 8))).leaves
    leaf[0, 1] = 5.0
    assert leaf.tolist() == [[1.0, 5.0], [1.0, 1.0]]
    assert three.tolist() == [1.0, 1.0, 1.0]


def test_read_only_mappings():
    """A mapping that is no dict is rebuilt as one where it has to be."""
    nest = Nest(MappingProxyType({"w": 1.0}))
    assert nest.structure == {"w": 1.0}


def test_shared_memory_is_noticed():
    """Tied weights and overlapping views share memory; columns of one array do not."""
    W = np.ones((4, 4))
    nest = Nest({"E": W, "D": W.T, "row": W[1], "other": np.ones(4)})
    assert sorted(nest.shared) == [("D", "row"), ("E", "D"), ("E", "row")]
    assert Nest([W[:, 0], W[:, 1]]).shared == []


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        (
            {"W": np.ones(2, int)},
            TypeError,
            r'`params\["W"\]` must be float16, .*int64',
        ),
        ({"W": np.ones(2, complex)}, TypeError, "got complex128"),
        ({"W": np.ones(2, np.longdouble)}, TypeError, "must be float16, float32 or f"),
        ({"W": np.array([None])}, TypeError, "got object"),
        ({"W": [1.0, 2]}, TypeError, r'`params\["W"\]\[1\]` .* got int'),
        ({"W": None}, TypeError, "got None"),
        (Layer(np.ones(1), "relu"), TypeError, r"`params\.b` .* got str"),
        ({"W": Layer}, TypeError, r'`params\["W"\]` .* got type\.$'),
        ({"n": 2**53}, TypeError, rf"got int {2**53}: leave out what is not"),
        ({"n": 2**53 - 1}, TypeError, rf"got int {2**53 - 1}: write {2**53 - 1}\.0"),
        ({"s": 1j}, TypeError, r"got complex 1j\.$"),
        ({"W": np.array([[1, np.nan]])}, ValueError, r"finite, got nan at \[0, 1\]"),
        ({"W": np.inf}, ValueError, r"must be finite, got inf at \[\]"),
        ({}, ValueError, "at least one entry"),
        (np.ones((0, 3)), ValueError, "at least one entry"),
    ],
)
def test_parameters_that_make_no_sense(params, error, message):
    """Each is refused with the name of the entry."""
    with pytest.raises(error, match=message):
        Nest(params)


@pytest.mark.parametrize(
    ("grads", "error", "message"),
    [
        (
            {"W": np.ones((3, 2)), "b": np.ones(2)},
            ValueError,
            r'`grads\["W"\]` must have shape \(2, 3\), as `params\["W"\]`, got \(3, ',
        ),
        ({"W": np.ones((2, 3))}, ValueError, "must have the keys of `params`"),
        ({"W": 1.0, "b": 1.0, "c": 1.0}, ValueError, "must have the keys of `params`"),
        ([np.ones((2, 3)), np.ones(2)], TypeError, "must be a dict, as `params`"),
        (None, TypeError, "must be a dict, as `params`, got NoneType"),
        (
            {"W": None, "b": np.ones(2)},
            TypeError,
            r'`grads\["W"\]` must be an array, .*: where there is no gradient, give z',
        ),
        (
            {"W": {"x": 1.0}, "b": np.ones(2)},
            TypeError,
            r"must be an array, .* got dict {'x': 1.0}\.$",
        ),
        ({"W": 1j * np.ones((2, 3)), "b": np.ones(2)}, TypeError, "got complex128"),
        ({"W": [[1.0], [1.0, 2.0]], "b": np.ones(2)}, TypeError, "got list"),
    ],
)
def test_gradients_of_another_structure(grads, error, message):
    """Each is refused, naming the gradient and the parameter."""
    nest = Nest({"W": np.ones((2, 3)), "b": np.ones(2)})
    with pytest.raises(error, match=message):
        nest.vector(grads, "grads")


@pytest.mark.parametrize("before", ["d", "grad_"])
def test_the_keys_of_courses_are_told_what_to_write(before):
    """What is told gives a gradient that is taken, further entries or not."""
    params = {"W1": np.ones((2, 3)), "b1": np.ones(2)}
    nest = Nest(params)
    grads = {f"{before}{name}": array for name, array in params.items()} | {"dZ1": 1}
    with pytest.raises(ValueError, match="must have the keys") as caught:
        nest.vector(grads, "grads")
    told = str(caught.value).partition(": write ")[2].removesuffix(".")
    assert nest.vector(eval(told, {"params": params, "grads": grads})).size == 8


def test_of_many_keys_those_that_differ_are_told():
    params = {f"layer {k} of an encoder": np.ones(1) for k in range(1000)}
    grads = {**params, "b": np.ones(1)}
    del grads["layer 789 of an encoder"]
    with pytest.raises(ValueError, match="must have the keys of `params`") as caught:
        Nest(params).flatten(grads, "grads")
    message = str(caught.value)
    assert len(message) < 600
    assert message.index("'layer 789 of an encoder'") < message.index("got ['b',")


def test_all_wrong_shapes_are_named():
    """One error names every block whose shape is wrong."""
    nest = Nest([np.ones(2), np.ones(3), np.ones(4)])
    with pytest.raises(ValueError, match=r"grads\[0\](.|\n)*grads\[2\]"):
        nest.vector([np.ones(3), np.ones(3), np.ones(3)], "grads")


def test_a_vector_for_a_list_of_numbers():
    """Who gives a list of numbers may give the gradient as an array."""
    nest = Nest([1.0, 2.0])
    assert nest.vector(np.array([3.0, 4.0]), "grads").tolist() == [3.0, 4.0]
    with pytest.raises(TypeError, match="must be a list, as `params`, got float"):
        nest.vector(3.0, "grads")
    with pytest.raises(ValueError, match="must have 2 members"):
        nest.vector(np.ones(3), "grads")


def test_wrong_number_of_members():
    """Lists must have as many members as the parameters'."""
    with pytest.raises(ValueError, match="must have 2 members, as `params`, got 3"):
        Nest((1.0, 2.0)).vector([1.0, 2.0, 3.0], "grads")


def test_members_within_members_are_named():
    """Both in the gradient and in the parameters."""
    nest = Nest({"a": [np.ones(2), (1.0, 2.0)]})
    words = r'`g\["a"\]\[1\]` must have 2 members, as `params\["a"\]\[1\]`, got 1'
    with pytest.raises(ValueError, match=words):
        nest.vector({"a": [np.ones(2), [1.0]]}, "g")


def test_arrays_that_are_gone_are_noticed():
    params = {"W": np.ones(2), "b": np.ones(1)}
    nest = Nest(params)
    saved = nest.snapshot()
    for change in (lambda: params.pop("b"), lambda: params.update(c=1.0, b=np.ones(1))):
        change()
        assert nest.change_since(saved) == "put other arrays in their place"
        nest.restore(saved)
        assert nest.change_since(saved) is None


def test_containers_are_put_back():
    """What the loss replaced or removed in the structure comes back."""
    W, layer, extra = np.ones(2), Layer(np.ones(1), np.ones(1)), [np.ones(3)]
    params = {"W": W, "layer": layer, "list": extra}
    nest = Nest(params)
    saved, b = nest.snapshot(), layer.b
    W[0] = 5
    assert nest.change_since(saved) == "changed W"
    layer.b = np.zeros(7)
    del params["W"]
    params["new"] = 1.0
    extra.append(2.0)
    nest.restore(saved)
    assert nest.change_since(saved) is None
    assert list(params) == ["W", "layer", "list"]
    assert params["W"] is W
    assert layer.b is b
    assert len(extra) == 1


class Alike:
    """A key that is written as others are."""

    def __repr__(self):
        return "Alike"


@pytest.mark.parametrize(
    ("params", "names"),
    [
        ({"a": {"b": 1.0}, "a.b": 2.0}, ['["a"]["b"]', '["a.b"]']),
        ({1: 1.0, "1": 2.0, "x": 3.0}, ["[1]", '["1"]', "x"]),
        ({"": 1.0, "params": 2.0}, ["params", "params#2"]),
        ({Alike(): 1.0, Alike(): 2.0}, ["[Alike]", "[Alike]#2"]),
        ({"a": [1.0], "a.0": 2.0, "b\ud800": 3.0}, ['["a"][0]', '["a.0"]', "b\ud800"]),
    ],
)
def test_names_are_told_apart(params, names):
    """Keys joined with dots may be the same; a report has all of them."""
    assert Nest(params).names == names
    grads = Nest(params).unvector(np.array([2.0, 4.0, 6.0])[: len(names)])
    report = fg.check_gradient(
        lambda p: sum(leaf**2 for leaf in _leaves(p)), params, grads, engine="python"
    )
    assert report.ok
    found = json.loads(report.to_json())
    assert list(found["numerical"]) == names
    assert [block["name"] for block in found["blocks"]] == names
    assert isinstance(report.to_html(), str)


def _leaves(nest):
    if not isinstance(nest, dict | list):
        return [nest]
    members = nest.values() if isinstance(nest, dict) else nest
    return [leaf for member in members for leaf in _leaves(member)]


def test_bounds_hold_on_both_sides():
    """As a pair of any kind, of numbers or of nests."""
    nest = Nest({"W": np.array([0.5, 2.0]), "s": -1.0})
    lower, upper = limits(nest, [{"W": (-1, 0), "s": None}, 3])
    assert lower.tolist() == [-1.0, 0.0, -np.inf]
    assert upper.tolist() == [3.0, 3.0, 3.0]
    for bounds, words in [
        (
            (None, 1.5),
            r"`params` must be within `bounds`, got W\[1\] = 2.0, where .* 1.5",
        ),
        ((-0.5, None), "got s = -1.0, where they are -0.5 and inf"),
    ]:
        with pytest.raises(ValueError, match=words):
            limits(nest, bounds)
    limits(nest, (-1.0, 2.0))  # which they may be
    lower_alone = type("Lower", (), {"lb": 0.0})()
    with pytest.raises(TypeError, match=r"`bounds` must be a pair .* got Lower"):
        limits(nest, lower_alone)
    with pytest.raises(TypeError, match=r"`bounds\[0\]` must be a dict, as `params`"):
        limits(nest, (np.zeros(2), None))
    pair = limits(Nest((0.5, 0.5)), ((0.0, 0.25), None))
    assert pair[0].tolist() == [0.0, 0.25]


def test_blocks_are_chosen_by_their_names_as_they_are():
    """Brackets of a name are not those of a pattern."""
    params = {"a": {"b": 1.0}, "a.b": 2.0, "c": 3.0, "[cd]": 4.0, "c?": 5.0, "c1": 6.0}
    for name in Nest(params).names:
        assert Nest(params, blocks=[name]).names == [name]
    assert Nest(params, blocks=["c?*"]).names == ["c?", "c1"]


def test_a_gradient_of_a_layer_may_be_a_pair():
    nest = Nest(Layer(np.ones(2), 1.0))
    for pair in ((np.array([1.0, 2.0]), 3.0), [np.array([1.0, 2.0]), 3.0]):
        assert nest.vector(pair, "grads").tolist() == [1.0, 2.0, 3.0]


def test_one_array_in_common_is_enough_to_wait():
    W, V, order = np.ones(2), np.ones(3), []

    def other():
        with claimed([V]):
            order.append("other")

    thread = threading.Thread(target=other)
    with claimed({"W": W, "V": V}), claimed([W[:1]]):
        thread.start()
        thread.join(0.1)
        order.append("first")
    thread.join()
    assert order == ["first", "other"]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 5)), max_size=8), st.data())
def test_arrays_overlap_where_they_share_a_byte(spans, data):
    half = data.draw(st.integers(0, len(spans)))
    one, other = (
        np.array([(a, a + n) for a, n in part], np.int64).reshape(-1, 2)
        for part in (spans[:half], spans[half:])
    )
    shared = {k for a, b in one for k in range(a, b)} & {
        k for a, b in other for k in range(a, b)
    }
    assert _overlap(one, other) == bool(shared)
