"""Token tables that grow, and textual-inversion files: new vectors for new placeholder tokens."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cliptok.encoder.checkpoints.sources import load_pickle
from cliptok.encoder.model import TextTower


@torch.no_grad()
def resize_token_embeddings(
    encoder: TextTower,
    new_num_tokens: int | None = None,
    pad_to_multiple_of: int | None = None,
    mean_resizing: bool = True,
) -> nn.Embedding:
    """Give the token table `new_num_tokens` rows, rounded up to a multiple of `pad_to_multiple_of`. Returns the table.

    New rows are the mean of the old ones, up to a noise of a billionth of their variance (transformers' way, by John
    Hewitt's "Initializing New Word Embeddings"); without `mean_resizing` they are CLIP's random initialisation.
    """
    old = encoder.embeddings.token_embedding
    if pad_to_multiple_of is not None:
        new_num_tokens = -(-(new_num_tokens or old.num_embeddings) // pad_to_multiple_of) * pad_to_multiple_of
    if new_num_tokens is None or new_num_tokens == old.num_embeddings:
        return old
    if new_num_tokens < 1:
        raise ValueError(f"new_num_tokens must be at least 1, not {new_num_tokens}")
    new = nn.Embedding(new_num_tokens, old.embedding_dim, device=old.weight.device, dtype=old.weight.dtype)
    nn.init.normal_(new.weight, std=0.02)
    if mean_resizing:
        deviation, mean = torch.std_mean(old.weight.float(), dim=0, correction=0)
        new.weight.copy_(mean + torch.randn_like(new.weight, dtype=torch.float32) * deviation * 1e-9**0.5)
    kept = min(new_num_tokens, old.num_embeddings)
    new.weight[:kept] = old.weight[:kept]
    new.weight.requires_grad_(old.weight.requires_grad)
    encoder.embeddings.token_embedding = new
    encoder.config.vocabulary = new_num_tokens
    return new


@dataclasses.dataclass
class TextualInversion:
    """A loaded embedding: `tokens[0]` is the placeholder to write in prompts, one token per vector."""

    tokens: tuple[str, ...]
    ids: tuple[int, ...]
    encoder: TextTower
    tokenizer: Any
    loaded: bool = True

    def unload(self) -> None:
        """Take the tokens out of the tokenizer and the vectors out of the encoder. Other tokens keep their ids."""
        if not self.loaded:
            raise ValueError(f"{self.tokens[0]} is unloaded already")
        self.tokenizer.remove_tokens(self.tokens)
        table = self.encoder.embeddings.token_embedding
        with torch.no_grad():
            table.weight[list(self.ids)] = 0
        # Empty rows at the end go, down to the size before any embedding was loaded. A row in the middle stays.
        kept = max(self.encoder.rows_without_inversions or 0, max(self.tokenizer.get_vocab().values()) + 1)
        used = table.weight[kept:].any(dim=1).nonzero()
        resize_token_embeddings(
            self.encoder, kept + int(used.max()) + 1 if len(used) else min(kept, table.num_embeddings)
        )
        self.loaded = False


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

    Raises ValueError for another kind of file, another width, a token that exists, or values that are not finite.
    """
    where, name, vectors = read_vectors(source, encoder.config.width)
    token = token or name
    if not token:
        raise ValueError(f"{where} does not say which token it is for; give token=")
    vectors = vectors.reshape(-1, vectors.shape[-1])
    if vectors.shape[1] != encoder.config.width:
        raise ValueError(
            f"{where} has vectors of width {vectors.shape[1]}, but the encoder's width is {encoder.config.width}"
        )
    if not bool(torch.isfinite(vectors).all()):
        raise ValueError(f"{where} has vectors that are not finite")
    tokens = (token, *(f"{token}_{i}" for i in range(1, len(vectors))))
    known = tokenizer.get_vocab()
    if taken := [t for t in (*tokens, f"{token}_1") if t in known]:
        raise ValueError(f"token {taken[0]!r} is in the tokenizer already; choose another with token=, or unload it")
    tokenizer.add_tokens(list(tokens))
    ids = tuple(tokenizer.convert_tokens_to_ids(list(tokens)))
    table = encoder.embeddings.token_embedding
    if encoder.rows_without_inversions is None:
        encoder.rows_without_inversions = table.num_embeddings
    if max(ids) >= table.num_embeddings:
        table = resize_token_embeddings(encoder, max(ids) + 1)
    with torch.no_grad():
        table.weight[list(ids)] = vectors.to(table.weight)
    return TextualInversion(tokens, ids, encoder, tokenizer)


def read_vectors(source: Any, width: int) -> tuple[str, str | None, Tensor]:
    """Where from, the placeholder if the file names one, and the vectors."""
    if isinstance(source, Tensor):
        return "the tensor", None, source
    if isinstance(source, Mapping):
        content, where, stem = source, "the mapping", None
    else:
        path = Path(source)
        where, stem = str(path), path.stem
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            content = load_file(path)
        else:
            loaded = load_pickle(path)
            if isinstance(loaded, Tensor):
                return where, None, loaded
            if not isinstance(loaded, Mapping):
                raise ValueError(f"{where} holds a {type(loaded).__name__}, not a textual inversion")
            content = loaded
    if isinstance(content.get("string_to_param"), Mapping):
        return (
            where,
            str(content["name"]) if content.get("name") else stem,
            next(iter(content["string_to_param"].values())),
        )
    tensors = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    if "emb_params" in tensors:
        return where, stem, tensors["emb_params"]
    pair = {name for name in tensors if name in ("clip_l", "clip_g", "text_encoders_0", "text_encoders_1")}
    if pair:
        fitting = [name for name in sorted(pair) if tensors[name].shape[-1] == width]
        if not fitting:
            held = ", ".join(f"{name} of width {tensors[name].shape[-1]}" for name in sorted(pair))
            raise ValueError(f"{where} has no vectors of width {width} for this encoder; it holds {held}")
        return where, stem, tensors[fitting[0]]
    if len(tensors) == 1:
        name, vectors = next(iter(tensors.items()))
        return where, name, vectors
    raise ValueError(
        f"{where} is no textual inversion that is known; it holds {', '.join(map(str, content)) or 'nothing'}"
    )
