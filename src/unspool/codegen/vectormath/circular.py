"""Sine, cosine and tangent.

For |x| <= 2**40 the reduction is that of Cody and Waite [CW1980] with pi / 2 in three parts: the products are exact
with `fma`, and what is left is known to 2**-120, while it is at least 2**-61 [M2016, chapter 11]. Beyond that it is the
one of Payne and Hanek [PH1983]: x is a whole number times a power of 2, and the digits of 2 / pi times that power from
the twos place on, 212 of them, are looked up. A loop takes that branch only for vectors with such a number.
"""

from __future__ import annotations

from functools import cache
from math import inf, ldexp, nan

from unspool.codegen.vectormath.exponentials import ROUND, power_of_two
from unspool.codegen.vectormath.lanes import Bits, Floats, flipped, fma, rarely, rint, row, where
from unspool.codegen.vectormath.pairs import Pair, fast_two_sum, polynomial, quotient, two_product, two_sum

HALF_PI = 1.5707963267948966, 6.123233995736766e-17, -1.4973849048591698e-33
_TWO_OVER_PI = 0.6366197723675814
_FAR = 2.0**40
_STEP = 32  # binary exponents per row of the table

# minimax by Remez on |r| <= pi / 4: (sin(r) / r - 1) / r**2 and (cos(r) - 1 + r**2 / 2) / r**4 in powers of r**2; they
# move sin and cos by at most 2**-57 and 2**-59 of it
_SIN = (
    *(-0.16666666666666632, 0.008333333333322403, -0.00019841269829781993),
    *(2.755731367881529e-06, -2.5050755563941353e-08, 1.5896624203604668e-10),
)
_COS = (
    *(0.0416666666666666, -0.0013888888888874777, 2.4801587289821353e-05),
    *(-2.7557314435610207e-07, 2.087573303603574e-09, -1.136008822329721e-11),
)


def sin(x: Floats) -> Floats:
    """The sine of x."""
    r, quadrant = _reduced(x)
    s, c = _sin(r), _cos(r)
    odd = (quadrant & 1).nonzero()
    value = flipped(where(odd, c[0] + c[1], s[0] + s[1]), (quadrant & 2) << 62)
    return where(x.equals(0.0), x, value)


def cos(x: Floats) -> Floats:
    """The cosine of x."""
    r, quadrant = _reduced(x)
    s, c = _sin(r), _cos(r)
    odd = (quadrant & 1).nonzero()
    return flipped(where(odd, s[0] + s[1], c[0] + c[1]), ((quadrant + 1) & 2) << 62)


def tan(x: Floats) -> Floats:
    """The tangent of x."""
    r, quadrant = _reduced(x)
    s, c = fast_two_sum(*_sin(r)), fast_two_sum(*_cos(r))
    odd = (quadrant & 1).nonzero()
    top, top_low = where(odd, c[0], s[0]), where(odd, c[1], s[1])
    bottom, bottom_low = where(odd, s[0], c[0]), where(odd, s[1], c[1])
    ratio, rest = quotient(top, (bottom, bottom_low), top_low)
    return where(x.equals(0.0), x, flipped(ratio + rest, quadrant << 63))


def _sin(r: Pair) -> Pair:
    """The sine of a pair up to pi / 4: its first number, and what is to be added to that."""
    high, low = r
    square = high * high
    return high, fma(high * square, polynomial(square, _SIN), low * fma(square, -0.5, 1.0))


def _cos(r: Pair) -> Pair:
    """The cosine of a pair up to pi / 4: 1 less half the square, and what is to be added to that."""
    high, low = r
    square, error = two_product(high, high)
    value, short = fast_two_sum(1.0, -0.5 * square)
    return value, fma(square * square, polynomial(square, _COS), short - fma(high, low, 0.5 * error))


def _reduced(x: Floats) -> tuple[Pair, Bits]:
    """What x exceeds a multiple of pi / 2 by, as a pair, and which multiple, modulo 4 in the last two bits."""
    shifted = fma(x, _TWO_OVER_PI, ROUND)
    n = shifted - ROUND
    near = fma(n, -HALF_PI[0], x)  # no rounding: both are multiples of 2**-53, and the difference is below 1
    product, error = two_product(n, HALF_PI[1])
    high, rest = two_sum(near, -product)
    high, low = fast_two_sum(high, fma(n, -HALF_PI[2], rest - error))
    far = abs(x) > _FAR
    high, low, shifted = rarely(far, [high, low, shifted], reduced_from_afar, x)
    return (high, low), shifted.bits()


def reduced_from_afar(x: Floats) -> list[Floats]:
    """The same for one number with |x| >= 2**40: high, low, and the multiple plus 1.5 * 2**52."""
    bits = x.bits()
    exponent = ((bits >> 52) & 2047) - (1023 + 40)
    whole = ((bits & ~(2047 << 52)) | ((1023 + 52) << 52)).floats() * power_of_two(exponent & (_STEP - 1))
    digits = row("unspool.two_over_pi", _two_over_pi(), (exponent >> 5) & (_STEP - 1))
    (a, b), (c, d), (e, f), (g, _) = (two_product(whole, part) for part in digits)
    # without whole turns, a + b is a multiple of 2**-51 up to 4, thus exact; d, e, f and g are below 2**-19
    a, b, c = (part - 4.0 * rint(0.25 * part) for part in (a, b, c))
    high, low = two_sum(a + b, c)
    n = rint(high)
    high, low = fast_two_sum(high - n, low)
    for part in (d, e, f, g):
        high, error = two_sum(high, part)
        low = low + error
    high, low = fast_two_sum(high, low)
    again = rint(high)
    high, low = fast_two_sum(high - again, low)
    product, error = two_product(high, HALF_PI[0])
    high, low = fast_two_sum(product, error + fma(high, HALF_PI[1], low * HALF_PI[0]))
    return [where(abs(x) < inf, high, nan), low, n + again + ROUND]


@cache
def _two_over_pi() -> list[list[float]]:
    """The digits of 2 / pi times 2**(32 i - 12) from the twos place on, in row i as four numbers of 53 bits."""
    n_bits = 1300
    pi = 16 * _inverse_arctan(5, n_bits) - 4 * _inverse_arctan(239, n_bits)  # Machin's formula, in units of 2**-n_bits
    digits = (2 << 2 * n_bits) // pi
    table = []
    for i in range(32):
        rest = (digits << _STEP * i) % (1 << n_bits + 14)  # in units of 2**-(n_bits + 12)
        places = [n_bits + 12 - 51 - 53 * part for part in range(4)]
        table.append([ldexp((rest >> place) & ((1 << 53) - 1), place - n_bits - 12) for place in places])
    return table


def _inverse_arctan(x: int, n_bits: int) -> int:
    """The arc tangent of 1 / x in units of 2**-n_bits, from its power series."""
    total, term, k = 0, (1 << n_bits + 32) // x, 1
    while term:
        total += term // k if k % 4 == 1 else -(term // k)
        term, k = term // (x * x), k + 2
    return total >> 32
