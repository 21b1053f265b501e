"""The towers that are measured, transformers' beside ours, and what they encode."""

import copy
import random
from typing import Any

import torch
from encoder_peer import POSITIONS, build, pad
from inputs import available, corpus, lines_of, spread
from settings import DEVICE, Settings, check, relative

from cliptok import Tokenizer
from cliptok.encoder import TextEncoder


def captions(settings: Settings) -> list[str]:
    """Real ones, or the shipped prompts repeated: which of them is in the results."""
    return spread(corpus("captions").texts, settings.some(100_000, 600))


def zero_shot(settings: Settings) -> list[str]:
    """80 templates times 1,000 class names; without the corpora made-up ones."""
    if not available():
        return [f"a {kind} of a thing {n}" for n in range(settings.some(1000, 10)) for kind in map(str, range(80))]
    names = lines_of("3_imagenet/classnames.txt")[: settings.some(1000, 10)]
    return [template.format(name) for name in names for template in lines_of("3_imagenet/templates.txt")]


def pair(dtype: torch.dtype, settings: Settings, preset: str = "ViT-L-14", **sizes: Any) -> tuple[TextEncoder, Any]:
    """Ours and transformers' with the same weights."""
    return build(dtype, DEVICE, preset, **sizes, **settings.sizes)


@torch.inference_mode()
def errors(encoder: TextEncoder, peer: Any, texts: list[str], settings: Settings) -> dict[str, float]:
    """How far both are from transformers' model in float64, on 64 of the texts.

    Ours may be twice as far as transformers, which rounds at other places.
    """
    tokenizer = Tokenizer()
    chosen = random.Random(1).sample(texts, 64)
    rows = [tokenizer.encode(text, truncation=True, max_length=POSITIONS) for text in chosen]
    double = copy.deepcopy(peer).to(settings.exact)
    exact = torch.cat([double(pad([row], DEVICE)).text_embeds for row in rows])
    theirs = relative(torch.cat([peer(pad([row], DEVICE)).text_embeds for row in rows]), exact)
    ours = relative(encoder.encode(chosen, tokenizer), exact)
    limit = 1e-5 if encoder.dtype == torch.float32 else max(2 * theirs, 1e-3)
    return {"ours": check(ours, limit, f"encode in {encoder.dtype}", settings), "transformers": theirs}
