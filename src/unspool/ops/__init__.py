"""The mathematics: every NumPy function that can be differentiated, one file per family.

Importing this package fills `TABLE`, NumPy function to `Entry`, and `PRIMITIVES`, name to `Primitive`.
"""

from unspool.ops import (
    arithmetic,
    choice,
    convert,
    convolution,
    counting,
    einsum,
    elementary,
    fft,
    gather,
    interpolate,
    join,
    linalg,
    moments,
    nan,
    polynomial,
    product,
    queries,
    reduce,
    refused,
    shape,
    sorting,
    write,
)
from unspool.ops.table import PRIMITIVES, TABLE

__all__ = [
    "PRIMITIVES",
    "TABLE",
    "arithmetic",
    "choice",
    "convert",
    "convolution",
    "counting",
    "einsum",
    "elementary",
    "fft",
    "gather",
    "interpolate",
    "join",
    "linalg",
    "moments",
    "nan",
    "polynomial",
    "product",
    "queries",
    "reduce",
    "refused",
    "shape",
    "sorting",
    "write",
]
