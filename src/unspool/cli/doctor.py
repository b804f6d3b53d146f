"""``unspool doctor``: what this installation is, what it may use, and whether it computes right gradients."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from typing import Any

from unspool.cli.command import Command, Outcome
from unspool.memory import human_bytes


def _options(parser: ArgumentParser) -> None:
    parser.add_argument("--no-self-test", action="store_true", help="leave the self-test away")


def _run(chosen: Namespace) -> Outcome:
    from unspool.cli import machine_facts
    from unspool.cli.self_test import self_test

    facts: dict[str, Any] = {
        "versions": machine_facts.versions(),
        "processor": machine_facts.processor(),
        "threads": machine_facts.threads(),
        "memory": machine_facts.memory(),
        "blas": machine_facts.blas(),
        "cache": machine_facts.cache(),
        "self_test": [] if chosen.no_self_test else self_test(),
    }
    return Outcome(facts, "\n".join(_lines(facts)), all(check["passed"] for check in facts["self_test"]))


def _lines(facts: dict[str, Any]) -> Iterator[str]:
    """The facts for a person."""
    for name, version in facts["versions"].items():
        yield _line("" if name != "unspool" else "versions", f"{name} {version or 'is missing'}")
    cpu, threads, memory, cache = (facts[key] for key in ("processor", "threads", "memory", "cache"))
    has = ", ".join(f"{name} {'yes' if there else 'no'}" for name, there in cpu["features"].items())
    yield _line("processor", f"{cpu['name']} ({cpu['machine']}); {has or 'features unknown'}")
    yield _line("threads", f"{threads['usable']} of {threads['cores']} cores usable; Numba {threads['numba']}")
    for library in facts["blas"]:
        count = "threads unknown" if library["threads"] is None else f"{library['threads']} threads"
        yield _line("BLAS", f"{library['of']}: {library['name']} {library['version']}, {count}")
    left, total = human_bytes(memory["available_bytes"]), human_bytes(memory["total_bytes"])
    yield _line(
        "memory", f"{left} left of {total}; a loop without memory= takes at most {human_bytes(memory['budget_bytes'])}"
    )
    for group in memory["control_groups"]:
        limit, used = human_bytes(group["limit_bytes"]), human_bytes(group["used_bytes"])
        yield _line("", f"control group {group['group']}: at most {limit}, {used} used")
    if not memory["control_groups"]:
        yield _line("", "no control group limits it")
    held = f"{cache['directory']}: {cache['files']} files, {human_bytes(cache['bytes'])}"
    yield _line("cache", held if cache["not_used"] is None else f"not used: {cache['not_used']}")
    for check in facts["self_test"]:
        verdict = "ok" if check["passed"] else "FAILED"
        yield _line("self-test", f"{verdict:6}  {check['name']} ({check['seconds']:.1f} s): {check['told']}")


def _line(head: str, text: str) -> str:
    return f"{head:10}  {text}"


COMMAND = Command(
    "print versions, memory, threads, BLAS and cache, and test itself",
    "Prints all that speed and memory depend on here, and takes some gradients in several ways, which must agree;\n"
    "that takes a few seconds. It ends with 1 if they do not.",
    ("unspool doctor", "unspool doctor --json", "unspool doctor --no-self-test"),
    _options,
    _run,
)
