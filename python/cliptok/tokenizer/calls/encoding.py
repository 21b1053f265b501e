"""What a call returns: a mapping whose keys are attributes too, as transformers' BatchEncoding."""

from collections import UserDict
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

TENSOR_TYPES = ("np", "pt")

_OF_ENCODINGS = """
    char_to_token char_to_word encodings n_sequences sequence_ids token_to_chars token_to_sequence token_to_word tokens
    word_ids word_to_chars word_to_tokens
"""
"""What transformers' BatchEncoding answers with the help of the tokenizers library."""


class BatchEncoding(UserDict[str, Any]):
    """`input_ids`, `attention_mask` and whatever else a call was asked for.

    `encoding.input_ids` is `encoding["input_ids"]`, `encoding[2:5]` has the rows 2 to 4 of every value, and
    `encoding.to("cuda")` moves tensors. `tokens`, `word_ids`, `char_to_token` and their like are those of transformers,
    which is imported for them; they need the encoding of a call in the profile `transformers`.
    """

    _source: tuple[Any, Any, Any] | None = None
    """The tokenizer, the call and the texts."""
    _encoding: Any = None
    _n_sequences: int | None = None

    def __init__(
        self,
        data: Any = None,
        encoding: Any = None,
        tensor_type: str | None = None,
        prepend_batch_axis: bool = False,
        n_sequences: int | None = None,
    ) -> None:
        # Not UserDict's own, which copies item by item.
        self.data = {} if data is None else dict(data)
        self._encoding = encoding
        self._n_sequences = n_sequences
        self.convert_to_tensors(tensor_type, prepend_batch_axis)

    @staticmethod
    def of(data: dict[str, Any]) -> "BatchEncoding":
        """The encoding that has these values, which are not copied."""
        encoding = BatchEncoding.__new__(BatchEncoding)
        encoding.data = data
        return encoding

    def _in_transformers(self) -> Any:
        """transformers' encoding of the same call, or None."""
        if self._source is not None:
            tok, call, text = self._source
            return tok._encodings(call, text)
        if self._encoding is None:
            return None
        from transformers import BatchEncoding

        return BatchEncoding(self.data, self._encoding, n_sequences=self._n_sequences)

    def __getitem__(self, key: Any) -> Any:
        try:
            return self.data[key]
        except (KeyError, TypeError):
            if isinstance(key, slice):
                return {name: value[key] for name, value in self.data.items()}
            if isinstance(key, int) and self.is_fast:
                return self._in_transformers()[key]
            if isinstance(key, int):
                raise KeyError(
                    "an encoding has named values; take input_ids[row], or a slice for rows of every value"
                ) from None
            raise

    def __getattr__(self, name: str) -> Any:
        data = self.__dict__.get("data", {})
        if name in data:
            return data[name]
        if name in _OF_ENCODINGS.split():
            if not self.is_fast:
                raise ValueError(f"{name} needs the encoding of a call; this one was made, copied or sent by itself")
            return getattr(self._in_transformers(), name)
        raise AttributeError(f"this encoding has no {name!r}; it has {', '.join(data)}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.data,)

    def __copy__(self) -> "BatchEncoding":
        return type(self)(self.data)

    copy = __copy__
    """Another with the same values."""

    @property
    def is_fast(self) -> bool:
        """Whether `tokens`, `word_ids` and their like are there."""
        return self._source is not None or self._encoding is not None

    def to(self, device: "str | int | torch.device", *, non_blocking: bool = False) -> "BatchEncoding":
        """Move every tensor to the device, in place, and return this encoding. Anything else stays as it is."""
        for name, value in self.data.items():
            if callable(getattr(value, "to", None)):
                self.data[name] = value.to(device=device, non_blocking=non_blocking)
        return self

    def convert_to_tensors(self, tensor_type: str | None = None, prepend_batch_axis: bool = False) -> "BatchEncoding":
        """Make every value a NumPy array ("np") or torch tensor ("pt"), in place, and return this encoding.

        Raises ValueError for another type, and for rows of different lengths with "pt"; "np" makes an array of arrays
        of them, as transformers does.
        """
        if tensor_type is None:
            return self
        convert = converter(str(getattr(tensor_type, "value", tensor_type)))
        for name, value in self.data.items():
            self.data[name] = convert(name, [value] if prepend_batch_axis else value)
        return self


@cache
def converter(tensor_type: str) -> Callable[[str, Any], Any]:
    """The function (name, value) → array or tensor. Raises ValueError for an unknown type."""
    import numpy as np

    def as_array(name: str, value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return value
        if _is_ragged(value):
            rows = np.empty(len(value), dtype=object)
            for row, item in enumerate(value):
                rows[row] = np.asarray(item, dtype=np.int64)
            return rows
        return np.asarray(value, dtype=np.int64)

    if tensor_type == "np":
        return as_array
    if tensor_type != "pt":
        raise ValueError(f"return_tensors is {tensor_type!r}; choose one of {', '.join(TENSOR_TYPES)} or None")
    try:
        import torch
    except ImportError:
        from cliptok._common.extras import need

        need('return_tensors="pt"', "torch")
        raise

    from_numpy, array_type = torch.from_numpy, np.ndarray

    def as_tensor(name: str, value: Any) -> Any:
        # A check for arrays comes first: one for tensors runs Python.
        if not isinstance(value, array_type):
            if isinstance(value, torch.Tensor):
                return value
            value = as_array(name, value)
        try:
            return from_numpy(value)
        except TypeError:  # Objects: the rows of an array that cannot have two dimensions.
            raise ValueError(
                f"{name} has rows of different lengths, which no tensor holds; pass padding=True, or"
                " padding='max_length' with truncation=True and, where the tokenizer's files give no model_max_length,"
                " max_length=77"
            ) from None

    return as_tensor


@cache
def from_array(tensor_type: str) -> Callable[[Any], Any]:
    """The function array → array or tensor, which shares its memory. Raises ValueError for an unknown type."""
    converter(tensor_type)
    if tensor_type == "np":
        return lambda array: array
    import torch

    return torch.from_numpy


def _is_ragged(value: Any) -> bool:
    rows = isinstance(value, list) and value and isinstance(value[0], (list, tuple))
    return bool(rows) and len({len(row) for row in value}) > 1
