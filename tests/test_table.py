"""One table, three ways to show it."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest

import unspool
from unspool.layout import ArrayType
from unspool.planner import StepPrices, choose
from unspool.table import Table, preformatted
from unspool.tracer import trace

TABLE = Table(("what", "a|b"), (("v\u0307 < 1", "10"), ("w", "2")), title="T & t", note="n < m", left=(0,))


def cells(html: str) -> list[list[str]]:
    """The text of every cell of every row, head first."""
    table = ET.fromstring(f"<div>{html}</div>").find("table")
    assert table is not None
    return [["".join(cell.itertext()) for cell in row] for row in table.iter("tr")]


def test_the_text_is_aligned_by_what_a_terminal_shows() -> None:
    assert str(TABLE).splitlines() == ["T & t", "what   a|b", "v\u0307 < 1   10", "w        2", "n < m"]


def test_markdown_keeps_bars_inside_cells() -> None:
    assert TABLE.markdown().splitlines() == [
        "T & t",
        "",
        r"| what | a\|b |",
        "| --- | ---: |",
        "| v\u0307 < 1 | 10 |",
        "| w | 2 |",
        "",
        "n < m",
    ]


def test_html_is_well_formed_and_says_the_same() -> None:
    html = TABLE._repr_html_()
    assert cells(html) == [["what", "a|b"], ["v\u0307 < 1", "10"], ["w", "2"]]
    root = ET.fromstring(f"<div>{html}</div>")
    assert root.findtext(".//caption") == "T & t"
    assert root.findtext("p") == "n < m"
    assert [cell.get("style") for cell in root.iter("td")] == ["text-align: left", "text-align: right"] * 2


def test_a_row_of_another_length_is_an_error() -> None:
    with pytest.raises(ValueError, match="zip"):
        str(Table(("a", "b"), (("1",),)))


def test_plans_reports_programs_and_inspections_show_themselves_in_a_notebook() -> None:
    plan = choose(1000, StepPrices(8, 24), 4000)
    rows = cells(plan._repr_html_())
    assert rows[0] == ["", "schedule", "evaluations", "factor", "peak", "seconds"]
    assert [row[1] for row in rows[1:]] == [str(p.schedule) for p in plan.alternatives]
    assert [row[1] for row in rows if row[0] == "→"] == [str(plan.schedule)]

    with unspool.observe() as log:
        unspool.grad(lambda x: unspool.fori_loop(0, 10, lambda i, u: u * x, 1.0, policy="every-4"))(1.1)
    (head, row) = cells(log._repr_html_())
    assert dict(zip(head, row, strict=True))["run"] == "18"
    assert cells(log[0]._repr_html_()) == [head, row]

    program = trace(lambda x: x * (x < 3), ArrayType(np.dtype(float), ()))
    assert ET.fromstring(program._repr_html_()).text == str(program)
    inspection = unspool.inspect(lambda i, u: u * 2, np.ones(2))
    assert ET.fromstring(inspection._repr_html_()).text == str(inspection)
    checks = unspool.testing.check_grads(np.sin, (0.5,))
    assert ET.fromstring(checks._repr_html_()).text == str(checks)
    assert preformatted("<&>") == "<pre>&lt;&amp;&gt;</pre>"
