"""Token tables that grow, and textual-inversion files: new vectors for new placeholder tokens."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cliptok._common.errors import PrintableErrors
from cliptok._common.json_files import some, wanted
from cliptok.encoder.checkpoints.safetensors_file import SafetensorsSource
from cliptok.encoder.checkpoints.sources import SAFETENSORS, load_pickle
from cliptok.encoder.config import MAX_SIZES, whole_number
from cliptok.encoder.model import TextTower
from cliptok.encoder.weights import MAX_TOKEN, checked_vectors
from cliptok.tokenizer.calls.options import check_path

_PAIR = ("clip_g", "clip_l", "text_encoders_0", "text_encoders_1")


@torch.no_grad()
def resize_token_embeddings(
    encoder: TextTower,
    new_num_tokens: int | None = None,
    pad_to_multiple_of: int | None = None,
    mean_resizing: bool = True,
) -> nn.Embedding:
    """Give the token table `new_num_tokens` rows, rounded up to a multiple of `pad_to_multiple_of`. Returns the table.

    New rows are the mean of the old ones, up to a noise of a billionth of their variance (transformers' way, by John
    Hewitt's "Initializing New Word Embeddings"); without `mean_resizing` they are CLIP's random initialisation. Raises
    TypeError or ValueError for other numbers; the encoder is then as it was.
    """
    old = encoder.embeddings.token_embedding
    rows = old.num_embeddings if new_num_tokens is None else _rows("new_num_tokens", new_num_tokens)
    if pad_to_multiple_of is not None:
        multiple = _rows("pad_to_multiple_of", pad_to_multiple_of)
        rows = _rows("new_num_tokens", -(-rows // multiple) * multiple)
    return _swap(encoder, _resized(old, rows, mean_resizing))


def _rows(name: str, value: Any) -> int:
    return whole_number(value, name, 1, MAX_SIZES["vocabulary"])


def _resized(old: nn.Embedding, rows: int, mean_resizing: bool = True) -> nn.Embedding:
    """A table of `rows` rows that begins as `old`; `old` itself where it has as many."""
    if rows == old.num_embeddings:
        return old
    new = nn.Embedding(rows, old.embedding_dim, device=old.weight.device, dtype=old.weight.dtype)
    nn.init.normal_(new.weight, std=0.02)
    if mean_resizing:
        deviation, mean = torch.std_mean(old.weight.float(), dim=0, correction=0)
        new.weight.copy_(mean + torch.randn_like(new.weight, dtype=torch.float32) * deviation * 1e-9**0.5)
    kept = min(rows, old.num_embeddings)
    new.weight[:kept] = old.weight[:kept]
    new.weight.requires_grad_(old.weight.requires_grad)
    return new


def _swap(encoder: TextTower, table: nn.Embedding) -> nn.Embedding:
    encoder.embeddings.token_embedding = table
    encoder.config.vocabulary = table.num_embeddings
    return table


@dataclasses.dataclass
class TextualInversion:
    """A loaded embedding: `tokens[0]` is the placeholder to write in prompts, one token per vector."""

    tokens: tuple[str, ...]
    ids: tuple[int, ...]
    encoder: TextTower
    tokenizer: Any
    loaded: bool = True

    @torch.no_grad()
    def unload(self) -> None:
        """Take the tokens out of the tokenizer and the vectors out of the encoder. Other tokens keep their ids."""
        if not self.loaded:
            raise ValueError(f"{self.tokens[0]} is unloaded already")
        table = self.encoder.embeddings.token_embedding
        # Empty rows at the end go, down to the size before any embedding was loaded. A row in the middle stays.
        others = (id for token, id in self.tokenizer.get_vocab().items() if token not in self.tokens)
        kept = max(self.encoder.rows_without_inversions or 0, max(others) + 1)
        is_used = table.weight[kept:].any(dim=1)
        is_used[[id - kept for id in self.ids if kept <= id < table.num_embeddings]] = False
        used = is_used.nonzero()
        smaller = _resized(table, kept + int(used.max()) + 1 if len(used) else min(kept, table.num_embeddings))
        self.tokenizer.remove_tokens(self.tokens)
        smaller.weight[[id for id in self.ids if id < smaller.num_embeddings]] = 0
        _swap(self.encoder, smaller)
        self.loaded = False


@torch.no_grad()
@PrintableErrors()
def load(
    encoder: TextTower,
    source: str | os.PathLike[str] | Mapping[str, Any] | Tensor,
    tokenizer: Any,
    token: str | None = None,
) -> TextualInversion:
    """Add the vectors of a textual-inversion file to `encoder`, and their tokens to `tokenizer`.

    Knows diffusers' files (`.safetensors`, `.bin`: one token, one or several vectors), A1111's (`.pt` with
    `string_to_param`, `.safetensors` with `emb_params`) and SDXL's, which hold one embedding per encoder (`clip_l` and
    `clip_g`; the one of this encoder's width is taken). `token` overrides the file's placeholder. n vectors become the
    tokens `token`, `token_1` .. `token_{n-1}`, diffusers' way; `encode`, `encode_prompts` and diffusers' pipelines
    write them out where a prompt has the placeholder.

    Raises ValueError for another kind of file, another width, a token that exists, or values that are not finite;
    encoder and tokenizer are then as they were.
    """
    where, name, found = read_vectors(source, encoder.config.width)
    token = name if token is None else token
    if not isinstance(token, str | None):
        raise TypeError(f"token is of type {type(token).__name__}; expected str")
    if not hasattr(tokenizer, "get_vocab"):
        raise TypeError(f"tokenizer is of type {type(tokenizer).__name__}; expected a cliptok.Tokenizer")
    if not token:
        raise ValueError(f"{where} does not say which token it is for; give token=")
    if token != token.strip() or len(token) > MAX_TOKEN:  # White space alone would be found between all words.
        raise ValueError(
            f"{where}: the token {token!r} begins or ends with white space, or has more than {MAX_TOKEN:,} characters; "
            "give token="
        )
    table = encoder.embeddings.token_embedding
    vectors = checked_vectors(found, where, encoder.config.width, table.weight.dtype).to(table.weight)
    tokens = (token, *(f"{token}_{i}" for i in range(1, len(vectors))))
    known = tokenizer.get_vocab()
    if taken := [t for t in (*tokens, f"{token}_1") if t in known]:
        raise ValueError(
            f"{where}: token {taken[0]!r} is in the tokenizer already; choose another with token=, or unload it"
        )
    # All that can fail for want of memory is done before anything is changed.
    rows = max(known.values(), default=-1) + 1 + len(tokens)
    larger = _resized(table, max(rows, table.num_embeddings))
    tokenizer.add_tokens(list(tokens))
    try:
        ids = tuple(tokenizer.convert_tokens_to_ids(list(tokens)))
        if max(ids) >= larger.num_embeddings:
            larger = _resized(table, max(ids) + 1)
        larger.weight[list(ids)] = vectors
    except BaseException:
        tokenizer.remove_tokens(tokens)
        raise
    if encoder.rows_without_inversions is None:
        encoder.rows_without_inversions = table.num_embeddings
    _swap(encoder, larger)
    return TextualInversion(tokens, ids, encoder, tokenizer)


def read_vectors(source: Any, width: int) -> tuple[str, str | None, Any]:
    """Where from, the placeholder if the file names one, and what stands where vectors should."""
    if isinstance(source, Tensor):
        return "the tensor", None, source
    if isinstance(source, Mapping):
        content, where, stem = source, "the mapping", None
    else:
        path = Path(check_path("the textual inversion", source, "a file, a tensor or a mapping"))
        where, stem = str(path), path.stem
        if path.suffix in SAFETENSORS:
            file = SafetensorsSource(path)
            content = {name: file.read(name) for name in file.shapes()}
        else:
            loaded = load_pickle(path)
            if isinstance(loaded, Tensor):
                return where, None, loaded
            if not isinstance(loaded, Mapping):
                raise ValueError(f"{where} holds a {type(loaded).__name__}, not a textual inversion")
            content = loaded
    if "string_to_param" in content:
        params = wanted(content["string_to_param"], Mapping, f"{where}: string_to_param")
        if len(params) != 1:
            raise ValueError(f"{where} has {len(params)} embeddings in string_to_param; expected one")
        name = wanted(content.get("name") or stem, (str, type(None)), f"{where}: name")
        return where, name, next(iter(params.values()))
    tensors = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    if "emb_params" in tensors:
        return where, stem, tensors["emb_params"]
    pair = {name: tuple(tensors[name].shape)[-1:] for name in _PAIR if name in tensors}
    if pair:
        if (fitting := next((name for name, size in pair.items() if size == (width,)), None)) is not None:
            return where, stem, tensors[fitting]
        held = ", ".join(f"{name} of width {size[0] if size else 'none'}" for name, size in sorted(pair.items()))
        raise ValueError(f"{where} has no vectors of width {width} for this encoder; it holds {held}")
    if len(tensors) == 1:
        name, vectors = next(iter(tensors.items()))
        return where, name, vectors
    raise ValueError(f"{where} is no textual inversion that is known; it holds {some(map(str, content)) or 'nothing'}")
