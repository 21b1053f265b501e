"""Threads that work ahead of whoever takes their items, or behind whoever makes them."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


def ahead(items: Iterable[T], depth: int = 1) -> Iterator[T]:
    """`items`, produced by a thread that stays up to `depth` items ahead of the consumer. Its errors come in order."""
    iterator = iter(items)
    done = object()

    def produce() -> Any:
        return next(iterator, done)

    with ThreadPoolExecutor(1, thread_name_prefix="cliptok-ahead") as pool:
        waiting: list[Future[Any]] = [pool.submit(produce) for _ in range(depth)]
        while True:
            item = waiting.pop(0).result()
            if item is done:
                return
            waiting.append(pool.submit(produce))
            yield item


def behind(items: Iterable[T], do: Callable[[T], object], depth: int = 1) -> None:
    """`do(item)` for each item in a thread, which stays up to `depth` items behind. An error of either ends both."""
    with ThreadPoolExecutor(1, thread_name_prefix="cliptok-behind") as pool:
        waiting: deque[Future[object]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(do, item))
                if len(waiting) > depth:
                    waiting.popleft().result()
            while waiting:
                waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
