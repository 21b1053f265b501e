"""The file system of a URL: pyarrow's own for S3, Google's and Azure's stores, fsspec's for all others.

pyarrow's need nothing but pyarrow, read without Python's lock, and take credentials as the stores' own tools do. Each
request that a store throttles or loses is tried again, ATTEMPTS times, or on Google's for RETRY_SECONDS.
"""

from __future__ import annotations

import os
from datetime import timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from cliptok._common.errors import BadInputError
from cliptok._common.extras import need
from cliptok._common.urls import Url

ATTEMPTS = 6
"""Of each request, with pauses that double: about half a minute in all."""
RETRY_SECONDS = 60
"""For which a request to Google's store is tried again."""
SMALL = 5 << 20
"""Bytes of which Arrow never makes several requests."""
_TIMEOUT = 60.0
WEB = ("http", "https")
_MODULES = {"hf": "huggingface_hub", "http": "aiohttp", "https": "aiohttp"}
_S3_OPTIONS = ("region", "scheme", "endpoint_override", "anonymous")


class Location(NamedTuple):
    """Where something is."""

    filesystem: Any
    """A `pyarrow.fs.FileSystem`."""
    path: str
    """In it."""
    fsspec: Any
    """The fsspec file system that it wraps; None for one of pyarrow's own."""


def locate(url: Url, *, is_tried_again: bool = True, is_small: bool = False) -> Location:
    """The file system and the path in it.

    Of S3 also one whose requests are not tried again, and one that writes an object in one request, for `is_small`
    ones: of more than SMALL bytes it leaves an empty object where its first request fails.

    Raises BadInputError for options that a scheme has not, ImportError where its library is missing.
    """
    filesystem, wrapped = _filesystem(url._replace(path=""), ATTEMPTS if is_tried_again else 1, is_small)
    if wrapped is not None:
        return Location(filesystem, str(url) if url.scheme in WEB else wrapped._strip_protocol(str(url)), wrapped)
    bucket = url.user if url.scheme.startswith("abfs") else url.host
    return Location(filesystem, f"{bucket}{url.path}".rstrip("/"), None)


@lru_cache(64)
def _filesystem(url: Url, attempts: int, is_small: bool) -> tuple[Any, Any]:
    """(the file system, the one of fsspec that it wraps or None), of a URL without its path."""
    options = dict(pair.partition("=")[::2] for pair in url.query.split("&") if pair)
    if url.scheme in ("s3", "s3a"):
        return _s3(url, options, attempts, is_small), None
    if options and url.scheme not in WEB:
        raise BadInputError(f"{url.shown}: options behind a ? are for s3://: {', '.join(_S3_OPTIONS)}")
    if url.scheme in ("gs", "gcs"):
        return _google(), None
    if url.scheme in ("az", "abfs", "abfss"):
        return _azure(url), None
    return _fsspec(url)


def _s3(url: Url, options: dict[str, str], attempts: int, is_small: bool) -> Any:
    import pyarrow as pa
    from pyarrow import fs

    if wrong := options.keys() - set(_S3_OPTIONS):
        raise BadInputError(f"{url.shown}: {min(wrong)!r} is no option of s3://; there are {', '.join(_S3_OPTIONS)}")
    endpoint = options.get("endpoint_override") or os.environ.get("AWS_ENDPOINT_URL_S3")
    endpoint = endpoint or os.environ.get("AWS_ENDPOINT_URL")
    scheme = options.get("scheme")
    if endpoint and "://" in endpoint:
        scheme, _, endpoint = endpoint.partition("://")
    region = options.get("region") or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if not region and not endpoint:
        try:
            region = fs.resolve_s3_region(url.host)
        except OSError:
            region = None  # What the bucket says when it is used tells more.
    given: dict[str, Any] = {"region": region, "scheme": scheme, "endpoint_override": endpoint and endpoint.rstrip("/")}
    if url.user:
        given["access_key"], _, given["secret_key"] = url.user.partition(":")
    if options.get("anonymous", "").lower() in ("1", "true"):
        given["anonymous"] = True
    if is_small and int(pa.__version__.partition(".")[0]) >= 21:  # Before that small objects take two requests more.
        given["allow_delayed_open"] = True
    return fs.S3FileSystem(
        request_timeout=_TIMEOUT,
        connect_timeout=_TIMEOUT / 6,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=attempts),
        **{name: value for name, value in given.items() if value},
    )


def _google() -> Any:
    from pyarrow import fs

    # As Google's own libraries know an emulator.
    scheme, _, endpoint = os.environ.get("STORAGE_EMULATOR_HOST", "").rpartition("://")
    limit = timedelta(seconds=RETRY_SECONDS)
    if endpoint:
        return fs.GcsFileSystem(
            anonymous=True, scheme=scheme or "http", endpoint_override=endpoint, retry_time_limit=limit
        )
    return fs.GcsFileSystem(retry_time_limit=limit)


def _azure(url: Url) -> Any:
    from pyarrow import fs

    account = url.host.partition(".")[0] if url.scheme != "az" else os.environ.get("AZURE_STORAGE_ACCOUNT_NAME")
    if not account or (url.scheme != "az" and not url.user):
        raise BadInputError(
            f"{url.shown}: whose account? Set AZURE_STORAGE_ACCOUNT_NAME, or write"
            " abfs://CONTAINER@ACCOUNT.dfs.core.windows.net/PATH"
        )
    if not hasattr(fs, "AzureFileSystem"):
        raise BadInputError(f"{url.shown}: this pyarrow has been built without Azure")
    names = {"account_key": "AZURE_STORAGE_ACCOUNT_KEY", "sas_token": "AZURE_STORAGE_SAS_TOKEN"}
    given = {name: os.environ[variable] for name, variable in names.items() if os.environ.get(variable)}
    return fs.AzureFileSystem(account, **given)


def _fsspec(url: Url) -> tuple[Any, Any]:
    from pyarrow.fs import FSSpecHandler, PyFileSystem

    need(f"{url.scheme}://", "fsspec", *([_MODULES[url.scheme]] if url.scheme in _MODULES else []))
    import fsspec

    try:
        kind = fsspec.get_filesystem_class(url.scheme)
    except ValueError as error:
        known = "s3, gs, az, abfs, hf, https and what fsspec knows"
        raise BadInputError(f"{url.shown}: unknown kind of store {url.scheme}://; there are {known}") from error
    # Whoever asks again wants to know what is there now.
    options = {} if url.scheme in (*WEB, "memory") else {"use_listings_cache": False}
    found = kind(**options)
    return PyFileSystem(FSSpecHandler(found)), found
