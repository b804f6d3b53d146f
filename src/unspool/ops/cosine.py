"""scipy.fft: cosine and sine transforms, types 1 to 4.

The transpose of each is one of them again, up to factors at the ends: types 1 and 4 are their own, 2 and 3 that of each
other. An inverse is the forward transform of the other type with the other normalisation.
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import Any

import numpy as np
import scipy.fft

from unspool.ir.listener import bind
from unspool.ir.primitive import Primitive
from unspool.layout import ArrayType
from unspool.ops.families import linear
from unspool.ops.fourier import SWAPPED, Lengths, fitted, norm_of, one, plan, resized
from unspool.ops.samples import complex_some, some
from unspool.ops.shape import Axes
from unspool.ops.table import implements

Ends = tuple[float, float]

_PARTNER = {1: 1, 2: 3, 3: 2, 4: 4}
_EVEN: Ends = (1.0, 1.0)
_BEFORE: dict[tuple[bool, int], Ends] = {(False, 1): (2.0, 2.0), (False, 2): (2.0, 1.0), (True, 2): (1.0, 2.0)}
_AFTER: dict[tuple[bool, int], Ends] = {(False, 1): (0.5, 0.5), (False, 3): (0.5, 1.0), (True, 3): (1.0, 0.5)}
_R = sqrt(2.0)
_OUTER: dict[tuple[bool, int], Ends] = {(False, 1): (1 / _R, 1 / _R), (False, 2): (1 / _R, 1.0), (True, 2): (1, 1 / _R)}
_INNER: dict[tuple[bool, int], Ends] = {(False, 1): (_R, _R), (False, 3): (_R, 1.0), (True, 3): (1.0, _R)}


def _scaled(x: Any, axes: Lengths, *ends: Ends) -> Any:
    """The values with the first and the last ones along these axes multiplied."""
    first, last = (float(np.prod([pair[k] for pair in ends])) for k in range(2))
    if first == last == 1.0:
        return x
    for axis in axes:
        factors = np.ones(x.shape[axis], np.empty(0, x.dtype).real.dtype)
        factors[0] *= first
        factors[-1] *= last
        x = x * factors.reshape([-1 if k == axis else 1 for k in range(len(x.shape))])
    return x


def _transpose(
    ct: Any,
    x: Any,
    *,
    kind: tuple[bool, int],
    axes: Lengths,
    s: Lengths,
    norm: str,
    orthogonalize: bool,
    workers: int | None,
) -> Any:
    outer, inner = (_OUTER.get(kind, _EVEN), _INNER.get(kind, _EVEN)) if orthogonalize else (_EVEN, _EVEN)
    ct = _scaled(ct, axes, outer, _BEFORE.get(kind, _EVEN))
    partner = (kind[0], _PARTNER[kind[1]])
    back = bind(cosine, ct, kind=partner, axes=axes, s=s, norm=norm, orthogonalize=False, workers=workers)
    return fitted(_scaled(back, axes, inner, _AFTER.get(kind, _EVEN)), x.shape)


def _evaluate(
    x: Any,
    *,
    kind: tuple[bool, int],
    axes: Lengths,
    s: Lengths,
    norm: str,
    orthogonalize: bool,
    workers: int | None,
) -> Any:
    sine, number = kind
    function: Any = scipy.fft.dstn if sine else scipy.fft.dctn

    def of_real(x: Any) -> Any:
        return function(x, number, s, axes, norm, workers=workers, orthogonalize=orthogonalize)

    # part by part: SciPy passes over orthogonalize= where the array is complex
    return of_real(x.real) + 1j * of_real(x.imag) if x.dtype.kind == "c" else of_real(x)


cosine: Primitive = linear(
    _evaluate,
    _transpose,
    name="cosine_transform",
    type_rule=lambda x, kind, axes, s, norm, orthogonalize, workers: ArrayType(
        np.result_type(x.dtype, np.float32), resized(x.shape, axes, s)
    ),
    samples=lambda: [
        (
            (complex_some(*shape) if number == 4 else some(*shape),),
            {"kind": (sine, number), "axes": axes, "s": s, "norm": norm, "orthogonalize": orth, "workers": None},
        )
        for sine in (False, True)
        for number in (1, 2, 3, 4)
        for shape, axes, s, norm, orth in (
            ((5,), (0,), (5,), "backward", False),
            ((3, 4), (0, 1), (4, 3), "ortho", True),
            ((2, 3), (1,), (4,), "forward", True),
        )
    ],
)


def _bound(
    x: Any,
    lengths: tuple[Lengths, Lengths],
    kind: tuple[bool, int],
    inverse: bool,
    *,
    norm: str | None,
    workers: int | None,
    orthogonalize: bool | None,
) -> Any:
    sine, number = kind
    if number not in _PARTNER:
        raise ValueError(f"invalid type {number} of a {'sine' if sine else 'cosine'} transform: choose 1, 2, 3 or 4")
    name = norm_of(norm)
    if inverse:
        number, name = _PARTNER[number], SWAPPED[name]
    axes, s = lengths
    orth = name == "ortho" if orthogonalize is None else bool(orthogonalize)
    if not axes:
        return x
    return bind(cosine, x, kind=(sine, number), axes=axes, s=s, norm=name, orthogonalize=orth, workers=workers)


def _enrol(sine: bool, inverse: bool, along_one: Callable[..., Any], along_many: Callable[..., Any]) -> None:
    @implements(along_one)
    def of_one(  # noqa: PLR0917 - SciPy's signature
        x: Any,
        type: int = 2,
        n: int | None = None,
        axis: int = -1,
        norm: str | None = None,
        overwrite_x: bool = False,
        workers: int | None = None,
        orthogonalize: bool | None = None,
    ) -> Any:
        lengths = plan(x, one(n), (axis,))
        return _bound(x, lengths, (sine, type), inverse, norm=norm, workers=workers, orthogonalize=orthogonalize)

    @implements(along_many)
    def of_many(  # noqa: PLR0917 - SciPy's signature
        x: Any,
        type: int = 2,
        s: Any = None,
        axes: Axes = None,
        norm: str | None = None,
        overwrite_x: bool = False,
        workers: int | None = None,
        *,
        orthogonalize: bool | None = None,
    ) -> Any:
        lengths = plan(x, s, axes)
        return _bound(x, lengths, (sine, type), inverse, norm=norm, workers=workers, orthogonalize=orthogonalize)


_enrol(False, False, scipy.fft.dct, scipy.fft.dctn)
_enrol(False, True, scipy.fft.idct, scipy.fft.idctn)
_enrol(True, False, scipy.fft.dst, scipy.fft.dstn)
_enrol(True, True, scipy.fft.idst, scipy.fft.idstn)
