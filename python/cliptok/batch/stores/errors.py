"""Errors of object stores as OSError that names the file and shows no secret."""

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from cliptok._common.errors import BadInputError
from cliptok._common.urls import Url
from cliptok.batch.stores.filesystems import ATTEMPTS

T = TypeVar("T")

_SECRETS = (
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "HF_TOKEN",
)
_FINAL = (FileNotFoundError, PermissionError, IsADirectoryError, NotImplementedError, BadInputError, ImportError)


@contextmanager
def told(url: Url) -> Iterator[None]:
    """Turn whatever a store's library raises into OSError with a text of one line."""
    try:
        yield
    except (BadInputError, ImportError):
        raise
    except FileNotFoundError:
        raise FileNotFoundError(errno.ENOENT, "no such file or folder", url.shown) from None
    except IsADirectoryError:
        raise IsADirectoryError(errno.EISDIR, "Is a directory", url.shown) from None
    except Exception as error:
        reason = without_secrets(next(iter(str(error).strip().splitlines()), "") or type(error).__name__, url)
        is_refused = isinstance(error, PermissionError) or "ACCESS_DENIED" in reason or " 403" in reason
        kind = PermissionError if is_refused else OSError
        raise kind(errno.EACCES if is_refused else errno.EIO, reason, url.shown) from None


def without_secrets(text: str, url: Url) -> str:
    """The text without what the URL or the environment keeps secret."""
    secrets = [*url.secrets, *(os.environ.get(name, "") for name in _SECRETS)]
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "...")
    return text


def trying(act: Callable[[], T]) -> T:
    """What `act` returns, which is tried ATTEMPTS times. For fsspec, whose stores do not all do it themselves."""
    attempt = 0
    while True:
        attempt += 1
        try:
            return act()
        except Exception as error:  # Each store's library has errors of its own.
            if isinstance(error, _FINAL) or attempt == ATTEMPTS:
                raise
        time.sleep(0.25 * 2**attempt)
