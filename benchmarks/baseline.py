"""The small costs beside those that were saved: nanoseconds per operation and per step, bytes per operation.

``python -m benchmarks.baseline`` runs `test_eager.py` and `test_loops.py` under pytest-benchmark, and compares with
``baselines/small.json``; ``--save`` writes that file. Times are compared as multiples of the same work in plain NumPy,
measured in the same run, so that a slower machine is no difference; bytes are compared as they are. Ends with 1 where
something grew by more than the tolerance.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.machine import ONE_THREAD, ROOT, machine, versions
from unspool.table import Table

FILES = ("benchmarks/test_eager.py", "benchmarks/test_loops.py")
BASELINE = ROOT / "benchmarks" / "baselines" / "small.json"
TIMES, BYTES = ("ns per operation", "ns per step"), ("bytes per operation", "without arrays")
TOLERANCE = {"ns": 0.2, "bytes": 0.02}
"""Of what was saved. Two runs on a machine that did other things as well differed by at most 0.08 and 0."""


def measured() -> dict[str, Any]:
    """What a run of pytest-benchmark finds."""
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "run.json"
        command = [sys.executable, "-m", "pytest", *FILES, "-q", "--benchmark-only", f"--benchmark-json={file}"]
        command += ["--benchmark-timer=time.process_time", "-p", "no:cacheprovider", "-k", "not torch and not autograd"]
        run = subprocess.run(
            command, cwd=ROOT, env={**os.environ, **ONE_THREAD}, capture_output=True, text=True, check=False
        )
        if run.returncode:
            raise SystemExit(
                f"python -m benchmarks.baseline: pytest ended with {run.returncode}:\n{run.stdout[-2000:]}"
            )
        found = json.loads(file.read_text())
    return {
        "machine": machine(),
        "versions": versions(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "entries": entries(found["benchmarks"]),
    }


def entries(benchmarks: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """By test, its figures, and its time as a multiple of the test beside which it stands."""
    extra = {found["name"]: found["extra_info"] for found in benchmarks}
    result: dict[str, dict[str, float]] = {}
    for name, info in extra.items():
        figures = {unit: info[unit] for unit in (*TIMES, *BYTES) if unit in info}
        for unit in TIMES:
            beside = extra.get(info.get("beside", ""), {})
            if unit in info and unit in beside and info is not beside:
                figures["× NumPy"] = round(info[unit] / beside[unit], 3)
        if figures:
            result[name] = figures
    return result


def changes(saved: dict[str, Any], now: dict[str, Any]) -> list[tuple[str, str, float, float, bool]]:
    """Test, unit, the figure that was saved, the one of now, and whether it grew by more than the tolerance."""
    rows = []
    for name, figures in now["entries"].items():
        for unit, figure in figures.items():
            before = saved["entries"].get(name, {}).get(unit)
            if before is not None:
                compared = unit == "× NumPy" or unit in BYTES
                allowed = 1 + TOLERANCE["bytes" if unit in BYTES else "ns"]
                rows.append((name, unit, before, figure, compared and figure > allowed * before))
    return rows


def table(rows: list[tuple[str, str, float, float, bool]], saved: dict[str, Any]) -> Table:
    """All figures, then and now."""
    cells = [
        (name, unit, f"{before:g}", f"{now:g}", f"{now / before:.2f}", "grew" if grew else "")
        for name, unit, before, now, grew in rows
    ]
    title = f"Saved {saved['date'][:10]} at {saved['versions'].get('commit', 'an unknown commit')}"
    return Table(("test", "unit", "saved", "now", "ratio", ""), tuple(cells), title, left=(0, 1, 5))


def main() -> int:
    """Measure, and compare or save."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.baseline", description=__doc__.splitlines()[0])
    parser.add_argument("--save", action="store_true", help="write the baseline instead of comparing with it")
    parser.add_argument("--baseline", type=Path, default=BASELINE, metavar="FILE", help="default: baselines/small.json")
    chosen = parser.parse_args()
    if not chosen.save and not chosen.baseline.is_file():
        parser.error(f"there is no {chosen.baseline}: --save makes one")
    now = measured()
    if chosen.save:
        chosen.baseline.parent.mkdir(parents=True, exist_ok=True)
        chosen.baseline.write_text(json.dumps(now, indent=1, ensure_ascii=False) + "\n")
        print(f"wrote {chosen.baseline}")
        return 0
    saved = json.loads(chosen.baseline.read_text())
    rows = changes(saved, now)
    print(table(rows, saved))
    return 1 if any(grew for *_, grew in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
