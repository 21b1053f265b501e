"""A job on Ray Data: a row is a shard, tokenized in CPU tasks and encoded in a pool of actors.

The last step of a shard writes its output, with the same code as on one machine. So all machines must see the same
folders, and outputs and resuming are the same.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cliptok._common.errors import BadInputError
from cliptok.batch.pipeline import Item, Job, Writer, join_parts, run
from cliptok.batch.reading.inputs import Shard
from cliptok.batch.summary import Clock
from cliptok.batch.tokenizing import Tokenizing
from cliptok.batch.writing.outputs import Record

if TYPE_CHECKING:
    from cliptok.batch.encoder_source import EncoderSource
    from cliptok.batch.encoding import Encoding
    from cliptok.batch.progress import JobProgress

_Row = dict[str, Any]
"""A shard's `number`; the `record` of its file; seconds by `stages`; or an `error`."""


def run_on_ray(
    job: Job,
    encoding: Encoding | None,
    model: EncoderSource | None,
    shards: list[Shard],
    job_progress: JobProgress,
    address: str | None,
) -> None:
    """Make the shards in the cluster at `address`; without that in the one Ray finds, or one on this machine."""
    with _cluster(address) as ray:
        resolved = [shard._replace(source=shard.source.resolve(), target=shard.target.resolve()) for shard in shards]
        assert isinstance(job.tokenizing, Tokenizing)  # A job with a pipeline has no Ray.
        job = job._replace(tokenizing=job.tokenizing._replace(threads=1))
        rows = ray.data.from_items([{"number": i} for i in range(len(shards))], override_num_blocks=len(shards))
        if encoding is None or model is None:
            made = rows.map(_write_ids, fn_args=(job, resolved), num_cpus=1)
        else:
            pool = _pool(ray, encoding, model, len(shards))
            device = "cuda" if pool["num_gpus"] else "cpu"
            arguments = (job, resolved, model, device, *encoding[1:])
            made = rows.map(_Embed, fn_constructor_args=arguments, **pool)
        for row in made.iter_rows():
            if row["error"]:
                raise BadInputError(row["error"])
            for stage, seconds in json.loads(row["stages"]).items():
                job_progress.clock.seconds[stage] += seconds
            job_progress.report.texts_now += row["texts"]
            if encoding is not None and encoding.cache is not None:
                job_progress.reused(row["reused"])
            job_progress.finished(shards[row["number"]], json.loads(row["record"]))


@contextmanager
def _cluster(address: str | None) -> Iterator[Any]:
    import ray
    import ray.data

    is_ours = not ray.is_initialized()
    if is_ours:
        try:
            ray.init(address, logging_level=logging.ERROR, log_to_driver=False)
        except Exception as error:  # Ray raises RuntimeError, ConnectionError, ValueError and more.
            where = f"at {address}" if address else "on this machine"
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise BadInputError(f"Ray does not start {where}: {reason}") from error
    # The job has its own progress bar and error messages.
    context, log = ray.data.DataContext.get_current(), logging.getLogger("ray.data")
    shown, level = context.enable_progress_bars, log.level
    context.enable_progress_bars = False
    log.setLevel(logging.CRITICAL)
    try:
        yield ray
    finally:
        context.enable_progress_bars = shown
        log.setLevel(level)
        if is_ours:
            ray.shutdown()


def _pool(ray: Any, encoding: Encoding, model: EncoderSource, shards: int) -> dict[str, Any]:
    """How many actors encode, and what each takes: a GPU, or a CPU, of which half are left to read and tokenize."""
    resources = ray.cluster_resources()
    gpus, cpus = int(resources.get("GPU", 0)), int(resources.get("CPU", 1))
    if gpus and model.wants_gpu():
        size, each = gpus, {"num_gpus": 1.0, "num_cpus": 0.0}
    else:
        size, each = max(1, cpus // 2), {"num_gpus": 0.0, "num_cpus": 1.0 if cpus > 1 else 0.5}
    return {"compute": ray.data.ActorPoolStrategy(size=min(size, shards)), **each}


def _write_ids(row: _Row, job: Job, shards: list[Shard]) -> _Row:
    """Read, tokenize and write a shard."""
    return _result(row, lambda clock: _make(job, None, shards[row["number"]], clock))


class _Embed:
    """Reads, tokenizes, encodes and writes shards. An actor loads the encoder once."""

    def __init__(self, job: Job, shards: list[Shard], model: EncoderSource, device: str, *encoding: Any) -> None:
        from cliptok.batch.encoding import Encoding

        self._job, self._shards = job, shards
        self._encoding = Encoding(model.load(device).to(device), *encoding)

    def __call__(self, row: _Row) -> _Row:
        shard = self._shards[row["number"]]
        return _result(row, lambda clock: _make(self._job, self._encoding, shard, clock))


def _make(job: Job, encoding: Encoding | None, shard: Shard, clock: Clock) -> _Row:
    """Make the output of a shard."""
    found: list[Record] = []
    texts = 0
    cache = None if encoding is None else encoding.cache
    reused_before = 0 if cache is None else cache.reused

    class Listener:
        def moved(self, item: Item) -> None: ...

        def committed(self, item: Item) -> None:
            nonlocal texts
            texts += item.counts.texts

        def finished(self, shard: Shard, record: Record) -> None:
            found.append(record)

    parts = job.parts(shard)
    parts.find()
    if parts.is_complete:
        found.append(join_parts(job, shard, parts))
    else:
        run(job, encoding, {shard: parts}, Writer(job, {shard: parts}, clock, Listener()), clock)
    return {
        "record": json.dumps(found[0]),
        "texts": texts,
        "reused": 0 if cache is None else cache.reused - reused_before,
    }


def _result(row: _Row, make: Callable[[Clock], _Row]) -> _Row:
    """The row with the result of `make`. Bad input becomes a row too, since Ray would wrap the error."""
    clock = Clock()
    try:
        made = make(clock)
    except BadInputError as error:
        made = {"error": str(error)}
    empty = {"record": "", "texts": 0, "reused": 0, "error": ""}
    return {**empty, **made, "number": row["number"], "stages": json.dumps(clock.seconds)}
