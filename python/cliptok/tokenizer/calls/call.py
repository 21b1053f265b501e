"""`tok(...)`: from texts and transformers' options to a BatchEncoding, by the shortest way there is."""

from itertools import pairwise
from typing import Any, NamedTuple

from cliptok.tokenizer.calls.encoding import BatchEncoding, converter
from cliptok.tokenizer.calls.options import PLAIN, Returned, Strategies, padded_length
from cliptok.tokenizer.texts import as_batch, as_rows, threads_for
from cliptok.tokenizer.tokens.token_table import TokenTable


class Call(NamedTuple):
    """A call of a tokenizer without its texts: every option worked out."""

    tokens: TokenTable
    pad_id: int | None
    pad_left: bool
    truncate_left: bool
    how: Strategies
    wanted: Returned
    add_special_tokens: bool = True
    stride: int = 0
    return_tensors: str | None = None
    null_as_empty: bool = False

    def encoding(self, text: Any) -> BatchEncoding:
        """The encoding of one text or of many."""
        how, wanted = self.how, self.wanted
        single = isinstance(text, str)
        if single and wanted is PLAIN and how.padding is None and self.return_tensors is None:
            ids = self.tokens.engine.encode(text, self.add_special_tokens)
            if how.limit is not None and len(ids) > how.limit:
                ids = self._truncated(ids, how.limit)
            return BatchEncoding.of({"input_ids": ids, "attention_mask": [1] * len(ids)})
        if how.padding is not None and self.pad_id is None:
            raise ValueError("padding needs a pad token; set one, as in tok.pad_token = tok.eos_token")
        convert = None if self.return_tensors is None else converter(self.return_tensors)
        batch = (text,) if single else as_batch(text)
        # The engine truncates at the end, and puts start and end around what is left.
        in_engine = how.limit is None or (not self.truncate_left and how.limit >= 2)
        by_row = not in_engine or (wanted is not PLAIN and any(wanted[1:]))
        if by_row:
            values = self._rows(batch)
        elif how.padding == "max_length" and how.limit == how.length:
            values = self._matrix(batch)
        else:
            values = self._packed(batch)
        if convert is not None:
            for name, value in values.items():
                values[name] = convert(name, value)
            return BatchEncoding.of(values)
        lists = {name: _as_list(value) for name, value in values.items()}
        if single and not wanted.overflowing_tokens:
            lists = {name: value[0] if isinstance(value[0], list) else value for name, value in lists.items()}
        return BatchEncoding.of(lists)

    def options(self) -> dict[str, Any]:
        """The arguments of the call, without the form in which it returns values."""
        how, wanted = self.how, self.wanted
        lengthy = how.limit is not None or how.padding == "max_length"
        return {
            "add_special_tokens": self.add_special_tokens,
            "padding": how.padding or False,
            "truncation": how.limit is not None,
            "max_length": how.length if lengthy else None,
            "stride": self.stride,
            "pad_to_multiple_of": how.multiple,
            "padding_side": "left" if self.pad_left else "right",
            "return_overflowing_tokens": wanted.overflowing_tokens,
        }

    def _truncated(self, ids: list[int], limit: int) -> list[int]:
        around = 1 if self.add_special_tokens else 0  # Start and end stay: `limit` has room for both.
        if self.truncate_left:
            return ids[:around] + ids[len(ids) - limit + around :]
        return ids[: limit - around] + ids[len(ids) - around :]

    def _matrix(self, batch: Any) -> dict[str, Any]:
        """Every row truncated and padded to one length: the engine writes ids and mask where they will stay."""
        ids, _, mask = self.tokens.engine.rows(
            batch,
            self.how.length,
            self.pad_id or 0,
            mask=self.wanted.attention_mask,
            add_special_tokens=self.add_special_tokens,
            pad_left=self.pad_left,
            null_as_empty=self.null_as_empty,
            threads=threads_for(batch, None),
        )
        return {"input_ids": ids} if mask is None else {"input_ids": ids, "attention_mask": mask}

    def _packed(self, batch: Any) -> dict[str, Any]:
        """Ragged rows as lists; rows of one length, or padded to the longest, as arrays."""
        import numpy as np

        limit, pad_id, pad_left = self.how.limit, self.pad_id or 0, self.pad_left
        ids, offsets = self.tokens.engine.pack(
            batch,
            "int64",
            limit,
            add_special_tokens=self.add_special_tokens,
            null_as_empty=self.null_as_empty,
            threads=threads_for(batch, None, whole=limit is None),
        )
        lengths = np.diff(offsets)
        longest = int(lengths.max(initial=0))
        target = padded_length(self.how, longest)
        if target >= longest or lengths.min() == longest:
            length = max(target, longest)
            places = np.arange(length)
            real = places >= (length - lengths)[:, None] if pad_left else places < lengths[:, None]
            matrix = np.full(real.shape, pad_id, np.int64)
            matrix[real] = ids
            mask = {"attention_mask": real.astype(np.int64)} if self.wanted.attention_mask else {}
            return {"input_ids": matrix, **mask}
        everything, bounds = ids.tolist(), offsets.tolist()
        rows = [everything[begin:end] for begin, end in pairwise(bounds)]
        masks = [[1] * len(row) for row in rows]
        if target:  # Some row is longer than what the others are padded to.
            gaps = [max(target - len(row), 0) for row in rows]
            padded = zip(rows, gaps, strict=True)
            rows = [[pad_id] * gap + row if pad_left else row + [pad_id] * gap for row, gap in padded]
            masks = [[0] * gap + ones if pad_left else ones + [0] * gap for ones, gap in zip(masks, gaps, strict=True)]
        return {"input_ids": rows, **({"attention_mask": masks} if self.wanted.attention_mask else {})}

    def _rows(self, batch: Any) -> dict[str, Any]:
        """The way for every other option, row by row in Python."""
        from cliptok.tokenizer.calls.rows import build

        if self.wanted.offset_mapping:
            strings = as_rows(batch, self.null_as_empty)
            texts: list[Any] = [self._offsets(row, text) for row, text in enumerate(strings)]
        else:
            threads = threads_for(batch, None, whole=True)
            empty = self.null_as_empty
            ids, offsets = self.tokens.engine.pack(
                batch, "int64", None, add_special_tokens=False, null_as_empty=empty, threads=threads
            )
            everything, bounds = ids.tolist(), offsets.tolist()
            texts = [(everything[begin:end], None) for begin, end in pairwise(bounds)]
        start_end = (self.tokens.start_id, self.tokens.end_id) if self.add_special_tokens else None
        return build(
            texts, self.how, self.wanted, start_end, self.pad_id or 0, self.stride, self.pad_left, self.truncate_left
        )

    def _offsets(self, row: int, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        try:
            return self.tokens.engine.encode_offsets(text)
        except ValueError as error:
            raise ValueError(f"texts[{row}]: {error}") from None


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else list(value.tolist())
