"""The study of memory against time: three problems, ten budgets, every schedule, `auto`, and rivals.

``python -m benchmarks.study`` measures; with ``--redraw`` it only writes the tables and pictures again from the JSON.
``python -m benchmarks.study --docs`` puts what is in DIR into docs/tradeoff.md as well.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.pictures import draw, every_policy, table

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
PROBLEMS = ("lorenz", "wave", "network")
RIVALS = {"torch": "torch", "jax": "jax", "equinox": "equinox", "pyrevolve": "pyrevolve"}
BEGIN, END = "<!-- tables: python -m benchmarks.study --docs -->", "<!-- end of tables -->"
PICTURES = "pictures"
ROOT = Path(__file__).parent.parent


def main() -> None:
    """Measure, write JSON, and draw."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.study", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes and few budgets: a minute in all")
    parser.add_argument("--problem", choices=PROBLEMS, action="append", help="one of the problems (default: all)")
    parser.add_argument("--out", type=Path, default=Path("study"), metavar="DIR", help="default: ./study")
    parser.add_argument("--no-rivals", action="store_true", help="unspool alone")
    parser.add_argument("--redraw", action="store_true", help="measure nothing; tables and pictures from DIR/*.json")
    parser.add_argument("--docs", action="store_true", help="tables and pictures also into docs/")
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    names = chosen.problem or PROBLEMS
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
            result["rivals"].append(child("benchmarks.rivals", rival, name, stdin=json.dumps(asked)))
    return result


def child(module: str, *arguments: str, stdin: str = "") -> Any:
    """What a module of the benchmarks prints, run with one thread."""
    command = [sys.executable, "-m", module, *arguments]
    run = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **ONE_THREAD}, input=stdin, stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(run.stdout)


def machine() -> dict[str, Any]:
    """Processor, caches, cores and memory, as far as the system tells."""
    import psutil

    found: dict[str, Any] = {
        "system": f"{platform.system()} {platform.release()}",
        "cores": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
    }
    cpu = Path("/proc/cpuinfo")
    if cpu.exists():
        models = [line.split(":")[1].strip() for line in cpu.read_text().splitlines() if line.startswith("model name")]
        found["processor"] = models[0] if models else platform.machine()
    for cache in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = ((cache / part).read_text().strip() for part in ("level", "type", "size"))
        if kind != "Instruction":
            found[f"L{level}"] = size
    return found


def versions() -> dict[str, str]:
    """Python, NumPy, unspool, and the commit where there is one."""
    found = {"python": platform.python_version()}
    found |= {name: importlib.metadata.version(name) for name in ("numpy", "unspool")}
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return found | ({"commit": commit.stdout.strip()} if commit.returncode == 0 else {})


if __name__ == "__main__":
    main()
