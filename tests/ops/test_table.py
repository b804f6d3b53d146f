"""The table: nothing is ever ignored, and every refusal says the name and the way out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unspool
from unspool.errors import UnsupportedError
from unspool.ir.primitive import Primitive
from unspool.ops import PRIMITIVES, TABLE
from unspool.ops.table import Entry, enrol, implements, name_of

X = np.arange(1.0, 4.0)

PROMISED = """
add subtract multiply divide true_divide power float_power negative positive absolute abs fabs sign sqrt cbrt square
reciprocal exp exp2 expm1 log log2 log10 log1p sin cos tan arcsin arccos arctan sinh cosh tanh arcsinh arccosh arctanh
deg2rad rad2deg degrees radians sinc logaddexp logaddexp2 arctan2 hypot maximum minimum fmax fmin clip where floor
ceil round rint trunc floor_divide remainder mod fmod isfinite isinf isnan less less_equal greater greater_equal equal
not_equal logical_and logical_or logical_not sum mean prod var std max min amax amin cumsum cumprod diff dot matmul
inner outer tensordot einsum vdot trace roll reshape ravel transpose swapaxes moveaxis rollaxis broadcast_to
expand_dims squeeze atleast_1d atleast_2d atleast_3d concatenate stack hstack vstack dstack column_stack append split
array_split hsplit vsplit flip fliplr flipud rot90 tile repeat pad diag diagonal tril triu meshgrid zeros_like
ones_like full_like empty_like copy astype real imag conj angle argmax argmin argsort all any count_nonzero nonzero
array_equal allclose isclose shape ndim size result_type iscomplexobj isrealobj linalg.solve linalg.inv linalg.det
linalg.slogdet linalg.cholesky linalg.norm
"""


@pytest.mark.parametrize("name", PROMISED.split())
def test_what_is_promised_is_there(name: str) -> None:
    function: Any = np
    for part in name.split("."):
        function = getattr(function, part)
    assert function in TABLE


def test_an_unknown_keyword_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedError, match=r"numpy\.nansum.*initial=.*axis=, dtype=, keepdims="):
        unspool.grad(lambda x: np.nansum(x, initial=0.0))(X)


def test_a_positional_argument_too_many_is_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"numpy\.sum: 4 positional arguments"):
        unspool.grad(lambda x: np.sum(x, None, None, None))(X)


def test_a_function_without_a_rule_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedError, match=r"numpy\.trim_zeros"):
        unspool.grad(lambda x: np.sum(np.trim_zeros(x)))(X)


def test_keywords_of_ufuncs_are_refused_by_name() -> None:
    with pytest.raises(UnsupportedError, match=r"numpy\.exp.*dtype="):
        unspool.grad(lambda x: np.sum(np.exp(x, dtype=np.float32)))(X)
    with pytest.raises(UnsupportedError, match=r"numpy\.add.*where="):
        unspool.grad(lambda x: np.sum(np.add(x, x, where=X > 1)))(X)


def test_out() -> None:
    def f(x: Any) -> Any:
        out = np.zeros_like(x)
        np.multiply(x, x, out=out)
        total = np.zeros_like(x[0:1])
        np.sum(x, keepdims=True, out=total)
        return np.sum(out) + total[0]

    np.testing.assert_array_equal(unspool.grad(f)(X), 2 * X + 1)


def test_names() -> None:
    assert name_of(np.add) == "numpy.add"
    assert name_of(np.sum) == "numpy.sum"
    assert name_of(np.linalg.solve) == "numpy.linalg.solve"


def test_a_name_is_enrolled_once() -> None:
    with pytest.raises(ValueError, match="add is enrolled already"):
        enrol(Primitive("add", np.add))


def test_the_signature_says_what_is_modelled() -> None:
    def function(a: Any) -> Any:
        return a

    @implements(function)
    def _call(a: Any, *, scale: float = 1.0) -> Any:
        return a * scale

    try:
        entry = TABLE[function]
        assert isinstance(entry, Entry)
        assert entry(2.0, scale=3.0) == 6.0
        assert entry.n_positional == 1
        with pytest.raises(UnsupportedError, match="shift="):
            entry(2.0, shift=1.0)
    finally:
        del TABLE[function]


def test_every_primitive_has_samples_and_a_rule_or_none() -> None:
    for name, primitive in PRIMITIVES.items():
        assert primitive.name == name
        if primitive.record is not None:
            continue
        assert primitive.samples is not None, name
        assert (primitive.pull is not None) == (primitive.jvp is not None) == primitive.differentiable, name
