"""Types of arguments, for type checkers and editors. Nothing here runs when cliptok does."""

import os
from typing import TYPE_CHECKING, Literal, TypedDict

if TYPE_CHECKING:
    from cliptok.encoder.caching.store import EmbeddingCache


class EncodeOptions(TypedDict, total=False):
    """The options of `TextEncoder.encode`."""

    output: Literal["text_embeds", "pooler_output"] | None
    normalize: bool
    window: int
    budget: int | None
    batch_invariant: bool
    cache: "EmbeddingCache | str | os.PathLike[str] | None"
    progress: bool
