"""How a process becomes a worker of a job: what can be sent to it, and the weights that it loads for itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from cliptok._common.errors import BadInputError
from cliptok.batch.fingerprints import of_encoder
from cliptok.batch.pipeline import Job
from cliptok.batch.tasks import Worker
from cliptok.batch.tokenizing import Tokenizing

if TYPE_CHECKING:
    from cliptok.batch.conditioning import Conditions, Planning
    from cliptok.batch.encoder_source import EncoderSource
    from cliptok.batch.encoding import Encoding

Setup = Callable[[str, "int | None"], Worker]
"""Makes a worker on a device, where torch has so many threads on a CPU. Picklable."""


def setup(
    job: Job, source: EncoderSource | None, encoding: Encoding | Conditions | None, tokenizer_threads: int
) -> Setup:
    """The setup of a job's workers, which load what `source` names where the job encodes."""
    if isinstance(job.tokenizing, Tokenizing):
        job = job._replace(tokenizing=job.tokenizing._replace(threads=tokenizer_threads))
    if encoding is None or source is None:
        return partial(_tokenizes, job)
    from cliptok.batch.conditioning import Conditions

    if not isinstance(encoding, Conditions):
        return partial(_embeds, job, source, tuple(encoding[1:]))
    planning = encoding.planning
    dialect = planning.conditioner.dialect.name
    return partial(
        _conditions, job._replace(tokenizing=_NOT_YET), source, (dialect, planning.settings), tuple(encoding[1:])
    )


_NOT_YET = cast("Planning", None)
"""A job's planning has the weights of its pipeline."""


def _tokenizes(job: Job, device: str, threads: int | None) -> Worker:
    return Worker(job, None)


def _embeds(job: Job, source: EncoderSource, how: tuple[Any, ...], device: str, threads: int | None) -> Worker:
    from cliptok.batch.encoding import Encoding

    _use_threads(device, threads)
    encoder = source.load(device).to(device)
    _check_same(job, "model", of_encoder(encoder), source)
    return Worker(job, Encoding(encoder, *how))


def _conditions(
    job: Job, source: EncoderSource, read_as: tuple[str, Any], how: tuple[Any, ...], device: str, threads: int | None
) -> Worker:
    from cliptok.batch.conditioning import Conditions, Planning

    _use_threads(device, threads)
    dialect, settings = read_as
    conditioner = source.load_conditioner(dialect, device)
    for role in conditioner.roles:
        role.encoder.to(device)
    _check_same(job, "pipeline", [of_encoder(role.encoder) for role in conditioner.roles], source)
    planning = Planning(conditioner, settings)
    return Worker(job._replace(tokenizing=planning), Conditions(planning, *how))


def _use_threads(device: str, threads: int | None) -> None:
    import torch

    if threads is not None and device == "cpu":
        torch.set_num_threads(threads)


def _check_same(job: Job, name: str, found: Any, source: EncoderSource) -> None:
    """Raise BadInputError where the same name has other weights than where the job was begun."""
    if found != job.settings[name]:
        raise BadInputError(f"{source.source}: a worker finds other weights there than the job was begun with")
