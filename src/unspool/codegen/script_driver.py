"""The driver of scripts: copies, calls of kernels and whole loops, one after the other, in machine code."""

from __future__ import annotations

from typing import Any

from unspool.codegen.control import Lines, Numbers
from unspool.codegen.fields import field, kernel
from unspool.codegen.number_driver import carry_out

COPY = Lines.COPY
CALL = Lines.CALL
DRIVE = Lines.DRIVE
ROWS = Numbers.ROWS
FIRST = Numbers.FIRST
END = Numbers.END
WITHIN = Numbers.WITHIN
WORK = Numbers.WORK


def script(a: Any) -> int:
    """Carry out a[1] lines, i64[:, 7] at a[0]: a verb and what it works on."""
    lines = field(a[0], "i64[:, 7]", 64)
    for k in range(a[1]):
        verb = lines[k, 0]
        if verb == COPY:  # from, to, rows, numbers of a row, and from row to row there and here
            source, target = field(lines[k, 1], "f64[:]", 64), field(lines[k, 2], "f64[:]", 64)
            for i in range(lines[k, 3]):
                for j in range(lines[k, 4]):
                    target[i * lines[k, 6] + j] = source[i * lines[k, 5] + j]
        elif verb == CALL:  # a kernel, its block
            kernel(lines[k, 1], lines[k, 2])
        elif verb == DRIVE:  # the block of a loop, rows of its schedule, how many
            c = field(lines[k, 1], "i64[:]", 64)
            c[ROWS], c[FIRST], c[END], c[WITHIN], c[WORK] = lines[k, 2], 0, lines[k, 3], 0, 1 << 60
            carry_out(c)
        else:  # zeros: to, numbers
            target = field(lines[k, 1], "f64[:]", 64)
            for j in range(lines[k, 2]):
                target[j] = 0.0
    return 0
