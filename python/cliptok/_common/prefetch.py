"""A prefetching iterator and a background writer: each runs one side of a pipeline in a thread of its own."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


def prefetch(items: Iterable[T], depth: int = 1) -> Iterator[T]:
    """`items`, produced by a thread up to `depth` items before they are consumed. Errors are raised in their place."""
    iterator = iter(items)
    done = object()

    def produce() -> Any:
        return next(iterator, done)

    with ThreadPoolExecutor(1, thread_name_prefix="cliptok-prefetch") as pool:
        waiting: list[Future[Any]] = [pool.submit(produce) for _ in range(depth)]
        while True:
            item = waiting.pop(0).result()
            if item is done:
                return
            waiting.append(pool.submit(produce))
            yield item


def write_in_background(items: Iterable[T], write: Callable[[T], object], depth: int = 1) -> None:
    """Call `write(item)` for each item in a thread, with at most `depth` waiting. An error on either side ends both."""
    with ThreadPoolExecutor(1, thread_name_prefix="cliptok-writer") as pool:
        waiting: deque[Future[object]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(write, item))
                if len(waiting) > depth:
                    waiting.popleft().result()
            while waiting:
                waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
