"""`tok(...)`: from texts and transformers' options to a BatchEncoding, by the shortest way there is."""

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from cliptok.tokenizer.calls.encoding import BatchEncoding, converter
from cliptok.tokenizer.calls.options import Columns, Plan, padded_length
from cliptok.tokenizer.texts import as_batch, as_rows, threads_for

if TYPE_CHECKING:
    from cliptok.tokenizer.transformers_api import TransformersApi


def call(
    tok: "TransformersApi",
    text: Any,
    plan: Plan,
    mask: bool,
    columns: Columns | None,
    specials: bool,
    stride: int,
    pad_left: bool,
    return_tensors: str | None,
) -> BatchEncoding:
    """Encode one text or many as planned, with `columns` when any of them is asked for."""
    convert = None if return_tensors is None else converter(return_tensors)
    single = isinstance(text, str)
    batch = as_batch(text)
    pad_id = _pad_id(tok, plan)
    if columns is not None or _cuts_oddly(tok, plan):
        values = _rows(tok, batch, plan, mask, columns or Columns(), specials, stride, pad_left, pad_id)
    elif plan.pad_to == "max_length" and plan.limit == plan.length:
        values = _matrix(tok, batch, plan.length, mask, specials, pad_left, pad_id)
    elif single and convert is None and plan.pad_to is None:
        ids = _single(tok, text, plan.limit, specials)
        return BatchEncoding({"input_ids": ids, "attention_mask": [1] * len(ids)} if mask else {"input_ids": ids})
    else:
        values = _packed(tok, batch, plan, mask, specials, pad_left, pad_id)
    if convert is not None:
        return BatchEncoding({name: convert(name, value) for name, value in values.items()})
    encoding = BatchEncoding({name: _as_list(value) for name, value in values.items()})
    if single and not (columns and columns.overflow):
        for name, value in encoding.items():
            if isinstance(value[0], list):
                encoding[name] = value[0]
    return encoding


def _cuts_oddly(tok: "TransformersApi", plan: Plan) -> bool:
    """Whether rows lose their beginning, or everything: cases that the engine leaves to Python."""
    return plan.limit is not None and (tok.truncation_side == "left" or plan.limit < 2)


def _single(tok: "TransformersApi", text: str, limit: int | None, specials: bool) -> list[int]:
    ids = tok._engine.encode(text, specials)
    if limit is None or len(ids) <= limit:
        return ids
    return [*ids[: limit - 1], ids[-1]] if specials else ids[:limit]


def _pad_id(tok: "TransformersApi", plan: Plan) -> int:
    if plan.pad_to is None:
        return 0
    pad_id = tok._role_id("pad_token")
    if pad_id is None:
        raise ValueError("padding needs a pad token; set one, as in tok.pad_token = tok.eos_token")
    return pad_id


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else list(value.tolist())


def _matrix(
    tok: "TransformersApi", batch: Any, length: int, mask: bool, specials: bool, pad_left: bool, pad_id: int
) -> dict[str, Any]:
    """Every row cut and padded to one length: the engine writes ids and mask where they will stay."""
    ids, _, ones = tok._engine.rows(
        batch,
        length,
        pad_id,
        mask=mask,
        add_special_tokens=specials,
        pad_left=pad_left,
        threads=threads_for(batch, None),
    )
    return {"input_ids": ids, "attention_mask": ones} if mask else {"input_ids": ids}


def _packed(
    tok: "TransformersApi", batch: Any, plan: Plan, mask: bool, specials: bool, pad_left: bool, pad_id: int
) -> dict[str, Any]:
    """Ragged rows as lists; rows of one length, or padded to the longest, as arrays."""
    import numpy as np

    ids, offsets = tok._engine.pack(
        batch,
        "int64",
        plan.limit,
        add_special_tokens=specials,
        threads=threads_for(batch, None, whole=plan.limit is None),
    )
    lengths = np.diff(offsets)
    longest = int(lengths.max(initial=0))
    target = padded_length(plan, longest)
    if target >= longest or lengths.min() == longest:
        length = max(target, longest)
        places = np.arange(length)
        real = places >= (length - lengths)[:, None] if pad_left else places < lengths[:, None]
        matrix = np.full(real.shape, pad_id, np.int64)
        matrix[real] = ids
        return {"input_ids": matrix, **({"attention_mask": real.astype(np.int64)} if mask else {})}
    everything, bounds = ids.tolist(), offsets.tolist()
    rows = [everything[begin:end] for begin, end in pairwise(bounds)]
    masks = [[1] * len(row) for row in rows]
    if target:  # Some row is longer than what the others are padded to.
        gaps = [max(target - len(row), 0) for row in rows]
        rows = [[pad_id] * gap + row if pad_left else row + [pad_id] * gap for row, gap in zip(rows, gaps, strict=True)]
        masks = [[0] * gap + ones if pad_left else ones + [0] * gap for ones, gap in zip(masks, gaps, strict=True)]
    return {"input_ids": rows, **({"attention_mask": masks} if mask else {})}


def _rows(
    tok: "TransformersApi",
    batch: Any,
    plan: Plan,
    mask: bool,
    columns: Columns,
    specials: bool,
    stride: int,
    pad_left: bool,
    pad_id: int,
) -> dict[str, Any]:
    """The way for every other option, row by row in Python."""
    from cliptok.tokenizer.calls.rows import build

    if columns.offset_mapping:
        texts: list[Any] = [_offsets(tok, row, text) for row, text in enumerate(as_rows(batch))]
    else:
        threads = threads_for(batch, None, whole=True)
        ids, offsets = tok._engine.pack(batch, "int64", None, add_special_tokens=False, threads=threads)
        everything, bounds = ids.tolist(), offsets.tolist()
        texts = [(everything[begin:end], None) for begin, end in pairwise(bounds)]
    ends = tok._ends if specials else None
    return build(texts, plan, mask, columns, ends, pad_id, stride, pad_left, tok.truncation_side == "left")


def _offsets(tok: "TransformersApi", row: int, text: str) -> tuple[list[int], list[tuple[int, int]]]:
    try:
        return tok._engine.encode_offsets(text)
    except ValueError as error:
        raise ValueError(f"texts[{row}]: {error}") from None
