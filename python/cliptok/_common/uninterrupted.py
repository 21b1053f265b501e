"""Imports that Ctrl-C has to wait for."""

import importlib
import signal
import sys
import threading
from types import FrameType


def import_uninterrupted(name: str) -> None:
    """Import a module, and only then let SIGINT's handler run, if the signal came meanwhile.

    Some C extensions take an interrupted import of theirs for a broken installation, and cannot be imported twice.
    """
    handler = signal.getsignal(signal.SIGINT)
    if name in sys.modules or threading.current_thread() is not threading.main_thread() or not callable(handler):
        importlib.import_module(name)
        return
    caught: list[tuple[int, FrameType | None]] = []
    signal.signal(signal.SIGINT, lambda number, frame: caught.append((number, frame)))
    try:
        importlib.import_module(name)
    finally:
        signal.signal(signal.SIGINT, handler)
        if caught:
            handler(*caught[0])
