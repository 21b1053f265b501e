"""`tok.pad`: encodings of different lengths to one batch, which is what transformers' data collators ask for."""

from collections.abc import Mapping
from typing import Any

from cliptok.tokenizer.calls.encoding import BatchEncoding, converter
from cliptok.tokenizer.calls.options import Strategies, padded_length


def pad(
    encoded_inputs: Any,
    how: Strategies,
    pad_id: int | None,
    pad_left: bool,
    return_attention_mask: bool | None,
    return_tensors: str | None,
) -> BatchEncoding:
    """What the tokenizer's `pad` does."""
    columns = _columns(encoded_inputs)
    rows = columns.get("input_ids")
    if rows is None:
        raise ValueError(f"encoded_inputs has no input_ids; it has {', '.join(columns) or 'nothing'}")
    single = bool(rows) and isinstance(rows[0], int)
    if single:
        columns = {name: [values] for name, values in columns.items()}
        rows = columns["input_ids"]
    for name, values in columns.items():
        if len(values) != len(rows):
            raise ValueError(f"{name} has {len(values)} rows, and input_ids has {len(rows)}")
    if how.padding is not None and pad_id is None:
        raise ValueError("padding needs a pad token; set one, as in tok.pad_token = tok.eos_token")
    if return_attention_mask is None or return_attention_mask:
        columns.setdefault("attention_mask", [[1] * len(row) for row in rows])
    fillers = {"input_ids": pad_id, "attention_mask": 0, "token_type_ids": 0, "special_tokens_mask": 1}
    target = padded_length(how, max(map(len, rows), default=0))
    for name, filler in fillers.items():
        if name in columns:
            gaps = [[filler] * (target - len(row)) for row in columns[name]]  # none for a longer row
            pairs = zip(columns[name], gaps, strict=True)
            columns[name] = [gap + row if pad_left else row + gap for row, gap in pairs]
    if single:
        columns = {name: values[0] for name, values in columns.items()}
    if return_tensors is None:
        return BatchEncoding(columns)
    convert = converter(return_tensors)
    return BatchEncoding(
        {
            name: convert(name, values) if name in fillers else _converted(name, values, return_tensors)
            for name, values in columns.items()
        }
    )


def _columns(encoded: Any) -> dict[str, Any]:
    """A list of rows for each field."""
    if not isinstance(encoded, Mapping):
        encoded = {name: [row[name] for row in encoded] for name in (encoded[0] if len(encoded) else ())}
    return {name: _as_lists(values) for name, values in encoded.items()}


def _as_lists(values: Any) -> Any:
    if hasattr(values, "tolist"):
        return values.tolist()
    return [value.tolist() if hasattr(value, "tolist") else value for value in values]


def _converted(name: str, values: Any, tensor_type: str) -> Any:
    """A field that is no id or mask, in its own dtype."""
    try:
        if tensor_type == "pt":
            import torch

            return torch.tensor(values)
        import numpy as np

        return np.array(values)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{name} makes no tensor: {error}") from error
