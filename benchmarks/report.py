"""Tables and pictures of a run of ``python -m benchmarks``, from its JSON."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.rivals import RIVALS
from unspool.memory import human_bytes
from unspool.table import Table

COLOURS = {
    "numpy": "0.6",
    "hand": "black",
    "compiled": "tab:orange",
    "tape": "tab:blue",
    "auto": "tab:cyan",
    "jax": "tab:purple",
    "equinox": "tab:brown",
    "torch": "tab:red",
    "autograd": "tab:pink",
    "pyrevolve": "tab:green",
}

LEAST_BYTES = 4096
"""A page: what grew by less is drawn there."""


def best(problem: dict[str, Any], rival: str) -> dict[str, Any] | None:
    """The row of a rival that was quickest."""
    rows = [row for row in problem["rows"] if row["rival"] == rival and "seconds" in row]
    return min(rows, key=lambda row: float(row["seconds"]), default=None)


def wrong(found: dict[str, Any]) -> list[str]:
    """What failed, and the gradients that are not the reference's, a line each; what was left out is not among them."""
    lines = []
    for problem in found["problems"]:
        if "failed" in problem:
            lines += [] if left_out(problem) else [f"{problem['name']}: {problem['failed']}"]
            continue
        tolerance = problem["tolerance"]
        if not problem["reference"]["error"] < max(tolerance, 1e-6):
            lines.append(f"{problem['name']}: the reference is off by {problem['reference']['error']:.1e}")
        for row in problem["rows"]:
            where = f"{problem['name']}, {row['rival']}, {row['label']}"
            if "failed" in row:
                lines += [] if left_out(row) else [f"{where}: {row['failed']}"]
            elif not row["difference"] < tolerance:
                lines.append(f"{where}: off by {row['difference']:.1e} of the largest entry")
    return lines


def left_out(row: dict[str, Any]) -> bool:
    return str(row["failed"]).startswith(("left out", "took more than"))


# --- tables -----------------------------------------------------------------------------------------------------------
def tables(found: dict[str, Any]) -> str:
    """A summary, and a table for every problem, as Markdown."""
    parts = [summary(found), *map(detail, found["problems"]), colophon(found)]
    return "\n\n".join(parts) + "\n"


def shown(found: dict[str, Any]) -> list[str]:
    """The rivals of which there is a figure."""
    return [rival for rival in RIVALS if any(best(problem, rival) for problem in found["problems"])]


def summary(found: dict[str, Any]) -> str:
    """Milliseconds of the quickest setting of each rival."""
    rivals = shown(found)
    rows = []
    for problem in found["problems"]:
        cells = [best(problem, rival) for rival in rivals]
        rows.append((problem["name"], *(milliseconds(row["seconds"]) if row else "–" for row in cells)))
    return Table(("ms, quickest setting", *rivals), tuple(rows)).markdown()


def detail(problem: dict[str, Any]) -> str:
    """Every rival under every label."""
    if "failed" in problem:
        return f"### {problem['name']}\n\n{problem['failed']}"
    hand = best(problem, "hand")
    rows = []
    for row in problem["rows"]:
        name = (row["rival"], row["label"])
        if "failed" in row:
            rows.append((*name, row["failed"], *[""] * 6))
            continue
        rows.append((
            *name,
            milliseconds(row["seconds"]),
            digits(row["seconds"] / hand["seconds"]) if hand else "",
            f"{row['first_call_seconds']:.2f}",
            "" if row["peak_bytes"] is None else human_bytes(row["peak_bytes"]),
            human_bytes(row["held_bytes"]) if "held_bytes" in row else "",
            f"{row['steps'] / problem['n_steps']:.2f}" if "steps" in row else "",
            f"{row['difference']:.0e}",
        ))  # fmt: skip
    head = ("rival", "setting", "ms", "× hand", "first call s", "peak", "held", "steps / n", "off by")
    reference = problem["reference"]
    means = f"{reference['by']} beside {reference['checked_by']} along a direction: {reference['error']:.0e}"
    text = Table(head, tuple(rows), left=(0, 1)).markdown()
    return f"### {problem['title']}\n\nGradient in {problem['numbers']:,} numbers; {means}.\n\n{text}"


