"""map_coordinates: orders 0 and 1, every border, SciPy's values."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage

import unspool
from tests.ops.agreement import agrees, complex_some, some
from unspool.errors import UnsupportedError
from unspool.scipy import ndimage

MODES = ("constant", "nearest", "reflect", "mirror", "wrap", "grid-constant", "grid-wrap", "grid-mirror")
IMAGE = some(4, 5)
AT = np.stack([some(40, low=-9.0, high=12.0), some(40, low=-9.0, high=12.0, turn=0.4)])


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("mode", MODES)
def test_borders(mode: str, order: int) -> None:
    for at in (AT, np.round(AT), np.array([[0.0, 3.0, 3.0], [4.0, 0.0, 4.0]])):
        for image in (IMAGE, complex_some(4, 5)):
            f = lambda i: ndimage.map_coordinates(i, at, order=order, mode=mode, cval=0.7)
            np.testing.assert_allclose(unspool.vjp(f, image)[0], f(image), atol=1e-13)
            agrees(f, image, exact=False)
    agrees(lambda i, c: ndimage.map_coordinates(i, c, order=order, mode=mode), IMAGE, AT, exact=False, tolerance=1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_thin_images(mode: str) -> None:
    for n in (1, 2):
        f = lambda i: ndimage.map_coordinates(i, AT[:1], order=1, mode=mode)
        np.testing.assert_allclose(unspool.vjp(f, some(n))[0], f(some(n)), atol=1e-13)


def test_three_dimensions_and_single_precision() -> None:
    at = some(3, 2, 4, low=0.1, high=1.9)
    agrees(lambda i, c: ndimage.map_coordinates(i, c, order=1), some(3, 3, 3), at, exact=False)
    agrees(
        lambda i: ndimage.map_coordinates(i, at, order=1),
        some(3, 3, 3).astype(np.float32),
        h=1e-2,
        tolerance=5e-2,
        exact=False,
    )
    agrees(lambda c: ndimage.map_coordinates(IMAGE, [c, 1.5 * c], order=1), some(5, low=0.1, high=2.0), exact=False)


def test_the_ends_have_the_derivative_of_the_inside() -> None:
    for mode in ("constant", "nearest"):
        gradient = unspool.grad(lambda c: np.sum(ndimage.map_coordinates(np.arange(4.0) ** 2, c, order=1, mode=mode)))
        np.testing.assert_array_equal(gradient(np.array([[0.0, 1.0, 3.0, 9.0, -2.0]])), [[1.0, 3.0, 5.0, 0.0, 0.0]])


def test_refusals() -> None:
    with pytest.raises(UnsupportedError, match="order=3"):
        unspool.vjp(lambda i: ndimage.map_coordinates(i, AT), IMAGE)
    with pytest.raises(UnsupportedError, match="output="):
        unspool.vjp(lambda i: ndimage.map_coordinates(i, AT, float, 1), IMAGE)
    with pytest.raises(UnsupportedError, match="int64"):
        unspool.vjp(lambda c: ndimage.map_coordinates(np.arange(4), c, order=1), AT[:1])
    with pytest.raises(ValueError, match="mode"):
        unspool.vjp(lambda c: ndimage.map_coordinates(IMAGE, c, order=1, mode="x"), AT)
    with pytest.raises(RuntimeError, match="coordinate"):
        unspool.vjp(lambda c: ndimage.map_coordinates(IMAGE, c, order=1), AT[:1])
    assert ndimage.gaussian_filter is scipy.ndimage.gaussian_filter
