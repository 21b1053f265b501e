"""URLs of files: what they are made of, and how they are shown without the secrets that may be in them."""

import re
from typing import NamedTuple

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://([^/?]*)([^?]*?|.*?)(?:\?(\w[\w.-]*=.*))?", re.DOTALL)


class Url(NamedTuple):
    """The parts of a URL, none of them decoded: keys of objects are as they are written, as in `aws s3` and fsspec."""

    scheme: str
    user: str
    """What stands before an `@` in the authority: an Azure container, or credentials."""
    host: str
    """A bucket, a host, or the first part of a path."""
    path: str
    query: str

    @classmethod
    def of(cls, text: str) -> "Url":
        """Of a text for which `is_url`. A `?` that no `name=` follows is part of the path: it may be a wildcard."""
        found = _URL.fullmatch(text)
        assert found is not None
        user, _, host = found[2].rpartition("@")
        return cls(found[1].lower(), user, host, found[3], found[4] or "")

    def __str__(self) -> str:
        """All of it, secrets too."""
        user = f"{self.user}@" if self.user else ""
        return f"{self.scheme}://{user}{self.host}{self.path}{'?' if self.query else ''}{self.query}"

    @property
    def shown(self) -> str:
        """For people: without what may be a secret, in the authority and in the query."""
        user = f"{self.user}@" if self.user and ":" not in self.user and self.scheme.startswith("abfs") else ""
        return f"{self.scheme}://{user}{self.host}{self.path}{'?...' if self.query else ''}"

    @property
    def secrets(self) -> list[str]:
        """What must not be shown."""
        values = [pair.partition("=")[2] for pair in self.query.split("&")]
        return [text for text in (self.query, self.user, *self.user.split(":"), *values) if len(text) > 3]


def is_url(text: str) -> bool:
    """Whether it is a URL rather than a path."""
    return _URL.fullmatch(text) is not None


def shown(text: str) -> str:
    """A path as it is, a URL without its secrets."""
    return Url.of(text).shown if is_url(text) else text
