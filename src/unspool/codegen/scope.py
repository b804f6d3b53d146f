"""Statements that see each other: those of a kernel, or of one body of a nest."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from unspool.codegen.boxes import Box
from unspool.codegen.indices import Index
from unspool.codegen.statements import Code, Operand
from unspool.ir.program import Var


@dataclass(slots=True)
class Scope:
    """Statements that see each other: those of a kernel, or of one body of a nest."""

    code: Code
    box: Box | None  # None: every load carries its condition
    domain: Box = ()
    group: dict[Var, Index] = field(default_factory=dict)  # what is computed here, and at which index
    memo: dict[Any, Operand] = field(default_factory=dict)  # by value, index and guard
    first: bool = False  # before anything is computed: only what is given is in memory
