"""Operations that take a processor one instruction: 16 comparisons, counting bits, prefetching.

What belongs here: Numba intrinsics. What does not: loops (`joins/hamming/kernels.py`, `duplicates/clusters.py`).

They are written for LLVM, which has an instruction for each on the processors that have one (AVX-512 compares 16
hashes at once), and several for it elsewhere. Numba keeps compiled kernels as long as their own file stays the same:
after a change here, touch those.
"""

from llvmlite import ir
from numba.core import types
from numba.core.cgutils import alloca_once_value, for_range, get_or_insert_function, unpack_tuple
from numba.extending import intrinsic

WORDS, LANES = 8, 16
HALVES = 32  # of 16 bits, that are compared at once


def _spread(builder, value, count):  # noqa: ANN001, ANN202
    """Emit a vector of `count` times a number."""
    undefined, lane = ir.Constant(ir.VectorType(value.type, count), ir.Undefined), ir.IntType(32)
    first = builder.insert_element(undefined, value, lane(0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(lane, count), None))


def _count_bits(builder, vector):  # noqa: ANN001, ANN202
    """Emit how many bits of each number of a vector are set."""
    name = f"llvm.ctpop.v{vector.type.count}i{vector.type.element.width}"
    kind = ir.FunctionType(vector.type, [vector.type])
    return builder.call(get_or_insert_function(builder.module, kind, name), [vector])


def _compare(context, builder, signature, arguments, chosen):  # noqa: ANN001, ANN202
    """Emit the comparison of one hash with 16: a bit for each whose chosen words differ in at most radius bits."""
    a_type, _, _, b_type = signature.args[:4]
    a, i, a_stride, b, j, b_stride, radius = arguments[:7]
    vector = ir.VectorType(ir.IntType(32), LANES)

    def address(kind, array, place, stride, word):  # noqa: ANN001, ANN202
        data = context.make_array(kind)(context, builder, array).data
        return builder.gep(data, [builder.add(place, builder.mul(stride, word))])

    total = None
    for word in chosen:
        one = _spread(builder, builder.load(address(a_type, a, i, a_stride, word)), LANES)
        many = builder.load(builder.bitcast(address(b_type, b, j, b_stride, word), vector.as_pointer()), align=4)
        bits = _count_bits(builder, builder.xor(one, many))
        total = bits if total is None else builder.add(total, bits)
    near = builder.icmp_unsigned("<=", total, _spread(builder, radius, LANES))
    return builder.zext(builder.bitcast(near, ir.IntType(LANES)), ir.IntType(64))


_COMPARED = (types.Array(types.uint32, 1, "C"), types.int64, types.int64) * 2 + (types.uint32,)


@intrinsic
def sieved(_context, a, i, a_stride, b, j, b_stride, bound, words):  # noqa: ANN001, ANN201
    """Return which of 16 hashes may be near to hash i, by some of their eight words.

    Args:
        a: Words of the hash, uint32: word w of hash i is a[i + w × a_stride].
        i: Index of the hash.
        a_stride: Step from word to word in a.
        b: Words of the others, likewise.
        j: Index of the first of the 16.
        b_stride: Step from word to word in b.
        bound: Most differing bits of these words.
        words: A tuple of their numbers.

    Returns:
        int64, one bit for each of the 16.
    """

    def emit(context, builder, signature, arguments):  # noqa: ANN001, ANN202
        return _compare(context, builder, signature, arguments, unpack_tuple(builder, arguments[7]))

    return types.int64(*_COMPARED, words), emit


@intrinsic
def near(_context, a, i, a_stride, b, j, b_stride, radius):  # noqa: ANN001, ANN201
    """Return which of 16 hashes, from j on, differ from hash i in at most `radius` bits; see `sieved`."""

    def emit(context, builder, signature, arguments):  # noqa: ANN001, ANN202
        words = [ir.Constant(ir.IntType(64), word) for word in range(WORDS)]
        return _compare(context, builder, signature, arguments, words)

    return types.int64(*_COMPARED), emit


