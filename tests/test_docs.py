"""Every Python block of the README and of the docs runs; what it prints and draws is what the page shows."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from unspool.diagnostics.functions import enrolled
from unspool.ops.table import PRIMITIVES, TABLE

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "pictures"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
EXACT = {"graph.md", "traces.md", "checkpointing.md", "complex.md"}
"""Pages that print the same on every machine: no seconds, and no rounding."""


@pytest.fixture
def registries() -> Iterator[None]:
    """What a page enrols is gone after it."""
    enrolled()  # what the library enrols on demand stays
    before = [(registry, dict(registry)) for registry in (TABLE, PRIMITIVES)]
    yield
    for registry, entries in before:
        registry.clear()
        registry.update(entries)


@pytest.mark.usefixtures("registries")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_blocks_of_a_page_run_in_order(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    space: dict[str, object] = {"__name__": page.stem}
    blocks = re.findall(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```)?", page.read_text(), re.M | re.S)
    for number, (block, shown) in enumerate(blocks):
        exec(compile(block, f"{page.name}, block {number}", "exec"), space)
        printed = capsys.readouterr().out
        if shown and page.name in EXACT:
            assert [line.rstrip() for line in printed.splitlines()] == shown.splitlines()
    for picture in tmp_path.glob("*.svg"):
        assert picture.read_text() == (PICTURES / picture.name).read_text(), f"docs/pictures/{picture.name} is old"
    assert all((PICTURES / picture.name).exists() for picture in tmp_path.glob("*.png"))


def test_every_picture_is_shown_and_every_shown_picture_is_there() -> None:
    shown = {name for page in PAGES for name in re.findall(r"\]\((?:\.\./)?pictures/([^)]+)\)", page.read_text())}
    assert shown == {picture.name for picture in PICTURES.iterdir()}


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+\.md)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_command_of_ci_is_the_command_of_the_readme() -> None:
    commands = re.findall(r"^```sh\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    (test_command,) = [line for block in commands for line in block.splitlines() if "pytest" in line]
    assert test_command in (ROOT / ".ci" / "run").read_text().splitlines()
