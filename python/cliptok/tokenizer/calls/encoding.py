"""What a call returns: a dict whose keys are attributes too."""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

TENSOR_TYPES = ("np", "pt")


class BatchEncoding(dict[str, Any]):
    """`input_ids`, `attention_mask` and whatever else a call was asked for.

    `encoding.input_ids` is `encoding["input_ids"]`, `encoding[2:5]` has the rows 2 to 4 of every value, and
    `encoding.to("cuda")` moves tensors.
    """

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice):
            return {name: value[key] for name, value in self.items()}
        if isinstance(key, int):
            raise KeyError("an encoding has named values; take input_ids[row], or a slice for rows of every value")
        return super().__getitem__(key)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getitem__(name)
        except KeyError:
            raise AttributeError(f"this encoding has no {name!r}; it has {', '.join(self)}") from None

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self),)

    def copy(self) -> "BatchEncoding":
        """A shallow copy."""
        return type(self)(self)

    @property
    def data(self) -> dict[str, Any]:
        """The values as a plain dict."""
        return dict(self)

    def to(self, device: "str | int | torch.device", *, non_blocking: bool = False) -> "BatchEncoding":
        """Move every tensor to the device, in place, and return this encoding. Anything else stays as it is."""
        for name, value in self.items():
            if callable(getattr(value, "to", None)):
                self[name] = value.to(device=device, non_blocking=non_blocking)
        return self

    def convert_to_tensors(self, tensor_type: str | None = None, prepend_batch_axis: bool = False) -> "BatchEncoding":
        """Make every value a NumPy array ("np") or torch tensor ("pt"), in place, and return this encoding.

        Raises ValueError for another type, and for rows of different lengths with "pt"; "np" makes an array of arrays
        of them, as transformers does.
        """
        if tensor_type is None:
            return self
        convert = converter(tensor_type)
        for name, value in self.items():
            self[name] = convert(name, [value] if prepend_batch_axis else value)
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
    import torch

    from_numpy, array_type = torch.from_numpy, np.ndarray

    def as_tensor(name: str, value: Any) -> Any:
        array = value
        if not isinstance(value, array_type):
            if isinstance(value, torch.Tensor):
                return value
            array = as_array(name, value)
        if array.dtype.hasobject:
            raise ValueError(
                f"{name} has rows of different lengths, which no tensor holds; pass padding=True, or"
                " padding='max_length' with truncation=True and, where the tokenizer's files give no model_max_length,"
                " max_length=77"
            )
        return from_numpy(array)

    return as_tensor


def _is_ragged(value: Any) -> bool:
    rows = isinstance(value, list) and value and isinstance(value[0], (list, tuple))
    return bool(rows) and len({len(row) for row in value}) > 1