def colophon(found: dict[str, Any]) -> str:
    """The machine, the versions, the date, and what was not there."""
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    machine = found["machine"]
    processor = machine.get("processor", "an unknown processor")
    lines = [
        f"Measured {found['date'][:10]} on {processor}, {machine['cores']} cores, "
        f"{human_bytes(machine['memory_bytes'])}, one thread; {versions}."
    ]
    lines += [f"Absent: {name} ({', '.join(packages)} not installed)." for name, packages in found["absent"].items()]
    return "\n".join(lines)


def milliseconds(seconds: float) -> str:
    return digits(1e3 * seconds)


def digits(x: float) -> str:
    """Three of them."""
    return f"{x:,.0f}" if x >= 100 else f"{x:#.3g}"


# --- pictures ---------------------------------------------------------------------------------------------------------
def draw(found: dict[str, Any], out: Path) -> list[Path]:
    """Write DIR/times and DIR/memory as PNG and SVG."""
    if find_spec("matplotlib") is None:
        raise SystemExit("python -m benchmarks: --plot needs matplotlib: pip install 'unspool[plot]'")
    out.mkdir(parents=True, exist_ok=True)
    files = []
    for name, picture in (("times", times(found)), ("memory", memory(found))):
        for kind in ("png", "svg"):
            files.append(out / f"{name}.{kind}")
            picture.savefig(files[-1], dpi=110)
    return files


def times(found: dict[str, Any]) -> Any:
    """The seconds of each rival's quickest setting over those by hand (or of the first rival there is)."""
    from matplotlib.figure import Figure

    problems = [problem for problem in found["problems"] if "failed" not in problem and problem["rows"]]
    rivals = shown(found)
    base = "hand" if "hand" in rivals else rivals[0]
    figure = Figure(figsize=(4 + 0.75 * len(problems), 4.8), layout="constrained")
    axes = figure.subplots()
    for number, rival in enumerate(rivals):
        points = []
        for place, problem in enumerate(problems):
            unit, row = best(problem, base), best(problem, rival)
            if unit and row:
                points.append((place + 0.05 * (number - len(rivals) / 2), row["seconds"] / unit["seconds"]))
        if points:
            axes.plot(*zip(*points, strict=True), "o", ms=7, color=COLOURS[rival], label=RIVALS[rival].title)
    axes.axhline(1, color="black", lw=0.8)
    axes.set_xticks(range(len(problems)), [problem["name"] for problem in problems], rotation=30)
    axes.set(yscale="log", ylabel=f"seconds over those of: {RIVALS[base].title}", title=f"{found['size']} problems")
    axes.set_xlim(-0.5, len(problems) - 0.5)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper", frameon=False)
    return figure


def memory(found: dict[str, Any]) -> Any:
    """Seconds against the growth of the process, a frame for every problem, a point for every setting."""
    from matplotlib.figure import Figure

    problems = [problem for problem in found["problems"] if "failed" not in problem and problem["rows"]]
    columns = min(5, len(problems))
    lines = -(-len(problems) // columns)
    figure = Figure(figsize=(2.2 + 3 * columns, max(3.6, 2.7 * lines)), layout="constrained")
    labels: dict[str, Any] = {}
    for axes, problem in zip(figure.subplots(lines, columns, squeeze=False).flat, problems, strict=False):
        for rival in RIVALS:
            rows = [r for r in problem["rows"] if r["rival"] == rival and r.get("peak_bytes") is not None]
            if rows:
                places = [max(LEAST_BYTES, row["peak_bytes"]) for row in rows]
                seconds = [row["seconds"] for row in rows]
                (labels[RIVALS[rival].title],) = axes.plot(places, seconds, "o", ms=5, color=COLOURS[rival])
        axes.set(xscale="log", yscale="log", title=problem["name"])
        axes.xaxis.set_major_formatter(lambda x, _: human_bytes(x).replace(".00", ""))
        axes.tick_params(labelsize=7)
        axes.grid(alpha=0.3)
    for axes in figure.axes[len(problems) :]:
        axes.set_axis_off()
    figure.supxlabel("growth of the process")
    figure.supylabel("seconds of a gradient")
    figure.legend(labels.values(), labels.keys(), loc="outside right upper", frameon=False)
    return figure
