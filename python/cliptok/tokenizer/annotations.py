"""Types of arguments and results, for type checkers and editors. Nothing here runs when cliptok does."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypedDict

from cliptok.tokenizer.calls.encoding import BatchEncoding

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch

    IdArray = npt.NDArray[np.integer[Any]]
    Counts = npt.NDArray[np.int64]

ProfileName = Literal["transformers", "transformers-slow", "open_clip", "openai"]
OnNull = Literal["error", "empty"]
Side = Literal["left", "right"]


class ArrowStream(Protocol):
    """A column of Arrow's C data interface: pyarrow's, polars', pandas'."""

    def __arrow_c_stream__(self, requested_schema: Any = None, /) -> Any: ...


class ArrowArray(Protocol):
    """The same for one chunk."""

    def __arrow_c_array__(self, requested_schema: Any = None, /) -> Any: ...


Texts = str | Iterable[str | None] | ArrowStream | ArrowArray
"""One text or many."""


class CallOptions(TypedDict, total=False):
    """The options of a call but `return_tensors`, on which the type of the result depends."""

    text_pair: Any
    text_target: Any
    text_pair_target: Any
    is_split_into_words: bool
    split_special_tokens: bool | None
    on_null: OnNull
    add_special_tokens: bool
    padding: bool | Literal["longest", "max_length", "do_not_pad"]
    truncation: bool | Literal["longest_first", "only_first", "do_not_truncate"] | None
    max_length: int | None
    stride: int
    pad_to_multiple_of: int | None
    padding_side: Side | None
    return_token_type_ids: bool | None
    return_attention_mask: bool | None
    return_overflowing_tokens: bool
    return_special_tokens_mask: bool
    return_offsets_mapping: bool
    return_length: bool
    verbose: bool


class TensorEncoding(BatchEncoding):
    """What a call with `return_tensors="pt"` gives: int64 tensors (texts, length)."""

    input_ids: "torch.Tensor"
    attention_mask: "torch.Tensor"


class ArrayEncoding(BatchEncoding):
    """What a call with `return_tensors="np"` gives: int64 arrays (texts, length)."""

    input_ids: "Counts"
    attention_mask: "Counts"


class ListEncoding(BatchEncoding):
    """What a call with a str gives: lists of ids."""

    input_ids: list[int]
    attention_mask: list[int]


class ListsEncoding(BatchEncoding):
    """What a call with a batch gives: lists of lists."""

    input_ids: list[list[int]]
    attention_mask: list[list[int]]
