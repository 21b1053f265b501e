"""How long a signal has to wait for its handler, by the clock."""

import signal
import time
from collections.abc import Callable
from itertools import pairwise

ATTEMPTS = 6
"""Other processes may take the CPU from one that is measured, but hardly at each attempt."""


def longest_wait(work: Callable[[], object]) -> tuple[float, float]:
    """The most seconds during `work` in which no handler ran, and all seconds of it. On the main thread.

    A timer sends a signal every ten milliseconds.
    """
    handled: list[float] = []
    before = signal.signal(signal.SIGALRM, lambda *_: handled.append(time.monotonic()))
    try:
        handled.append(time.monotonic())
        signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
        work()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        handled.append(time.monotonic())
        signal.signal(signal.SIGALRM, before)
    return max(end - begin for begin, end in pairwise(handled)), handled[-1] - handled[0]


def assert_seen_at_once(make: Callable[[int], Callable[[], object]]) -> None:
    """Nowhere in work of half a second has a signal to wait for a quarter of it. `make` makes so many times of it."""
    waits = []
    size = 1
    while len(waits) < ATTEMPTS:
        longest, whole = longest_wait(make(size))
        if whole < 0.5:
            size *= 2
        elif longest < max(0.12, 0.25 * whole):
            return
        else:
            waits.append(f"{longest:.2f} of {whole:.2f} s")
    raise AssertionError(waits)
