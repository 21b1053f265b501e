"""Prompts to the conditioning tensors of Stable Diffusion 1, 2 and XL, by diffusers' rules.

Here padding is live: the image model attends to all 77 positions, so all 77 are computed, without an attention mask.
What is not computed twice is a prompt that repeats, such as the empty negative prompt of a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from cliptok.encoder.device import to_device
from cliptok.encoder.forward import forward
from cliptok.encoder.placeholders import expand_placeholders

if TYPE_CHECKING:
    from cliptok.encoder.text_encoder import TextEncoder


class PromptEmbeds(NamedTuple):
    """What SDXL's image model takes: (n, 77, width 1 + width 2) and (n, projection)."""

    prompt_embeds: Tensor
    pooled_prompt_embeds: Tensor


@torch.no_grad()
def encode_prompts(
    encoder: TextEncoder, tokenizer: Any, prompts: str | Sequence[str], *, clip_skip: int | None = None
) -> Tensor:
    """`prompt_embeds` (n, 77, width) for a Stable Diffusion 1 or 2 pipeline.

    `clip_skip=k` takes the k-th layer before the last, through the final LayerNorm, as diffusers does. (SD 2's encoder
    has its 24th block removed already.) Raises ValueError for a `clip_skip` that there is no layer for.
    """
    ids, inverse = _distinct_ids(encoder, tokenizer, prompts)
    if clip_skip is None:
        return _repeated(forward(encoder, ids).last_hidden_state, inverse)
    _check_skip(encoder, clip_skip, clip_skip + 1)
    (state,) = forward(encoder, ids, [-(clip_skip + 1)]).hidden_states
    return _repeated(encoder.final_layer_norm(state), inverse)


@torch.no_grad()
def encode_prompts_xl(
    encoders: Sequence[TextEncoder],
    tokenizers: Sequence[Any],
    prompts: str | Sequence[str],
    prompts_2: str | Sequence[str] | None = None,
    *,
    clip_skip: int | None = None,
) -> PromptEmbeds:
    """Both conditioning tensors of an SDXL pipeline, from its pair of encoders and tokenizers (or the second alone).

    `prompts_2` goes to the second encoder in place of `prompts`. The states are each encoder's second last layer,
    `clip_skip=k` the k-th before that, without LayerNorm; the pooled embeddings are the last encoder's.
    """
    if len(encoders) != len(tokenizers) or not encoders:
        raise ValueError(
            f"there are {len(encoders)} encoders and {len(tokenizers)} tokenizers; give one tokenizer each"
        )
    if encoders[-1].text_projection is None:
        raise ValueError("encoders: the last one has no projection; SDXL's second encoder has (load text_encoder_2)")
    skip = 0 if clip_skip is None else clip_skip
    states, pooled = [], None
    for number, (encoder, tokenizer) in enumerate(zip(encoders, tokenizers, strict=True)):
        _check_skip(encoder, skip, skip + 2)
        texts = prompts_2 if prompts_2 is not None and number == len(encoders) - 1 else prompts
        ids, inverse = _distinct_ids(encoder, tokenizer, texts)
        output = forward(encoder, ids, [-(skip + 2)])
        states.append(_repeated(output.hidden_states[0], inverse))
        if encoder is encoders[-1]:
            pooled = output.text_embeds
    assert pooled is not None
    if len({len(state) for state in states}) > 1:
        raise ValueError("prompts and prompts_2 must be equally many")
    return PromptEmbeds(torch.cat(states, dim=-1), _repeated(pooled, inverse))


def _distinct_ids(encoder: TextEncoder, tokenizer: Any, prompts: str | Sequence[str]) -> tuple[Tensor, list[int]]:
    """Ids (distinct, 77), on the CPU, and the row of each prompt among them."""
    prompts = [prompts] if isinstance(prompts, str) else list(prompts)
    if not prompts:
        raise ValueError("prompts is empty; give at least one")
    rows = {prompt: row for row, prompt in enumerate(dict.fromkeys(prompts))}
    texts = expand_placeholders(tokenizer, list(rows))
    encoder.warn_of(tokenizer, "The image model reads padding too; take encoder.tokenizer", padded=True)
    length = min(tokenizer.model_max_length, encoder.config.positions)
    ids = tokenizer(texts, padding="max_length", max_length=length, truncation=True, return_tensors="pt").input_ids
    return ids, [rows[prompt] for prompt in prompts]


def _repeated(rows: Tensor, inverse: list[int]) -> Tensor:
    """`rows[inverse]`, without waiting for the device."""
    if inverse == list(range(len(rows))):
        return rows
    return rows.index_select(0, to_device(torch.tensor(inverse), rows.device))


def _check_skip(encoder: TextEncoder, clip_skip: int, back: int) -> None:
    if clip_skip < 0 or back > encoder.depth + 1:
        raise ValueError(f"clip_skip {clip_skip} does not fit an encoder of {encoder.depth} layers")
