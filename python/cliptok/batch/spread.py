"""A job spread over processes, here or on Ray: tasks go to whoever is free, parts come back, outputs are joined."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from multiprocessing import connection, get_context, parent_process
from threading import Thread
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from cliptok.batch.pipeline import Job, ShardError, Work
from cliptok.batch.reading.inputs import Shard
from cliptok.batch.tasks import Made, Task, Worker, tasks_of
from cliptok.batch.workers import Setup, setup
from cliptok.batch.writer import join_parts

if TYPE_CHECKING:
    from cliptok.batch.conditioning import Conditions
    from cliptok.batch.encoder_source import EncoderSource
    from cliptok.batch.encoding import Encoding
    from cliptok.batch.progress import JobProgress

DEATHS = 3
"""Workers that may die of a task before it is given up."""
_AHEAD = 2
"""Tasks that wait for each worker, so that none waits for us."""


class Pool(Protocol):
    """Workers, wherever they are."""

    size: int
    falls_together: bool
    """Whether the tasks of all workers are lost where one dies."""

    def submit(self, task: Task) -> Future[Made]:
        """Let a worker do a task."""

    def is_lost(self, error: BaseException) -> bool:
        """Whether an error says that a worker is gone, so that its task may be tried again."""


class _Begun(NamedTuple):
    """A task that a worker has in hand."""

    task: Task
    deaths: int = 0
    """Of workers that had it in hand, and nobody else to blame for them."""
    is_again: bool = False


def spread(job: Job, work: Work, pool: Pool, is_encoding: bool, listener: JobProgress) -> None:
    """Make the shards of `work` with a pool. A part that a lost worker had in hand is begun again.

    Raises ShardError for a shard that cannot be read, or a part of which takes its worker along each time; what others
    have in hand by then is finished.
    """
    tasks = (task for shard, parts in list(work.items()) for task in tasks_of(job, shard, parts, is_encoding))
    running: dict[Future[Made], _Begun] = {}
    again: deque[_Begun] = deque()
    failed: ShardError | None = None

    def begin(begun: _Begun) -> None:
        running[pool.submit(begun.task)] = begun

    while failed is None or running:
        # Where all fall together, those that were lost go on one by one: who dies then has done it himself.
        is_alone = pool.falls_together and (again or any(begun.is_again for begun in running.values()))
        while failed is None and again and not (is_alone and running):
            begin(again.popleft())
        while failed is None and not is_alone and len(running) < pool.size * _AHEAD:
            if (task := next(tasks, None)) is None:
                break
            begin(_Begun(task))
        if not running:
            break
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            begun = running.pop(future)
            error = future.exception()
            try:
                if error is None:
                    _take(job, work, begun.task.shard, future.result(), listener)
                elif pool.is_lost(error):
                    again.append(_lost(begun, error, pool.falls_together))
                else:
                    raise error
            except ShardError as found:
                failed = failed or found
    if failed is not None:
        raise failed


def _lost(begun: _Begun, error: BaseException, falls_together: bool) -> _Begun:
    """The task once more. Raises ShardError where that was tried often enough."""
    deaths = begun.deaths + (begun.is_again or not falls_together)
    if deaths == DEATHS:
        shard, reason = begun.task.shard, next(iter(str(error).splitlines()), "")
        raise ShardError(shard, f"{shard.source}: {deaths} workers died while they made a part of it: {reason}")
    return _Begun(begun.task, deaths, True)


def _take(job: Job, work: Work, shard: Shard, made: Made, listener: JobProgress) -> None:
    """Count what came of a task, and join the parts of a shard that has all."""
    for stage, seconds in made.stages.items():
        listener.clock.seconds[stage] += seconds
    if made.reused is not None:
        listener.reused(made.reused)
    parts = work[shard]
    for number, part in made.parts:
        parts.done[number] = part
        listener.came(shard, number, part.counts, part.bytes)
    if made.error:
        raise ShardError(shard, made.error)
    if made.record is not None and not made.parts:
        listener.came(shard, 0, made.record["counts"], shard.size)
    record = made.record
    if record is None and parts.is_complete:
        record = join_parts(job, shard, parts)
    if record is not None:
        listener.finished(shard, record)
        del work[shard]


class Processes:
    """Processes of this machine, begun anew where one dies. With an encoder, each has one, on its device."""

    falls_together = True

    def __init__(
        self, job: Job, source: EncoderSource | None, encoding: Encoding | Conditions | None, devices: list[str]
    ) -> None:
        self.size = len(devices)
        threads = max(1, (os.cpu_count() or 1) // self.size)
        self._devices = devices
        self._arguments = setup(job, source, encoding, threads), threads
        self._pool = self._begin()

    def _begin(self) -> ProcessPoolExecutor:
        context = get_context("spawn")  # Threads and CUDA do not survive a fork.
        queue = context.Queue()
        for device in self._devices:
            queue.put(device)
        return ProcessPoolExecutor(self.size, context, _prepare, (queue, *self._arguments))

    def submit(self, task: Task) -> Future[Made]:
        """Let a process do a task."""
        try:
            return self._pool.submit(_do, task)
        except BrokenProcessPool:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = self._begin()
            return self._pool.submit(_do, task)

    def is_lost(self, error: BaseException) -> bool:
        """Whether a process died: then the others are ended too, and all are begun anew."""
        return isinstance(error, BrokenProcessPool)

    def stop(self) -> None:
        """End the processes at once, whatever they have in hand."""
        for process in list((self._pool._processes or {}).values()):
            process.terminate()
        self._pool.shutdown(wait=True, cancel_futures=True)


_make: Callable[[], Worker]
_worker: Worker | None = None


def _prepare(queue: Any, make: Setup, threads: int) -> None:
    """Make this process a worker on a device of the queue, which ends with its parent and leaves Ctrl-C to it."""
    import signal

    global _make
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()
    _make = partial(make, queue.get(), threads)


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None  # This process was begun by it.
    connection.wait([parent.sentinel])
    os._exit(1)


def _do(task: Task) -> Made:
    global _worker
    if _worker is None:  # Here its errors come back; in the initializer they would break the pool.
        _worker = _make()
    return _worker(task)


@contextmanager
def processes(
    job: Job, source: EncoderSource | None, encoding: Encoding | Conditions | None, devices: list[str]
) -> Iterator[Processes]:
    """Processes that are ended when the block is left."""
    pool = Processes(job, source, encoding, devices)
    try:
        yield pool
    finally:
        pool.stop()
