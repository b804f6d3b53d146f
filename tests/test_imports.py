"""What importing the package brings along, and what it leaves for when it is needed."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import unspool

HEAVY = ["numba", "scipy", "matplotlib", "tqdm", "psutil", "hypothesis", "pytest"]
SOURCE = sorted(Path(unspool.__file__).parent.rglob("*.py"))


def _modules_after(code: str) -> list[str]:
    program = f"import sys, json\n{code}\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True)
    modules: list[str] = json.loads(done.stdout.splitlines()[-1])
    return modules


@pytest.mark.parametrize(
    "code",
    [
        "import unspool",
        "import unspool\nunspool.grad(lambda x: unspool.fori_loop(0, 9, lambda i, u: u * x, x, policy='every-2'))(1.0)",
    ],
)
def test_importing_unspool_and_a_gradient_load_no_heavy_package(code: str) -> None:
    roots = {name.split(".")[0] for name in _modules_after(code)}
    assert roots.isdisjoint(HEAVY)
    assert "numpy" in roots


@pytest.mark.parametrize("path", SOURCE, ids=lambda p: p.name)
def test_no_module_evaluates_text_or_unpickles(path: Path) -> None:
    tree = ast.parse(path.read_text())
    imported = {a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported.isdisjoint({"pickle", "marshal", "shelve", "dill", "cloudpickle"})
    called = {n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
    assert "eval" not in called


@pytest.mark.parametrize("path", SOURCE, ids=lambda p: p.name)
def test_only_the_command_line_and_the_demo_print(path: Path) -> None:
    tree = ast.parse(path.read_text())
    called = {n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
    assert "print" not in called or path.name == "demo.py" or path.parent.name == "cli"
