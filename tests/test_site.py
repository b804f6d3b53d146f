"""The site is built from docs/ without a warning, and has every page and every public name."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import unspool
from unspool import diagnostics, testing

DOCS = Path(__file__).parents[1] / "docs"

for package in ("sphinx", "myst_parser", "furo"):
    pytest.importorskip(package, reason="the site is built where the extra `docs` is installed")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the pages, built anew; a warning is an error."""
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-E", "-W", "--keep-going", "-d", str(out / "trees"), str(DOCS)]
    environment = {"PYTHONPATH": ":".join(filter(None, sys.path)), "PATH": "/usr/bin:/bin"}
    done = subprocess.run([*command, str(out / "html")], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return out / "html"


def test_every_page_is_there_and_can_be_reached(site: Path) -> None:
    pages = [page.relative_to(DOCS).with_suffix(".html") for page in DOCS.rglob("*.md")]
    index = (site / "index.html").read_text()
    for page in pages:
        assert (site / page).exists()
        assert page.name == "index.html" or f'href="{page.as_posix()}"' in index, f"{page} is in no toctree"


def test_every_public_name_is_in_the_reference(site: Path) -> None:
    text = "".join(page.read_text() for page in (site / "reference").glob("*.html"))
    shown = {name.rpartition(".")[2] for name in re.findall(r'id="(?:module-)?(unspool\.[\w.]+)"', text)}
    assert {*unspool.__all__, *testing.__all__, *diagnostics.__all__} - shown == set()
