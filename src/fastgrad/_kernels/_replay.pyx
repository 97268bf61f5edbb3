"""Replay of a traced program, a bundle of perturbed evaluations at a time.

Formula: for each lane l, J(theta + delta_l e_{i_l}) - J(theta), by running the program.
Layout: see simd/replay.h (a bundle is 8 lanes; the lane is the last axis everywhere).
Parallel axis: bundles, which are independent, so the bits do not depend on threads.
"""

from cython.parallel cimport prange, threadid
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

import math
import threading
from itertools import chain
from mmap import mmap

import numpy as np


cdef extern from "replay.h":
    enum: LANES
    enum: MAX_NDIM
    enum: N_TERMS
    ctypedef struct fg_value:
        int64_t size
        int64_t shape[8]
        int64_t stride[8]
        const double *base
        int64_t slot
        int32_t ndim
    ctypedef struct fg_op:
        int32_t code
        int32_t n_in
        int32_t in_ "in"[3]
        int32_t out
        const int32_t *many
        const int64_t *ints
        const double *data
        double *terms
    ctypedef struct fg_box:
        int64_t lo[8]
        int64_t n[8]
        double *d
        int32_t live
        int32_t window
        int64_t step[8]
    ctypedef struct fg_program:
        int32_t n_values
        int32_t n_ops
        int32_t out
        int64_t scratch[3]
        const fg_value *values
        const fg_op *ops
        void (*call)(void *, void *, int) noexcept nogil
        void *caller
    ctypedef struct fg_state:
        fg_box *boxes
        double *work
        int64_t crossed[8]
        double cost
        int64_t first
        int64_t count
    ctypedef struct fg_replay:
        void (*run)(const fg_program *, fg_state *, int) noexcept nogil
        void (*prepare)(const fg_program *, int) noexcept nogil
        void (*map)(int, int64_t, const double **, const double **, const double *,
                    double *, double *) noexcept nogil
    const fg_replay fg_replay_base

cdef extern from *:
    """
    #include "dispatch.h"
    static const fg_replay *fg_pick_replay(void) { return FG_PICK(fg_replay); }
    """
    const fg_replay *fg_pick_replay() noexcept nogil


cdef extern from *:
    """
    #define FG_NAME(code, name, kernel, cost) #name,
    static const char *const fg_names[FG_N_CODES] = {
        FG_SMOOTH(FG_NAME) FG_ELEMENTWISE(FG_NAME) FG_OTHERS(FG_NAME)
    };
    #define FG_SMOOTH_IS(code, name, kernel, cost) [FG_##code] = 2,
    #define FG_ELEMENTWISE_IS(code, name, kernel, cost) [FG_##code] = 1,
    /* 2: a smooth function, 1: another elementwise one */
    static const char fg_kinds[FG_N_CODES] = {
        FG_SMOOTH(FG_SMOOTH_IS) FG_ELEMENTWISE(FG_ELEMENTWISE_IS)
    };
    """
    const char *fg_names[1]
    enum: FG_N_CODES
    enum: FG_MAX
    const char fg_kinds[1]

#: The number of each operation the kernels know, by name.
CODES = {fg_names[i].decode(): i for i in range(FG_N_CODES)}
#: Perturbed evaluations in a bundle.
BUNDLE = LANES
#: Most axes of an array.
MAX_AXES = MAX_NDIM


def map_elementwise(str name, x, d, const double[::1] f0):
    """f(x + d) - f(x) of an elementwise operation, by its lane kernel.

    x: the operands, of n elements each; d: their changes, n x BUNDLE lanes each; f0: f(x).
    """
    cdef const double[::1] base
    cdef const double[:, ::1] lanes
    cdef const double *bases[3]
    cdef const double *changes[3]
    cdef double[:, ::1] out = np.empty((f0.shape[0], LANES))
    cdef double[:, ::1] terms = np.empty((f0.shape[0], N_TERMS))
    cdef int i
    if not fg_kinds[CODES[name]]:
        raise ValueError(f"`name` must be of an elementwise operation, got {name!r}.")
    for i in range(3):
        base, lanes = x[min(i, len(x) - 1)], d[min(i, len(x) - 1)]
        if not base.shape[0] == lanes.shape[0] == f0.shape[0] or lanes.shape[1] != LANES:
            raise ValueError(f"`d` must have shape (n, {LANES}), `x` and `f0` length n.")
        bases[i], changes[i] = &base[0], &lanes[0, 0]
    if f0.shape[0]:
        fg_pick_replay().map(CODES[name], f0.shape[0], bases, changes, &f0[0],
                             &terms[0, 0], &out[0, 0])
    return np.asarray(out)


