"""Walking nests: dicts, lists, tuples, named tuples and dataclasses of anything.

Members of a nest are reached by a name (``encoder.0.W``), used for blocks, and by a
path (``["encoder"][0].W``), used in messages.
"""

import copy
import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

from fastgrad._arguments import refusal, shortened

_MANY, _LONG = 12, 200  # keys, and letters, that are told


def named_leaves(structure: Any) -> list[tuple[str, Any]]:
    """Return the name and value of every leaf of a nest, whatever the values are.

    Leaves that would have the same name, as those of ``{"a.b": x, "a": {"b": y}}``, are
    named by their paths, ``["a.b"]`` and ``["a"]["b"]``.
    """
    entries = list(walk(structure))
    names = told_apart(
        [name for name, _, _ in entries], [path for _, path, _ in entries]
    )
    return [(name, value) for name, (*_, value) in zip(names, entries, strict=True)]


def told_apart(names: Sequence[str], paths: Sequence[str]) -> list[str]:
    """Return names of leaves, all of them different; that of a bare one is params."""
    count = Counter(names)
    found = [
        (name or "params") if count[name] == 1 else path
        for name, path in zip(names, paths, strict=True)
    ]
    seen: Counter[str] = Counter()
    for k, name in enumerate(found):
        seen[name] += 1
        if seen[name] > 1:  # keys that are written in the same way
            found[k] = f"{name}#{seen[name]}"
    return found


def walk(value: Any, name: str = "", path: str = "") -> Iterator[tuple[str, str, Any]]:
    """Name, path and value of every leaf, depth first."""
    children = _children(value)
    if children is None:
        yield name, path, value
        return
    for key, step, child in children:
        yield from walk(child, f"{name}.{key}" if name else key, path + step)


def _children(value: Any) -> list[tuple[str, str, Any]] | None:
    """Name, path and value of a container's members; None for a leaf."""
    if type(value) is np.ndarray:  # walked at every evaluation
        return None
    if isinstance(value, Mapping):
        return [(str(key), _subscript(key), v) for key, v in value.items()]
    fields = _fields(value)
    if fields is not None:
        return [(name, f".{name}", getattr(value, name)) for name in fields]
    if isinstance(value, list | tuple):
        return [(str(i), f"[{i}]", v) for i, v in enumerate(value)]
    return None


def _subscript(key: Any) -> str:
    return f'["{key}"]' if isinstance(key, str) else f"[{key!r}]"


def _fields(value: Any) -> Sequence[str] | None:
    """Return the field names of a dataclass or a named tuple."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [field.name for field in dataclasses.fields(value)]
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return list(value._fields)
    return None


def contents(value: Any) -> Iterator[tuple[Any, dict[Any, Any]]]:
    """Yield every container that can be changed, with what it holds now."""
    fields = _fields(value)
    if isinstance(value, dict):
        yield value, dict(value)
    elif isinstance(value, list):
        yield value, dict(enumerate(value))
    elif fields is not None and not isinstance(value, tuple):
        yield value, {name: getattr(value, name) for name in fields}
    for _, _, child in _children(value) or ():
        yield from contents(child)


def put_back(container: Any, members: dict[Any, Any]) -> None:
    """Make a container hold what `contents` said it did."""
    if isinstance(container, dict):
        container.clear()
        container.update(members)
    elif isinstance(container, list):
        container[:] = members.values()
    else:
        for name, member in members.items():
            object.__setattr__(container, name, member)


def matching(
    template: Any, value: Any, what: str, original: str
) -> Iterator[tuple[Any, str]]:
    """Walk `value` along `template`; yield its leaves with their labels."""
    children = _children(template)
    if children is None:
        if isinstance(value, Mapping) or value is None:
            must, hint = f"be an array, as `{original}`", ""
            if value is None:
                hint = ": where there is no gradient, give zeros"
            raise refusal(TypeError, what, must, value, hint)
        yield value, what
        return
    members = _members(template, value, what, original)
    for (_, step, child), member in zip(children, members, strict=True):
        yield from matching(child, member, what + step, original + step)


def _members(template: Any, value: Any, what: str, original: str) -> list[Any]:
    """Return the members of `value` in the order of `template`'s."""
    if isinstance(template, Mapping):
        return _by_keys(template, value, what, original)
    fields = _fields(template)
    if fields is not None and not isinstance(value, list | tuple):
        return _by_fields(fields, value, what, original)
    size = len(template if fields is None else fields)
    if not isinstance(value, list | tuple) and np.ndim(value) == 0:
        _refuse_kind(type(template).__name__, value, what, original)
    if len(value) != size:
        raise ValueError(
            f"`{what}` must have {size} members, as `{original}`, got {len(value)}."
        )
    return list(value)


