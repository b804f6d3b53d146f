"""scipy.special: enrolled when it is met, values of SciPy, derivatives, the points where rules are guarded."""

from __future__ import annotations

import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import pytest
import scipy.special as sp

import unspool
from tests.ops.agreement import agrees, complex_some, some
from unspool.errors import DetachedError, UnsupportedError
from unspool.ops import TABLE
from unspool.ops.table import Table, name_of

X, P, U = some(3, 4), some(3, 4, low=0.3, high=3.0), some(3, 4, low=0.1, high=0.9)

PROMISED = """
erf erfc erfinv erfcinv gamma gammaln loggamma digamma psi beta betaln expit logit log_expit xlogy xlog1py entr rel_entr
kl_div j0 j1 jn jv y0 y1 i0 i0e i1 i1e ndtr log_ndtr ndtri gammainc gammaincc betainc
"""


@pytest.mark.parametrize("name", PROMISED.split())
def test_what_is_promised_is_there(name: str) -> None:
    assert TABLE[getattr(sp, name)].name == f"scipy.special.{getattr(sp, name).__name__}"


def test_importing_unspool_does_not_import_scipy() -> None:
    program = """
import sys
import numpy as np
import unspool
assert not [m for m in sys.modules if m.split(".")[0] in ("scipy", "numba")], "imported too early"
import scipy.special as sp
assert "unspool.ops.special" not in sys.modules
assert abs(unspool.grad(sp.erf)(0.0) - 2 / np.sqrt(np.pi)) < 1e-15
assert abs(unspool.grad(lambda x: sp.jv(1, x) + sp.zeta(2, x))(1.0)) > 0
try:
    unspool.grad(sp.airy)(1.0)
except unspool.errors.UnsupportedError as error:
    assert "scipy.special.airy" in str(error)
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("f", [sp.erf, sp.erfc, sp.expit, sp.j0, sp.i0, sp.ndtr, sp.log_expit, sp.dawsn, sp.cosm1])
def test_functions_of_any_number(f: Any) -> None:
    agrees(f, X)
    agrees(f, 0.7)
    agrees(f, X.astype(np.float32), tolerance=5e-2, h=1e-2)
    agrees(unspool.grad(lambda x: np.sum(f(x))), X)


@pytest.mark.parametrize("f", [sp.gamma, sp.gammaln, sp.loggamma, sp.digamma, sp.psi, sp.entr, sp.y0, sp.y1, sp.exp1])
def test_functions_of_positive_numbers(f: Any) -> None:
    agrees(f, P)
    agrees(f, P.astype(np.float32), tolerance=5e-2, h=1e-2)
    agrees(unspool.grad(lambda x: np.sum(f(x))), P, tolerance=1e-5)


@pytest.mark.parametrize("f", [sp.gamma, sp.gammaln, sp.psi])
def test_gamma_between_its_poles(f: Any) -> None:
    agrees(f, np.array([-0.5, -1.3, -2.7]), tolerance=1e-5)


@pytest.mark.parametrize("f", [sp.logit, sp.ndtri, sp.erfinv, sp.erfcinv])
def test_inverses(f: Any) -> None:
    agrees(f, U)


@pytest.mark.parametrize("f", [sp.beta, sp.betaln, sp.xlogy, sp.xlog1py, sp.rel_entr, sp.kl_div])
def test_functions_of_two_numbers(f: Any) -> None:
    agrees(f, P, P[0] + 0.1)
    agrees(lambda x: f(x, 0.7), P)
    agrees(lambda x: f(2, x), P)


def test_parameters_are_plain() -> None:
    for f in (sp.jv, sp.jn, sp.yv, sp.yn, sp.iv, sp.kv, sp.gammainc, sp.gammaincc, sp.zeta):
        order = 2 if f in (sp.yn, sp.zeta) else 1.5
        agrees(lambda x, f=f, o=order: f(o, x), P)
        with pytest.raises(UnsupportedError, match=r"no derivative rule with respect to the (order|shape|exponent)"):
            unspool.grad(lambda v, f=f: f(v, 0.7))(2.0)
    agrees(lambda x: sp.betainc(1.5, [[0.5], [1.0], [2.0]], x), U)
    agrees(lambda x: sp.betaincinv(1.5, 2, x), U)


@pytest.mark.parametrize("f", [sp.erf, sp.gamma, sp.loggamma, sp.ndtr, lambda z: sp.jv(1, z), lambda z: sp.xlogy(z, z)])
def test_complex(f: Any) -> None:
    agrees(f, complex_some(4) + 0.5, tolerance=1e-5)


def test_guarded_points() -> None:
    x = np.array([0.0, 2.0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for f in (sp.entr, sp.gammaln, lambda x: sp.xlogy(x, x), lambda x: sp.rel_entr(x, 0.5), sp.y0):
            gradient = unspool.grad(lambda x, f=f: np.sum(np.where(x > 1, f(x), 0.0)))(x)
            assert gradient[0] == 0
            assert np.isfinite(gradient[1])
        assert unspool.grad(lambda x: sp.xlogy(0.0, x))(0.0) == 0
        assert unspool.grad(lambda x: sp.xlogy(x, 2.0))(0.0) == np.log(2.0)
        np.testing.assert_allclose(unspool.grad(lambda x: np.sum(sp.j1(x)))(x[:1]), [0.5])
        assert unspool.grad(sp.expit)(-1000.0) == 0
        assert unspool.grad(sp.log_expit)(-1000.0) == 1
        assert unspool.grad(sp.log_ndtr)(-30.0) == pytest.approx(30.0333, rel=1e-4)


def test_many_threads_meet_a_family_first() -> None:
    program = """
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
import numpy as np
import scipy.special as sp
import unspool
barrier = Barrier(8)

def gradient(_):
    barrier.wait()
    return unspool.grad(lambda x: np.sum(sp.erf(np.sort(x))))(np.arange(3.0))

with ThreadPoolExecutor(8) as pool:
    assert len({tuple(g) for g in pool.map(gradient, range(8))}) == 1
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_what_is_no_ufunc_does_not_dispatch() -> None:
    with pytest.raises(DetachedError):
        unspool.grad(lambda x: sp.polygamma(1, x))(2.0)


def test_what_scipy_does_not_have_for_complex_numbers() -> None:
    for f in (sp.psi, lambda z: sp.ive(1, z)):
        with pytest.raises(UnsupportedError, match="complex"):
            unspool.vjp(f, 1 + 1j)


def test_a_ufunc_of_nobody_is_not_found() -> None:
    made = np.frompyfunc(lambda x: x, 1, 1)
    assert Table().get(made) is None
    assert Table().get(made, 3) == 3
    with pytest.raises(KeyError):
        Table()[made]
    assert name_of(sp.erf) == "scipy.special.erf"
    assert name_of(np.exp) == "numpy.exp"
