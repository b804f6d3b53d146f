"""The elementary functions in a kernel over 1000 elements, beside the C library's in the same kernel and NumPy's ufunc.

A median in microseconds is nanoseconds per element. Compilation: a kernel with no, one or ten uses of a function.
"""

import math

import numpy as np
import pytest
import scipy.special
from numba import njit

from unspool.codegen.vectormath import FUNCTIONS

OF_TWO = ("arctan2", "hypot", "power", "logaddexp")
RANGE = {
    **dict.fromkeys(["log", "log2", "log10", "log1p"], (0.0, 10.0)),
    **dict.fromkeys(["arcsin", "arccos", "arctanh"], (-1.0, 1.0)),
    **dict.fromkeys(["arccosh", "power"], (1.0, 20.0)),
}
IN_C = {
    **{name: f"math.{name}({{}})" for name in ("exp", "expm1", "sinh", "cosh", "tanh", "sin", "cos", "tan")},
    **{name: f"math.{name}({{}})" for name in ("log", "log2", "log10", "log1p", "hypot")},
    **{f"arc{name}": f"math.a{name}({{}})" for name in ("sin", "cos", "tan", "tan2", "sinh", "cosh", "tanh")},
    "exp2": "2.0 ** {}",
    "expit": "1 / (1 + math.exp(-{}))",
    "cbrt": "np.cbrt({})",
    "power": "math.pow({})",
    "logaddexp": "np.logaddexp({})",
}


def kernel(expression):
    space = {**FUNCTIONS, "math": math, "np": np}
    exec(f"def kernel(x, y, o):\n    for j in range(len(x)):\n        t = x[j]\n{expression}", space)
    return njit(error_model="numpy")(space["kernel"])


def over_arrays(tool, name):
    operands = "x[j], y[j]" if name in OF_TWO else "x[j]"
    match tool:
        case "unspool":
            return kernel(f"        o[j] = {name}({operands})")
        case "C library":
            return kernel(f"        o[j] = {IN_C[name].format(operands)}")
    ufunc = scipy.special.expit if name == "expit" else getattr(np, name)
    return (lambda x, y, o: ufunc(x, y, out=o)) if name in OF_TWO else (lambda x, y, o: ufunc(x, out=o))


@pytest.mark.parametrize("tool", ["unspool", "C library", "numpy"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_elements(benchmark, name, tool):
    x, y = np.random.default_rng(0).uniform(*RANGE.get(name, (-20.0, 20.0)), (2, 1000))
    found, expected = np.empty((2, 1000))
    function = over_arrays(tool, name)
    function(x, y, found)
    over_arrays("numpy", name)(x, y, expected)
    np.testing.assert_allclose(found, expected, rtol=1e-14)
    benchmark.group = name
    benchmark.pedantic(function, (x, y, found), rounds=200, iterations=20, warmup_rounds=5)


@pytest.mark.parametrize("n_uses", [0, 1, 10])
@pytest.mark.parametrize("name", ["exp", "tanh", "sin"])
def test_compilation(benchmark, name, n_uses):
    lines = [f"        t = {name if i < n_uses else ''}(0.5 * t + y[j])" for i in range(10)]
    text = "\n".join([*lines, "        o[j] = t"])
    x, y, o = np.ones((3, 8))
    benchmark.group = f"compilation, {name}"
    benchmark.pedantic(lambda f: f(x, y, o), setup=lambda: ((kernel(text),), {}), rounds=9, warmup_rounds=1)
