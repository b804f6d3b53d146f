"""The mathematics: every NumPy function that can be differentiated, one file per family.

Importing this package fills `TABLE`, NumPy function to `Entry`, and `PRIMITIVES`, name to `Primitive`, with the
families that most programs use; the others, in `further`, are enrolled when a function is first met that is none of
these.
"""

from unspool.ops import (
    arithmetic,
    averages,
    choice,
    convert,
    einsum,
    elementary,
    join,
    linalg,
    product,
    queries,
    reduce,
    shape,
)
from unspool.ops.table import PRIMITIVES, TABLE

__all__ = [
    "PRIMITIVES",
    "TABLE",
    "arithmetic",
    "averages",
    "choice",
    "convert",
    "einsum",
    "elementary",
    "join",
    "linalg",
    "product",
    "queries",
    "reduce",
    "shape",
]
