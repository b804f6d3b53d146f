"""One program as one kernel, carried out as plain Python on arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tests.codegen.plain import Plain
from unspool.codegen.arrays import Array, Target, Update
from unspool.codegen.calls import callback
from unspool.codegen.calls import evaluate as called
from unspool.codegen.fuse import Fusion
from unspool.codegen.nests import Kernel
from unspool.codegen.panels import in_panels
from unspool.codegen.places import Place, Places
from unspool.codegen.scalars import imported
from unspool.ir.evaluate import evaluate
from unspool.ir.program import Program
from unspool.ir.simplify import simplify
from unspool.layout import ArrayType
from unspool.tracer import trace


class Carried:
    """A program as a kernel: ``text`` is its module, ``run(*args)`` gives the outputs.

    ``over`` says which output is written over which input: by their positions. ``signs`` are those that inputs are to
    be multiplied with, by position; ``adds`` are outputs that are added to what stands there (ones).
    """

    def __init__(
        self,
        program: Program,
        *,
        over: Mapping[int, int] = {},
        signs: Mapping[int, int] = {},
        adds: Sequence[int] = (),
        updates: Sequence[tuple[int, tuple[Any, ...], int]] = (),
    ) -> None:
        self.program, self.over, self.signs, self.adds = program, over, signs, adds
        n_in, n_out = len(program.inputs), len(program.outputs)
        self.types = [getattr(atom, "type", None) or ArrayType.of(atom.value) for atom in program.outputs]
        self.places = Places(2 + n_in + n_out)
        given = {
            var: Array(f"u{k}", var.type.shape, 2 + k, sign=f"q{k}" if k in signs else "")
            for k, var in enumerate(program.inputs)
        }
        for k, (var, value) in enumerate(program.consts):
            given[var] = Array(f"const{k}", value.shape, self.places.place(Place("const", k, value.shape)))
        slots = [2 + over[k] if k in over else 2 + n_in + k for k in range(n_out)]
        targets = [
            Target(atom, Array(f"v{k}", t.shape, slot), adds=k in adds)
            for k, (atom, t, slot) in enumerate(zip(program.outputs, self.types, slots, strict=True))
        ]
        self.fusion = Fusion(program, [*given], program.outputs)
        added = [
            Update(
                given[program.inputs[k]], key, program.inputs[part], np.empty(program.inputs[k].type.shape)[key].shape
            )
            for k, key, part in updates
        ]
        kernel = Kernel(
            "kernel", self.fusion, step=None, given=given, targets=targets, slots=self.places, updates=added
        )
        lines = [*[f"q{k} = {sign}.0" for k, sign in signs.items()], *kernel.declared(kernel.lines), *kernel.lines]
        body = ["def kernel(a):", *[f"    {line}" for line in [*lines, "return 0"]]]
        self.lines = kernel.lines
        self.text = "\n".join(["import math", "import numpy as np", *imported(body), "", *body])

    def run(self, *args: Any) -> list[np.ndarray]:
        """The outputs for these inputs."""
        inputs = [np.array(arg, float, order="C") for arg in args]
        outputs = [np.full(t.shape, 1.0 if k in self.adds else np.nan) for k, t in enumerate(self.types)]
        keeping: list[Any] = []

        def address(place: Place) -> int:
            if place.role == "function":
                if place.key != "python":
                    return 0
                function, found = callback(lambda number, a: called(self.places.calls[number], a) or 0)
                keeping.append(function)
                return found
            value = np.full(place.shape, np.nan)
            if place.role != "scratch":
                constant = np.array(self.program.consts[int(str(place.key).split()[-1])][1], float, order="C")
                value = (
                    constant
                    if place.role == "const"
                    else in_panels(constant.T if "transpose" in place.role else constant)
                )
            keeping.append(value)
            return int(value.ctypes.data)

        block = np.array([0, 1, *[x.ctypes.data for x in (*inputs, *outputs)], *map(address, self.places.places)])
        with np.errstate(all="ignore"):
            assert Plain(self.text, ["kernel"]).function("kernel")(block) == 0
        return [inputs[self.over[k]] if k in self.over else output for k, output in enumerate(outputs)]


def program_of(f: Any, *args: Any) -> Program:
    """The simplified program of a function for arrays like these."""
    return simplify(trace(f, *map(ArrayType.of, args)))


def check(f: Any, *args: Any, rtol: float = 1e-13) -> Carried:
    """The kernel of a function, which gives what the interpreter gives."""
    carried = Carried(program_of(f, *args))
    with np.errstate(all="ignore"):
        expected = evaluate(carried.program, *args)
    for one, other in zip(carried.run(*args), expected, strict=True):
        close(one, other, rtol)
    return carried


def close(one: Any, other: Any, rtol: float = 1e-13) -> None:
    """Relative to the largest element that is finite; others are equal."""
    other = np.asarray(other, float)
    scale = np.max(np.abs(other[np.isfinite(other)]), initial=1e-300)
    np.testing.assert_allclose(one, other, rtol=rtol, atol=rtol * scale)
