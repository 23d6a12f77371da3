"""Loops over the counts of a pixel, written for the vector unit of the processor.

A compiler finds no vectors in these loops: the spectra of a channel are a few numbers,
as many as there are components, and each count looks up another channel. So the loops
are emitted as instructions on vectors of four numbers. The spectra of a channel are
padded with zeros to whole vectors; four counts of a pixel go together, so that one
division serves all of them. Loops over the vectors of a channel are written out, for
each of the usual numbers of vectors, and which of them runs is decided when a pixel is
reached: one compiled kernel serves all numbers of components up to `WIDEST`, and one
more each further number of vectors.

Every function here is a plain function of Python, which says what is computed and is
what runs where compilation is switched off, with the function that emits it beside it.
Arguments that they have in common:

``wide``
    0 for the usual widths, else the one that is emitted, see `emitted_width`; a
    constant of the kernel.
``channels, x, first, last``
    Counts x of a pixel, from place ``first`` to ``last``, and their channels.
``D``
    Spectra, (e, w) float64, w the padded number of components; (w, e) for the functions
    ``_all``, to which x has a count for each channel, e a multiple of `LANES`.
``rows, i``
    Abundances of the pixel in row i of (n, w) float64, zero where padded.
``floor``
    Added to the model ``y = D row`` of every channel.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import lower_builtin

LANES = 4
# Numbers of components, padded, that every kernel is compiled for.
WIDTHS = 4, 8
WIDEST = WIDTHS[-1]
# Below this an abundance or a composition is set to zero: denormal numbers would
# slow every later pass by two orders of magnitude.
TINY = 1e-100
# Terms of the series of the logarithm, enough for all digits.
TERMS = 10
# Bits of a number, and the smallest that has all its digits.
MANTISSA, BIAS = 52, 1023
SMALLEST = np.finfo(np.float64).tiny

_F64, _I64, _I32 = ir.DoubleType(), ir.IntType(64), ir.IntType(32)
_VECTOR = ir.VectorType(_F64, LANES)
_BITS, _LANES = ir.VectorType(_I64, LANES), ir.VectorType(_I32, LANES)
# Products may be added without rounding in between.
_FAST = ("contract",)


def padded(n: int) -> int:
    """Return the number of components with which whole vectors are filled."""
    return -(-n // LANES) * LANES


def emitted_width(n: int) -> int:
    """Return ``wide`` for so many components."""
    return 0 if n <= WIDEST else padded(n)


def aligned_zeros(shape: tuple[int, ...]) -> np.ndarray:
    """Return zeros (float64) of which no vector lies in two lines of the cache."""
    line = 64
    n_bytes = int(np.prod(shape)) * 8
    memory = np.zeros(n_bytes + line, np.uint8)
    first = -memory.ctypes.data % line
    return memory[first : first + n_bytes].view(np.float64).reshape(shape)


def widened(D: np.ndarray) -> np.ndarray:
    """Return D (e, k) with its rows padded with zeros."""
    wide = aligned_zeros((len(D), padded(D.shape[1])))
    wide[:, : D.shape[1]] = D
    return wide


class _Vector:
    """Four numbers while code is emitted: arithmetic on it emits instructions."""

    def __init__(self, b: ir.IRBuilder, value: Any):
        self.b, self.value = b, value

    def _with(self, operation: Callable, other: Any) -> _Vector:
        if not isinstance(other, _Vector):
            other = constant(self.b, other)
        return _Vector(self.b, operation(self.value, other.value, flags=_FAST))

    def __add__(self, other: Any) -> _Vector:
        return self._with(self.b.fadd, other)

    def __sub__(self, other: Any) -> _Vector:
        return self._with(self.b.fsub, other)

    def __mul__(self, other: Any) -> _Vector:
        return self._with(self.b.fmul, other)

    def __truediv__(self, other: Any) -> _Vector:
        return self._with(self.b.fdiv, other)

    def lanes(self, *which: int, of: _Vector | None = None) -> _Vector:
        """Choose lanes of this vector, 0 to 3, and of another one, 4 to 7."""
        mask = ir.Constant(_LANES, which)
        other = (self if of is None else of).value
        return _Vector(self.b, self.b.shuffle_vector(self.value, other, mask))

    def repeated(self, lane: int) -> _Vector:
        """Return a vector of one of the numbers."""
        return self.lanes(*[lane] * LANES)

    def total(self) -> Any:
        """Sum of the numbers."""
        pairs = self + self.lanes(2, 3, 0, 1)
        return self.b.extract_element((pairs + pairs.lanes(1, 0, 3, 2)).value, _I32(0))


def constant(b: ir.IRBuilder, number: float) -> _Vector:
    """Return a vector of one number."""
    return _Vector(b, ir.Constant(_VECTOR, [float(number)] * LANES))


def splat(b: ir.IRBuilder, number: Any) -> _Vector:
    """Return a vector of one number that is known when the code runs."""
    empty = ir.Constant(_VECTOR, ir.Undefined)
    return _Vector(b, b.insert_element(empty, number, _I32(0))).repeated(0)


def added_up(terms: list[_Vector]) -> _Vector:
    """Sum of vectors, pair by pair: no sum waits for all others."""
    while len(terms) > 1:
        pairs = zip(terms[::2], terms[1::2], strict=False)
        rest = terms[len(terms) & ~1 :]
        terms = [one + other for one, other in pairs] + rest
    return terms[0]


def sums_of(v: list[_Vector]) -> _Vector:
    """Return the sums of four vectors."""
    first = v[0].lanes(0, 4, 2, 6, of=v[1]) + v[0].lanes(1, 5, 3, 7, of=v[1])
    last = v[2].lanes(0, 4, 2, 6, of=v[3]) + v[2].lanes(1, 5, 3, 7, of=v[3])
    return first.lanes(0, 1, 4, 5, of=last) + first.lanes(2, 3, 6, 7, of=last)


def logarithm(y: _Vector) -> _Vector:
    """Natural logarithm of positive numbers.

    With y = m 2**n and m between the roots of 1/2 and 2, it is n log(2) plus twice the
    series of the inverse hyperbolic tangent of (m - 1) / (m + 1).
    """
    b = y.b
    denormal = b.fcmp_ordered("<", y.value, constant(b, SMALLEST).value)
    raised = (y * 2.0**MANTISSA).value
    bits = b.bitcast(b.select(denormal, raised, y.value), _BITS)

    def numbers(value):
        return ir.Constant(_BITS, [int(value)] * LANES)

    one, half_root = np.array([1.0, np.sqrt(0.5)]).view(np.int64)
    n = b.lshr(b.add(bits, numbers(one - half_root)), numbers(MANTISSA))
    n = b.sub(n, numbers(BIAS))
    m = _Vector(b, b.bitcast(b.sub(bits, b.shl(n, numbers(MANTISSA))), _VECTOR))
    n = b.sub(n, b.select(denormal, numbers(MANTISSA), numbers(0)))
    # four integers of 32 bits are converted at once
    exponent = b.sitofp(b.trunc(n, _LANES), _VECTOR)
    s = (m - 1.0) / (m + 1.0)
    z = s * s
    # even and odd terms by themselves: neither waits for the other
    halves = []
    for parity in (0, 1):
        terms = [1.0 / (2 * term + 1) for term in range(parity, TERMS, 2)]
        half = constant(b, terms.pop())
        while terms:
            half = half * (z * z) + terms.pop()
        halves.append(half)
    series = halves[0] + halves[1] * z
    return s * series * 2.0 + _Vector(b, exponent) * np.log(2.0)


class _Array:
    """An array while code is emitted: vectors are read from it and written to it."""

    def __init__(self, b: ir.IRBuilder, kind: types.Array, struct: Any):
        self.b, self.kind = b, kind
        self.data, self.shape = struct.data, cgutils.unpack_tuple(b, struct.shape)
        self.size = struct.nitems

    def _pointer(self, *offsets: Any) -> Any:
        place = _sum_of_integers(self.b, offsets)
        return self.b.gep(self.data, [place]), self.kind.dtype.bitwidth // 8

    def read(self, *offsets: Any) -> _Vector:
        """Return the vector that begins at the sum of some offsets."""
        place, size = self._pointer(*offsets)
        place = self.b.bitcast(place, _VECTOR.as_pointer())
        return _Vector(self.b, self.b.load(place, align=size))

    def write(self, vector: _Vector, *offsets: Any) -> None:
        """Write a vector there."""
        place, size = self._pointer(*offsets)
        place = self.b.bitcast(place, _VECTOR.as_pointer())
        self.b.store(vector.value, place, align=size)

    def number(self, place: Any) -> Any:
        """Return one entry, as a 64-bit integer or a float."""
        value = self.b.load(self.b.gep(self.data, [place]))
        if isinstance(self.kind.dtype, types.Float):
            return value if value.type == _F64 else self.b.fpext(value, _F64)
        return self._converted(value, _I64)

    def as_floats(self, place: Any) -> _Vector:
        """Return four entries as floats."""
        pointer, size = self._pointer(place)
        loaded = ir.VectorType(pointer.type.pointee, LANES)
        value = self.b.load(self.b.bitcast(pointer, loaded.as_pointer()), align=size)
        return _Vector(self.b, self._to_floats(value))

    def chosen(self, places: list[Any], left: list[Any]) -> _Vector:
        """Return four entries as floats, 0 for those that are not left."""
        kind = self.kind.dtype
        # one by one, as a vector of short numbers takes longer to put together
        short = isinstance(kind, types.Integer) and kind.bitwidth < 32
        entry = _I32 if short else self.data.type.pointee
        value, zero = (
            ir.Constant(ir.VectorType(entry, LANES), None),
            ir.Constant(entry, None),
        )
        for lane, (place, wanted) in enumerate(zip(places, left, strict=True)):
            one = self._converted(self.b.load(self.b.gep(self.data, [place])), entry)
            one = self.b.select(wanted, one, zero)
            value = self.b.insert_element(value, one, _I32(lane))
        return _Vector(self.b, self._to_floats(value))

    def _to_floats(self, value):
        kind, b = self.kind.dtype, self.b
        if isinstance(kind, types.Float):
            return value if kind.bitwidth == 64 else b.fpext(value, _VECTOR)
        if kind.bitwidth < 32:
            # which the processor converts four at a time
            return b.sitofp(self._converted(value, _LANES), _VECTOR)
        convert = b.sitofp if getattr(kind, "signed", False) else b.uitofp
        return convert(value, _VECTOR)

    def _converted(self, value, kind):
        if value.type == kind:
            return value
        signed = getattr(self.kind.dtype, "signed", False)
        return (self.b.sext if signed else self.b.zext)(value, kind)


def _sum_of_integers(b: ir.IRBuilder, numbers: tuple) -> Any:
    total = _I64(0)
    for one in numbers:
        one = _I64(one) if isinstance(one, int) else one
        total = one if total == _I64(0) else b.add(total, one, flags=("nsw", "nuw"))
    return total


def _emitted(
    emit: Callable, result: Any = types.void, *, by_width: bool = True
) -> Callable:
    """Have kernels call what is emitted in the place of a function; a decorator.

    ``emit(b, arguments, n_vectors)`` emits the function for a number of vectors and
    returns what it computes; ``arguments`` has the arguments by name. Functions that
    are not ``by_width`` are emitted once, with loops over the vectors.
    """

    def decorate(function: Callable) -> Callable:
        code = function.__code__
        names = code.co_varnames[: code.co_argcount]

        class Template(AbstractTemplate):
            key = function
            # the widths are chosen by the value of a constant
            prefer_literal = True

            def generic(self, args, kws):
                kept = [*args[:1], *(types.unliteral(one) for one in args[1:])]
                return signature(result, *kept)

        infer_global(function, types.Function(Template))

        @lower_builtin(function, types.VarArg(types.Any))
        def lower(context, b, sig, args):
            given = SimpleNamespace()
            for name, kind, value in zip(names, sig.args, args, strict=True):
                if isinstance(kind, types.Array):
                    struct = context.make_array(kind)(context, b, value)
                    value = _Array(b, kind, struct)
                elif isinstance(kind, types.Integer):
                    value = context.cast(b, value, kind, types.int64)
                setattr(given, name, value)
            if not by_width:
                emit(b, given, None)
                return context.get_dummy_value()
            computed = cgutils.alloca_once_value(b, _F64(0.0))
            wide = sig.args[0].literal_value
            end = b.append_basic_block("end")
            choice = b.switch(given.rows.shape[1], end)
            for width in (wide,) if wide else WIDTHS:
                with b.goto_block(b.append_basic_block(f"width{width}")):
                    choice.add_case(_I64(width), b.block)
                    value = emit(b, given, width // LANES)
                    if value is not None:
                        b.store(value, computed)
                    b.branch(end)
            b.position_at_end(end)
            if result == types.void:
                return context.get_dummy_value()
            return b.load(computed)

        return function

    return decorate


class _Sum:
    """A vector that is added to in a loop."""

    def __init__(self, b: ir.IRBuilder):
        self.b = b
        # the compiler keeps it in a register
        self.place = cgutils.alloca_once(b, _VECTOR)
        b.store(constant(b, 0.0).value, self.place)

    def add(self, vector: _Vector) -> None:
        """Add a vector."""
        self.b.store((self.value + vector).value, self.place)

    @property
    def value(self) -> _Vector:
        """The sum so far."""
        return _Vector(self.b, self.b.load(self.place))


class _Four:
    """Four counts of a pixel, those beyond the last one being zero.

    Which count is in which lane depends on nothing but the pixel, so that its sums are
    rounded in the same way wherever its counts lie.
    """

    def __init__(self, given: Any, n: int, place: Any, *, full: bool):
        b = self.b = given.rows.b
        self.n = n
        places = [_sum_of_integers(b, (place, lane)) for lane in range(LANES)]
        if full:
            self.x = given.x.as_floats(place)
        else:
            # in the place of those beyond the last one stands the last one
            end = b.sub(given.last, _I64(1))
            left = [b.icmp_signed("<=", one, end) for one in places]
            places = [_least(b, one, end) for one in places]
            self.x = given.x.chosen(places, left)
        width = _I64(LANES * n)
        self.channels = [given.channels.number(one) for one in places]
        self.offsets = [
            b.mul(one, width, flags=("nsw", "nuw")) for one in self.channels
        ]

    def of(self, table: _Array) -> list[list[_Vector]]:
        """Return the rows of a table, of each count, as vectors."""
        return [
            [table.read(offset, LANES * j) for j in range(self.n)]
            for offset in self.offsets
        ]

    def products(self, rows: list[list[_Vector]], row: list[_Vector]) -> _Vector:
        """Return the inner product of each row with another one."""
        return sums_of([_inner(one, row) for one in rows])


def _least(b: ir.IRBuilder, one: Any, other: Any) -> Any:
    return b.select(b.icmp_signed("<", one, other), one, other)


def _inner(one: list[_Vector], other: list[_Vector]) -> _Vector:
    """Return vectors of which the sum is the inner product, added up."""
    total = one[0] * other[0]
    for x, y in zip(one[1:], other[1:], strict=True):
        total = total + x * y
    return total


def _row(table: _Array, i: Any, n: int) -> list[_Vector]:
    """Row i of a table of whole vectors."""
    first = table.b.mul(i, table.shape[1])
    return [table.read(first, LANES * j) for j in range(n)]


def _by_fours(
    given: Any, n: int, body: Callable[[_Four], None], *, fast: bool = False
) -> None:
    """Emit a loop over the counts of a pixel.

    ``fast``: what is left over is emitted by itself, so that the loop need not ask.
    """
    b, step = given.rows.b, _I64(LANES)
    whole = b.and_(b.sub(given.last, given.first), _I64(-LANES))
    end = b.add(given.first, whole) if fast else given.last
    with cgutils.for_range_slice(b, given.first, end, step, _I64) as (place, _):
        body(_Four(given, n, place, full=fast))
    if fast:
        with b.if_then(b.icmp_signed("<", end, given.last)):
            body(_Four(given, n, end, full=False))


def _emit_weigh(b, given, n, *, twice=False, changing=False):
    row = _row(given.rows, given.i, n)
    floor = splat(b, given.floor)
    sums = [_Sum(b) for _ in range(n)]
    pairs = [(i, j) for i in range(LANES * n) for j in range(i // LANES + 1)]
    squares = {pair: _Sum(b) for pair in pairs} if twice else {}

    def body(four):
        D = four.of(given.D)
        y = four.products(D, row) + floor
        ratio = four.x / y
        bend = ratio / y if twice else ratio
        terms: list = [(D, ratio)]
        if changing:
            dD = four.of(given.dD)
            terms = [(dD, ratio), (D, constant(b, 0.0) - bend * four.products(dD, row))]
        for j in range(n):
            products = [
                table[lane][j] * factor.repeated(lane)
                for lane in range(LANES)
                for table, factor in terms
            ]
            sums[j].add(added_up(products))
        for lane in range(LANES if twice else 0):
            factor = bend.repeated(lane)
            bent = [vector * factor for vector in D[lane]]
            for i, j in pairs:
                one = D[lane][i // LANES].repeated(i % LANES)
                squares[i, j].add(bent[j] * one)

    _by_fours(given, n, body, fast=not twice)
    for j, total in enumerate(sums):
        given.sums.write(total.value, LANES * j)
    for (i, j), total in squares.items():
        given.squares.write(total.value, LANES * (n * i + j))


def _emit_weigh_twice(b, given, n):
    _emit_weigh(b, given, n, twice=True)


def _emit_weigh_change(b, given, n):
    _emit_weigh(b, given, n, twice=True, changing=True)


def _emit_gather(b, given, n):
    row = _row(given.rows, given.i, n)
    floor = splat(b, given.floor)

    def body(four):
        ratio = four.x / (four.products(four.of(given.D), row) + floor)
        _add_at(given.A, four, [(row, ratio)])

    _by_fours(given, n, body, fast=True)


def _add_at(table, four, terms):
    """Add the sum of rows times factors to the rows of a table of four counts."""
    for lane, offset in enumerate(four.offsets):
        for j in range(four.n):
            total = table.read(offset, LANES * j)
            for row, factor in terms:
                total = total + row[j] * factor.repeated(lane)
            table.write(total, offset, LANES * j)


def _emit_gather_twice(b, given, n):
    row = _row(given.rows, given.i, n)
    floor = splat(b, given.floor)
    width = given.S.shape[1]

    def body(four):
        y = four.products(four.of(given.D), row) + floor
        ratio = four.x / y
        bend = ratio / y
        _add_at(given.A, four, [(row, ratio)])
        for lane, channel in enumerate(four.channels):
            first, factor = b.mul(channel, width), bend.repeated(lane)
            with cgutils.for_range_slice(b, _I64(0), width, _I64(LANES), _I64) as (
                j,
                _,
            ):
                total = given.S.read(first, j) + given.pairs.read(j) * factor
                given.S.write(total, first, j)

    _by_fours(given, n, body)


def _emit_gather_change(b, given, n):
    row, move = _row(given.rows, given.i, n), _row(given.rows, given.m, n)
    floor = splat(b, given.floor)

    def body(four):
        D, dD = four.of(given.D), four.of(given.dD)
        y = four.products(D, row) + floor
        ratio = four.x / y
        dy = four.products(dD, row) + four.products(D, move)
        bend = constant(b, 0.0) - ratio / y * dy
        _add_at(given.dA, four, [(move, ratio), (row, bend)])

    _by_fours(given, n, body)


def _emit_log_likelihood(b, given, n):
    row = _row(given.rows, given.i, n)
    floor = splat(b, given.floor)
    total = _Sum(b)

    def body(four):
        y = four.products(four.of(given.D), row) + floor
        total.add(four.x * logarithm(y))

    _by_fours(given, n, body)
    return total.value.total()


def _emit_multiply(b, given, _):
    width = given.rows.shape[1]
    first = b.mul(given.i, width)
    with cgutils.for_range_slice(b, _I64(0), width, _I64(LANES), _I64) as (j, _):
        place = b.add(first, j)
        row = given.rows.read(place) * given.sums.read(j) * given.scale.read(j)
        least = b.fcmp_ordered(">=", row.value, constant(b, TINY).value)
        row = b.select(least, row.value, constant(b, 0.0).value)
        given.rows.write(_Vector(b, row), place)


@_emitted(_emit_multiply, by_width=False)
def multiply(rows, i, sums, scale):
    """Multiply row i by sums and scale (w,); what is below `TINY` becomes 0."""
    rows[i] *= sums * scale
    rows[i, rows[i] < TINY] = 0.0


@_emitted(_emit_weigh)
def weigh(wide, channels, x, first, last, D, rows, i, floor, sums):
    """Set sums (w,) to those of D x / y."""
    sums[:] = 0.0
    for t in range(first, last):
        d = D[channels[t]]
        sums += d * (x[t] / (d @ rows[i] + floor))


@_emitted(_emit_weigh_twice)
def weigh_twice(wide, channels, x, first, last, D, rows, i, floor, sums, squares):
    """As `weigh`, and set the lower half of squares (w, w): those of D D^T x / y**2."""
    weigh(wide, channels, x, first, last, D, rows, i, floor, sums)
    squares[:] = 0.0
    for t in range(first, last):
        d = D[channels[t]]
        squares += np.outer(d, d) * (x[t] / (d @ rows[i] + floor) ** 2)


@_emitted(_emit_weigh_change)
def weigh_change(wide, channels, x, first, last, D, dD, rows, i, floor, sums, squares):
    """As `weigh_twice`, but sums change with D by dD (e, w)."""
    weigh_twice(wide, channels, x, first, last, D, rows, i, floor, sums, squares)
    sums[:] = 0.0
    for t in range(first, last):
        d, change = D[channels[t]], dD[channels[t]]
        y = d @ rows[i] + floor
        sums += x[t] / y * (change - d * (change @ rows[i] / y))


@_emitted(_emit_gather)
def gather(wide, channels, x, first, last, D, rows, i, floor, A):
    """Add row x / y to A (e, w)."""
    for t in range(first, last):
        e = channels[t]
        A[e] += rows[i] * (x[t] / (D[e] @ rows[i] + floor))


@_emitted(_emit_gather_twice)
def gather_twice(wide, channels, x, first, last, D, rows, i, floor, A, pairs, S):
    """As `gather`, and add pairs x / y**2 to S, of so many vectors as pairs (v,)."""
    gather(wide, channels, x, first, last, D, rows, i, floor, A)
    for t in range(first, last if pairs.size else first):
        e = channels[t]
        S[e] += pairs * (x[t] / (D[e] @ rows[i] + floor) ** 2)


@_emitted(_emit_gather_change)
def gather_change(wide, channels, x, first, last, D, dD, rows, i, m, floor, dA):
    """Add the change of what `gather` adds to dA, D moving by dD and row i by row m."""
    for t in range(first, last):
        e = channels[t]
        y = D[e] @ rows[i] + floor
        dy = dD[e] @ rows[i] + D[e] @ rows[m]
        dA[e] += x[t] / y * (rows[m] - rows[i] * (dy / y))


@_emitted(_emit_log_likelihood, types.float64)
def log_likelihood(wide, channels, x, first, last, D, rows, i, floor):
    """Sum x log(y)."""
    total = 0.0
    for t in range(first, last):
        total += x[t] * np.log(D[channels[t]] @ rows[i] + floor)
    return total


class _Through:
    """Reads spectra of four channels in a row, in which a vector has one component."""

    def __init__(self, given, n):
        self.b, self.D, self.given = given.rows.b, given.D, given
        self.width, self.n_channels = LANES * n, given.D.shape[1]
        first = self.b.mul(given.i, given.rows.shape[1])
        read = given.rows
        self.row = [
            splat(self.b, read.number(_sum_of_integers(self.b, (first, j))))
            for j in range(self.width)
        ]
        self.floor = splat(self.b, given.floor)
        self.starts = [self.b.mul(_I64(j), self.n_channels) for j in range(self.width)]

    def loop(self, body):
        """Emit a loop over all channels; ``body(x, y, D, place of the channels)``."""
        fours = cgutils.for_range_slice(
            self.b, _I64(0), self.n_channels, _I64(LANES), _I64
        )
        with fours as (e, _):
            x = self.given.x.as_floats(self.b.add(self.given.first, e))
            D = [self.D.read(start, e) for start in self.starts]
            y = _inner(D, self.row) + self.floor
            body(x, y, D, e)


def _emit_weigh_all(b, given, n):
    through = _Through(given, n)
    sums = [_Sum(b) for _ in range(through.width)]

    def body(x, y, D, e):
        ratio = x / y
        for total, one in zip(sums, D, strict=True):
            total.add(one * ratio)

    through.loop(body)
    for j in range(n):
        four = sums_of([one.value for one in sums[LANES * j : LANES * (j + 1)]])
        given.sums.write(four, LANES * j)


def _emit_gather_all(b, given, n):
    through = _Through(given, n)

    def body(x, y, D, e):
        ratio = x / y
        for one, start in zip(through.row, through.starts, strict=True):
            given.A.write(given.A.read(start, e) + one * ratio, start, e)

    through.loop(body)


def _emit_log_likelihood_all(b, given, n):
    total = _Sum(b)
    _Through(given, n).loop(lambda x, y, D, e: total.add(x * logarithm(y)))
    return total.value.total()


@_emitted(_emit_weigh_all)
def weigh_all(wide, x, first, D, rows, i, floor, sums):
    """Set sums (w,) to those of D x / y."""
    sums[:] = D @ (x[first : first + D.shape[1]] / (rows[i] @ D + floor))


@_emitted(_emit_gather_all)
def gather_all(wide, x, first, D, rows, i, floor, A):
    """Add row x / y to A (w, e)."""
    ratios = x[first : first + D.shape[1]] / (rows[i] @ D + floor)
    A += np.outer(rows[i], ratios)


@_emitted(_emit_log_likelihood_all, types.float64)
def log_likelihood_all(wide, x, first, D, rows, i, floor):
    """Sum x log(y)."""
    return float(x[first : first + D.shape[1]] @ np.log(rows[i] @ D + floor))
