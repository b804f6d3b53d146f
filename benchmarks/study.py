"""The study of memory against time: three problems, ten budgets, every schedule, `auto`, and rivals.

``python -m benchmarks.study`` measures; with ``--redraw`` it only writes the tables and pictures again from the JSON.
``python -m benchmarks.study --docs`` puts what is in DIR into docs/tradeoff.md as well.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.machine import ONE_THREAD, ROOT, machine, versions
from benchmarks.pictures import draw, every_policy, table

RIVALS = {"torch": "torch", "jax": "jax", "equinox": "equinox", "pyrevolve": "pyrevolve"}
STUDIED = {
    "full": {"lorenz": {"n_steps": 500}, "wave": {"n_steps": 200, "size": 256}, "network": {"n_steps": 2000}},
    "quick": {
        "lorenz": {"n_steps": 100},
        "wave": {"n_steps": 40, "size": 64},
        "network": {"n_steps": 300, "units": 32},
    },
}
BEGIN, END = "<!-- tables: python -m benchmarks.study --docs -->", "<!-- end of tables -->"
PICTURES = "pictures"


def main() -> None:
    """Measure, write JSON, and draw."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.study", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes and few budgets: a minute in all")
    parser.add_argument(
        "--problem", choices=STUDIED["full"], action="append", help="one of the problems (default: all)"
    )
    parser.add_argument("--out", type=Path, default=Path("study"), metavar="DIR", help="default: ./study")
    parser.add_argument("--no-rivals", action="store_true", help="unspool alone")
    parser.add_argument("--redraw", action="store_true", help="measure nothing; tables and pictures from DIR/*.json")
    parser.add_argument("--docs", action="store_true", help="tables and pictures also into docs/")
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    names = chosen.problem or list(STUDIED["full"])
    for name in names:
        if not chosen.redraw:
            result = study(name, quick=chosen.quick, rivals=not chosen.no_rivals)
            (chosen.out / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
    results = [json.loads((chosen.out / f"{name}.json").read_text()) for name in names]
    for result in results:
        draw(result, chosen.out)
    (chosen.out / "tables.md").write_text("\n".join(map(table, results)))
    (chosen.out / "policies.md").write_text("\n".join(map(every_policy, results)))
    if chosen.docs:
        document(results, chosen.out)
    print(f"wrote tables.md, policies.md, {len(names)} JSON files and {len(names)} pictures to {chosen.out}")


def document(results: list[dict[str, Any]], out: Path) -> None:
    """Put the tables between the marks in docs/tradeoff.md, and the pictures and the JSON where it refers to them."""
    page = ROOT / "docs" / "tradeoff.md"
    head, _, rest = page.read_text().partition(BEGIN)
    _, _, tail = rest.partition(END)
    parts = [BEGIN, "", *(f"{table(r)}\n![]({PICTURES}/{r['problem']}.png)\n" for r in results), END]
    page.write_text(head + "\n".join(parts) + tail)
    for result in results:
        name = result["problem"]
        shutil.copy(out / f"{name}.png", ROOT / "docs" / PICTURES / f"{name}.png")
        shutil.copy(out / f"{name}.json", ROOT / "benchmarks" / "results" / f"{name}.json")


def study(name: str, *, quick: bool, rivals: bool) -> dict[str, Any]:
    """One problem, each part in a process of its own."""
    result = child("benchmarks.sweep", name, "quick" if quick else "full")
    result["machine"], result["versions"] = machine(), versions()
    result["date"] = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    result["rivals"] = []
    asked = {"quick": quick, "budgets": [row["budget_bytes"] for row in result["budgets"]]}
    for rival, package in RIVALS.items() if rivals else ():
        if importlib.util.find_spec(package):
            result["rivals"].append(child("benchmarks.study_rivals", rival, name, stdin=json.dumps(asked)))
    return result


def child(module: str, *arguments: str, stdin: str = "") -> Any:
    """What a module of the benchmarks prints, run with one thread."""
    command = [sys.executable, "-m", module, *arguments]
    run = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **ONE_THREAD}, input=stdin, stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(run.stdout)


if __name__ == "__main__":
    main()
