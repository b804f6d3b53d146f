"""The elementary functions: within their bounds of mpmath, all below 2 ulp; C99's special values; vector code; bits."""

from __future__ import annotations

import platform
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib import reload
from math import inf, isinf, isnan, ldexp, nan, pi
from typing import Any

import llvmlite.binding as llvm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp, mpf
from numba import njit
from numba.core import event
from numba.core.errors import TypingError

from tests.codegen.processes import printed
from unspool.codegen import vectormath
from unspool.codegen.vectormath import FUNCTIONS, arcs, circular, exponentials, logarithms, powers

TRUTH: dict[str, Callable[..., Any]] = {
    "exp": mp.exp,
    "exp2": lambda x: mpf(2) ** x,
    "expm1": mp.expm1,
    "expit": lambda x: 1 / (1 + mp.exp(-x)),
    "sinh": mp.sinh,
    "cosh": mp.cosh,
    "tanh": mp.tanh,
    "log": mp.log,
    "log2": lambda x: mp.log(x) / mp.ln2,
    "log10": lambda x: mp.log(x) / mp.ln10,
    "log1p": mp.log1p,
    "arcsinh": mp.asinh,
    "arccosh": mp.acosh,
    "arctanh": mp.atanh,
    "sin": mp.sin,
    "cos": mp.cos,
    "tan": mp.tan,
    "arcsin": mp.asin,
    "arccos": mp.acos,
    "arctan": mp.atan,
    "cbrt": lambda x: mp.sign(x) * mp.cbrt(abs(x)),
    "arctan2": mp.atan2,
    "hypot": mp.hypot,
    "power": lambda x, y: x**y,
    "logaddexp": lambda x, y: max(x, y) + mp.log1p(mp.exp(-abs(x - y))),
}
OF_TWO = [name for name in TRUTH if name in ("arctan2", "hypot", "power", "logaddexp")]
OF_ONE = [name for name in TRUTH if name not in OF_TWO]

BOUND = {  # in ulp, for every float64: a little above the largest error among 20 million points
    **{"exp": 1.1, "exp2": 1.3, "expm1": 1.7, "expit": 0.85, "sinh": 0.9, "cosh": 0.9, "tanh": 1.3},
    **{"log": 0.9, "log2": 0.9, "log10": 0.75, "log1p": 0.9, "arcsinh": 1.05, "arccosh": 0.9, "arctanh": 0.8},
    **{"sin": 0.9, "cos": 0.9, "tan": 1.0, "arcsin": 0.7, "arccos": 0.7, "arctan": 0.65, "arctan2": 0.8},
    **{"cbrt": 0.51, "hypot": 1.25, "power": 1.1, "logaddexp": 2.0},
}
LEAST, MOST = 2.0**-1022, 1.7976931348623157e308  # of the normal numbers
DOMAIN = {  # finite results, and what mpmath computes in reasonable time
    **dict.fromkeys(["exp", "exp2", "expm1", "expit", "sinh", "cosh", "tanh"], (-1100.0, 1100.0)),
    **dict.fromkeys(["log", "log2", "log10"], (5e-324, inf)),
    **dict.fromkeys(["arcsin", "arccos"], (-1.0, 1.0)),
    "log1p": (-1 + 2.0**-53, inf),
    "arctanh": (-1 + 2.0**-53, 1 - 2.0**-53),
    "arccosh": (1.0, inf),
}
HALF_LN2 = 0.34657359027997264
EDGES: dict[str, tuple[float, ...]] = {  # overflow, underflow, and where a definition changes from one piece to another
    "exp": (709.782712893384, -708.3964185322641, -745.1332191019412, HALF_LN2, 3 * HALF_LN2),
    "exp2": (1024.0, -1022.0, -1074.0, -1075.0, 0.5, 1.5),
    "expm1": (709.782712893384, -37.42994775023705, -40.0, HALF_LN2, -HALF_LN2, 2.0**-54),
    "expit": (709.782712893384, -708.3964185322641, -745.1332191019412, 36.7368005696771, HALF_LN2),
    "sinh": (710.4758600739439, 1.0, 3 * HALF_LN2),
    "cosh": (710.4758600739439, HALF_LN2, 3 * HALF_LN2),
    "tanh": (22.0, 18.71497387511852, HALF_LN2 / 2, 3 * HALF_LN2 / 2),
    **dict.fromkeys(["log", "log2", "log10"], (0.5**0.5, 2.0**0.5, LEAST, 10.0, MOST)),
    "log1p": (0.5**0.5 - 1, 2.0**0.5 - 1, 2.0**-53, 2.0**53, MOST),
    "arcsinh": (2.0**28, 2.0**-20, 2.0**511, 8.0**-0.5),
    "arccosh": (2.0**28, 2.0**511, 1.25),
    "arctanh": (1 / 6, 1 / 3, 0.6),
    **dict.fromkeys(["sin", "cos", "tan"], (2.0**40, pi / 4, pi / 2, pi, 2e5 * pi, 2.0**39 * pi)),
    **dict.fromkeys(["arcsin", "arccos"], (2.0**-27, 2.0**-54)),
    "arctan": (0.25, 0.71875, 1 / 0.71875, 4.0, 2.0**53, 2.0**100),
    "cbrt": (LEAST, 2.0, 4.0, 8.0),
}


