"""scipy.ndimage: images looked up at fractional positions."""

from __future__ import annotations

from typing import Any

import scipy.ndimage

from unspool.errors import UnsupportedError
from unspool.ir.listener import Traced
from unspool.ops.families import cast
from unspool.ops.grids import MODES, by_number
from unspool.ops.shape import as_array
from unspool.ops.table import implements


@implements(scipy.ndimage.map_coordinates)
def _map_coordinates(  # noqa: PLR0917 - SciPy's signature
    input: Any,
    coordinates: Any,
    output: Any = None,
    order: int = 3,
    mode: str = "constant",
    cval: float = 0.0,
    prefilter: bool = True,
) -> Any:
    """Orders 0 and 1, all modes; the derivative jumps at the nodes."""
    if order not in (0, 1):
        raise UnsupportedError(
            f"scipy.ndimage.map_coordinates: no derivative rule for order={order} (orders with a rule: 0, 1). Use "
            "order=1."
        )
    if output is not None:
        raise UnsupportedError("scipy.ndimage.map_coordinates: no derivative rule for output=. Leave it out.")
    if mode not in MODES:
        raise ValueError(f"boundary mode {mode!r} not supported; choose one of {', '.join(MODES)}")
    image = as_array(input)
    if image.dtype.kind not in "fc":
        raise UnsupportedError(
            f"scipy.ndimage.map_coordinates: an image of {image.dtype} gives rounded values, which have no derivative. "
            "Convert it with astype(float)."
        )
    xs: Any = coordinates if isinstance(coordinates, Traced) else [as_array(c) for c in coordinates]
    if len(xs) != image.ndim:
        raise RuntimeError("invalid shape for coordinate array")
    result = by_number(image, [xs[k] * 1.0 for k in range(image.ndim)], order=order, mode=mode, cval=cval)
    return cast(result, image.dtype)
