"""Types of arguments, for type checkers and editors. Nothing here runs when cliptok does."""

from typing import Literal, TypedDict


class EncodeOptions(TypedDict, total=False):
    """The options of `TextEncoder.encode`."""

    output: Literal["text_embeds", "pooler_output"] | None
    normalize: bool
    window: int
    budget: int | None
    batch_invariant: bool
    progress: bool