@cache
def loop(name: str) -> Any:
    """The function over arrays, as a compiled step has it: o[j] = f(x[j])."""
    call = "f(x[j], y[j])" if name in OF_TWO else "f(x[j])"
    return compiled(f"def kernel(x, y, o):\n    for j in range(len(x)):\n        o[j] = {call}", f=FUNCTIONS[name])


def compiled(text: str, **space: Any) -> Any:
    exec(text, space)
    return njit(error_model="numpy")(space["kernel"])


def values(name: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    out = np.empty(len(x))
    loop(name)(np.ascontiguousarray(x), np.ascontiguousarray(y), out)
    return out


# --- accuracy ---------------------------------------------------------------------------------------------------------
def ulps(name: str, found: float, *xs: float) -> float:
    """The error in units of the last place of the true value; 2**1024 stands for infinity."""
    with mp.workprec(200):
        truth = TRUTH[name](*map(mpf, xs))
        if isnan(found):
            return inf
        if isinf(found):
            found = mpf(2) ** 1024 * (1 if found > 0 else -1)
            truth = min(max(truth, -abs(found)), abs(found))
        exponent = mp.frexp(truth)[1] if truth else -1074
        return float(abs(mp.ldexp(found - truth, -max(exponent - 53, -1074))))


def assert_close(name: str, x: np.ndarray, y: np.ndarray, within: float | None = None) -> None:
    bound, found = within or BOUND[name], values(name, x, y)
    for a, b, c in zip(x.tolist(), y.tolist(), found.tolist(), strict=True):
        error = ulps(name, c, *((a, b) if name in OF_TWO else (a,)))
        assert error <= bound, f"{name}({a!r}, {b!r}) = {c!r} is wrong by {error:.2f} ulp"


def spread(rng: np.random.Generator, n: int, low: float, high: float) -> np.ndarray:
    """Numbers of both signs, uniform in the exponent."""
    return np.ldexp(rng.uniform(1, 2, n), rng.integers(int(low), int(high), n)) * rng.choice([-1.0, 1.0], n)


def any_bits(rng: np.random.Generator, n: int) -> np.ndarray:
    x = rng.integers(0, 2**64, n, dtype=np.uint64).view(float)
    return x[np.isfinite(x)]


def beside(rng: np.random.Generator, edges: Iterable[float], n: int) -> np.ndarray:
    """Numbers next to the edges and to their negatives, and at distances of up to 2**45 ulp."""
    steps = np.concatenate([np.arange(-4, 5), (2 ** rng.uniform(0, 45, n) * rng.choice([-1, 1], n)).astype(int)])
    both = np.outer([1.0, -1.0], list(edges)).reshape(-1, 1)
    return (both.view(np.int64) + steps).ravel().view(float)


@pytest.mark.parametrize("name", OF_ONE)
def test_functions_of_one_number_are_within_their_bounds(name: str) -> None:
    rng = np.random.default_rng(1)
    parts = [any_bits(rng, 300), spread(rng, 200, -1074, 1024), spread(rng, 400, -30, 12), rng.uniform(-3, 3, 300)]
    parts += [spread(rng, 60, -1074, -1022), rng.uniform(-750, 720, 200)]
    parts += [beside(rng, [0.5, 1.0, *EDGES[name]], 30), beside(rng, [2.0**k for k in range(-8, 8)], 0)]
    x = np.concatenate(parts)
    low, high = DOMAIN.get(name, (-inf, inf))
    assert_close(name, *[x[(x >= low) & (x <= high)]] * 2)


def pairs(name: str, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    n = 300
    yield spread(rng, n, -1074, 1024), spread(rng, n, -1074, 1024)
    yield spread(rng, n, -4, 4), spread(rng, n, -4, 4)
    yield tuple(np.ldexp(rng.uniform(-2, 2, (2, n)), rng.integers(-1070, 1022, n)))  # of one size
    match name:
        case "power":  # up to overflow and underflow, and a little beyond; bases near 1 are the hardest
            near = 1 + np.exp2(rng.uniform(-52, -1, n)) * rng.choice([-1, 1], n)
            for x in (np.abs(spread(rng, n, -1074, 1024)), np.exp2(rng.uniform(-1, 1, n)), near):
                yield x, rng.uniform(-1080, 1030, n) / np.log2(x)
            yield -np.abs(spread(rng, n, -30, 30)), rng.integers(-35, 35, n).astype(float)
            yield beside(rng, [0.5**0.5, 2.0**0.5, LEAST], 30), np.float64(3.7)
        case "arctan2":
            x = spread(rng, n, -1000, 1000)
            yield beside(rng, [1.0], n)[: len(x)] * x * rng.choice([0.25, 0.71875, 1.0, 1 / 0.71875, 4.0], n), x
        case "hypot":
            for edge in (500, -400):
                yield spread(rng, n, edge - 2, edge + 2), spread(rng, n, edge - 2, edge + 2)
        case "logaddexp":
            x = rng.uniform(-800, 800, n)
            yield x, x + rng.uniform(-50, 50, n)


@pytest.mark.parametrize("name", OF_TWO)
def test_functions_of_two_numbers_are_within_their_bounds(name: str) -> None:
    rng = np.random.default_rng(2)
    for x, y in pairs(name, rng):
        x, y = np.broadcast_arrays(x, y)
        keep = np.isfinite(x) & np.isfinite(y) & (x != 0) & (y != 0)
        if name == "power":
            with np.errstate(all="ignore"):
                keep &= ((x > 0) | (y == np.rint(y))) & (np.abs(y * np.log2(np.abs(x))) < 1100)
        if name == "logaddexp":
            with np.errstate(all="ignore"):
                keep &= (np.abs(np.logaddexp(x, y)) > 1 / 16) & (np.abs(x) < 1e5) & (np.abs(y) < 1e5)
        assert_close(name, x[keep], y[keep])


def test_logaddexp_near_zero_is_within_its_absolute_error() -> None:
    x = -np.random.default_rng(3).uniform(0.01, 5, 1000)
    y = np.log(-np.expm1(x))  # e**x + e**y = 1 to a few ulp
    with mp.workprec(200):
        for a, b, c in zip(x.tolist(), y.tolist(), values("logaddexp", x, y).tolist(), strict=True):
            assert abs(TRUTH["logaddexp"](mpf(a), mpf(b)) - c) < 2.0**-55


@cache
def hardest_angles() -> np.ndarray:
    """For each binary exponent the float64 nearest to a multiple of pi / 2, from a continued fraction."""
    with mp.workprec(2400):
        digits = int(mp.floor(2 / mp.pi * mpf(2) ** 2300))
    found = []
    for exponent in range(-52, 971):
        a, b = digits << (exponent + 52), 1 << (2300 + 52)
        before, q = 1, 0
        while b:
            (a, b), n = (b, a % b), a // b
            before, q = q, n * q + before
            if q >= 2**53:
                break
        found.append(ldexp(before, exponent))
    return np.array(found)


@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
def test_the_angles_nearest_to_multiples_of_half_pi(name: str) -> None:
    x = hardest_angles()
    assert np.min(np.abs(values("cos", x, x))) < 2.0**-60
    assert_close(name, x, x, within=0.51)  # what remains of them is small, and its sine is itself


def test_constants_of_several_parts_are_their_numbers_rounded() -> None:
    with mp.workprec(300):
        numbers = [
            ([exponentials.LN2, exponentials.LN2_LOW], mp.ln2),
            ([logarithms.LOG2_E, logarithms.LOG2_E_LOW], 1 / mp.ln2),
            ([logarithms.LOG10_E, logarithms.LOG10_E_LOW], 1 / mp.ln10),
            ([powers._TWO_THIRDS, powers._TWO_THIRDS_LOW], mpf(2) / 3),
            (circular.HALF_PI, mp.pi / 2),
            (arcs._ARCTAN_HALF, mp.atan(mpf(1) / 2)),
            (arcs._ARCTAN_ONE, mp.pi / 4),
        ]
        for parts, rest in numbers:
            for part in parts:
                assert part == float(rest)
                rest -= part
        assert float(mp.ln2 / mp.ln10 - logarithms.LOG10_2) == logarithms.LOG10_2_LOW


def test_the_digits_of_two_over_pi() -> None:
    with mp.workprec(1500):
        for i, row in enumerate(circular._two_over_pi()):
            assert abs(sum(map(mpf, row)) - 2 / mp.pi * mpf(2) ** (32 * i - 12) % 4) < mpf(2) ** -210


def test_what_is_a_whole_number_comes_out_as_one() -> None:
    base, exponent = np.array([(x, y) for x in range(-50, 51) for y in range(10) if abs(x) ** y < 2**53], float).T
    assert values("power", base, exponent).tolist() == [int(x) ** int(y) for x, y in zip(base, exponent, strict=True)]
    n = np.arange(-100.0, 101.0)
    assert np.array_equal(values("cbrt", n**3, n), n)
    assert np.array_equal(values("exp2", np.arange(-1074.0, 1024.0), n), np.ldexp(1.0, np.arange(-1074, 1024)))
    assert np.array_equal(values("log2", np.ldexp(1.0, np.arange(-1074, 1024)), n), np.arange(-1074.0, 1024.0))
    assert np.array_equal(values("log10", 10.0 ** np.arange(23), n), np.arange(23.0))


# --- special values ---------------------------------------------------------------------------------------------------
POSITIVE = (
    *(0.0, 5e-324, LEAST, 2.0**-53, 0.5, 1 - 2.0**-53, 1.0, 1 + 2.0**-52, 2.0, 2.5, 3.0, 720.0, 1e4),
    *(2.0**52 + 1, 2.0**53 - 1, 2.0**53, 2.0**53 + 2, 1e100, 1e300, MOST, inf),
)
SPECIAL = np.array([*POSITIVE, *(-x for x in POSITIVE), nan])


@pytest.mark.parametrize("name", TRUTH)
def test_special_values_are_those_of_numpy(name: str) -> None:
    ufunc = (lambda x: np.exp(np.minimum(x, 0.0))) if name == "expit" else getattr(np, name)
    x, y = (part.ravel() for part in np.meshgrid(SPECIAL, SPECIAL))
    if name in OF_ONE:
        x = y = SPECIAL
    with np.errstate(all="ignore"):
        found, expected = values(name, x, y), ufunc(x, y) if name in OF_TWO else ufunc(x)
    for kind in (np.isnan, np.isinf, lambda v: v == 0, lambda v: ~np.isnan(v) & np.signbit(v)):
        assert np.array_equal(kind(found), kind(expected))


@pytest.mark.parametrize(
    ("base", "exponent", "result"),
    [
        *[(x, y, 1.0) for x in (nan, inf, -inf, -2.5, 0.0, -0.0) for y in (0.0, -0.0)],
        *[(1.0, y, 1.0) for y in (nan, inf, -inf, 1e300)],
        *[(-1.0, y, 1.0) for y in (inf, -inf, 2.0**53, 2.0**52 + 2)],
        *[(-1.0, y, -1.0) for y in (3.0, -7.0, 2.0**53 - 1, 2.0**52 + 1)],
        *[(-8.0, 1 / 3, nan), (-0.5, 2.5, nan), (nan, 1.0, nan), (2.0, nan, nan)],
        *[(-0.0, -3.0, -inf), (-0.0, -2.0, inf), (0.0, -0.5, inf), (-0.0, 3.0, -0.0), (-0.0, 0.5, 0.0)],
        *[(-inf, -3.0, -0.0), (-inf, 3.0, -inf), (-inf, 0.5, inf), (-inf, -0.5, 0.0), (inf, -1.0, 0.0)],
        *[(0.5, inf, 0.0), (0.5, -inf, inf), (-1.5, inf, inf), (1.5, -inf, 0.0)],
        *[(-2.0, 1025.0, -inf), (-2.0, -1081.0, -0.0), (2.0, -1074.0, 5e-324), (-2.0, 1023.0, -(2.0**1023))],
    ],
)
def test_powers_have_the_special_cases_of_c(base: float, exponent: float, result: float) -> None:
    (found,) = values("power", np.array([base]), np.array([exponent]))
    assert repr(float(found)) == repr(result)


# --- bits -------------------------------------------------------------------------------------------------------------
def bits(x: np.ndarray) -> np.ndarray:
    """The bits of numbers; all NaN count as one."""
    return np.where(np.isnan(x), nan, x).view(np.int64)


@cache
def one_by_one() -> Any:
    calls = ", ".join(f"{name}(x, y)" if name in OF_TWO else f"{name}(x)" for name in TRUTH)
    return compiled(f"def kernel(x, y):\n    return {calls}", **FUNCTIONS)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.floats(), st.floats()), min_size=1, max_size=45))
