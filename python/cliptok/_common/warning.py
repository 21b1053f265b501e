"""Warnings that name the caller's line, from however deep inside this package."""

import sys
import warnings
from types import FrameType

_PASSED = ("cliptok", "contextlib", "torch")  # with those whose decorators and modules lie between the caller and us


def warn_caller(message: str) -> None:
    """Warn with UserWarning at the innermost frame that is neither of this package nor a decorator's."""
    level = 2
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and str(frame.f_globals.get("__name__")).partition(".")[0] in _PASSED:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, UserWarning, stacklevel=level)
