"""``import unspool`` beside ``import numpy``: CPU time in fresh processes, medians, and the ratio."""

import statistics
import subprocess
import sys

CODE = "import time; begin = time.process_time(); import {}; print(time.process_time() - begin)"


def seconds(module: str) -> float:
    """The CPU seconds that one import takes in a fresh process."""
    run = subprocess.run([sys.executable, "-c", CODE.format(module)], capture_output=True, text=True, check=True)
    return float(run.stdout)


def main() -> None:
    """Measure in turn, so that a drift of the machine meets both."""
    pairs = [(seconds("numpy"), seconds("unspool")) for _ in range(15)][1:]
    numpy, unspool = (statistics.median(column) * 1e3 for column in zip(*pairs, strict=True))
    ratio = statistics.median(u / n for n, u in pairs)
    print(f"import numpy {numpy:.1f} ms, import unspool {unspool:.1f} ms, ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
