"""The families that are enrolled on demand: importing this module enrols them."""

from unspool.ops import (
    convolution,
    counting,
    decompositions,
    fft,
    gather,
    interpolate,
    least_squares,
    moments,
    nan,
    polynomial,
    qr,
    refused,
    singular,
    sorting,
    standard,
    write,
)

__all__ = [
    "convolution",
    "counting",
    "decompositions",
    "fft",
    "gather",
    "interpolate",
    "least_squares",
    "moments",
    "nan",
    "polynomial",
    "qr",
    "refused",
    "singular",
    "sorting",
    "standard",
    "write",
]
