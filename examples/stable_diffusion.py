"""Our tokenizer and text encoder in a diffusers pipeline: replace two components, patch nothing.

    python examples/stable_diffusion.py FOLDER "a photo of a cat" --out cat.png

FOLDER is a Stable Diffusion 1, 2 or XL pipeline that diffusers saved or downloaded.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch

from cliptok import Tokenizer
from cliptok.encoder import TextEncoder
from cliptok.prompts.stable_diffusion import encode_prompts, encode_prompts_xl


def with_our_encoders(folder: str | Path, dtype: torch.dtype, device: str) -> Any:
    """The pipeline in `folder`, with its tokenizers and text encoders replaced by ours."""
    from diffusers import DiffusionPipeline

    pipe = DiffusionPipeline.from_pretrained(folder, torch_dtype=dtype).to(device)
    for suffix in ("", "_2"):
        if f"text_encoder{suffix}" in pipe.components:
            encoder = TextEncoder.from_pretrained(folder, subfolder=f"text_encoder{suffix}", dtype=dtype, device=device)
            setattr(pipe, f"tokenizer{suffix}", Tokenizer.from_pretrained(folder, subfolder=f"tokenizer{suffix}"))
            setattr(pipe, f"text_encoder{suffix}", encoder)
    return pipe


def prompt_tensors(pipe: Any, prompt: str, negative_prompt: str) -> dict[str, torch.Tensor]:
    """The same conditioning computed ahead of time: arguments for `pipe(**tensors)` in place of the texts."""
    if "text_encoder_2" not in pipe.components:
        embeds = encode_prompts(pipe.text_encoder, pipe.tokenizer, [prompt, negative_prompt])
        return {"prompt_embeds": embeds[:1], "negative_prompt_embeds": embeds[1:]}
    pair = (pipe.text_encoder, pipe.text_encoder_2), (pipe.tokenizer, pipe.tokenizer_2)
    embeds, pooled = encode_prompts_xl(*pair, [prompt, negative_prompt])
    return {
        "prompt_embeds": embeds[:1],
        "negative_prompt_embeds": embeds[1:],
        "pooled_prompt_embeds": pooled[:1],
        "negative_pooled_prompt_embeds": pooled[1:],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("prompt")
    parser.add_argument("--negative", default="")
    parser.add_argument("--out", default="image.png")
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    pipe = with_our_encoders(options.folder, torch.float16 if device == "cuda" else torch.float32, device)
    pipe(**prompt_tensors(pipe, options.prompt, options.negative)).images[0].save(options.out)


if __name__ == "__main__":
    main()
