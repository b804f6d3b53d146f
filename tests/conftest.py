"""Hypothesis draws the same examples in every run: a red test is a bug, not a throw of dice."""

from hypothesis import settings

settings.register_profile("steady", derandomize=True, deadline=None, max_examples=60, database=None)
settings.load_profile("steady")
