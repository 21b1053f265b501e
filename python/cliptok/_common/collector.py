"""Pausing the garbage collector where many objects are made, and none in a cycle."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """No collections inside. Each would look through everything that lives, as often as a quarter more of it does.

    Where there are other threads, a collection is put off for as long at most.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
