"""Correct uses, which pass in strict mode. Never run."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from cliptok import PackedTokens, TextEncoder, Tokenizer
from cliptok.batch import Report, embed_files, tokenize_files
from cliptok.data import Collator

tok = Tokenizer("open_clip", pad_token="!")
ids: npt.NDArray[np.integer[Any]] = tok.encode_batch(["a cat", "a dog"], 16, dtype="int32")
rows, lengths = tok.encode_batch(("a cat", None), return_lengths=True, on_null="empty")
total: int = int(lengths.sum())
buffer = np.empty((2, 77), np.int32)
filled: npt.NDArray[np.int32] = tok.encode_batch(["a cat", "a dog"], out=buffer)
packed: PackedTokens = tok.encode_packed(iter(["a cat"]))
counts: npt.NDArray[np.int64] = tok.count("a cat")
flat: list[int] = tok("a cat").input_ids
nested: list[list[int]] = tok(["a cat"], padding=True, truncation=True)["input_ids"]
tensors: torch.Tensor = tok(["a cat"], padding="max_length", truncation=True, return_tensors="pt").input_ids
one: list[int] = tok.encode("a cat")
text: str = tok.decode(320)

enc = TextEncoder.from_pretrained("folder", device="cpu")
embeddings: torch.Tensor = enc.encode(["a cat"], output="text_embeds", normalize=True)
parts: Iterator[torch.Tensor] = enc.encode(iter(["a cat"]))

report: Report = tokenize_files(["a.parquet"], "ids", column="caption", tokenizer="open_clip", on_null="skip")
embed_files("a.txt", "e.npy", model=enc, output="hidden")
collator = Collator(tok, "caption", captions=2)


def any_column(column: Any) -> npt.NDArray[np.int64]:
    return tok.count(column)
