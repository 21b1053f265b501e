"""Errors of the libraries that read inputs, with the name of the input."""

import lzma
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from cliptok._common.errors import BadInputError
from cliptok.batch.stores.paths import AnyPath


@contextmanager
def naming(source: AnyPath) -> Iterator[None]:
    """Turn errors of the libraries that read the input into BadInputError that names it."""
    name = "standard input" if str(source) == "-" else str(source)
    try:
        yield
    except BadInputError as error:
        raise BadInputError(f"{name}: {error}") from error
    except OSError as error:
        raise BadInputError(f"{name}: {error.strerror or error}") from error
    except (pa.ArrowException, tarfile.TarError, lzma.LZMAError, EOFError, MemoryError) as error:
        raise BadInputError(f"{name}: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
