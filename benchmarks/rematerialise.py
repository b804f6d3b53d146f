"""Dynamic tensor rematerialisation [KLH+2021], simulated on the operations of a tape: what it would compute again.

Any result may be evicted when memory is short, the one with the least cost / (bytes * time since its last use) first,
and is computed again when it is needed. Its cost is its own, or with ``neighbourhood`` also that of all evicted results
that it would need or that would need it (h_DTR of the paper, exactly). Costs are the bytes that an operation
writes; a view costs nothing and holds what it is a view of. Bookkeeping takes no memory here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from unspool.ir.primitive import Read
from unspool.transcript import Transcript


@dataclass(frozen=True)
class Operations:
    """The operations that write memory, numbered in order; ragged tables as (starts, entries)."""

    n_bytes: np.ndarray
    parents: tuple[np.ndarray, np.ndarray]
    residuals: tuple[np.ndarray, np.ndarray]
    children: tuple[np.ndarray, np.ndarray]


def _ragged(rows: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    return np.cumsum([0, *map(len, rows)]), np.array([entry for row in rows for entry in row], np.int64)


def operations_of(transcript: Transcript) -> Operations:
    """The graph of a program as it was heard; what it reads from outside is always there."""
    owner: dict[int, int] = {}
    sizes: list[int] = []
    parents: list[list[int]] = []
    residuals: list[list[int]] = []
    for i, kind in enumerate(transcript.kinds):
        instruction = transcript.instructions[kind]
        refs = transcript.operands[transcript.starts[i] : transcript.starts[i + 1]]
        if instruction.primitive is None:
            continue
        read = sorted({owner[r] for r in refs if r in owner})
        if not instruction.n_bytes:
            if read:
                owner[i] = read[0]
            continue
        owner[i] = len(sizes)
        rule = instruction.rule
        kept = [] if rule is None else [r for r, how in zip([i, *refs], rule.reads, strict=False) if how is Read.VALUE]
        sizes.append(instruction.n_bytes)
        parents.append(read)
        residuals.append(sorted({owner[r] for r in kept if r in owner}))
    children: list[list[int]] = [[] for _ in sizes]
    for i, row in enumerate(parents):
        for parent in row:
            children[parent].append(i)
    return Operations(np.array(sizes), _ragged(parents), _ragged(residuals), _ragged(children))


def rematerialised(operations: Operations, budget: int, *, neighbourhood: bool, most: float = 100.0) -> float:
    """What is computed in all, over what the program computes once; infinity beyond ``most``."""
    total = int(operations.n_bytes.sum())
    tables = (*operations.parents, *operations.residuals, *operations.children)
    spent = _simulate(operations.n_bytes, tables, budget, neighbourhood, int(most * total))
    return spent / total if spent >= 0 else float("inf")


@njit
def _worth(i, sizes, tables, present, seen, stamp, stack):
    """What it would take to have i again: itself, what it would need that is evicted, and what would need it."""
    found = sizes[i]
    for starts, entries in ((tables[0], tables[1]), (tables[4], tables[5])):
        stack[0], depth = i, 1
        while depth:
            depth -= 1
            j = stack[depth]
            for k in range(starts[j], starts[j + 1]):
                other = entries[k]
                if present[other] == 2 and seen[other] != stamp:
                    seen[other] = stamp
                    found += sizes[other]
                    stack[depth] = other
                    depth += 1
    return found


@njit
def _simulate(sizes, tables, budget, neighbourhood, most):
    n = len(sizes)
    p_starts, p_entries, r_starts, r_entries = tables[0], tables[1], tables[2], tables[3]
    present = np.zeros(n, np.int64)  # 0: not made yet, 1: there, 2: evicted, 3: never needed again
    locks = np.zeros(n, np.int64)
    used = np.zeros(n, np.int64)
    seen, search = np.full(n, -1), np.empty(8 * n, np.int64)
    stamp = clock = memory = 0
    last_read, is_residual = np.full(n, -1), np.zeros(n, np.bool_)
    for i in range(n):
        for k in range(p_starts[i], p_starts[i + 1]):
            last_read[p_entries[k]] = i
        for k in range(r_starts[i], r_starts[i + 1]):
            is_residual[r_entries[k]] = True
    pool = np.empty(n, np.int64)
    in_pool = stack_size = 0
    stack = np.empty(n + 1, np.int64)
    for turn in range(2 * n):
        back = turn >= n
        i = turn if not back else 2 * n - 1 - turn
        first, stop = (r_starts[i], r_starts[i + 1]) if back else (i, i + 1)
        for k in range(first, stop):
            wanted = r_entries[k] if back else i
            if back:
                locks[wanted] += 1
            stack[0], stack_size = wanted, 1
            while stack_size:
                t = stack[stack_size - 1]
                missing = -1
                if present[t] != 1:
                    for q in range(p_starts[t], p_starts[t + 1]):
                        if present[p_entries[q]] != 1:
                            missing = p_entries[q]
                            break
                if missing >= 0:
                    for q in range(p_starts[t], p_starts[t + 1]):
                        locks[p_entries[q]] += 1
                    stack[stack_size] = missing
                    stack_size += 1
                    continue
                if present[t] != 1:
                    for q in range(p_starts[t], p_starts[t + 1]):
                        locks[p_entries[q]] += 1
                        used[p_entries[q]] = clock
                    while memory + sizes[t] > budget:
                        best, least = -1, np.inf
                        for place in range(in_pool):
                            j = pool[place]
                            if locks[j] == 0:
                                value = float(sizes[j])
                                if neighbourhood:
                                    stamp += 1
                                    value = float(_worth(j, sizes, tables, present, seen, stamp, search))
                                value /= sizes[j] * (clock - used[j] + 1.0)
                                if value < least:
                                    best, least = place, value
                        if best < 0:
                            return -1
                        j = pool[best]
                        in_pool -= 1
                        pool[best] = pool[in_pool]
                        memory -= sizes[j]
                        present[j] = 2
                    clock += sizes[t]
                    if clock > most:
                        return -1
                    memory += sizes[t]
                    present[t] = 1
                    pool[in_pool] = t
                    in_pool += 1
                    for q in range(p_starts[t], p_starts[t + 1]):
                        locks[p_entries[q]] -= 1
                used[t] = clock
                stack_size -= 1
                if stack_size:  # the one below locked its parents when it was left: it will lock them again
                    below = stack[stack_size - 1]
                    for q in range(p_starts[below], p_starts[below + 1]):
                        locks[p_entries[q]] -= 1
        for place in range(in_pool - 1, -1, -1):  # what the program drops is evicted; what is behind is not needed
            j = pool[place]
            dropped = not back and not is_residual[j] and last_read[j] <= i and j != i and locks[j] == 0
            if dropped or (back and j >= i):
                in_pool -= 1
                pool[place] = pool[in_pool]
                memory -= sizes[j]
                present[j] = 3 if back else 2
        if back:
            for k in range(first, stop):
                locks[r_entries[k]] -= 1
            present[i] = 3
    return clock
