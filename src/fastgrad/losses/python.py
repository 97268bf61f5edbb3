"""Losses by the user's function, called once per point."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastgrad._arguments import refuse_other_arguments
from fastgrad._arrays import AnyArray, Flags, Index
from fastgrad.losses.endless import Endless, Watch
from fastgrad.losses.interface import Losses, add_note, as_entries
from fastgrad.losses.reduction import FLOATS, grads_of
from fastgrad.params import Vector

# A perturbed point may lie outside the domain of the loss.
_QUIETLY = np.errstate(all="ignore")

_PIECE = 2**14  # entries that are numbers of Python at once


class PythonLosses(Losses):
    """The user's function, called once per point; parameters are moved in place.

    What it returns becomes numbers before the parameters are restored: a result may
    read them only when it is looked at.

    Cost beyond the user's own function: under 1 microsecond per evaluation, and two
    passes over the parameters per call of `at_entries`.
    """

    engine = "python"

    def open(self) -> None:
        """See `Losses.open`."""
        self.theta.flags.writeable = False
        self._saved = self.nest.snapshot(self.theta)
        began = perf_counter()
        try:
            result = self.evaluate()
        except TypeError:
            refuse_other_arguments("loss", self.loss, self.nest.structure)
            raise
        self.seconds = perf_counter() - began
        self.watch = Watch(self.progress, self.seconds)
        self.returns_grads = grads_of(result) is not None
        self._base = self.reduction.at_theta(result)
        self.base = self.reduction.combine(self._base)

    def evaluate(self) -> Any:
        """See `Losses.evaluate`."""
        numbers = isinstance(self.nest.structure, list) and not any(self.nest.shapes)
        hint = ", a list of numbers: for an array, np.array(params)" if numbers else ""
        with self._restoring(f"at `params` as given{hint}"):
            result = self.loss(self.nest.structure)
            self._count(1)
            self._refuse_mutation(self.nest.change_since(self._saved))
        return result

    @_QUIETLY
    def at_entries(
        self, index: ArrayLike, value: ArrayLike
    ) -> tuple[Vector, Flags | None]:
        """See `Losses.at_entries`."""
        index, value = self._expected(index, value)
        out = np.empty(len(index))
        for block, here in self.nest.by_block(index):
            for start in range(0, len(here), _PIECE):
                piece = here[start : start + _PIECE]
                entries = index[piece] - self.nest.offsets[block]
                out[piece] = self._in_block(block, entries, value[piece])
        self._refuse_mutation(self.nest.change_since(self._saved))
        return out, None

    @_QUIETLY
    def along(self, direction: ArrayLike, t: ArrayLike) -> Vector:
        """See `Losses.along`."""
        steps = self.nest.split(np.asarray(direction, dtype=np.float64))
        times = np.atleast_1d(np.asarray(t, dtype=np.float64))
        out = np.empty(len(times))
        for k, time in enumerate(times.tolist()):
            where = f"with `params` moved by {time} times a direction"
            with self._restoring(where):
                for leaf, step in zip(self.nest.leaves, steps, strict=True):
                    if step.any():
                        _move(leaf, time, step)
                # What shares memory is moved by the steps of all that do.
                kept = self.nest.snapshot() if self.nest.shared else None
                try:
                    # Not held: gradients that come with it are as large as theta.
                    out[k] = self.reduction.difference(
                        self.watch.call(self.loss, self.nest.structure), self._base
                    )
                except Exception as error:
                    if not self._forgives(error):
                        raise
                    add_note(error, where)
                    out[k] = np.nan
                self._count(1)
                self._refuse_mutation(self._change(kept, time, steps))
        return out

    @_QUIETLY
    def imaginary(self, index: ArrayLike, h: ArrayLike) -> Vector:
        """See `Losses.imaginary`; the loss gets complex128 copies."""
        index, h = as_entries(index, h)
        leaves = [leaf.astype(np.complex128) for leaf in self.nest.leaves]
        structure = self.nest.rebuild(leaves)
        out = np.empty(len(index))
        for block, here in self.nest.by_block(index):
            flat = leaves[block].flat
            for k in here:
                entry = int(index[k] - self.nest.offsets[block])
                before = flat[entry]
                flat[entry] = complex(before.real, h[k])
                with self._restoring(f"with {self.nest.label(index[k])} + {h[k]}j"):
                    result = self.loss(structure)
                    self._count(1)
                    out[k] = self.reduction.imaginary(result)
                flat[entry] = before
        return out

    def restore(self) -> None:
        """See `Losses.restore`."""
        self.nest.restore(self._saved)

    def _in_block(self, block: int, entries: Index, values: Vector) -> list[float]:
        """Return the differences for entries of one block."""
        out: list[float] = []
        points = _pairs(entries, values)
        try:
            while len(out) < len(entries):
                ahead = len(out) - self.progress.done
                try:
                    self.watch.call(self._call_each, block, points, out)
                except Endless as error:
                    self.restore()
                    if len(out) == error.done + ahead:  # it has not ended after all
                        where = entries[len(out)], values[len(out)]
                        add_note(error, self._moved_to(block, *where))
                        if not self._forgives(error):
                            raise
                        out.append(np.nan)
                    points = _pairs(entries[len(out) :], values[len(out) :])
                except Exception as error:
                    if not self._forgives(error):
                        raise
                    out.append(np.nan)
        finally:
            self.evaluations += len(out)
        return out

    def _call_each(
        self, block: int, points: Iterator[tuple[int, float]], out: list[float]
    ) -> None:
        """Append the differences to `out`, up to the first point where the loss raises.

        The hot loop: everything in it is paid once per evaluation.
        """
        leaf = np.asarray(self.nest.leaves[block])
        flat = leaf.reshape(-1) if leaf.flags.c_contiguous else leaf.flat
        loss, structure, advance = self.loss, self.nest.structure, self.progress.advance
        base, difference = self._base, self.reduction.difference
        number = base if isinstance(base, float) else None
        entry, value = 0, 0.0
        try:
            for entry, value in points:
                before = flat[entry]
                flat[entry] = value
                result = loss(structure)
                if number is not None and type(result) in FLOATS:
                    out.append(float(result) - number)
                else:
                    out.append(difference(result, base))
                    result = None  # gradients may have come with it
                flat[entry] = before
                advance()
        except BaseException as error:
            self.restore()
            add_note(error, self._moved_to(block, entry, value))
            raise

    def _moved_to(self, block: int, entry: int, value: float) -> str:
        label = self.nest.label(int(self.nest.offsets[block]) + entry)
        return f"with {label} = {value}"

    @contextmanager
    def _restoring(self, where: str) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            add_note(error, where)
            raise
        finally:
            self.restore()

    def _change(
        self, kept: list[AnyArray] | None, time: float, steps: list[AnyArray]
    ) -> str | None:
        """Return what the loss did to parameters that were moved by a direction."""
        if kept is not None:
            return self.nest.change_since(kept)
        moved = zip(self.nest.leaves, self._saved, steps, strict=True)
        return self.nest.change(_is_moved(*of, time) for of in moved)

    def _refuse_mutation(self, change: str | None) -> None:
        if change is not None:
            self.restore()
            raise ValueError(f"`loss` must not change its parameters, but it {change}.")


def _pairs(entries: Index, values: Vector) -> Iterator[tuple[int, float]]:
    return zip(entries.tolist(), values.tolist(), strict=True)


def _move(leaf: AnyArray, time: float, step: AnyArray) -> None:
    """Add `time` times the step to an array, piece by piece, without a copy of it."""
    for piece, steps in _pieces(leaf, step):
        np.add(piece, time * steps, out=piece, casting="same_kind")


def _is_moved(leaf: AnyArray, saved: AnyArray, step: AnyArray, time: float) -> bool:
    """Whether `_move` would make an array of what is saved."""
    if not step.any():
        return np.array_equal(leaf, saved)
    for piece, before, steps in _pieces(leaf, saved, step):
        moved = before.copy()
        np.add(moved, time * steps, out=moved, casting="same_kind")
        if not np.array_equal(piece, moved):
            return False
    return True


def _pieces(*arrays: AnyArray) -> Iterator[tuple[AnyArray, ...]]:
    """Yield arrays of one shape piece by piece, as views; at once where they cannot."""
    if not all(array.flags.c_contiguous for array in arrays):
        yield arrays
        return
    flat = [np.asarray(array).reshape(-1) for array in arrays]
    for start in range(0, flat[0].size, _PIECE):
        yield tuple(array[start : start + _PIECE] for array in flat)
