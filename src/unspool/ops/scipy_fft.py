"""scipy.fft: discrete Fourier transforms under SciPy's names, computed by SciPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.fft

from unspool.errors import UnsupportedError
from unspool.ops.fourier import Transforms, one
from unspool.ops.shape import Axes
from unspool.ops.table import implements

_SCIPYS = Transforms.by(scipy.fft, "scipy.", workers=None)
Transform = Callable[..., Any]


def _no_plan(plan: Any) -> None:
    if plan is not None:
        raise UnsupportedError("scipy.fft: plan= is not supported on a traced value. Leave it out.")


def _along_one(function: Transform, transform: Transform, **how: Any) -> None:
    @implements(function)
    def call(  # noqa: PLR0917 - SciPy's signature
        x: Any,
        n: int | None = None,
        axis: int = -1,
        norm: str | None = None,
        overwrite_x: bool = False,
        workers: int | None = None,
        *,
        plan: Any = None,
    ) -> Any:
        _no_plan(plan)
        return transform(x, one(n), (axis,), norm, workers=workers, **how)


def _along_two(function: Transform, transform: Transform, **how: Any) -> None:
    @implements(function)
    def call(  # noqa: PLR0917 - SciPy's signature
        x: Any,
        s: Any = None,
        axes: Axes = (-2, -1),
        norm: str | None = None,
        overwrite_x: bool = False,
        workers: int | None = None,
        *,
        plan: Any = None,
    ) -> Any:
        _no_plan(plan)
        return transform(x, s, axes, norm, workers=workers, **how)


def _along_many(function: Transform, transform: Transform, **how: Any) -> None:
    @implements(function)
    def call(  # noqa: PLR0917 - SciPy's signature
        x: Any,
        s: Any = None,
        axes: Axes = None,
        norm: str | None = None,
        overwrite_x: bool = False,
        workers: int | None = None,
        *,
        plan: Any = None,
    ) -> Any:
        _no_plan(plan)
        return transform(x, s, axes, norm, workers=workers, **how)


for _name, _transform, _how in (
    ("fft", _SCIPYS.complex, {"inverse": False}),
    ("ifft", _SCIPYS.complex, {"inverse": True}),
    ("rfft", _SCIPYS.real, {}),
    ("irfft", _SCIPYS.half, {}),
    ("hfft", _SCIPYS.hermitian, {}),
    ("ihfft", _SCIPYS.inverse_hermitian, {}),
):
    _along_one(getattr(scipy.fft, _name), _transform, **_how)
    _along_two(getattr(scipy.fft, f"{_name}2"), _transform, **_how)
    _along_many(getattr(scipy.fft, f"{_name}n"), _transform, **_how)


@implements(scipy.fft.fftshift)
def _fftshift(x: Any, axes: Axes = None) -> Any:
    return np.fft.fftshift(x, axes)


@implements(scipy.fft.ifftshift)
def _ifftshift(x: Any, axes: Axes = None) -> Any:
    return np.fft.ifftshift(x, axes)
