"""The number by which a resumed job knows outputs that this code would make too."""

from typing import Any

from cliptok.batch.reading.reader import Reading
from cliptok.batch.writing.outputs import Record

RESULTS = 1
"""Raised when the same input and settings give another result: other ids, other rows, other columns or types.

A new version of cliptok alone raises nothing, and neither does what leaves values as they are: speed, how rows are
grouped in a file, the last bits of embeddings. `tests/batch/test_identity.py` has the ids that this number stands for.
"""

_OF_VERSIONS = {"0.1.0": 1}
"""0.1.0 recorded its version, before there was a number."""


def have_same_result(recorded: Any, settings: Record) -> bool:
    """Whether a job with the settings of a record gives what one with `settings` does.

    Options for reading that came later than the record have their default in it.
    """
    if not isinstance(recorded, dict):
        return False
    found = dict(recorded)
    if (version := found.pop("cliptok", None)) is not None:
        found["results"] = _OF_VERSIONS.get(version) if isinstance(version, str) else None
    defaults = Reading().record()
    for name in settings.keys() & defaults.keys() - found.keys():
        found[name] = list(defaults[name]) if isinstance(defaults[name], tuple) else defaults[name]
    return found == settings
