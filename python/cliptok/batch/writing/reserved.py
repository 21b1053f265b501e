"""Room for a record where it is written last but stands before, or amid, what depends on its size."""

import json

from cliptok.batch.summary import Counts
from cliptok.batch.writing.outputs import RECORD, Record

_MOST = 10**15  # Rows, tokens, bytes.


def reserve(draft: Record) -> bytes:
    """As many bytes as the record that becomes of a draft can have."""
    widest = {**draft, "counts": dict.fromkeys(Counts().as_dict(), _MOST)}
    return json.dumps({RECORD: widest, "bytes": _MOST}).encode()


def fill(reserved: bytes, record: Record, size: int) -> bytes:
    """The record and the size of the file that has it, as JSON of just as many bytes."""
    found = json.dumps({RECORD: record, "bytes": size}).encode()
    assert len(found) <= len(reserved)
    return found.ljust(len(reserved))


def read(text: bytes, size: int) -> Record | None:
    """The record in what `fill` gave; None if the file has another size than it says. Raises ValueError for no JSON."""
    found = json.loads(text)
    return found[RECORD] if isinstance(found, dict) and found.get("bytes") == size else None
