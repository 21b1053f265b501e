"""Pipeline stages in threads of their own: prefetching what comes next, and writing in the background."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


def prefetch(items: Iterable[T], depth: int = 1) -> Iterator[T]:
    """Yields `items` in order while a thread produces up to `depth` further ones. It raises its errors in order."""
    iterator = iter(items)
    done = object()

    def produce() -> Any:
        return next(iterator, done)

    with ThreadPoolExecutor(1, thread_name_prefix="cliptok-prefetch") as pool:
        waiting: deque[Future[Any]] = deque(pool.submit(produce) for _ in range(depth))
        try:
            while (item := waiting.popleft().result()) is not done:
                waiting.append(pool.submit(produce))
                yield item
        finally:
            for future in waiting:
                future.cancel()


def write_in_background(items: Iterable[T], write: Callable[[T], object], depth: int = 1) -> None:
    """Calls `write(item)` for each item in one thread, while the caller's produces up to `depth` further items.

    Returns when all are written. An error on either side stops both and is raised here: after one of `write` no further
    item is written.
    """
    has_failed = False

    def write_next(item: T) -> None:
        nonlocal has_failed
        if has_failed:  # While this item was waiting already.
            return
        try:
            write(item)
        except BaseException:
            has_failed = True
            raise

    with ThreadPoolExecutor(1, thread_name_prefix="cliptok-writer") as pool:
        waiting: deque[Future[object]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(write_next, item))
                if len(waiting) > depth:
                    waiting.popleft().result()
            while waiting:
                waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
