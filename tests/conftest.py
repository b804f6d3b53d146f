"""Hypothesis draws the same examples in every run: a red test is a bug, not a throw of dice.

Compiled steps are kept apart from those of the user.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from unspool.codegen import disk_cache

settings.register_profile("steady", derandomize=True, deadline=None, max_examples=60, database=None)
settings.load_profile("steady")


@pytest.fixture(autouse=True, scope="session")
def cache_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A directory of this run for compiled steps."""
    path: Path = tmp_path_factory.mktemp("cache") / "unspool"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disk_cache, "directory", lambda: path)
        yield