def test_alone_in_a_vector_and_in_the_remainder_the_bits_are_the_same(numbers: list[tuple[float, float]]) -> None:
    x, y = np.array(numbers).T.copy()
    alone = np.array([one_by_one()(a, b) for a, b in numbers]).T
    for name, expected in zip(TRUTH, alone, strict=True):
        assert np.array_equal(bits(values(name, x, y)), bits(expected)), name


@pytest.mark.parametrize("name", TRUTH)
def test_fused_with_other_arithmetic_and_over_strides_the_bits_are_the_same(name: str) -> None:
    call = f"{name}({{0}}, y[j])" if name in OF_TWO else f"{name}({{0}})"
    kernel = compiled(
        f"""
def kernel(x, y, first, second, third, strided):
    for j in range(len(x)):
        a = {call.format("x[j]")}
        b = exp(y[j]) * a
        first[j] = a * x[j] + y[j]
        second[j] = (a - b) / (1.0 + x[j] * x[j]) if x[j] > 0.5 else sin(a) * b
        third[j] = {call.format("a")}
    for j in range(len(x)):
        strided[len(x) - 1 - j, 1] = {call.format("x[j]")}
""",
        **FUNCTIONS,
    )
    rng = np.random.default_rng(4)
    x, y = rng.uniform(-3, 3, (2, 203))
    found = np.empty((3, 203))
    strided = np.empty((203, 2))
    kernel(x, y, *found, strided)
    with np.errstate(all="ignore"):
        a = values(name, x, y)
        b = values("exp", y, y) * a
        second = np.where(x > 0.5, (a - b) / (1 + x * x), values("sin", a, a) * b)
        expected = np.array([a * x + y, second, values(name, a, y)])  # each product and sum rounded
    assert np.array_equal(bits(found), bits(expected))
    assert np.array_equal(bits(strided[::-1, 1]), bits(a))


