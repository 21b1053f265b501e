"""`tok(...)`: from texts and transformers' options to a BatchEncoding, by the shortest way there is."""

from typing import Any, NamedTuple

from cliptok._engine import Engine
from cliptok.tokenizer.calls.encoding import BatchEncoding, converter, from_array
from cliptok.tokenizer.calls.options import PLAIN, Returned, Strategies
from cliptok.tokenizer.texts import as_batch, threads_for
from cliptok.tokenizer.tokens.token_table import TokenTable

SHORT = 1 << 14
"""Characters that are encoded before anybody notices."""


def one_row(
    text: str,
    engine: Engine,
    row: tuple[int | None, int],
    pad_id: int,
    specials: bool,
    pad_left: bool,
    tensor_type: str,
) -> BatchEncoding:
    """One short text to arrays or tensors, without threads or Ctrl-C. `row` is that of the call's strategies."""
    limit, length = row
    convert = from_array(tensor_type)
    ids, mask = engine.row(text, limit, length, pad_id, specials, pad_left)
    return BatchEncoding.of({"input_ids": convert(ids), "attention_mask": convert(mask)})


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
        only_ids = wanted is PLAIN or not any(wanted[1:])
        if only_ids and how.padding == "max_length" and how.limit == how.length >= 2 and not self.truncate_left:
            values = self._matrix(batch)
        else:
            values = self._rows(batch)
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

    def _rows(self, batch: Any) -> dict[str, Any]:
        """Every other call: texts are encoded, truncated and padded one after the other."""
        from cliptok.tokenizer.calls.rows import Rows, truncated, values

        how, wanted, engine, specials = self.how, self.wanted, self.tokens.engine, self.add_special_tokens
        limit, empty = how.limit, self.null_as_empty
        # The engine truncates at the end, and always keeps start and end.
        by_engine = None if self.truncate_left or wanted.overflowing_tokens or limit == 1 else limit or None
        if wanted.offset_mapping:
            rows = Rows(*engine.offsets(batch, add_special_tokens=specials, null_as_empty=empty))
        else:
            threads = threads_for(batch, None, whole=by_engine is None)
            ids, bounds = engine.pack(
                batch, "int64", by_engine, add_special_tokens=specials, null_as_empty=empty, threads=threads
            )
            rows = Rows(ids, None, bounds)
        if limit is not None and int(rows.lengths.max(initial=0)) > limit:
            rows = truncated(rows, limit, specials, self.stride, self.truncate_left, wanted.overflowing_tokens)
        as_arrays = self.return_tensors is not None
        return values(rows, how, wanted, specials, self.pad_id or 0, self.pad_left, as_arrays)


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else list(value.tolist())
