"""A job spread over processes, here or on Ray: tasks go to whoever is free, parts come back, outputs are joined."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import connection, get_context, parent_process
from threading import Thread
from typing import TYPE_CHECKING, Any, Protocol

from cliptok._common.errors import BadInputError
from cliptok.batch.pipeline import Job, ShardError, Work, join_parts
from cliptok.batch.reading.inputs import Shard
from cliptok.batch.tasks import Made, Task, Worker, tasks_of
from cliptok.batch.tokenizing import Tokenizing

if TYPE_CHECKING:
    from cliptok.batch.encoder_source import EncoderSource
    from cliptok.batch.encoding import Encoding
    from cliptok.batch.progress import JobProgress

_ATTEMPTS = 3
"""How often a task is begun whose worker dies."""
_AHEAD = 2
"""Tasks that wait for each worker, so that none waits for us."""


class Pool(Protocol):
    """Workers, wherever they are."""

    size: int

    def submit(self, task: Task) -> Future[Made]:
        """Let a worker do a task."""

    def is_lost(self, error: BaseException) -> bool:
        """Whether an error says that a worker is gone, so that its task may be tried again."""


def spread(job: Job, work: Work, pool: Pool, is_encoding: bool, listener: JobProgress) -> None:
    """Make the shards of `work` with a pool. A part that a lost worker had in hand is made once more.

    Raises ShardError for a shard that cannot be read; what others have in hand by then is finished.
    """
    tasks = (task for shard, parts in list(work.items()) for task in tasks_of(job, shard, parts, is_encoding))
    running: dict[Future[Made], tuple[Task, int]] = {}
    failed: ShardError | None = None

    def begin(task: Task, attempt: int = 1) -> None:
        running[pool.submit(task)] = (task, attempt)

    while True:
        while failed is None and len(running) < pool.size * _AHEAD and (task := next(tasks, None)) is not None:
            begin(task)
        if not running:
            break
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            task, attempt = running.pop(future)
            error = future.exception()
            if error is not None and pool.is_lost(error) and attempt < _ATTEMPTS:
                begin(task, attempt + 1)
            elif error is not None and pool.is_lost(error):
                raise BadInputError(f"{task.shard.source}: {attempt} workers died while they made parts of it: {error}")
            elif error is not None:
                raise error
            else:
                try:
                    _take(job, work, task.shard, future.result(), listener)
                except ShardError as found:
                    failed = failed or found
    if failed is not None:
        raise failed


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

    def __init__(self, job: Job, model: EncoderSource | None, encoding: Encoding | None, devices: list[str]) -> None:
        self.size = len(devices)
        threads = max(1, (os.cpu_count() or 1) // self.size)
        assert isinstance(job.tokenizing, Tokenizing)  # A job with a pipeline has no processes.
        job = job._replace(tokenizing=job.tokenizing._replace(threads=threads))
        how = None if encoding is None else tuple(encoding[1:])
        self._devices = devices
        self._arguments = (job, model, how, threads)
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


_worker: Callable[[Task], Made]


def _prepare(queue: Any, job: Job, model: EncoderSource | None, how: Any, threads: int) -> None:
    """Make this process a worker on a device of the queue, which ends with its parent and leaves Ctrl-C to it."""
    import signal

    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()
    device = queue.get()
    _worker = worker(job, model, how, device, threads)


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None  # This process was begun by it.
    connection.wait([parent.sentinel])
    os._exit(1)


def worker(job: Job, model: EncoderSource | None, how: Any, device: str, threads: int | None) -> Worker:
    """A worker with the encoder that `model` names, on `device`; `how` are the other fields of an Encoding."""
    if model is None:
        return Worker(job, None)
    import torch

    from cliptok.batch.encoding import Encoding

    if threads is not None and device == "cpu":
        torch.set_num_threads(threads)
    return Worker(job, Encoding(model.load(device).to(device), *how))


def _do(task: Task) -> Made:
    return _worker(task)


@contextmanager
def processes(
    job: Job, model: EncoderSource | None, encoding: Encoding | None, devices: list[str]
) -> Iterator[Processes]:
    """Processes that are ended when the block is left."""
    pool = Processes(job, model, encoding, devices)
    try:
        yield pool
    finally:
        pool.stop()