cdef void seed_entries(const fg_value *value, fg_box *box, double *work, int64_t first,
                       const int64_t *index, const double *delta, int64_t n) noexcept nogil:
    """The box around n entries of one parameter, lane l perturbing the l-th of them.

    first: the number of the parameter's first entry.
    """
    cdef int64_t at, rest, low, high, size = 1
    cdef int64_t l
    cdef int d
    for d in range(value.ndim):
        low = value.shape[d]
        high = -1
        for l in range(n):
            at = ((index[l] - first) // value.stride[d]) % value.shape[d]
            low = min(low, at)
            high = max(high, at)
        box.lo[d] = low
        box.n[d] = high - low + 1
        size *= box.n[d]
    box.live = 1
    box.d = work + value.slot
    memset(box.d, 0, size * LANES * sizeof(double))
    for l in range(n):
        rest = 0
        for d in range(value.ndim):
            at = ((index[l] - first) // value.stride[d]) % value.shape[d]
            rest = rest * box.n[d] + at - box.lo[d]
        box.d[rest * LANES + l] = delta[l]


cdef void call_python(void *caller, void *state, int number) noexcept with gil:
    (<Replayer> caller).call(<fg_state *> state, number)


cdef class Replayer:
    """A program packed for the kernels, with workspaces for `num_threads` threads.

    values: (shape, value at theta as contiguous float64 or None, slot in the workspace)
    each, of which those without a value are shown before they are read;
    ops: (code, numbers of the inputs, number of the output, int64 parameters, float64
    data or None, whether the terms of a smooth function are kept) each.
    calls: by the number of an operation that only Python can evaluate, what does: it
    takes the changes of the inputs, each of shape (..., BUNDLE), and returns those of the
    elements of the result.

    Threads may share one: a call has the workspaces to itself, others wait.
    """

    cdef fg_program program
    cdef fg_value *values
    cdef fg_op *ops
    cdef fg_state *states
    cdef readonly int num_threads
    cdef list keep
    cdef object work, lock, shown, error
    cdef dict calls

    def __cinit__(self, values, ops, int out, scratch, int64_t work_size, calls,
                  int num_threads):
        cdef int i, d
        cdef const double[::1] base
        cdef const int32_t[::1] inputs
        cdef const int64_t[::1] ints
        cdef int64_t first_input = 0, first_int = 0
        cdef double[::1] terms
        cdef double[:, ::1] work
        self.values = <fg_value *> calloc(max(1, len(values)), sizeof(fg_value))
        self.ops = <fg_op *> calloc(max(1, len(ops)), sizeof(fg_op))
        self.states = <fg_state *> calloc(num_threads, sizeof(fg_state))
        if not (self.values and self.ops and self.states):
            raise MemoryError
        if calls and num_threads > 1:
            raise ValueError("`num_threads` must be 1 where only Python can evaluate.")
        self.keep = []
        self.calls = calls
        self.lock = threading.Lock()
        for i, (shape, array, slot) in enumerate(values):
            self.values[i].ndim = len(shape)
            self.values[i].size = math.prod(shape)
            self.values[i].slot = slot
            if array is not None and array.size:
                array = array.reshape(-1)
                # What came from another process may lie at any address.
                base = array if array.flags.aligned else array.copy()
                self.keep.append(base)
                self.values[i].base = &base[0]
            stride = 1
            for d in reversed(range(len(shape))):
                self.values[i].shape[d] = shape[d]
                self.values[i].stride[d] = stride
                stride *= shape[d]
        # Those of all operations in a row, and a zero that none has to read.
        inputs = np.array([*chain.from_iterable(op[1] for op in ops), 0], np.int32)
        ints = np.array([*chain.from_iterable(op[3] for op in ops), 0], np.int64)
        self.keep += [inputs, ints]
        for i, (code, numbers, target, parameters, data, kept) in enumerate(ops):
            self.ops[i].code = code
            self.ops[i].n_in = len(numbers)
            for d in range(min(3, len(numbers))):
                self.ops[i].in_[d] = numbers[d]
            self.ops[i].many = &inputs[first_input]
            self.ops[i].out = target
            self.ops[i].ints = &ints[first_int]
            first_input += len(numbers)
            first_int += len(parameters)
            if data is not None:
                base = np.append(data, 0.0)
                self.keep.append(base)
                self.ops[i].data = &base[0]
            if kept and (fg_kinds[code] == 2 or code == FG_MAX):
                terms = np.empty(N_TERMS * self.values[target].size + 1)
                self.keep.append(terms)
                self.ops[i].terms = &terms[0]
        self.program.n_values = len(values)
        self.program.n_ops = len(ops)
        self.program.out = out
        for i in range(3):
            self.program.scratch[i] = scratch[i]
        self.program.values = self.values
        self.program.ops = self.ops
        self.program.call = call_python
        self.program.caller = <void *> self
        for i in range(len(ops)):
            fg_pick_replay().prepare(&self.program, i)
        self.num_threads = num_threads
        # Room for the lanes of all of every value, of which bundles touch few pages: they
        # are committed as they are touched. Rows are 64-byte aligned.
        try:
            self.work = np.frombuffer(mmap(-1, max(8, 8 * num_threads * work_size)))
        except OSError as error:
            raise MemoryError("no room for the workspace") from error
        work = self.work[:num_threads * work_size].reshape(num_threads, work_size)
        for i in range(num_threads):
            self.states[i].work = &work[i, 0] if work_size else NULL
            self.states[i].boxes = <fg_box *> calloc(max(1, len(values)), sizeof(fg_box))
            if not self.states[i].boxes:
                raise MemoryError

    def __dealloc__(self):
        cdef int i
        if self.states:
            for i in range(self.num_threads):
                free(self.states[i].boxes)
        free(self.states)
        free(self.values)
        free(self.ops)

    def show(self, values, int64_t first):
        """Give values at theta from their element `first` on: (number, array) pairs.

        None takes them away. They are to be read nowhere else.
        """
        cdef const double[::1] base
        cdef int number
        with self.lock:
            for number, array in values:
                base = array
                self.values[number].base = NULL
                if base is not None:
                    self.values[number].base = &base[0] - first
            self.shown = [array for _, array in values]

    def run(self, const int64_t[::1] start, const int32_t[::1] value,
            const int64_t[::1] first_entry, const int64_t[::1] index,
            const double[::1] delta, double[::1] out, uint8_t[::1] crossed,
            int64_t first, int64_t last, *, int num_threads):
        """Evaluate bundles first..last-1; bundle b perturbs entries start[b]..start[b+1]-1.

        Of the parameter value[b], whose first entry has the number first_entry[b].
        index: the number of the entry; delta: change of that entry.
        out: OUT, difference of the result; crossed: OUT, 1 where a kink was crossed.
        """
        cdef int64_t b
        with self.lock:
            for b in prange(first, last, schedule="dynamic", nogil=True,
                            num_threads=min(num_threads, self.num_threads)):
                self.run_bundle(&self.states[threadid()], value[b], first_entry[b],
                                start[b], start[b + 1] - start[b], &index[0], &delta[0],
                                &out[0], &crossed[0])
            self.raise_error()

    cdef void run_bundle(self, fg_state *state, int value, int64_t first, int64_t start,
                         int64_t n, const int64_t *index, const double *delta, double *out,
                         uint8_t *crossed) noexcept nogil:
        cdef int64_t l
        cdef fg_box *result = &state.boxes[self.program.out]
        self.forget(state)
        seed_entries(&self.values[value], &state.boxes[value], state.work, first,
                     index + start, delta + start, n)
        fg_pick_replay().run(&self.program, state, 0)
        for l in range(n):
            out[start + l] = result.d[l] if result.live else 0.0
            crossed[start + l] = state.crossed[l] != 0

    cdef void forget(self, fg_state *state) noexcept nogil:
        cdef int i
        for i in range(self.program.n_values):
            state.boxes[i].live = 0
        memset(state.crossed, 0, sizeof(state.crossed))
        state.cost = 0

    def run_along(self, directions, const double[:, ::1] t):
        """Difference of the result where lane l moves each parameter along its direction.

        directions: (number of the parameter, direction as contiguous float64) pairs;
        t: how far, for each of them and at most 8 lanes.
        """
        cdef fg_state *state = &self.states[0]
        cdef const double[::1] direction
        cdef double *lanes
        cdef fg_box *box
        cdef double times[LANES]
        cdef int64_t i
        cdef int l, k, number
        if t.shape[0] != len(directions) or t.shape[1] > LANES:
            raise ValueError(f"`t` must have shape (directions, at most {LANES}).")
        with self.lock:
            self.forget(state)
            for k, (number, array) in enumerate(directions):
                direction = array
                self.open_box(state, number)
                box = &state.boxes[number]
                for l in range(LANES):
                    times[l] = t[k, l] if l < t.shape[1] else 0.0
                with nogil:
                    for i in range(self.values[number].size):
                        lanes = box.d + i * LANES
                        for l in range(LANES):
                            lanes[l] = direction[i] * times[l]
            with nogil:
                fg_pick_replay().run(&self.program, state, 0)
            self.raise_error()
            box = &state.boxes[self.program.out]
            return np.array([box.d[l] if box.live else 0.0 for l in range(t.shape[1])])

    cdef void open_box(self, fg_state *state, int number) noexcept nogil:
        """The box of all of a value."""
        cdef int d
        cdef fg_box *box = &state.boxes[number]
        box.live = self.values[number].size > 0
        box.d = state.work + self.values[number].slot
        for d in range(self.values[number].ndim):
            box.lo[d] = 0
            box.n[d] = self.values[number].shape[d]

    def full_cost(self, parameters):
        """Floating-point work of one whole forward pass, in multiply-adds."""
        cdef fg_state *state = &self.states[0]
        cdef int number
        with self.lock:
            self.forget(state)
            for number in parameters:
                self.open_box(state, number)
            fg_pick_replay().run(&self.program, state, 1)
            return state.cost

    def spread(self, int value, const int64_t[::1] index):
        """How far a bundle that perturbs these entries reaches: boxes and cost.

        Returns the (start, length) of the box of every value, None where unperturbed,
        and the floating-point work of one lane, in multiply-adds.
        """
        cdef fg_state *state = &self.states[0]
        cdef double[::1] zeros = np.zeros(LANES)
        with self.lock:
            self.forget(state)
            # Boxes only: the lanes of the parameter are not needed, but are cheap.
            seed_entries(&self.values[value], &state.boxes[value], state.work, 0, &index[0],
                         &zeros[0], index.shape[0])
            fg_pick_replay().run(&self.program, state, 1)
            return [self.extent(state, i) for i in range(self.program.n_values)], state.cost

    # ---- operations that only Python can evaluate

    cdef void call(self, fg_state *state, int number):
        """One of them, unless another was interrupted."""
        cdef fg_op *op = &self.ops[number]
        result = self.view(&state.boxes[op.out], (self.values[op.out].size, LANES))
        result[...] = 0.0
        if self.error is None:
            try:
                changes = [self.changes(state, op.many[i]) for i in range(op.n_in)]
                result[...] = self.calls[number](changes)
            except BaseException as error:
                self.error = error

    cdef raise_error(self):
        """What was raised in a call, where it may be raised."""
        error, self.error = self.error, None
        if error is not None:
            raise error

    cdef changes(self, fg_state *state, int number):
        """The lanes of all of a value."""
        cdef fg_box *box = &state.boxes[number]
        cdef fg_value *value = &self.values[number]
        lanes = np.zeros([*[value.shape[d] for d in range(value.ndim)], LANES])
        if box.live:
            start, length = self.extent(state, number)
            window = tuple([slice(i, i + n) for i, n in zip(start, length)])
            lanes[window] = self.view(box, (*length, LANES))
        return lanes

    cdef view(self, fg_box *box, shape):
        """The lanes of a box, where they are in the workspace of the only thread."""
        cdef int64_t start = box.d - self.states[0].work
        return self.work[start:][:np.prod(shape)].reshape(shape)

    cdef extent(self, fg_state *state, int number):
        """The (start, length) of a box; None where there is none."""
        cdef fg_box *box = &state.boxes[number]
        cdef int d, ndim = self.values[number].ndim
        if not box.live:
            return None
        return (tuple([box.lo[d] for d in range(ndim)]),
                tuple([box.n[d] for d in range(ndim)]))