def _by_keys(
    template: Mapping[Any, Any], value: Any, what: str, original: str
) -> list[Any]:
    if not isinstance(value, Mapping):
        _refuse_kind("dict", value, what, original)
    if set(value) != set(template):
        found = {key: key in template for key in value}
        left_out = {key: key in value for key in template}
        raise ValueError(
            f"`{what}` must have the keys of `{original}`, {_listed(left_out)}, got "
            f"{_listed(found)}{_renamed(template, value, what, original)}."
        )
    return [value[key] for key in template]


def _listed(keys: Mapping[Any, bool]) -> str:
    """Return keys as a list; of many, those that the other has not, first."""
    many = len(keys) > _MANY
    ordered = sorted(keys, key=keys.__getitem__) if many else list(keys)
    return shortened(str(ordered), _LONG) if many else str(ordered)


def _renamed(
    template: Mapping[Any, Any], value: Mapping[Any, Any], what: str, original: str
) -> str:
    """Return what to write where keys are those of courses, ``dW1`` of ``W1``."""
    for before in ("d", "grad_", "d_", "grad"):
        if all(f"{before}{key}" in value for key in template):
            return f': write {{k: {what}[f"{before}{{k}}"] for k in {original}}}'
    return ""


def _by_fields(
    fields: Sequence[str], value: Any, what: str, original: str
) -> list[Any]:
    if not all(hasattr(value, name) for name in fields):
        _refuse_kind(f"object with the fields {list(fields)}", value, what, original)
    return [getattr(value, name) for name in fields]


def _refuse_kind(kind: str, value: Any, what: str, original: str) -> NoReturn:
    raise TypeError(
        f"`{what}` must be a {kind}, as `{original}`, got {type(value).__name__}."
    )


def rebuild(template: Any, leaves: Iterator[Any]) -> Any:
    """Return a nest built like `template` from these leaves."""
    children = _children(template)
    if children is None:
        return next(leaves)
    members = [rebuild(child, leaves) for _, _, child in children]
    if isinstance(template, Mapping):
        return _like_mapping(template, members)
    fields = _fields(template)
    if isinstance(template, tuple):
        make = template._make if hasattr(template, "_make") else tuple
        return make(members)
    if fields is None:
        result = copy.copy(template)
        result[:] = members
        return result
    result = copy.copy(template)
    for name, member in zip(fields, members, strict=True):
        object.__setattr__(result, name, member)  # frozen dataclasses too
    return result


def with_own_leaves(structure: Any) -> Any:
    """Return the same nest, with the same keys, of copies of its leaves."""
    return rebuild(structure, (_copied_leaf(value) for *_, value in walk(structure)))


def _copied_leaf(value: Any) -> Any:
    try:
        return copy.deepcopy(value)
    except Exception:  # no array: it is refused where its name is known
        return value


def _like_mapping(template: Mapping[Any, Any], members: list[Any]) -> Any:
    """Return a dict of the same kind (OrderedDict, ...) with these values."""
    items = zip(template, members, strict=True)
    if not isinstance(template, dict):
        return dict(items)
    result = copy.copy(template)
    result.update(items)
    return result
