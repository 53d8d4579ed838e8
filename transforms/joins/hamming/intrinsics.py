"""Operations that take a processor one instruction: 16 comparisons, counting bits, prefetching.

What belongs here: Numba intrinsics. What does not: loops (`joins/hamming/kernels.py`, `duplicates/clusters.py`).

They are written for LLVM, which has an instruction for each on the processors that have one (AVX-512 compares 16
hashes at once), and several for it elsewhere. Numba keeps compiled kernels as long as their own file stays the same:
after a change here, touch those.
"""

from llvmlite import ir
from numba.core import types
from numba.core.cgutils import get_or_insert_function, unpack_tuple
from numba.extending import intrinsic

WORDS, LANES = 8, 16
HALVES = 32  # of 16 bits, that are compared at once


def _compare(context, builder, signature, arguments, chosen):  # noqa: ANN001, ANN202
    """Emit the comparison of one hash with 16: a bit for each whose chosen words differ in at most radius bits."""
    a_type, _, _, b_type = signature.args[:4]
    a, i, a_stride, b, j, b_stride, radius = arguments[:7]
    lane = ir.IntType(32)
    vector = ir.VectorType(lane, LANES)
    popcount = get_or_insert_function(builder.module, ir.FunctionType(vector, [vector]), f"llvm.ctpop.v{LANES}i32")

    def address(kind, array, place, stride, word):  # noqa: ANN001, ANN202
        data = context.make_array(kind)(context, builder, array).data
        return builder.gep(data, [builder.add(place, builder.mul(stride, word))])

    def spread(value):  # noqa: ANN001, ANN202
        single = builder.insert_element(ir.Constant(vector, ir.Undefined), value, lane(0))
        return builder.shuffle_vector(single, ir.Constant(vector, ir.Undefined), ir.Constant(vector, None))

    total = None
    for word in chosen:
        one = spread(builder.load(address(a_type, a, i, a_stride, word)))
        many = builder.load(builder.bitcast(address(b_type, b, j, b_stride, word), vector.as_pointer()), align=4)
        bits = builder.call(popcount, [builder.xor(one, many)])
        total = bits if total is None else builder.add(total, bits)
    near = builder.icmp_unsigned("<=", total, spread(radius))
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
        lane, place_type = ir.IntType(16), ir.IntType(32)
        vector = ir.VectorType(lane, HALVES)
        kind = ir.FunctionType(vector, [vector])
        count = get_or_insert_function(builder.module, kind, f"llvm.ctpop.v{HALVES}i16")
        data = context.make_array(signature.args[0])(context, builder, array).data
        many = builder.load(builder.bitcast(builder.gep(data, [first]), vector.as_pointer()), align=2)

        def spread(value):  # noqa: ANN001, ANN202
            single = builder.insert_element(ir.Constant(vector, ir.Undefined), value, place_type(0))
            zeros = ir.Constant(ir.VectorType(place_type, HALVES), None)
            return builder.shuffle_vector(single, ir.Constant(vector, ir.Undefined), zeros)

        bits = builder.call(count, [builder.xor(spread(one), many)])
        near = builder.icmp_unsigned("<=", bits, spread(bound))
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
