"""Errors of Arrow's readers that say where in a file they are."""

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from cliptok._common.errors import BadInputError


@contextmanager
def damage(where: str) -> Iterator[None]:
    """Turn errors of Arrow into BadInputError that says where in the file they are."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise BadInputError(f"{where}: a name in it is not UTF-8") from error
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.strerror:
            raise
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise BadInputError(f"{where}: {reason}") from error
