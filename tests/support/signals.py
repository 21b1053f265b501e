"""How long a signal has to wait for its handler."""

import signal
import time
from collections.abc import Callable
from itertools import pairwise


def longest_wait(work: Callable[[], object]) -> tuple[float, float]:
    """The most CPU seconds during `work` in which no handler ran, and all CPU seconds of it. On the main thread.

    A timer sends a signal every ten milliseconds. Time of the CPU, since other processes take some of a clock's.
    """
    handled: list[float] = []
    before = signal.signal(signal.SIGPROF, lambda *_: handled.append(time.process_time()))
    try:
        handled.append(time.process_time())
        signal.setitimer(signal.ITIMER_PROF, 0.01, 0.01)
        work()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        handled.append(time.process_time())
        signal.signal(signal.SIGPROF, before)
    return max(end - begin for begin, end in pairwise(handled)), handled[-1] - handled[0]
