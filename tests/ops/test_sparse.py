"""Products with sparse matrices, plain and traced, beside traced arrays, in the words that SciPy's users know."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse

import unspool
from tests.ops.agreement import agrees, complex_some, some
from unspool.errors import DetachedError, UnsupportedError
from unspool.layout import ArrayType
from unspool.ops.outside import Holder
from unspool.scipy import sparse
from unspool.tracer import trace

DENSE = np.where(np.abs(some(4, 3)) < 0.9, 0.0, some(4, 3))
FORMATS = ("csr", "csc", "coo", "dia", "bsr", "lil", "dok")
X, XS, W = some(3), some(3, 2), some(4)


def made(kind: str, dense: Any = DENSE) -> Any:
    return getattr(scipy.sparse, kind)(dense)


# --- plain matrices and traced arrays ---------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", [f"{f}_{a}" for f in FORMATS for a in ("array", "matrix")])
def test_a_plain_matrix_times_a_traced_array(kind: str) -> None:
    a = made(kind)
    agrees(lambda x: a @ x, X, exact=False)
    agrees(lambda x: a @ x, XS, exact=False)
    if not kind.startswith("coo"):  # whose dot is another way
        agrees(a.dot, X, exact=False)
    agrees(lambda w: w @ a, W, exact=False)
    agrees(lambda w: w @ a, some(2, 4), exact=False)
    agrees(lambda x: a.T @ (a @ x), complex_some(3), exact=False)
    agrees(unspool.grad(lambda x: np.sum((a @ x) ** 3)), X, exact=False, tolerance=1e-5)
    assert np.array_equal(a.toarray(), DENSE)


def test_complex_and_single_precision() -> None:
    agrees(lambda x: scipy.sparse.csr_array(DENSE * (1 + 2j)) @ x, X, exact=False)
    single = scipy.sparse.csr_array(DENSE.astype(np.float32))
    agrees(lambda x: single @ x, X.astype(np.float32), exact=False, tolerance=5e-2, h=1e-2)


def test_shapes_are_checked() -> None:
    a = made("csr_array")
    for call in (lambda w: a @ w, lambda w: np.reshape(w, (2, 2)) @ a):
        with pytest.raises(ValueError, match="mismatch"):
            unspool.vjp(call, W)
    with pytest.raises(ValueError, match="dimensions"):
        unspool.vjp(lambda x: a @ x, some(3, 1, 1))
    with pytest.raises(ValueError, match="Scalar"):
        unspool.vjp(lambda x: a @ x, 2.0)


def test_other_operators() -> None:
    a = made("csr_array")
    agrees(lambda x: a + x, some(4, 3), exact=False)
    agrees(lambda x: a - x, some(4, 3), exact=False)
    agrees(lambda x: x - a, some(4, 3), exact=False)
    agrees(lambda k: (k * a).toarray(), 2.0, exact=False)
    agrees(lambda x: (x * a).toarray(), X, exact=False)
    agrees(lambda k: ((1.0 + k) * a @ X) / k, 2.0, exact=False)
    older = made("csr_matrix")
    agrees(lambda x: x * older, W, exact=False)
    with pytest.raises(DetachedError, match="matrix @ x"):
        unspool.vjp(lambda x: older * x, X)
    with pytest.raises(DetachedError, match="traced value first"):
        unspool.vjp(lambda k: a * k, 2.0)
    with pytest.raises(UnsupportedError, match="divided by a sparse"):
        unspool.vjp(lambda k: k / a, 2.0)
    with pytest.raises(UnsupportedError, match=r"numpy\.maximum"):
        unspool.vjp(lambda k: np.maximum(k, a), 2.0)


def test_a_write_into_the_matrix_between_sweep_and_adjoint_is_not_seen() -> None:
    for kind in ("csr_array", "dia_array", "coo_array"):
        a = made(kind)
        expected = unspool.grad(lambda x: np.sum((a @ x) ** 2))(X)

        def f(x: Any) -> Any:
            mine = made(kind)
            y = mine @ x
            mine.data[:] = 7.0
            z = mine @ unspool.stop_gradient(x)
            assert not np.allclose(z, unspool.stop_gradient(y))
            return np.sum(y**2)

        np.testing.assert_array_equal(unspool.grad(f)(X), expected)


def test_a_matrix_that_changes_between_steps_is_looked_at_anew() -> None:
    for kind in ("csr_array", "dia_array", "bsr_array"):
        a = made(kind)

        def f(x: Any) -> Any:
            a.data[:] = made(kind).data
            y = a @ x
            a.data *= 2.0
            return np.sum(y + a @ x)

        np.testing.assert_allclose(unspool.grad(f)(X), 3 * DENSE.sum(axis=0), rtol=1e-13)


def test_in_a_loop_and_in_a_program() -> None:
    a = scipy.sparse.diags_array([np.full(5, -0.2), np.ones(6), np.full(5, 0.1)], offsets=[-1, 0, 1])

    def final(u: Any) -> Any:
        return np.sum(unspool.fori_loop(0, 20, lambda i, u: a @ u, u, policy="revolve-3") ** 2)

    power = np.linalg.matrix_power(a.toarray(), 20)
    np.testing.assert_allclose(unspool.grad(final)(some(6)), 2 * power.T @ power @ some(6), rtol=1e-11)
    program = trace(lambda u: a @ u, ArrayType.of(some(6)))
    assert [e.primitive.name for e in program.equations] == ["sparse_product"]
    other = trace(lambda u: a @ u, ArrayType.of(some(6)))
    assert program.equations[0].params == other.equations[0].params


# --- matrices of traced numbers ---------------------------------------------------------------------------------------
ROWS, COLUMNS = np.array([0, 2, 1, 0, 3, 2]), np.array([1, 0, 2, 1, 2, 2])  # (0, 1) twice
DATA = some(6)


def matrix(data: Any, kind: str = "csr_array") -> Any:
    return getattr(sparse, kind)((data, (ROWS, COLUMNS)), shape=(4, 3))


KINDS = ("csr_array", "csc_array", "coo_array", "csr_matrix", "csc_matrix", "coo_matrix")


@pytest.mark.parametrize("kind", KINDS)
def test_products(kind: str) -> None:
    agrees(lambda d, x: matrix(d, kind) @ x, DATA, X, exact=False)
    agrees(lambda d, x: matrix(d, kind) @ x, DATA, XS, exact=False)
    agrees(lambda d, w: w @ matrix(d, kind), complex_some(6), W, exact=False)
    agrees(lambda d: matrix(d, kind).dot(X), DATA, exact=False)
    agrees(lambda d: matrix(d, kind).T @ W, DATA, exact=False)
    agrees(lambda d: W @ matrix(d, kind), DATA, exact=False)
    agrees(unspool.grad(lambda d: np.sum((matrix(d, kind) @ X) ** 3)), DATA, exact=False, tolerance=1e-5)


def test_the_gradient_has_one_entry_for_each_number() -> None:
    gradient = unspool.grad(lambda d: np.sum(W @ matrix(d) @ X))(DATA)
    np.testing.assert_allclose(gradient, W[ROWS] * X[COLUMNS])


def test_compressed_forms() -> None:
    a = made("csr_array")
    agrees(lambda d: sparse.csr_array((d, a.indices, a.indptr)).toarray(), a.data, exact=False)
    agrees(
        lambda d: sparse.csr_array((d, a.indices, a.indptr), shape=(4, 5), dtype=complex) @ some(5), a.data, exact=False
    )
    c = a.tocsc()
    agrees(lambda d: sparse.csc_array((d, c.indices, c.indptr), shape=(4, 3)) @ X, c.data, exact=False)
    agrees(lambda d: sparse.csc_matrix(sparse.csr_array((d, a.indices, a.indptr))).data, a.data, exact=False)
    agrees(lambda d: sparse.csr_array((d, (ROWS, COLUMNS))) @ X, DATA, exact=False)


def test_sums_and_scaling() -> None:
    plain = made("csr_array")
    for f in (
        lambda d: matrix(d) + plain,
        lambda d: plain + matrix(d),
        lambda d: plain - matrix(d),
        lambda d: matrix(d) - plain,
        lambda d: matrix(d) + 0 - matrix(d, "csc_array") * 3.0,
        lambda d: 2.0 * matrix(d) / 3.0,
        lambda d: matrix(d) * d[0] + d[1] * matrix(d),
        lambda d: -matrix(d),
        lambda d: matrix(d).multiply(some(4, 3)),
        lambda d: matrix(d) * X,
        lambda d: X * matrix(d),
        lambda d: matrix(d).multiply(plain),
        lambda d: matrix(d).multiply(matrix(d, "csc_array")),
        lambda d: matrix(d).conj().copy().tocsc().tocsr().astype(complex),
    ):
        agrees(lambda d, f=f: f(d).toarray(), DATA, exact=False)
        agrees(lambda d, f=f: f(d).toarray(), complex_some(6), exact=False)
    agrees(lambda d: matrix(d) + some(4, 3), DATA, exact=False)
    agrees(lambda d: some(4, 3) - matrix(d), DATA, exact=False)


def test_sparse_times_sparse() -> None:
    other = made("csc_array").T
    for f in (
        lambda d: matrix(d) @ other,
        lambda d: other @ matrix(d),
        lambda d: matrix(d) @ matrix(d).T,
        lambda d: matrix(d, "csr_matrix") * matrix(d, "csr_matrix").T,
    ):
        agrees(lambda d, f=f: f(d).toarray(), DATA, exact=False)
    with pytest.raises(ValueError, match="mismatch"):
        unspool.vjp(lambda d: (matrix(d) @ matrix(d)).toarray(), DATA)


def test_parts() -> None:
    agrees(lambda d: matrix(d).diagonal(), DATA, exact=False)
    agrees(lambda d: matrix(d).diagonal(1), DATA, exact=False)
    agrees(lambda d: matrix(d).diagonal(-2), DATA, exact=False)
    agrees(lambda d: matrix(d).trace(), DATA, exact=False)
    agrees(lambda d: matrix(d).sum(), DATA, exact=False)
    for axis in (0, 1, -1):
        agrees(lambda d: matrix(d).sum(axis=axis), DATA, exact=False)
    assert unspool.vjp(lambda d: matrix(d).diagonal(9) + 0 * d[:0], DATA)[0].shape == (0,)

    def f(d: Any) -> Any:
        a = matrix(d)
        assert isinstance(a, Holder)
        assert (a.shape, a.ndim, a.nnz, a.format, a.dtype) == ((4, 3), 2, 5, "csr", np.dtype(float))
        assert "4 × 3" in repr(a)
        assert a.transpose().format == "csc"
        np.testing.assert_array_equal(sparse.csr_array((np.ones(5), a.indices, a.indptr)).nnz, 5)
        return np.sum(a.data)

    np.testing.assert_array_equal(unspool.grad(f)(DATA), np.ones(6))


@pytest.mark.parametrize("form", [None, "csr", "csc"])
def test_diags(form: Any) -> None:
    def heat(k: Any) -> Any:
        return sparse.diags([k[:-1], -2 * k, 1.0], [-1, 0, 1], shape=(5, 5), format=form) @ some(5)

    agrees(heat, some(5), exact=False)
    agrees(lambda d: sparse.diags_array([d, 2 * d[1:]], offsets=[0, 1], format=form).toarray(), some(5), exact=False)
    agrees(lambda d: sparse.diags([d], [2]).toarray(), some(3), exact=False)
    agrees(lambda d: sparse.diags(d, -1, shape=(4, 2)).toarray(), some(2), exact=False)


def test_refusals() -> None:
    cases: list[tuple[Any, type[Exception], str]] = [
        (lambda d: sparse.csr_array(np.reshape(d, (2, 3))), UnsupportedError, "depends on the values"),
        (lambda d: sparse.csr_array((DATA, (d, COLUMNS))), UnsupportedError, "plain integers"),
        (lambda d: matrix(d).max(), UnsupportedError, "max has no derivative rule"),
        (lambda d: np.asarray(matrix(d)), UnsupportedError, "toarray"),
        (lambda d: matrix(d) / matrix(d), UnsupportedError, "divide the numbers"),
        (lambda d: matrix(d) + 1.0, NotImplementedError, "nonzero scalar"),
        (lambda d: matrix(d) + made("csr_array").T, ValueError, "inconsistent"),
        (lambda d: matrix(d) @ 2.0, ValueError, "Scalar"),
        (lambda d: sparse.csr_array((d, [0] * 6, [0, 9]), shape=(1, 1)), ValueError, "ind"),
        (lambda d: sparse.csr_array((d, (ROWS, COLUMNS)), shape=(2, 2)), ValueError, "exceeds"),
        (lambda d: sparse.diags([d], [0, 1]), ValueError, "Different number"),
        (lambda d: sparse.diags([d], [0], shape=(9, 9)), ValueError, "does not agree"),
        (lambda d: sparse.diags([d], [9], shape=(5, 5)), ValueError, "out of bounds"),
        (lambda d: sparse.diags([d], [0], format="lil"), UnsupportedError, "format="),
        (lambda d: matrix(d).no_such, AttributeError, "no_such"),
        (lambda d: bool(matrix(d)), ValueError, "ambiguous"),
    ]
    for call, error, match in cases:
        with pytest.raises(error, match=match):
            unspool.vjp(call, DATA)


def test_without_traced_numbers_it_is_scipys() -> None:
    assert type(matrix(DATA)) is scipy.sparse.csr_array
    assert type(sparse.diags([DATA], [0])) is type(scipy.sparse.diags([DATA], [0]))
    assert sparse.eye_array is scipy.sparse.eye_array
