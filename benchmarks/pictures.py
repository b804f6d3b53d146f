"""Tables and pictures of the study, from its JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from unspool.memory import human_bytes

KINDS = {
    "StoreAll": ("s", "tab:blue", "StoreAll"),
    "Every": ("v", "tab:cyan", "Every(k)"),
    "Revolve": (".", "0.55", "Revolve(c, leaf=k)"),
    "Online": ("^", "tab:olive", "Online(c, leaf=k)"),
    "Mixed": ("D", "tab:pink", "Mixed"),
}
RIVALS = {
    "torch": ("X", "tab:red", "PyTorch checkpoint"),
    "jax": ("P", "tab:purple", "JAX nested scans, remat"),
    "equinox": ("p", "tab:brown", "equinox checkpointed scan"),
    "pyrevolve": ("h", "tab:green", "pyrevolve, adjoint by hand"),
}


# --- tables -----------------------------------------------------------------------------------------------------------
def table(result: dict[str, Any]) -> str:
    """The study of one problem as Markdown."""
    rivals = result["rivals"]
    head = ["memory", "auto chose", "steps / n", "ms", "best by hand", "auto / best", "predicted / measured"]
    head += ["peak / memory", *(f"{r['rival']} / auto" for r in rivals)]
    rows = [head, ["---"] + ["---:" if k > 1 else "---" for k in range(1, len(head))]]
    for number, row in enumerate(result["budgets"]):
        auto = row["auto"]
        predicted = auto["predicted_seconds"]
        cells = [
            human_bytes(row["budget_bytes"]),
            short(auto["chosen"]),
            f"{auto['steps'] / result['n_steps']:.2f}",
            f"{1e3 * auto['seconds']:.0f}",
            short(auto["best"]),
            f"{auto['ratio']:.3f}",
            "not timed" if predicted is None else f"{predicted / auto['seconds']:.2f}",
            f"{auto['peak_bytes'] / row['budget_bytes']:.2f}",
        ]
        for rival in rivals:
            at = rival["budgets"][number]
            cells.append("does not fit" if at is None else figure(at["seconds"] / auto["seconds"]))
        rows.append(cells)
    lines = [f"### {result['title']}", "", *(f"| {' | '.join(cells)} |" for cells in rows), ""]
    lines += [
        f"A state takes {human_bytes(result['state_bytes'])}, the residuals of a step "
        f"{human_bytes(result['residual_bytes'])}. All gradients bitwise equal: "
        f"{'yes' if result['gradients_bitwise_equal'] else 'NO'}. `auto` without a limit over `none`: "
        f"{result['auto_over_none']:.3f}.",
        "",
    ]
    return "\n".join(lines)


def every_policy(result: dict[str, Any]) -> str:
    """Everything that was run by hand, as Markdown."""
    lines = [f"### {result['title']}: every policy", ""]
    lines += ["| memory | policy | steps / n | ms | predicted ms | peak | predicted peak |"]
    lines += ["| --- | --- | ---: | ---: | ---: | ---: | ---: |"]
    for row in result["budgets"]:
        for p in sorted(row["policies"], key=lambda p: p["seconds"]):
            predicted = p["predicted_seconds"]
            cells = [human_bytes(row["budget_bytes"]), short(p["policy"]), f"{p['steps'] / result['n_steps']:.2f}"]
            cells += [f"{1e3 * p['seconds']:.0f}", "" if predicted is None else f"{1e3 * predicted:.0f}"]
            cells += [human_bytes(p["peak_bytes"]), human_bytes(p["predicted_peak_bytes"])]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def short(policy: str) -> str:
    """A policy in the words of the tables."""
    words = policy.replace("slots=", "").replace("period=", "").replace(", leaf=1)", ")").replace("()", "")
    return words.replace("state_size=", "").replace("residual_size=", "")


def figure(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio >= 0.1 else f"{ratio:.1g}"


# --- pictures ---------------------------------------------------------------------------------------------------------
def draw(result: dict[str, Any], out: Path) -> Path:
    """Time and evaluations against memory, with the theoretical curve, as DIR/problem.png."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator

    figure = Figure(figsize=(13, 6.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    draw_seconds(left, result)
    draw_steps(right, result)
    for axes in (left, right):
        axes.set_xscale("log")
        axes.set_xlabel("snapshots and residuals held")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_formatter("")
        axes.xaxis.set_major_formatter(lambda x, _: human_bytes(x).replace(".00", "").replace(".0", ""))
        axes.grid(alpha=0.25, which="both")
    figure.suptitle(result["title"])
    handles = {
        label: handle for axes in (left, right) for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=5, frameon=False)
    path = out / f"{result['problem']}.png"
    figure.savefig(path, dpi=110)
    return path


def draw_seconds(axes: Any, result: dict[str, Any]) -> None:
    from matplotlib.ticker import LogLocator

    for kind, points in policies(result).items():
        marker, colour, label = KINDS[kind]
        axes.plot(
            *zip(*[(p["peak_bytes"], p["seconds"]) for p in points], strict=True),
            marker,
            color=colour,
            ms=5,
            label=label,
        )
    for rival in result["rivals"]:
        marker, colour, label = RIVALS[rival["rival"]]
        points = unique(rival["budgets"])
        if points:
            axes.plot(*zip(*points, strict=True), marker, ls=":", lw=1, color=colour, ms=7, label=label)
    rows = result["budgets"]
    axes.plot(
        [row["auto"]["peak_bytes"] for row in rows],
        [row["auto"]["seconds"] for row in rows],
        "o-",
        color="tab:orange",
        mfc="none",
        ms=10,
        mew=1.6,
        label="auto",
    )
    curve = result["curve"]
    axes.plot(
        [p["bytes"] for p in curve],
        [p["seconds"] for p in curve],
        "k--",
        lw=1,
        label="theory: predicted seconds; F(n; c, k)",
    )
    axes.set(yscale="log", ylabel="seconds for one gradient", title="time")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(lambda x, _: f"{x:g}")
    axes.yaxis.set_minor_formatter("")


def draw_steps(axes: Any, result: dict[str, Any]) -> None:
    n = result["n_steps"]
    for kind, points in policies(result).items():
        marker, colour, label = KINDS[kind]
        axes.plot(
            *zip(*[(p["peak_bytes"], p["steps"] / n) for p in points], strict=True),
            marker,
            color=colour,
            ms=5,
            label=label,
        )
    for rival in result["rivals"]:
        marker, colour, label = RIVALS[rival["rival"]]
        points = [(x, at["steps"] / n) for at in rival["budgets"] if at and at["steps"] for x in (at["bytes"],)]
        if points:
            axes.plot(*zip(*sorted(set(points)), strict=True), marker, ls=":", lw=1, color=colour, ms=7, label=label)
    rows = result["budgets"]
    axes.plot(
        [row["auto"]["peak_bytes"] for row in rows],
        [row["auto"]["steps"] / n for row in rows],
        "o-",
        color="tab:orange",
        mfc="none",
        ms=10,
        mew=1.6,
        label="auto",
    )
    curve = result["curve"]
    axes.plot([p["bytes"] for p in curve], [p["steps"] / n for p in curve], "k--", lw=1)
    axes.set(ylabel="evaluations of the step / n", title="steps run")
    axes.set_ylim(0, 1.1 * max(row["auto"]["steps"] / n for row in rows))


def policies(result: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Everything that was run by hand, by kind, in the order of KINDS."""
    found: dict[str, list[dict[str, Any]]] = {}
    for kind in KINDS:
        points = [p for row in result["budgets"] for p in row["policies"] if p["kind"] == kind]
        if points:
            found[kind] = points
    return found


def unique(budgets: list[dict[str, Any] | None]) -> list[tuple[float, float]]:
    return sorted({(at["bytes"], at["seconds"]) for at in budgets if at})
