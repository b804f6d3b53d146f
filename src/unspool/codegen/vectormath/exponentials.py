"""Exponential and hyperbolic functions.

All start with the reduction of Cody and Waite [CW1980]: x = n log 2 + r with |r| <= log(2) / 2, so that
e**x = 2**n e**r.
"""

from __future__ import annotations

from unspool.codegen.vectormath.lanes import Bits, Floats, floats, fma, sign, signed, where
from unspool.codegen.vectormath.pairs import Pair, fast_two_sum, polynomial, quotient, two_sum

LN2, LN2_LOW = 0.6931471805599453, 2.3190468138462996e-17  # the sum is log(2) to 107 bits
_LOG2_E = 1.4426950408889634

ROUND = 6755399441055744.0  # 1.5 * 2**52: a sum with it has the nearest whole number in its last bits
_ROUND_BITS = 0x4338000000000000

# (e**r - 1 - r) / r**2, |r| <= log(2) / 2: minimax by Remez after the first one, moves e**r by 2**-57 of it at most
_EXP = (
    *(0.5, 0.16666666666666682, 0.041666666666609675, 0.008333333333316746, 0.001388888892475062),
    *(0.00019841269899505874, 2.48015110116064e-05, 2.7557230417248965e-06, 2.76243340666854e-07),
    2.5113846798711127e-08,
)
# (2**r - 1 - r log(2)) / r**2, |r| <= 1/2: minimax by Remez; with the rounding of log(2) it moves
# 2**r by 2**-55 of it at most
_EXP2 = (
    *(0.2402265069591013, 0.05550410866482169, 0.009618129107594254, 0.0013333558146387096, 0.00015403530457115488),
    *(1.525273386217623e-05, 1.3215435229536686e-06, 1.0178048139947158e-07, 7.073797930716644e-09),
    4.4571870510743386e-10,
)
# (sinh(x) / x - 1) / x**2 in powers of x**2, |x| <= 1: minimax by Remez, moves sinh by 2**-56 of it at most
_SINH = (
    *(0.16666666666666669, 0.00833333333333314, 0.00019841269841436461, 2.755731915566335e-06),
    *(2.5052123353238303e-08, 1.6057243489082946e-10, 7.759225667312542e-13),
)


def exp(x: Floats) -> Floats:
    """The exponential of x."""
    x = within(x, -760.0, 720.0)
    n, bits = rounded(x, _LOG2_E)
    r = fma(n, -LN2_LOW, fma(n, -LN2, x))
    return scaled(1.0 + fma(r * r, polynomial(r, _EXP), r), bits)


def exp2(x: Floats) -> Floats:
    """The power 2**x; exact for whole x."""
    x = within(x, -1080.0, 1030.0)
    n, bits = rounded(x, 1.0)
    r = x - n
    return scaled(1.0 + fma(r * r, polynomial(r, _EXP2), r * LN2), bits)


def expm1(x: Floats) -> Floats:
    """The exponential of x less 1, to all digits also where x is small."""
    half, r, rest = _less_one(within(x, -40.0, 709.9))
    value = 2.0 * fma(half, rest, fma(half, r, half - 0.5))
    return where(abs(x) < 2.0**-54, x, value)


def tanh(x: Floats) -> Floats:
    """The hyperbolic tangent of x: (e**(2|x|) - 1) / (e**(2|x|) + 1), both halved."""
    y = abs(x)
    half, r, rest = _less_one(2.0 * where(y > 22.0, 22.0, y))
    r, rest = fast_two_sum(r, rest)
    half_one = floats(x.lanes, 0.5)
    top, bottom = (_with_fraction(fast_two_sum(half, one), half * r, half * rest) for one in (-half_one, half_one))
    ratio, low = quotient(top[0], bottom, top[1])
    return signed(ratio + low, sign(x))


