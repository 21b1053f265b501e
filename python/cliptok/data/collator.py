"""From samples to a batch of tensors."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from cliptok.data.captions import captions_of, in_order, named, picked
from cliptok.tokenizer.calls.encoding import BatchEncoding
from cliptok.tokenizer.calls.options import check_int, one_of
from cliptok.tokenizer.tokenizer import Tokenizer

if TYPE_CHECKING:
    import numpy.typing as npt

_PADDING = ("max_length", "longest")


class Collator:
    """The `collate_fn` of a DataLoader: a list of samples to a batch of tensors.

    A sample is a text, or a mapping or tuple that has one in the field `text`, a key or a place. Texts alone become a
    tensor of ids (n, max_length). In a tuple the ids take the text's place; in a mapping its field goes and
    `input_ids` comes. `torch.utils.data.default_collate` does the other fields. Longer texts are
    truncated, in every profile.

    `max_length` defaults to the tokenizer's own. `padding` is "max_length", or "longest" for rows as long as the
    batch's longest. `dtype` is int64, int32 or uint16.
    With `attention_mask` there is a mask too, int64: beside `input_ids` in a mapping, and elsewhere a mapping of
    both stands for the ids.

    `text` may be a list of fields, each tokenized: in a mapping `caption` becomes `caption_input_ids`, and so on.

    A text may be a list of captions, of which one is picked at random, or as many different ones as `captions` says:
    then ids and mask have the shape (n, captions, length). `captions="all"` keeps all in their order. Samples with
    fewer than others are an error, or with `ragged="pad"` get rows of padding, and `caption_mask` (n, captions), bool,
    beside `input_ids` says which rows are captions. Chance is torch's own, which a DataLoader seeds for each
    worker and epoch from its generator, and `torch.manual_seed` in the main process.

    It can be pickled, forked and spawned, and uses one thread in a worker.

    >>> from cliptok import Tokenizer
    >>> collate = Collator(Tokenizer(), "caption")  # as in DataLoader(samples, 256, collate_fn=collate, num_workers=2)
    >>> batch = collate([{"caption": "a cat", "number": 1}, {"caption": "a dog", "number": 2}])
    >>> batch.input_ids.shape, batch.number
    (torch.Size([2, 77]), tensor([1, 2]))
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        text: str | int | Sequence[str | int] | None = None,
        *,
        max_length: int | None = None,
        padding: str = "max_length",
        dtype: Any = "int64",
        attention_mask: bool = False,
        captions: int | Literal["all"] | None = None,
        ragged: Literal["error", "pad"] = "error",
    ) -> None:
        from cliptok.tokenizer.arrays import dtype_name

        if not isinstance(tokenizer, Tokenizer):
            raise TypeError(f"tokenizer is of type {type(tokenizer).__name__}; expected a cliptok.Tokenizer")
        max_length = tokenizer._row_length if max_length is None else max_length
        check_int("max_length", max_length, 2)
        if isinstance(captions, str):
            one_of("captions", captions, ("all",))
        elif captions is not None:
            check_int("captions", captions, 1)
        one_of("ragged", ragged, ("error", "pad"))
        if ragged == "pad" and captions != "all":
            raise ValueError("ragged='pad' is for captions='all'")
        if padding not in _PADDING:
            raise ValueError(f"padding is {padding!r}; choose one of {', '.join(_PADDING)}")
        self.tokenizer = tokenizer
        self.text = text if text is None or isinstance(text, (str, int)) else list(text)
        if isinstance(self.text, list) and not 0 < len(self.text) == len(set(self.text)):
            raise ValueError(f"text is {self.text!r}; expected one field or more, each once")
        self.max_length = max_length
        self.padding = padding
        self.dtype = dtype_name(dtype, tokenizer._tokens.id_bound)
        self.attention_mask = attention_mask
        self.captions = captions
        self.ragged = ragged

    def __call__(self, samples: Sequence[Any]) -> Any:
        """The batch: a tensor for texts, a list for tuples (named ones keep their type), a BatchEncoding for mappings.

        Raises TypeError or ValueError that names the row and the field for a text that is none, a field that is
        missing or does not collate, and fewer captions than are to be picked; also for an empty batch.
        """
        if not isinstance(samples, (list, tuple)):
            raise TypeError(f"samples is of type {type(samples).__name__}; expected a list of samples, one per row")
        if not samples:
            raise ValueError("samples is empty; a batch needs one or more")
        if self.text is None:
            return self._in_place(self._encode(list(samples), ""))
        _check_kind(samples)
        if isinstance(samples[0], Mapping):
            return self._mapping(samples)
        if isinstance(samples[0], (list, tuple)):
            return self._tuple(samples)
        raise TypeError(
            f"samples[0] is {named(samples[0])} and has no field {self.text!r}; expected a mapping or a tuple,"
            " or leave `text` out where samples are texts"
        )

    def _mapping(self, samples: Sequence[Any]) -> BatchEncoding:
        fields = self.text if isinstance(self.text, list) else [self.text]
        encoded = BatchEncoding()
        for field in fields:
            prefix = f"{field}_" if isinstance(self.text, list) else ""
            found = self._encode(_field(samples, field), f"[{field!r}]")
            encoded.update({prefix + name: value for name, value in found.items()})
        batch = BatchEncoding()
        for name in samples[0]:
            if name in encoded and name not in fields:
                raise ValueError(f"samples[0] has a field {name!r}, which is where ids go; rename it")
            if name not in fields:
                batch[name] = _collate(_field(samples, name), f"[{name!r}]")
        batch.update(encoded)
        return batch

    def _tuple(self, samples: Sequence[Any]) -> Any:
        first = samples[0]
        fields = self.text if isinstance(self.text, list) else [self.text]
        if not all(isinstance(place, int) and -len(first) <= place < len(first) for place in fields):
            raise ValueError(f"samples[0] has {len(first)} fields, and `text` is {self.text!r}; expected one's place")
        for row, sample in enumerate(samples):
            if len(sample) != len(first):
                raise ValueError(f"samples[{row}] has {len(sample)} fields, and samples[0] has {len(first)}")
        places = {place % len(first) for place in fields if isinstance(place, int)}
        batch = [
            self._in_place(self._encode(_field(samples, at), f"[{at}]"))
            if at in places
            else _collate(_field(samples, at), f"[{at}]")
            for at in range(len(first))
        ]
        return type(first)(*batch) if hasattr(first, "_fields") else batch

    def _in_place(self, encoded: BatchEncoding) -> Any:
        """What stands for the text where it has no name."""
        return encoded if len(encoded) > 1 else encoded["input_ids"]

    def _encode(self, values: list[Any], field: str) -> BatchEncoding:
        """`input_ids`, and the mask if it is wanted, of each row's text; `field` is how errors name it."""
        import numpy as np
        import torch
        from torch.utils.data import get_worker_info

        texts, each, is_caption = values, self.captions, None
        if self.captions is not None or not all(type(value) is str for value in values):
            captions = [captions_of(value, row, field) for row, value in enumerate(values)]
            if self.captions == "all":
                texts, is_caption = in_order(captions, self.ragged, field)
                each = len(texts) // len(values)
            else:
                texts = picked(captions, self.captions, field)
        try:
            ids, lengths = self.tokenizer.encode_batch(
                texts, self.max_length, self.dtype, return_lengths=True, truncate=True
            )
        except ValueError as error:
            raise ValueError(_of_samples(str(error), field, int(each or 1))) from None
        if self.padding == "longest":
            ids = self._narrowed(ids, int(lengths.max()))
        if is_caption is not None:
            lengths = np.where(is_caption, lengths, 0)
            pad_id = self.tokenizer.pad_token_id
            assert pad_id is not None  # encode_batch asks for one.
            ids[~is_caption] = pad_id
        arrays = {"input_ids": ids}
        if self.attention_mask:
            arrays["attention_mask"] = self._mask(lengths, ids.shape[1])
        shape = (len(values), -1) if each is None else (len(values), int(each), ids.shape[1])
        tensors = {name: torch.from_numpy(array).view(shape) for name, array in arrays.items()}
        if get_worker_info() is not None:
            from cliptok.data.compact_rows import CompactRows

            tensors = {name: tensor.as_subclass(CompactRows) for name, tensor in tensors.items()}
        if is_caption is not None and self.ragged == "pad":
            tensors["caption_mask"] = torch.from_numpy(is_caption).view(len(values), -1)
        return BatchEncoding(tensors)

    def _narrowed(self, ids: "npt.NDArray[Any]", length: int) -> "npt.NDArray[Any]":
        return ids[:, -length:].copy() if self.tokenizer.padding_side == "left" else ids[:, :length].copy()

    def _mask(self, lengths: "npt.NDArray[Any]", width: int) -> "npt.NDArray[Any]":
        return _masks(width, self.tokenizer.padding_side == "left").take(lengths, 0)


