"""Convolution and correlation in any number of dimensions, and recursive filters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unspool
from tests.ops.agreement import agrees, complex_some, some
from unspool.errors import UnsupportedError
from unspool.scipy import signal

SHAPES = (((5,), (3,)), ((3,), (4,)), ((4,), (4,)), ((3, 4), (2, 3)), ((2, 3), (4, 5)), ((1, 2, 3), (1, 2, 2)))
MODES = ("full", "same", "valid")


@pytest.mark.parametrize("method", ["auto", "direct", "fft"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("f", [signal.convolve, signal.correlate])
def test_methods(f: Any, mode: str, method: str) -> None:
    exact = f is signal.convolve
    for n, m in SHAPES:
        agrees(lambda a, v: f(a, v, mode, method), some(*n), some(*m, turn=0.3), exact=exact)
        agrees(lambda a, v: f(a, v, mode, method=method), complex_some(*n), complex_some(*m, turn=0.3), exact=exact)
        expected, found = f(some(*n), some(*m), mode), unspool.vjp(lambda a: f(a, some(*m), mode), some(*n))[0]
        np.testing.assert_allclose(found, expected, atol=1e-13)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("f", [signal.fftconvolve, signal.oaconvolve])
def test_along_axes(f: Any, mode: str) -> None:
    for n, m in SHAPES:
        agrees(lambda a, v: f(a, v, mode), some(*n), some(*m, turn=0.3), exact=f is signal.fftconvolve)
    agrees(lambda a, v: f(a, v, mode, axes=1), some(2, 5), some(1, 3, turn=0.3), exact=f is signal.fftconvolve)
    if mode != "same":
        agrees(lambda a, v: f(a, v, mode, axes=[0]), some(3, 1), some(2, 4, turn=0.3), exact=f is signal.fftconvolve)
    agrees(lambda a, v: f(a, v, mode), complex_some(5), some(2), exact=f is signal.fftconvolve)
    agrees(lambda a: f(a, [1.0, -2.0, 1.0], mode), some(5), exact=f is signal.fftconvolve)


@pytest.mark.parametrize("boundary", ["fill", "wrap", "symm"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("f", [signal.convolve2d, signal.correlate2d])
def test_borders(f: Any, mode: str, boundary: str) -> None:
    for n, m in (((4, 5), (2, 3)), ((4, 5), (3, 2)), ((3, 3), (3, 3)), ((5, 4), (1, 1))):
        agrees(lambda a, v: f(a, v, mode, boundary, 1.5), some(*n), some(*m, turn=0.3), exact=False)
        found = unspool.vjp(lambda a, v: f(a, v, mode, boundary, 1.5), some(*n), some(*m))[0]
        np.testing.assert_allclose(found, f(some(*n), some(*m), mode, boundary, 1.5), atol=1e-13)
    agrees(lambda a: f(a, complex_some(2, 2), mode, boundary), some(3, 3), exact=False)


def test_a_rule_uses_the_method_of_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    out, pullback = unspool.vjp(lambda a: signal.fftconvolve(a, some(50), "same"), some(200))
    monkeypatch.setattr(np, "convolve", None)
    assert pullback(out)[0].shape == (200,)


def test_refusals() -> None:
    for call in (
        lambda a: signal.convolve(a, some(2), "other"),
        lambda a: signal.convolve(a, some(2), method="other"),
        lambda a: signal.convolve(a, some(2, 2)),
        lambda a: signal.fftconvolve(a, some(2, 2)),
        lambda a: signal.convolve2d(a, some(2)),
    ):
        with pytest.raises(ValueError):
            unspool.vjp(call, some(3))
    with pytest.raises(ValueError, match="valid"):
        unspool.vjp(lambda a: signal.convolve(a, some(2, 3), "valid"), some(3, 2))
    with pytest.raises(UnsupportedError, match="Broadcast in1"):
        unspool.vjp(lambda a: signal.fftconvolve(a, some(2, 4), "same", axes=0), some(3, 1))
    with pytest.raises(ValueError, match="boundary"):
        unspool.vjp(lambda a: signal.convolve2d(a, some(2, 2), boundary="x"), some(3, 2))
    with pytest.raises(UnsupportedError, match="without elements"):
        unspool.vjp(lambda a: signal.convolve(a, some(2)), some(0))


def test_lfilter() -> None:
    b, a = some(3), np.array([2.0, 0.5, -0.3])
    agrees(signal.lfilter, b, a, some(8))
    agrees(signal.lfilter, b, a[:1], some(2, 8))
    agrees(lambda b, a, x: signal.lfilter(b, a, x, 0), b, a, some(8, 2))
    agrees(lambda x: signal.lfilter(b, a, x), complex_some(6))
    agrees(lambda k, x: signal.lfilter(1.0, [1.0, -0.9], k * x), 0.5, some(6))
    agrees(unspool.grad(lambda a: np.sum(signal.lfilter(b, a, some(6)) ** 3)), a, tolerance=1e-5)
    with pytest.raises(UnsupportedError, match="zi="):
        unspool.vjp(lambda x: signal.lfilter(b, a, x, zi=some(2)), some(6))
    with pytest.raises(ValueError):
        unspool.vjp(lambda x: signal.lfilter(some(2, 2), a, x), some(6))


def test_hilbert() -> None:
    for n in (5, 6):
        agrees(signal.hilbert, some(n), exact=False)
        agrees(lambda x: np.abs(signal.hilbert(x, axis=0)), some(n, 2), exact=False)
        agrees(lambda x: signal.hilbert(x, 8), some(n), exact=False)
    with pytest.raises(ValueError, match="real"):
        unspool.vjp(signal.hilbert, complex_some(3))