def sinh(x: Floats) -> Floats:
    """The hyperbolic sine of x: (e**|x| - e**-|x|) / 2, near zero a polynomial."""
    y = abs(x)
    high, low, inverse = _quarters(y)
    total, rest = fast_two_sum(high, -inverse)
    square = y * y
    near = fma(y * square, polynomial(square, _SINH), y)
    return signed(where(y > 1.0, 2.0 * (total + (rest + low)), near), sign(x))


def cosh(x: Floats) -> Floats:
    """The hyperbolic cosine of x: (e**|x| + e**-|x|) / 2."""
    high, low, inverse = _quarters(abs(x))
    total, rest = fast_two_sum(high, inverse)
    return 2.0 * (total + (rest + low))


def expit(x: Floats) -> Floats:
    """The logistic function of x, 1 / (1 + e**-x); for negative x it is e**x / (1 + e**x)."""
    negative = x < 0.0
    high, low = exp_of(where(negative, x, -x))
    bottom, rest = fast_two_sum(1.0, high)
    ratio, error = quotient(where(negative, high, 1.0), (bottom, rest + low), where(negative, low, 0.0))
    return ratio + error


def within(x: Floats, low: float, high: float) -> Floats:
    """The number, or the limit that it is beyond; NaN stays."""
    x = where(x > high, high, x)
    return where(x < low, low, x)


def rounded(x: Floats, factor: float) -> tuple[Floats, Bits]:
    """The whole number nearest to the product, of size below 2**51, as a number and as an integer."""
    shifted = fma(x, factor, ROUND)
    return shifted - ROUND, shifted.bits() - _ROUND_BITS


def power_of_two(n: Bits) -> Floats:
    """The float64 2**n, for -1022 <= n <= 1023."""
    return ((n + 1023) << 52).floats()


def scaled(x: Floats, n: Bits) -> Floats:
    """The product x 2**n for x near 1, |n| <= 2044: in two steps, of which only the second may round."""
    twice = n + 2046
    first = twice >> 1
    return (x * (first << 52).floats()) * ((twice - first) << 52).floats()


def exp_of(x: Floats, low: Floats | None = None) -> Pair:
    """The exponential of x or x + low as a pair, for x below 720."""
    (high, low), n = exp_parts(within(x, -760.0, 720.0), low)
    return scaled(high, n), scaled(low, n)


def exp_parts(x: Floats, low: Floats | None = None) -> tuple[Pair, Bits]:
    """The exponential of x or x + low as a pair of about 57 bits times 2**n, and n."""
    bits, r, rest = _reduced(x, low)
    p, p_low = fast_two_sum(r, fma(r * r, polynomial(r, _EXP), rest))
    high, error = fast_two_sum(1.0, p)
    return (high, error + p_low), bits


def _reduced(x: Floats, low: Floats | None = None) -> tuple[Bits, Floats, Floats]:
    n, bits = rounded(x, _LOG2_E)
    high = fma(n, -LN2, x)  # no rounding: both are multiples of 2**-54, and the difference is below 1/2
    return bits, *(fast_two_sum(high, n * -LN2_LOW) if low is None else two_sum(high, fma(n, -LN2_LOW, low)))


def _less_one(x: Floats) -> tuple[Floats, Floats, Floats]:
    """Three numbers h, r, s with e**x - 1 = 2 (h (r + s) + h - 1/2): h is half a power of two, s small beside r."""
    bits, r, rest = _reduced(x)
    return power_of_two(bits - 1), r, fma(r * r, polynomial(r, _EXP), rest)


def _with_fraction(x: Pair, y: Floats, y_low: Floats) -> Pair:
    total, error = fast_two_sum(x[0], y)
    return total, (error + x[1]) + y_low


def _quarters(x: Floats) -> tuple[Floats, Floats, Floats]:
    """A quarter of e**x as a pair, for x >= 0, and of e**-x: so neither overflows before the result does."""
    (high, low), n = exp_parts(where(x > 711.0, 711.0, x))
    high, low = scaled(high, n - 2), scaled(low, n - 2)
    return high, low, 0.0625 / high
