"""What tests take from one place: the references, shared tokenizers, and what to do about what is missing."""

import os
from functools import cache
from typing import Any

import pytest

from cliptok import Tokenizer
from support.references import MissingError, reference

CI = bool(os.environ.get("CI"))


def missing(why: str) -> Any:
    """Skip with a reason, or fail where everything has to be there."""
    if CI:
        pytest.fail(why, pytrace=False)
    pytest.skip(why)


def live(profile: str) -> Any:
    """The installed reference of a profile."""
    try:
        return reference(profile)
    except (MissingError, ImportError) as error:
        missing(str(error))


@cache
def tokenizer(profile: str) -> Tokenizer:
    """A tokenizer that many tests share, so one with a warm cache."""
    return Tokenizer(profile)
