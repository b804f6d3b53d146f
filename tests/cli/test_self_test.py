"""The self-test of `doctor` finds a wrong gradient, and tells of whatever else is broken."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from unspool.cli import self_test


def test_all_is_well() -> None:
    found = self_test.self_test()
    assert [check["passed"] for check in found] == [True] * 3


def test_a_wrong_gradient_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = self_test._gradient

    def wrong(**how: Any) -> np.ndarray:
        return right(**how) * (1 + 1e-9 * (how.get("policy") == "auto" or how["compile"] is True))

    monkeypatch.setattr(self_test, "_gradient", wrong)
    assert [check["passed"] for check in self_test.self_test()] == [True, False, False]


def test_what_is_broken_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**how: Any) -> np.ndarray:
        raise ImportError("no\nNumba")

    monkeypatch.setattr(self_test, "_gradient", broken)
    assert {check["told"] for check in self_test.self_test()} == {"ImportError: no Numba"}