@lru_cache(maxsize=128)
def _masks(width: int, pad_left: bool) -> "npt.NDArray[Any]":
    """The mask of a row of each length, from 0 to `width`: a row of a small batch is copied sooner than computed."""
    import numpy as np

    masks = np.tri(width + 1, width, -1, dtype=np.int64)
    return masks[:, ::-1].copy() if pad_left else masks


def _check_kind(samples: Sequence[Any]) -> None:
    kind = type(samples[0])
    for row, sample in enumerate(samples):
        if type(sample) is not kind:
            raise TypeError(f"samples[{row}] is {named(sample)}, and samples[0] {named(samples[0])}; expected one kind")


def _field(samples: Sequence[Any], name: Any) -> list[Any]:
    """One field of all mappings or tuples."""
    try:
        return [sample[name] for sample in samples]
    except KeyError:
        row, sample = next((row, sample) for row, sample in enumerate(samples) if name not in sample)
        raise ValueError(f"samples[{row}] has no field {name!r}; it has {', '.join(map(repr, sample))}") from None


def _of_samples(message: str, field: str, captions: int) -> str:
    """An error about a text, told of the sample that it belongs to."""
    return re.sub(r"^texts\[(\d+)\]", lambda row: f"samples[{int(row[1]) // captions}]{field}", message)


def _collate(values: list[Any], field: str) -> Any:
    """torch's way with any other field."""
    from torch.utils.data import default_collate

    try:
        return default_collate(values)
    except (TypeError, ValueError, RuntimeError, KeyError) as error:
        raise ValueError(f"samples[{_odd_row(values)}]{field} does not collate: {error}") from error


def _odd_row(values: list[Any]) -> int:
    """The first row that is unlike row 0 in type or shape; row 0 where all are alike."""

    def kind(value: Any) -> Any:
        return type(value), getattr(value, "shape", None)

    return next((row for row, value in enumerate(values) if kind(value) != kind(values[0])), 0)
