"""Rearrangements: values, derivatives, and views where NumPy gives views."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unspool
from tests.ops.agreement import agrees, some
from unspool.ops.shape import axes_of

A = some(2, 3, 4)
M = some(3, 4)
V = some(6)

CASES = {
    "reshape": (lambda x: np.reshape(x, (4, 6)), A),
    "reshape -1": (lambda x: x.reshape(4, -1), A),
    "reshape F": (lambda x: np.reshape(x, (6, 4), order="F"), A),
    "ravel": (np.ravel, A),
    "ravel F": (lambda x: np.ravel(x, "F"), A),
    "ravel of Fortran order": (np.ravel, np.asfortranarray(A)),
    "flatten": (lambda x: x.flatten(), A),
    "transpose": (np.transpose, A),
    "transpose axes": (lambda x: np.transpose(x, (1, -1, 0)), A),
    "transpose method": (lambda x: x.transpose(1, 0, 2), A),
    "T": (lambda x: x.T, M),
    "mT": (lambda x: x.mT, A),
    "matrix_transpose": (np.matrix_transpose, A),
    "permute_dims": (lambda x: np.permute_dims(x, (2, 0, 1)), A),
    "swapaxes": (lambda x: np.swapaxes(x, 0, -1), A),
    "moveaxis": (lambda x: np.moveaxis(x, 0, -1), A),
    "moveaxis several": (lambda x: np.moveaxis(x, (0, 2), (1, 0)), A),
    "rollaxis": (lambda x: np.rollaxis(x, 2), A),
    "rollaxis start": (lambda x: np.rollaxis(x, 0, 3), A),
    "rollaxis middle": (lambda x: np.rollaxis(x, -1, 1), A),
    "broadcast_to": (lambda x: np.broadcast_to(x, (5, 3, 4)), M),
    "broadcast_arrays": (np.broadcast_arrays, some(3, 1), some(4)),
    "expand_dims": (lambda x: np.expand_dims(x, 1), M),
    "expand_dims several": (lambda x: np.expand_dims(x, (0, -1)), M),
    "squeeze": (np.squeeze, some(1, 3, 1)),
    "squeeze axis": (lambda x: np.squeeze(x, axis=-1), some(1, 3, 1)),
    "atleast_1d": (np.atleast_1d, 2.5),
    "atleast_2d": (np.atleast_2d, V),
    "atleast_3d": (np.atleast_3d, M),
    "atleast_3d vector": (np.atleast_3d, V),
    "atleast several": (np.atleast_2d, V, M),
    "flip": (np.flip, A),
    "flip axis": (lambda x: np.flip(x, (0, -1)), A),
    "fliplr": (np.fliplr, A),
    "flipud": (np.flipud, A),
    **{f"rot90 {k}": (lambda x, k=k: np.rot90(x, k), M) for k in range(-1, 4)},
    "rot90 axes": (lambda x: np.rot90(x, 1, (1, 2)), A),
    "roll": (lambda x: np.roll(x, 2), V),
    "roll flat": (lambda x: np.roll(x, -5), M),
    "roll axis": (lambda x: np.roll(x, -1, axis=1), M),
    "roll axes": (lambda x: np.roll(x, (1, 7), axis=(0, 1)), M),
    "roll one shift, two axes": (lambda x: np.roll(x, 1, axis=(0, 1)), M),
    "roll same axis twice": (lambda x: np.roll(x, (1, 1), axis=(0, 0)), M),
    "roll empty": (lambda x: np.roll(x, 1, axis=0), np.zeros((0, 2))),
    **{f"diagonal {k}": (lambda x, k=k: np.diagonal(x, k), M) for k in (-4, -2, 0, 1, 3, 5)},
    "diagonal axes": (lambda x: np.diagonal(x, 1, 2, 0), A),
    **{f"diag of matrix {k}": (lambda x, k=k: np.diag(x, k), M) for k in (-1, 0, 2)},
    **{f"diag of vector {k}": (lambda x, k=k: np.diag(x, k), some(3)) for k in (-1, 0, 2)},
    "diagflat": (np.diagflat, some(2, 2)),
    "trace": (np.trace, M),
    "trace offset": (lambda x: np.trace(x, 1, 1, 2), A),
    "tril": (np.tril, A),
    "tril k": (lambda x: np.tril(x, -1), M),
    "triu": (np.triu, A),
    "triu k": (lambda x: np.triu(x, 1), M),
    "meshgrid": (np.meshgrid, some(3), some(2)),
    "meshgrid ij sparse": (lambda x, y: np.meshgrid(x, y, indexing="ij", sparse=True), some(3), some(2)),
    "meshgrid of three": (np.meshgrid, some(3), some(2), some(4)),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_agrees_with_numpy(case: Any) -> None:
    function, *args = case
    agrees(function, *args)


VIEWS = {
    "reshape": lambda x: x.reshape(4, 6),
    "ravel": np.ravel,
    "transpose": lambda x: x.T,
    "swapaxes": lambda x: np.swapaxes(x, 0, 1),
    "moveaxis": lambda x: np.moveaxis(x, 0, -1),
    "squeeze": lambda x: np.squeeze(x[:1]),
    "expand_dims": lambda x: np.expand_dims(x, 1),
    "flip": lambda x: np.flip(x, 1),
    "flipud": np.flipud,
    "fliplr": np.fliplr,
    "rot90": np.rot90,
    "rot90 twice": lambda x: np.rot90(x, 2),
    "split": lambda x: np.split(x, 2)[1],
    "array_split": lambda x: np.array_split(x, 2, axis=1)[0],
    "atleast_1d": np.atleast_1d,
    "view of view": lambda x: np.flip(x.T.reshape(2, 12)[:, 3:], 0),
    "real": np.real,
    "flatten": lambda x: x.flatten(),
    "copy": np.copy,
    "roll": lambda x: np.roll(x, 1),
    "ravel of transpose": lambda x: np.ravel(x.T),
}


@pytest.mark.parametrize("make", VIEWS.values(), ids=VIEWS.keys())
def test_writes_go_where_numpy_has_them_go(make: Any) -> None:
    def write(x: Any) -> Any:
        whole = 1.0 * x
        part = make(whole)
        part *= 3.0
        part[..., 0] = 7.0
        return whole

    agrees(write, A)


def test_real_and_imaginary_parts_are_views() -> None:
    def write(z: Any) -> Any:
        whole = 1.0 * z
        whole.real[1:] = whole.imag[1:]
        whole.imag[...] *= 2.0
        return whole

    agrees(write, some(4) + 1j * some(4, turn=0.3))


def test_reshape_says_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="cannot reshape array of size 6"):
        unspool.grad(lambda x: np.sum(x.reshape(4, -1)))(V)
    with pytest.raises(unspool.errors.UnsupportedError, match="order='A'"):
        unspool.grad(lambda x: np.sum(np.reshape(x, (3, 2), order="A")))(V)
    with pytest.raises(unspool.errors.UnsupportedError, match="order='K'"):
        unspool.grad(lambda x: np.sum(np.ravel(x, order="K")))(V)


def test_axes_that_do_not_exist() -> None:
    with pytest.raises(np.exceptions.AxisError):
        axes_of(3, 2)
    with pytest.raises(ValueError, match="twice"):
        axes_of((0, -2), 2)
