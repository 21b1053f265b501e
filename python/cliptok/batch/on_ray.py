"""A job on Ray: tasks go to CPU tasks, or where texts are encoded to actors, each with its encoder.

Whoever does a task reads the input and writes the parts, with the same code as on one machine, and nothing but what the
task is goes through Ray's object store. So all machines must see the same folders, and outputs are the same. Ray itself
begins nothing again: `spread` does, so that it is counted once.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from cliptok._common.errors import BadInputError
from cliptok.batch.pipeline import Job
from cliptok.batch.ray_actors import Actors
from cliptok.batch.stores.paths import real
from cliptok.batch.tasks import Made, Task
from cliptok.batch.workers import Setup, setup

if TYPE_CHECKING:
    from cliptok.batch.conditioning import Conditions
    from cliptok.batch.encoder_source import EncoderSource
    from cliptok.batch.encoding import Encoding

_INLINE = 1 << 16
"""Bytes of an argument up to which it stays out of Ray's object store, which may be full; Ray's limit is 100 KiB."""


@contextmanager
def on_ray(
    job: Job, source: EncoderSource | None, encoding: Encoding | Conditions | None, address: str | None
) -> Iterator[OnRay]:
    """Workers of the cluster at `address`; without that of the one Ray finds, or of one on this machine."""
    with _cluster(address) as ray:
        pool = OnRay(ray, setup(job, source, encoding, 1), source)
        try:
            yield pool
        finally:
            pool.stop()


class OnRay:
    """Ray's workers: of tasks without an encoder, actors with one."""

    falls_together = False

    def __init__(self, ray: Any, make: Setup, source: EncoderSource | None) -> None:
        self._ray = ray
        resources = ray.cluster_resources()
        gpus, cpus = int(resources.get("GPU", 0)), int(resources.get("CPU", 1))
        is_on_gpu = source is not None and source.wants_gpu() and gpus > 0
        self.size = gpus if is_on_gpu else max(1, cpus)
        sent = self._sent(make)
        self._actors: Actors | None = None
        if source is None:
            self._do = partial(ray.remote(num_cpus=1, max_retries=0)(_do).remote, sent)
            return
        resources = {"num_gpus": 1, "num_cpus": 0} if is_on_gpu else {"num_cpus": 1}
        actor = ray.remote(max_restarts=0, max_task_retries=0, **resources)(_Actor)
        device, threads = ("cuda", None) if is_on_gpu else ("cpu", 1)
        begin = partial(actor.remote, sent, device, threads)
        self._actors = Actors(self.size, begin, self._future, self.is_lost, ray.kill)

    def _sent(self, make: Setup) -> Any:
        """The setup, which goes along with each call, or a reference if it is large: a loaded encoder, a vocabulary."""
        if len(self._ray.cloudpickle.dumps(make)) < _INLINE:
            return make
        try:
            return self._ray.put(make)
        except self._ray.exceptions.RayError as error:
            raise self._plain(error) from error

    def submit(self, task: Task) -> Future[Made]:
        """Let the cluster do a task."""
        resolved = task.shard._replace(source=real(task.shard.source), target=real(task.shard.target))
        task = task._replace(shard=resolved)
        return self._future(self._do(task)) if self._actors is None else self._actors.submit(task)

    def _future(self, reference: Any) -> Future[Any]:
        """What a reference stands for, or the error as the worker raised it."""
        future: Future[Any] = Future()

        def take(done: Future[Any]) -> None:
            error = done.exception()
            if error is None:
                future.set_result(done.result())
            else:
                future.set_exception(self._plain(error))

        reference.future().add_done_callback(take)
        return future

    def _plain(self, error: BaseException) -> BaseException:
        kinds = self._ray.exceptions
        if isinstance(error, kinds.RayTaskError):
            error = error.cause
        if isinstance(error, kinds.RayError) and not self.is_lost(error):
            return BadInputError(f"Ray: {next(iter(str(error).strip().splitlines()), type(error).__name__)}")
        return error

    def stop(self) -> None:
        """End the actors, whose CPUs and GPUs others may wait for."""
        if self._actors is not None:
            self._actors.stop()

    def is_lost(self, error: BaseException) -> bool:
        """Whether a machine or process died, or Ray ended it for the memory it took."""
        kinds = self._ray.exceptions
        lost = (kinds.WorkerCrashedError, kinds.RayActorError, kinds.NodeDiedError, kinds.ObjectLostError)
        return isinstance(error, (*lost, kinds.OutOfMemoryError))


def _do(make: Setup, task: Task) -> Made:
    return make("cpu", 1)(task)


class _Actor:
    """A worker that loads its encoder once."""

    def __init__(self, make: Setup, device: str, threads: int | None) -> None:
        self._arguments = make, device, threads

    def load(self) -> None:
        make, device, threads = self._arguments
        self._worker = make(device, threads)

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
            if "InvalidAuthToken" in f"{error} {error.__cause__}":
                reason += "; it wants Ray's token, so set RAY_AUTH_MODE=token"
            raise BadInputError(f"Ray does not start {where}: {reason}") from error
    try:
        yield ray
    finally:
        if is_ours:
            ray.shutdown()
