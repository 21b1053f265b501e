"""A fair sample of bounded size from a stream of unknown length."""

import heapq
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    import numpy.typing as npt

Item = TypeVar("Item")


class Sample(Generic[Item]):
    """At most `size` of everything offered, each with the same chance. The same stream gives the same sample."""

    def __init__(self, size: int) -> None:
        import numpy as np

        self.size = size
        self._random = np.random.default_rng(0)
        self._kept: list[tuple[float, int, Item]] = []  # a heap, whose first has the highest ticket
        self._offered = 0

    def offer(self, rows: "npt.NDArray[Any]", get: Callable[[int], Item]) -> None:
        """Draw a ticket for each row, and keep those with the lowest. `get` is called for what is kept."""
        tickets = self._random.random(len(rows))
        limit = -self._kept[0][0] if len(self._kept) == self.size else 1.0
        for at in (tickets < limit).nonzero()[0].tolist():
            entry = (-float(tickets[at]), self._offered + at)
            if len(self._kept) < self.size:
                heapq.heappush(self._kept, (*entry, get(int(rows[at]))))
            elif entry > self._kept[0][:2]:
                heapq.heapreplace(self._kept, (*entry, get(int(rows[at]))))
        self._offered += len(rows)

    def items(self) -> list[Item]:
        """What was kept, in the order of the stream."""
        return [item for _, _, item in sorted(self._kept, key=lambda entry: entry[1])]
