"""What a user sees of a checkpoint that cannot be loaded."""

import time
from pathlib import Path

import pytest

from cliptok.encoder import TextEncoder
from cliptok.encoder.checkpoints.sources import UnsafePickleError


def refused(path: Path, *named: str, source: Path | None = None) -> None:
    """Loading raises ValueError itself, of one line, that names the file, within two seconds."""
    started = time.process_time()
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        TextEncoder.from_pretrained(source or path)
    message = str(caught.value)
    assert type(caught.value) in (ValueError, UnsafePickleError) and "\n" not in message and str(path) in message, repr(
        caught.value
    )
    assert all(part in message for part in named), message
    assert time.process_time() - started < 2
