"""docs/architecture.md is true: the rooms, and the way of a call through them."""

import ast
import re
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

import fastgrad as fg

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
SOURCE = Path(fg.__file__).parent


def contracts():
    """Return who may import whom, by the package whose rooms these are."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return {
        contract["containers"][0]: contract["layers"]
        for contract in project["tool"]["importlinter"]["contracts"]
        if contract["type"] == "layers"
    }


def rooms_of(layers):
    return {room for layer in layers for room in layer.split(" | ")}


def test_the_pictures_are_those_of_the_contracts():
    pictures = re.findall(r"```\n(.*?)```", PAGE, re.DOTALL)
    for layers, picture in zip(contracts().values(), pictures, strict=True):
        rooms = rooms_of(layers)
        drawn = [
            [word for word in re.split(r" +", line) if word in rooms]
            for line in picture.splitlines()
        ]
        # A word of an explanation may be the name of a room: the first of each counts.
        seen = set()
        for line, layer in zip(drawn, layers, strict=True):
            new = [room for room in line if room not in seen]
            assert new[: layer.count("|") + 1] == layer.split(" | ")
            seen |= set(layer.split(" | "))


def test_the_rooms_are_all_there_are():
    for package, layers in contracts().items():
        home = ROOT / "src" / package.replace(".", "/")
        for room in rooms_of(layers):
            path = home / room
            assert path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def calls_of(run):
    """Return the functions of fastgrad that a call enters, in order of the first time."""
    names = {}
    home = str(SOURCE) + "/"

    def note(frame, event, _):
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(home):
            module = code.co_filename[len(home) : -3].replace("/", ".")
            module = module.removesuffix(".__init__")
            name = code.co_qualname.removesuffix(".__init__")
            names.setdefault(f"{module}.{name}")

    run()  # what is imported now has no bodies of classes to run later
    sys.setprofile(note)
    try:
        run()
    finally:
        sys.setprofile(None)
    return list(names)


def test_the_way_of_a_call_is_as_described():
    x = np.random.default_rng(0).standard_normal((4, 5))

    def loss(p):
        return np.mean(np.tanh(p["W"] @ x + p["b"]) ** 2)

    def grads(p):
        dz = 2 / 15 * np.tanh(p["W"] @ x + p["b"])  # the derivative of tanh is missing
        return {"W": dz @ x.T, "b": dz.sum(axis=1, keepdims=True)}

    params = {"W": np.ones((3, 4)) / 3, "b": np.zeros((3, 1))}
    called = calls_of(lambda: print(fg.check_gradient(loss, params, grads)))
    hops = re.findall(r"^\d+\. `([\w.]+)`", PAGE, re.MULTILINE)
    assert len(hops) > 15
    for hop in hops:
        assert hop in called, f"{hop} is not called"
    assert sorted(hops, key=called.index) == hops


# Of causes, frameworks and meanings there are many of a kind.
DOORS = [
    door
    for door in sorted(SOURCE.glob("*/**/__init__.py"))
    if not {"causes", "interop", "meanings"} & set(door.parts)
]


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.parent.name)
def test_a_door_speaks_of_every_module_behind_it(door):
    essay = ast.get_docstring(ast.parse(door.read_text("utf-8")))
    behind = {path.stem for path in door.parent.glob("*.py")} - {"__init__"}
    assert behind <= set(re.findall(r"\w+", essay))
