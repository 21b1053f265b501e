"""The argument `tokenizer` of jobs: a tokenizer, or what names one."""

import os
from typing import Any

from cliptok.tokenizer.annotations import ProfileName
from cliptok.tokenizer.profiles import PROFILES
from cliptok.tokenizer.tokenizer import Tokenizer

Named = Tokenizer | str | os.PathLike[str] | None


def as_tokenizer(tokenizer: Named, profile: ProfileName | None = None) -> Tokenizer:
    """The tokenizer that is given, or the one of a profile, or the one in a folder or of a hub model.

    Raises TypeError for anything else, and ValueError for a profile beside a tokenizer that has one.
    """
    if isinstance(tokenizer, Tokenizer):
        if profile not in (None, tokenizer.profile):
            raise ValueError(f"profile is {profile!r}, but the tokenizer has the profile {tokenizer.profile!r}")
        return tokenizer
    given: Any = tokenizer
    if given is None:
        return Tokenizer(profile or "transformers")
    if not isinstance(given, (str, os.PathLike)):
        raise TypeError(
            f"tokenizer is of type {type(given).__name__}; expected a cliptok.Tokenizer, the name of a profile, a"
            " folder or a hub name"
        )
    if given in PROFILES:
        named: Any = given
        if profile not in (None, given):
            raise ValueError(f"profile is {profile!r}, but tokenizer is {given!r}")
        return Tokenizer(named)
    return Tokenizer.from_pretrained(given, profile=profile)
