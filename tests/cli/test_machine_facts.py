"""What is told of a machine is read from its files, and unknown where there are none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from unspool.cli import machine_facts


def test_the_name_of_the_processor_is_read(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text("processor : 0\nmodel name : Abacus 7\nmodel name : Abacus 7\n")
    assert machine_facts.processor(tmp_path)["name"] == "Abacus 7"


def test_without_files_llvm_names_the_processor(tmp_path: Path) -> None:
    import llvmlite.binding as llvm

    assert machine_facts.processor(tmp_path)["name"] == llvm.get_host_cpu_name()


def test_without_llvm_nothing_is_known_of_features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_facts, "find_spec", lambda name: None)
    found = machine_facts.processor(tmp_path)
    assert (found["name"], found["features"]) == ("unknown", {})
    assert machine_facts.threads()["numba"] is None


def test_a_package_that_is_missing_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_facts, "PACKAGES", ("numpy", "no such package"))
    found = machine_facts.versions()
    assert found["numpy"] == np.__version__
    assert found["no such package"] is None


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="libraries that are loaded are listed on Linux only")
def test_the_threads_of_blas_are_those_that_were_set() -> None:
    program = "from unspool.cli.machine_facts import blas; print([b['threads'] for b in blas()], blas()[0]['name'])"
    environment = {"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": ":".join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    if "openblas" not in done.stdout:
        pytest.skip("another BLAS, which has other settings")
    assert "[1, 1]" in done.stdout
