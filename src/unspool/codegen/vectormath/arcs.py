"""Inverse trigonometric functions."""

from __future__ import annotations

from math import inf, nan

from unspool.codegen.vectormath.circular import HALF_PI
from unspool.codegen.vectormath.lanes import Floats, Mask, flipped, fma, sign, signed, sqrt, where
from unspool.codegen.vectormath.pairs import fast_two_sum, polynomial, quotient

_PI, _PI_LOW = 2.0 * HALF_PI[0], 2.0 * HALF_PI[1]
_ARCTAN_HALF = 0.4636476090008061, 2.2698777452961687e-17  # of 1/2; the next of 1
_ARCTAN_ONE = 0.7853981633974483, 3.061616997868383e-17

# (arctan(t) / t - 1) / t**2 in powers of t**2, minimax by Remez for |t| <= 0.2502: moves arctan by 2**-57 of it
_ARCTAN = (
    *(-0.33333333333332554, 0.1999999999959069, -0.14285714212384373, 0.1111110476068414),
    *(-0.0909060436927415, 0.07683751597557859, -0.06525996878520086, 0.04608456189951886),
)
# (arcsin(t) / t - 1) / t**2 in powers of t**2, minimax by Remez for |t| <= 1/2: moves arcsin by 2**-58 of it
_ARCSIN = (
    *(0.16666666666666757, 0.07499999999971546, 0.04464285717411458, 0.030381942725084148, 0.022372214627735726),
    *(0.017351616811037782, 0.013980778151398664, 0.011399162925639037, 0.01077927630105521, 0.0037087866806804963),
    *(0.021704279714167277, -0.020997660715776516, 0.032629365747753374),
)


def arctan(x: Floats) -> Floats:
    """The angle whose tangent is x."""
    y = abs(x)
    y = where(y > 2.0**100, 2.0**100, y)
    swapped = y > 1.0
    least, most = where(swapped, 1.0, y), where(swapped, y, 1.0)
    return signed(_angle(least, most, swapped=swapped, beyond=None), sign(x))


def arctan2(y: Floats, x: Floats) -> Floats:
    """The angle of the point (x, y)."""
    up, right = abs(y), abs(x)
    swapped = up > right
    least, most = where(swapped, right, up), where(swapped, up, right)
    scale = where(most < 2.0**200, 2.0**200, 2.0**-100)
    least, most = least * scale, most * scale
    infinite = most.equals(inf)
    least = where(infinite, where(least.equals(inf), 1.0, 0.0), least)
    most = where(infinite | most.equals(0.0), 1.0, most)
    value = signed(_angle(least, most, swapped=swapped, beyond=sign(x).nonzero()), sign(y))
    return where(x.equals(x) & y.equals(y), value, nan)


def arcsin(x: Floats) -> Floats:
    """The angle whose sine is x."""
    root, rest, far = _half_angle(x)
    high, error = fast_two_sum(HALF_PI[0], -2.0 * root)
    value = where(far, high + (error + fma(rest, -2.0, HALF_PI[1])), root + rest)
    return signed(value, sign(x))


def arccos(x: Floats) -> Floats:
    """The angle whose cosine is x."""
    root, rest, far = _half_angle(x)
    negative = sign(x)
    first = where(far, where(x < 0.0, _PI, 0.0), HALF_PI[0])
    second = where(far, where(x < 0.0, _PI_LOW, 0.0), HALF_PI[1])
    high, low = where(far, 2.0 * root, -root), where(far, 2.0 * rest, -rest)
    high, low = flipped(high, negative), flipped(low, negative)
    near = first + high
    return near + (((first - near) + high) + (low + second))


def _angle(least: Floats, most: Floats, *, swapped: Mask, beyond: Mask | None) -> Floats:
    """The angle of (most, least), 0 <= least <= most; its complement where they are swapped; and that of -x beyond.

    With c = 0, 1/2 or 1 it is arctan(c) + arctan((least - c most) / (most + c least)), and the latter is small.
    """
    middle, upper = least > 0.25 * most, least > 0.71875 * most
    c = where(upper, 1.0, where(middle, 0.5, 0.0))
    bottom = fast_two_sum(most, c * least)
    t, t_low = quotient(fma(c, -most, least), bottom)
    square = t * t
    t_low = fma(t * square, polynomial(square, _ARCTAN), t_low)
    high = where(upper, _ARCTAN_ONE[0], where(middle, _ARCTAN_HALF[0], 0.0))
    low = where(upper, _ARCTAN_ONE[1], where(middle, _ARCTAN_HALF[1], 0.0))
    minus, base, base_low = swapped, where(swapped, HALF_PI[0], 0.0), where(swapped, HALF_PI[1], 0.0)
    if beyond is not None:
        minus = swapped ^ beyond
        base, base_low = (where(beyond & ~swapped, pi, x) for pi, x in ((_PI, base), (_PI_LOW, base_low)))
    high, low, t, t_low = (where(minus, -x, x) for x in (high, low, t, t_low))
    total, first = fast_two_sum(base, high)
    total, second = fast_two_sum(total, t)
    return total + ((first + second) + (t_low + (low + base_low)))


def _half_angle(x: Floats) -> tuple[Floats, Floats, Mask]:
    """The arc sine of |x| as a sum of two; where |x| > 1/2 it is that of sqrt((1 - |x|) / 2), half the other angle."""
    y = abs(x)
    far = y > 0.5
    square = where(far, 0.5 - 0.5 * y, y * y)
    root = where(far, sqrt(square), y)
    short = where(far, fma(-root, root, square) / where(root > 0.0, 2.0 * root, 1.0), 0.0)
    return root, fma(root * square, polynomial(square, _ARCSIN), short), far
