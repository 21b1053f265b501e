"""A job on Ray: tasks go to CPU tasks, or where texts are encoded to actors, each with its encoder.

Whoever does a task reads the input and writes the parts, with the same code as on one machine, and nothing but what the
task is goes through Ray's object store. So all machines must see the same folders, and outputs are the same.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cliptok._common.errors import BadInputError
from cliptok.batch.pipeline import Job
from cliptok.batch.spread import worker
from cliptok.batch.tasks import Made, Task, Worker
from cliptok.batch.tokenizing import Tokenizing

if TYPE_CHECKING:
    from cliptok.batch.encoder_source import EncoderSource
    from cliptok.batch.encoding import Encoding

_RETRIES = 3
"""Of a task whose machine or process is gone, by Ray, before it says so."""


@contextmanager
def on_ray(job: Job, model: EncoderSource | None, encoding: Encoding | None, address: str | None) -> Iterator[OnRay]:
    """Workers of the cluster at `address`; without that of the one Ray finds, or of one on this machine."""
    with _cluster(address) as ray:
        assert isinstance(job.tokenizing, Tokenizing)  # A job with a pipeline has no Ray.
        job = job._replace(tokenizing=job.tokenizing._replace(threads=1))
        pool = OnRay(ray, job, model, encoding)
        try:
            yield pool
        finally:
            pool.stop()


class OnRay:
    """Ray's workers."""

    def __init__(self, ray: Any, job: Job, model: EncoderSource | None, encoding: Encoding | None) -> None:
        self._ray = ray
        resources = ray.cluster_resources()
        gpus, cpus = int(resources.get("GPU", 0)), int(resources.get("CPU", 1))
        self._actors: list[Any] = []
        self._running: dict[Any, int] = {}
        if encoding is None or model is None:
            self.size = max(1, cpus)
            self._job = ray.put(job)
            self._task = ray.remote(num_cpus=1, max_retries=_RETRIES)(_do)
            return
        is_on_gpu = bool(gpus and model.wants_gpu())
        self.size = gpus if is_on_gpu else max(1, cpus)
        each = {"num_gpus": 1, "num_cpus": 0} if is_on_gpu else {"num_cpus": 1}
        actor = ray.remote(max_restarts=-1, max_task_retries=_RETRIES, **each)(_Actor)
        how = tuple(encoding[1:])
        threads = None if is_on_gpu else 1
        self._actors = [
            actor.remote(job, model, how, "cuda" if is_on_gpu else "cpu", threads) for _ in range(self.size)
        ]
        self._running = dict.fromkeys(range(self.size), 0)

    def submit(self, task: Task) -> Future[Made]:
        """Let the cluster do a task; of the actors, the one that has least to do."""
        resolved = task.shard._replace(source=task.shard.source.resolve(), target=task.shard.target.resolve())
        task = task._replace(shard=resolved)
        if not self._actors:
            found: Future[Made] = self._task.remote(self._job, task).future()
            return found
        number = min(self._running, key=lambda one: self._running[one])
        self._running[number] += 1
        future: Future[Made] = self._actors[number].do.remote(task).future()
        future.add_done_callback(lambda _: self._ended(number))
        return future

    def _ended(self, number: int) -> None:
        self._running[number] -= 1

    def stop(self) -> None:
        """End the actors, whose CPUs and GPUs others may wait for."""
        for actor in self._actors:
            self._ray.kill(actor)

    def is_lost(self, error: BaseException) -> bool:
        """Whether a machine or process died more often than Ray tries again."""
        lost = self._ray.exceptions
        return isinstance(
            error, (lost.WorkerCrashedError, lost.RayActorError, lost.NodeDiedError, lost.ObjectLostError)
        )


def _do(job: Job, task: Task) -> Made:
    return Worker(job, None)(task)


class _Actor:
    """A worker that loads its encoder once."""

    def __init__(self, *arguments: Any) -> None:
        self._worker = worker(*arguments)

    def do(self, task: Task) -> Made:
        return self._worker(task)


@contextmanager
def _cluster(address: str | None) -> Iterator[Any]:
    import ray

    is_ours = not ray.is_initialized()
    if is_ours:
        try:
            ray.init(address, logging_level=logging.ERROR, log_to_driver=False)
        except Exception as error:  # Ray raises RuntimeError, ConnectionError, ValueError and more.
            where = f"at {address}" if address else "on this machine"
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise BadInputError(f"Ray does not start {where}: {reason}") from error
    try:
        yield ray
    finally:
        if is_ours:
            ray.shutdown()
