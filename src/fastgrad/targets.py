"""What the command line checks: names that a Python file defines, ``FILE[::NAME]``."""

import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from fastgrad._arguments import described
from fastgrad.checking import check_gradient, check_jacobian, check_variations
from fastgrad.reports import Report

_GRADIENT = ("loss", "params", "grads", "data")
_JACOBIAN = ("fun", "x", "jac")


class TargetError(Exception):
    """There is nothing to check there; the message says why."""


@dataclass(frozen=True)
class Target:
    """Something to check.

    Attributes
    ----------
    name : str
        As it was given, ``model.py::case``.
    parts : dict
        By name: `loss` and `params`, perhaps `grads` and `data`; or `fun`, `x`, `jac`.
    """

    name: str
    parts: Mapping[str, Any]

    def check(self, options: Mapping[str, Any]) -> Report:
        """Return the report of the check that the parts ask for.

        Parameters
        ----------
        options : mapping
            Of the check; a Jacobian takes `rtol`, `seed` and `coverage` only.
        """
        if "fun" in self.parts:
            for option in options:
                if option not in ("rtol", "seed", "coverage"):
                    why = f"{self.name} is a Jacobian, which takes no {option}."
                    raise TargetError(why)
            return check_jacobian(**self.parts, **options)
        if "data" in self.parts:
            return check_variations(**self.parts, **options)
        return check_gradient(**self.parts, **options)


def target(name: str) -> Target:
    """Return what ``FILE`` or ``FILE::NAME`` defines.

    Raises
    ------
    TargetError
        If there is no such file or name, or it does not define what it takes. What the
        file itself raises comes through.
    """
    file, _, function = name.partition("::")
    module = _load(Path(file))
    if not function:
        return Target(name, _parts(name, vars(module)))
    if not callable(getattr(module, function, None)):
        raise TargetError(f"{file} must define a function `{function}`.")
    returned = getattr(module, function)()
    if isinstance(returned, Mapping):
        return Target(name, _parts(name, returned))
    if not isinstance(returned, tuple) or not 2 <= len(returned) <= len(_GRADIENT):
        raise TargetError(
            f"`{function}` must return (loss, params, grads), or a dict of names, got "
            f"{described(returned)}."
        )
    return Target(name, dict(zip(_GRADIENT, returned, strict=False)))


def _parts(name: str, names: Mapping[str, Any]) -> dict[str, Any]:
    """Return what there is to check among the names."""
    for known, needed in ((_JACOBIAN, 3), (_GRADIENT, 2)):
        if all(part in names for part in known[:needed]):
            return {part: names[part] for part in known if part in names}
    missing = [part for part in _GRADIENT[:2] if part not in names]
    listed = " and ".join(f"`{part}`" for part in missing)
    raise TargetError(
        f"{name} must define {listed} (or `fun`, `x` and `jac`); a function that "
        "returns them is named behind two colons, FILE::NAME."
    )


def _load(path: Path) -> ModuleType:
    """Return the module in a file, which may import its neighbours."""
    if path.is_dir():
        raise TargetError(f"{path} is a directory: name a file of Python in it.")
    if not path.is_file():
        raise TargetError(f"there is no file {path}.")
    name = f"_checked_{path.stem}"  # not the stem: the file may be called random.py
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise TargetError(f"{path} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.path.append(str(path.resolve().parent))
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except SystemExit as error:  # its status would pass for that of the check
        raise TargetError(
            f"{path} exited (status {error.code}) before it could be checked: move "
            'that under `if __name__ == "__main__":`.'
        ) from error
    return module
