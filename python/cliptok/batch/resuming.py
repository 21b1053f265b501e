"""The parts with which a job goes on: those that an earlier run committed of what the input holds now."""

from contextlib import suppress

from cliptok._common.errors import BadInputError
from cliptok.batch.pipeline import Job
from cliptok.batch.reading.inputs import Shard
from cliptok.batch.reading.places import Run
from cliptok.batch.writing.parts import Parts


def find_parts(job: Job, shard: Shard) -> Parts:
    """The parts of a shard's output; those that are of no use are removed.

    Where the input has another name or time than the one that a part was made of, it is read up to there, and the part
    stays if its content is the same.
    """
    parts = job.parts(shard)
    if parts.rows is not None and not shard.is_stream:
        parts.find()
    if parts.doubtful:
        parts.keep(_of_the_same_content(job, shard, parts))
    if not parts.done:
        parts.remove()
    return parts


def _of_the_same_content(job: Job, shard: Shard, parts: Parts) -> set[int]:
    """Which of the doubtful parts are of the content that the input has now."""
    last: dict[Run, int] = {}
    for number, part in parts.doubtful.items():
        assert part.origin is not None  # Else it is of no use.
        run = Run(part.origin.first, None, part.origin.place)
        last[run] = max(number, last.get(run, 0))
    same: set[int] = set()
    for run, number in last.items():
        to_there = [run._replace(stop=number + 1)]
        with suppress(BadInputError):  # Which making the rest of them says.
            for piece in job.reading.parts(shard, job.rows, parts.rows, to_there, fingerprints=True):
                found = parts.doubtful.get(piece.part)
                if piece.table is None and found is not None and found.origin == piece.origin:
                    same.add(piece.part)
    return same