EVERY_BIT = """
import hashlib
import numpy as np
from numba import njit
from unspool.codegen.vectormath import FUNCTIONS
rng = np.random.default_rng(5)
x, y = rng.integers(0, 2**64, (2, 3001), dtype=np.uint64).view(float)
x[::2] = np.ldexp(x[::2] % 1, rng.integers(-30, 12, 1501))
for name, f in FUNCTIONS.items():
    two = name in ("arctan2", "hypot", "power", "logaddexp")
    space = {"f": f}
    exec("def k(x, y, o):\\n for j in range(len(x)): o[j] = f(x[j]" + ", y[j])" * two + ")" * (not two), space)
    out = np.empty(3001)
    njit(error_model="numpy")(space["k"])(x, y, out)
    out[np.isnan(out)] = np.nan
    print(name, hashlib.sha256(out.tobytes()).hexdigest())
"""


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the other processor is an older x86")
def test_a_machine_without_fma_and_avx_leaves_the_same_bits() -> None:
    lines = printed(EVERY_BIT)
    assert len(lines.splitlines()) == len(FUNCTIONS)
    assert printed(EVERY_BIT, NUMBA_CPU_NAME="nehalem", NUMBA_CPU_FEATURES="") == lines


# --- code -------------------------------------------------------------------------------------------------------------
def functions_in(assembly: str) -> dict[str, str]:
    """The text of each function by its label."""
    parts = re.split(r"^(\w[\w.$]*):$", assembly, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


FEATURES = llvm.get_host_cpu_features()


@pytest.mark.skipif(not (FEATURES.get("avx2") and FEATURES.get("fma")), reason="looks for instructions of AVX2 and FMA")
@pytest.mark.parametrize("name", TRUTH)
def test_a_loop_becomes_vector_code(name: str) -> None:
    kernel = loop(name)
    values(name, np.ones(1), np.ones(1))
    (assembly,) = kernel.inspect_asm().values()
    functions = functions_in(assembly)
    caller = "".join(text for label, text in functions.items() if "kernel" in label)
    called = [width for width in (4, 8) if f"unspool.{name}.{width}" in caller]
    assert called
    for width in called:
        packed = re.findall(r"\tv(?:fn?m(?:add|sub)\d+|mul)pd\t.*%[yz]mm", functions[f"unspool.{name}.{width}"])
        assert len(packed) > 2


def test_importing_the_functions_compiles_nothing() -> None:
    circular._two_over_pi.cache_clear()
    with event.install_recorder("numba:compile") as compilations, event.install_recorder("numba:llvm_lock") as locks:
        reload(circular)
        fresh = reload(vectormath)
    assert list(fresh.FUNCTIONS) == list(FUNCTIONS)
    assert compilations.buffer == locks.buffer == []
    assert circular._two_over_pi.cache_info().currsize == 0


def test_whole_numbers_and_truths_are_converted_and_complex_numbers_refused() -> None:
    power, exp = FUNCTIONS["power"], FUNCTIONS["exp"]
    assert compiled("def kernel(n, t):\n    return power(n, 2) + exp(t)", power=power, exp=exp)(3, False) == 10.0
    with pytest.raises(TypingError, match="exp"):
        compiled("def kernel(z):\n    return exp(z)", exp=exp)(1j)


def test_every_function_is_tested() -> None:
    assert set(TRUTH) == set(FUNCTIONS) == set(BOUND) == set(EDGES) | set(OF_TWO)
