"""Which tokenizer an encoder was trained with."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from cliptok.encoder.config import TextConfig
from cliptok.tokenizer import Tokenizer

_CLIP_VOCABULARY, _CLIP_END = 49408, 49407
_CLEANING = {"open_clip": "open_clip", "openai": "open_clip"}  # profiles with the same ids for every text


@dataclasses.dataclass(frozen=True)
class OwnTokenizer:
    """How to make an encoder's tokenizer: from a folder (the arguments of `from_pretrained`), or of a profile."""

    folder: Mapping[str, Any] | None = None
    profile: str = "transformers"
    known: bool = False  # rather than CLIP's for want of anything else

    def make(self, config: TextConfig) -> Tokenizer:
        """The tokenizer. Raises ValueError for a vocabulary that is not CLIP's, where no folder has the encoder's."""
        if self.folder is not None:
            return Tokenizer.from_pretrained(**self.folder)
        if config.end_id != _CLIP_END or config.vocabulary < _CLIP_VOCABULARY:
            raise ValueError(
                f"this encoder has a vocabulary of {config.vocabulary} and ends texts with {config.end_id}, which is "
                "not CLIP's vocabulary; give its own tokenizer with tokenizer="
            )
        pad = "!" if self.profile.startswith("transformers") and config.pad_id == 0 else None
        profile: Any = self.profile
        return Tokenizer(profile, pad_token=pad, model_max_length=config.context_length)


def contradiction(own: Tokenizer, given: Any, padded: bool = False) -> str | None:
    """In what `given` differs from an encoder's own tokenizer, so that its results are not the checkpoint's.

    `padded` asks about padding too, which only states at padding positions depend on. None where nothing differs; of
    other libraries' tokenizers only the ids are known.
    """
    for name in ("bos_token_id", "eos_token_id", *(("pad_token_id",) if padded else ())):
        theirs = getattr(given, name, None)
        if theirs is not None and theirs != getattr(own, name):
            return f"{name} is {theirs}, and {getattr(own, name)} in the encoder's own tokenizer"
    if not isinstance(given, Tokenizer):
        return None
    profiles = [_CLEANING.get(tokenizer.profile, "transformers") for tokenizer in (given, own)]
    if profiles[0] != profiles[1]:
        return (
            f"its profile is {given.profile!r}, and {own.profile!r} in the encoder's own tokenizer; their ids differ "
            "on quotes, entities and emoji"
        )
    return None
