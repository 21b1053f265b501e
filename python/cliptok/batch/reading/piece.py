"""What reading a shard gives, chunk by chunk, and what each stage of a job hands to the next."""

from typing import NamedTuple

import pyarrow as pa

from cliptok.batch.reading.inputs import Shard
from cliptok.batch.reading.places import BEGIN, Place
from cliptok.batch.summary import Counts


class Origin(NamedTuple):
    """What a part was read from, by which its content is known again where the input has another time or name."""

    first: int
    """The part that reading began with: this one, or one before it."""
    place: Place
    """Where it began in the input."""
    sha256: str
    """The fingerprint of what was read from there to the end of the part."""

    @property
    def is_whole(self) -> bool:
        """Whether the fingerprint of an input's last part is that of all of the input."""
        return self.place == BEGIN


class Piece(NamedTuple):
    """A chunk of rows of a part of a shard, or the mark of its end."""

    shard: Shard
    part: int
    """The part's number, from 0."""
    counts: Counts
    """Of the part. Each stage adds to them; they are final in the mark of its end."""
    table: pa.Table | None
    """None marks the end of the part."""
    position: int
    """Bytes of the input read so far."""
    bytes: int
    """Those of the input that the part was read from so far."""
    next: Place | None = None
    """At the end of a part, where the next one can be read; None where the input ends."""
    origin: Origin | None = None
    """At the end of a part; None for a stream, and where nobody asked for it."""