@intrinsic
def differing(_context, known, place, asked, one, other, summed, at):  # noqa: ANN001, ANN201
    """Write in how many bits 16 hashes differ from each of two others.

    Args:
        known: Hashes word by word, uint32 (w, n); those of a word lie side by side.
        place: Index of the first of the 16; all must be there.
        asked: uint32 (m, w).
        one: Index of the first of the two.
        other: Index of the second.
        summed: uint32 (2, k), for the bits.
        at: Where they begin in each row; 16 must fit.
    """

    def emit(context, builder, signature, arguments):  # noqa: ANN001, ANN202
        hashes, others, bits_of = (
            context.make_array(signature.args[k])(context, builder, arguments[k]) for k in (0, 2, 5)
        )
        _, place, _, one, other, _, at = arguments
        words, _ = unpack_tuple(builder, hashes.shape)
        step, item = unpack_tuple(builder, hashes.strides)  # bytes
        stride = builder.sdiv(step, item)
        _, room = unpack_tuple(builder, bits_of.shape)
        vector = ir.VectorType(ir.IntType(32), LANES)
        sums = [alloca_once_value(builder, ir.Constant(vector, None)) for _ in range(2)]  # LLVM keeps them in registers
        with for_range(builder, words) as loop:
            address = builder.gep(hashes.data, [builder.add(place, builder.mul(loop.index, stride))])
            many = builder.load(builder.bitcast(address, vector.as_pointer()), align=4)
            for asked_hash, bits in zip((one, other), sums, strict=True):
                address = builder.gep(others.data, [builder.add(builder.mul(asked_hash, words), loop.index)])
                changed = builder.xor(_spread(builder, builder.load(address), LANES), many)
                builder.store(builder.add(builder.load(bits), _count_bits(builder, changed)), bits)
        for row, bits in enumerate(sums):
            start = builder.add(builder.mul(room, ir.Constant(room.type, row)), at)
            address = builder.gep(bits_of.data, [start])
            builder.store(builder.load(bits), builder.bitcast(address, vector.as_pointer()), align=4)
        return context.get_dummy_value()

    return types.void(known, types.int64, asked, types.int64, types.int64, summed, types.int64), emit


@intrinsic
def near_halves(_context, halves, place, asked, most):  # noqa: ANN001, ANN201
    """Return which of 32 numbers of 16 bits differ from another in at most `most` bits.

    Args:
        halves: uint16.
        place: Index of the first of the 32; all must be there.
        asked: The other, uint16.
        most: Bits, uint16.

    Returns:
        int64, one bit for each of the 32.
    """

    def emit(context, builder, signature, arguments):  # noqa: ANN001, ANN202
        array, first, one, bound = arguments
        vector = ir.VectorType(ir.IntType(16), HALVES)
        data = context.make_array(signature.args[0])(context, builder, array).data
        many = builder.load(builder.bitcast(builder.gep(data, [first]), vector.as_pointer()), align=2)
        bits = _count_bits(builder, builder.xor(_spread(builder, one, HALVES), many))
        near = builder.icmp_unsigned("<=", bits, _spread(builder, bound, HALVES))
        return builder.zext(builder.bitcast(near, ir.IntType(HALVES)), ir.IntType(64))

    return types.int64(halves, types.int64, types.uint16, types.uint16), emit


@intrinsic
def popcount(_context, word):  # noqa: ANN001, ANN201
    """Return how many bits of an unsigned number are set, as a number of the same type."""

    def emit(_, builder, __, arguments):  # noqa: ANN001, ANN202
        return builder.ctpop(arguments[0])

    return word(word), emit


@intrinsic
def lowest(_context, bits):  # noqa: ANN001, ANN201
    """Return the index of the lowest bit that is set in an int64; there must be one."""

    def emit(_, builder, __, arguments):  # noqa: ANN001, ANN202
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.int64), emit


@intrinsic
def prefetch(_context, array, place):  # noqa: ANN001, ANN201
    """Prefetch a number that will be read soon.

    Args:
        array: Of one axis, of any numbers.
        place: Index of the number.
    """

    def emit(context, builder, signature, arguments):  # noqa: ANN001, ANN202
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        address = builder.bitcast(builder.gep(data, [arguments[1]]), ir.IntType(8).as_pointer())
        flag = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [address.type, flag, flag, flag])
        call = get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        builder.call(call, [address, flag(0), flag(3), flag(1)])
        return context.get_dummy_value()

    return types.void(array, types.int64), emit
