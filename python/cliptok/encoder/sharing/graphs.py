"""The CUDA graphs of an encoder: launching a batch's kernels takes longer than running them, and a graph launches once.

A shape is captured the second time that it comes: the first run is the warm-up that a capture needs anyway, and shapes
that never come back cost nothing. All graphs of an encoder share one memory pool, so they run one after another, and a
result must be copied before the next run.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Hashable
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from cliptok.encoder.sharing.fingerprint import Fingerprint

if TYPE_CHECKING:
    from cliptok.encoder.model import TextModel

T = TypeVar("T")
Outputs = tuple[Tensor, ...]
Compute = Callable[[Tensor], Outputs]
Pool = tuple[int, int]

# Bytes of device memory that an encoder's graphs may hold.
GRAPH_MEMORY = 1 << 30
KEPT = 24  # graphs per encoder; the least recently used goes first

# Two captures at once on one device disturb each other.
_capture_locks: defaultdict[int, threading.Lock] = defaultdict(threading.Lock)


class _Graph:
    """A captured `compute(inputs)`: `replay` reads `inputs` and overwrites `outputs`."""

    def __init__(
        self, compute: Compute, packed: Tensor, stream: torch.cuda.Stream, pool: torch.cuda._POOL_HANDLE
    ) -> None:
        device = stream.device
        current = torch.cuda.current_stream(device)
        stream.wait_stream(current)
        # Normal tensors: a graph that is captured in inference mode must work outside, and the other way round.
        with _capture_locks[device.index], torch.cuda.stream(stream), torch.inference_mode(False), torch.no_grad():
            self.inputs = packed.to(device, non_blocking=True)
            compute(self.inputs)  # In this thread and stream cuBLAS allocates, and kernels are loaded.
            self._graph = torch.cuda.CUDAGraph()
            # Other threads may go on using CUDA, which the default mode forbids them.
            self._graph.capture_begin(pool=pool, capture_error_mode="thread_local")
            try:
                self.outputs = compute(self.inputs)
            except BaseException:
                with suppress(RuntimeError):
                    self._graph.capture_end()
                raise
            self._graph.capture_end()
        current.wait_stream(stream)

    def replay(self, packed: Tensor) -> Outputs:
        self.inputs.copy_(packed, non_blocking=True)
        self._graph.replay()
        return self.outputs


class GraphRunner:
    """Runs computations of one encoder on its device, from graphs where it has them. Safe from several threads.

    `memory` bounds the bytes that the graphs hold; a shape that does not fit runs without one.
    """

    def __init__(self, tower: TextModel, memory: int = GRAPH_MEMORY) -> None:
        self.memory = memory
        self.fingerprint = Fingerprint(tower)
        self.device = tower.device
        self._lock = threading.RLock()
        self._graphs: OrderedDict[Hashable, _Graph | None] = OrderedDict()
        self._too_large: set[Hashable] = set()
        with torch.cuda.device(self.device):
            self._stream = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
            self._pool = torch.cuda.graph_pool_handle()
            self._done = torch.cuda.Event()  # type: ignore[no-untyped-call]
        self._last_stream: torch.cuda.Stream | None = None

    def run(self, key: Hashable, compute: Compute, packed: Tensor, take: Callable[[Outputs], T]) -> T:
        """`take(compute(packed on the device))`, from the graph called `key` if there is one.

        `packed` is a pinned tensor, and all that the computation depends on beside the weights; `take` must copy what
        it keeps.
        """
        with self._lock, torch.cuda.device(self.device):
            stream = torch.cuda.current_stream(self.device)
            if self._last_stream is not None and self._last_stream != stream:
                stream.wait_event(self._done)
            graph = self._graphs.get(key)
            if graph is None and key in self._graphs:
                graph = self._captured(key, compute, packed)
            elif key not in self._too_large:
                self._keep(key, graph)
            outputs = compute(packed.to(self.device, non_blocking=True)) if graph is None else graph.replay(packed)
            result = take(outputs)
            self._done.record(stream)
            self._last_stream = stream
            return result

    def capture(self, key: Hashable, compute: Compute, packed: Tensor) -> None:
        """Capture a graph before it is needed, if it is not there and fits into the memory."""
        with self._lock, torch.cuda.device(self.device):
            if self._graphs.get(key) is None and key not in self._too_large:
                self._captured(key, compute, packed)

    def _captured(self, key: Hashable, compute: Compute, packed: Tensor) -> _Graph | None:
        graph = _Graph(compute, packed, self._stream, self._pool)
        if self.bytes() <= self.memory:
            self._keep(key, graph)
            return graph
        # A pool does not give back a part: start anew, without this one.
        del graph
        self._too_large.add(key)
        self._forget()
        return None

    def _keep(self, key: Hashable, graph: _Graph | None) -> None:
        self._graphs[key] = graph
        self._graphs.move_to_end(key)
        while len(self._graphs) > KEPT:
            self._graphs.popitem(last=False)

    def _forget(self) -> None:
        torch.cuda.current_stream(self.device).synchronize()
        self._graphs.clear()
        self._pool = torch.cuda.graph_pool_handle()
        torch.cuda.empty_cache()

    def bytes(self) -> int:
        """Device memory of the pool that the graphs share."""
        return sum(
            segment["total_size"]
            for segment in torch.cuda.memory_snapshot()  # type: ignore[no-untyped-call]
            if tuple(segment.get("segment_pool_id", ())) == tuple(self._pool)
        )

    def close(self) -> None:
        """Give the graphs' memory back to the device."""
        with self._lock, torch.cuda.device(self.device):
            self._forget()


_runners: WeakKeyDictionary[TextModel, GraphRunner] = WeakKeyDictionary()
_runners_lock = threading.Lock()


def runner(tower: TextModel) -> GraphRunner:
    """The tower's runner. A tower that is not what it was gets a new one: graphs hold addresses of weights."""
    with _runners_lock:
        found = _runners.get(tower)
        if found is not None:
            if found.fingerprint.matches(tower):
                return found
            found.close()
        made = _runners[tower] = GraphRunner(tower, GRAPH_MEMORY if found is None else found.memory)
        return made


def release(tower: TextModel) -> None:
    """Give the memory of the tower's graphs back, if it has any."""
    with _runners_lock:
        found = _runners.pop(tower, None)
    if found is not None:
        found.close()
