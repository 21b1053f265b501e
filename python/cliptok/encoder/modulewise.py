"""`encode` through the forward pass: for towers that attend in both directions, and for those with more than weights.

Nothing is shared between texts here. Texts of a causal tower are padded to the longest of their batch, which changes
nothing; all others to the full length, since there padding is seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from cliptok.encoder.model import Attention, TextModel, TextTower
from cliptok.encoder.output import OUTPUTS
from cliptok.encoder.sharing.fingerprint import obstacle
from cliptok.encoder.sharing.graphs import GraphRunner
from cliptok.encoder.sharing.stream import is_lazy, token_windows, truncate_at_end

_ROWS = 64


def needs_modules(encoder: TextModel, graphs: GraphRunner | None) -> bool:
    """Whether `encode` must call the encoder's modules rather than read their weights; `graphs` are its own on CUDA.

    So it is with attention in both directions, a class token, hooks, wrapped and parametrized layers: adapters that
    are not merged, offloaded and sharded weights, weights that are stored in another dtype than they compute in.
    """
    if not encoder.config.causal or encoder.config.class_token or is_wrapped(encoder):
        return True
    return (obstacle(encoder) if graphs is None else graphs.fingerprint.obstacle) is not None


def encode_by_modules(
    encoder: TextModel,
    texts: Any,
    tokenizer: Any,
    *,
    output: str,
    normalize: bool,
    window: int,
    batch_invariant: bool,
    progress: bool,
) -> Iterator[Tensor]:
    """The embeddings of each window, as `encode.encode` gives them; `batch_invariant` runs each text alone."""
    rows = 1 if batch_invariant else _ROWS
    bar: Any = None
    if progress:
        from tqdm import tqdm

        bar = tqdm(total=None if is_lazy(texts) else _count(texts), unit="text", desc="encode")
    length, pad = encoder.config.context_length, encoder.config.pad_id
    if encoder.config.causal:  # where it is seen all the same, a layer was exchanged: pad as the tokenizer does
        pad = pad if (own := getattr(tokenizer, "pad_token_id", None)) is None else own
    for ids, offsets, first_row in token_windows(texts, tokenizer, window, length):
        kept, ends = truncate_at_end(ids, offsets, encoder.config.end_id, length, first_row)
        if looks_back_only(encoder):
            ids, offsets = kept, ends  # what follows the end of a text cannot change it
        yield _encode(encoder, ids, offsets, pad, output, normalize, rows, bar)
    if bar is not None:
        bar.close()


@torch.no_grad()
def _encode(
    encoder: TextModel, ids: Any, offsets: Any, pad: int, output: Any, normalize: bool, rows: int, bar: Any
) -> Tensor:
    """The embeddings of some texts, batches of similar length at a time, in input order."""
    config, lengths = encoder.config, np.diff(offsets)
    sees_padding = not looks_back_only(encoder)
    order = np.argsort(lengths, kind="stable")
    parts = []
    for start in range(0, len(order), rows):
        chosen = order[start : start + rows]
        longest = config.context_length if sees_padding else int(lengths[chosen].max())
        batch = np.full((len(chosen), longest), pad, dtype=np.int64)
        for row, text in enumerate(chosen):
            batch[row, : lengths[text]] = ids[offsets[text] : offsets[text + 1]]
        if len(batch) and batch.max() >= config.vocabulary:
            raise ValueError(
                f"texts have the id {batch.max()} but the encoder's vocabulary has {config.vocabulary} entries; "
                "use the encoder's own tokenizer, or resize_token_embeddings(len(tokenizer))"
            )
        source = _source(encoder, output)
        rows_of_ids = torch.from_numpy(batch)
        if encoder.device.type != "meta":  # where weights are elsewhere, accelerate moves the ids
            rows_of_ids = rows_of_ids.to(encoder.device)
        parts.append(source(rows_of_ids).unchecked(output))  # every row was seen to have its end above
        if bar is not None:
            bar.update(len(chosen))
    found = torch.cat(parts)[torch.from_numpy(np.argsort(order)).to(parts[0].device)]
    return F.normalize(found, dim=-1) if normalize else found


def looks_back_only(encoder: TextModel) -> bool:
    """Whether no position can depend on those after it, so that padding changes nothing. Unknown blocks may."""
    if not encoder.config.causal or encoder.config.class_token:
        return False
    attentions = [getattr(block, "self_attn", None) for block in encoder.blocks()]
    return all(type(attention) is Attention and attention.causal for attention in attentions)


def _source(encoder: TextModel, output: str) -> TextTower:
    """The encoder, or its tower where that alone has `output`, which must then be all that computes it."""
    if output in OUTPUTS[encoder.config.architecture].fields:
        return encoder
    if is_wrapped(encoder):
        raise ValueError(
            f"the encoder has hooks or a forward method of its own, and its output has no {output}, so what they make "
            'of it is not known; take output="text_embeds", or remove them'
        )
    return encoder.text_model


def is_wrapped(encoder: TextModel) -> bool:
    """Whether more runs around the encoder as a whole than its own forward pass."""
    hooked = encoder._forward_hooks or encoder._forward_pre_hooks or "forward" in encoder.__dict__
    return bool(hooked) or type(encoder).forward is not TextModel.forward


def _count(texts: Any) -> int | None:
    return len(texts.offsets) - 1 if hasattr(texts, "offsets") else len(texts) if hasattr(texts, "__len__") else None
