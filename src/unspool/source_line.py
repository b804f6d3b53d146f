"""Where in the user's code something happens."""

from __future__ import annotations

import sys
from os.path import basename, dirname
from types import FrameType

_HERE = dirname(__file__)


def user_frame() -> FrameType | None:
    """The innermost frame outside this package."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(_HERE):
        frame = frame.f_back
    return frame


def user_frames() -> list[FrameType]:
    """That frame and those that called it, innermost first, up to the next frame of this package."""
    frame, frames = user_frame(), list[FrameType]()
    while frame is not None and not frame.f_code.co_filename.startswith(_HERE):
        frames.append(frame)
        frame = frame.f_back
    return frames


def user_line() -> str | None:
    """The innermost line outside this package, as ``file.py:12``."""
    frame = user_frame()
    return None if frame is None else f"{basename(frame.f_code.co_filename)}:{frame.f_lineno}"
