"""The walkthrough goes on: from token ids to embeddings, and the padding experiment done right.

    python examples/encoder_walkthrough.py            # Stable Diffusion 2's sizes: about 3 GB of memory, a few seconds
    python examples/encoder_walkthrough.py --small    # the same in small

The weights are random, made by transformers and saved by it, so nothing is downloaded; with a downloaded checkpoint,
give its folder to `TextEncoder.from_pretrained` instead.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import torch

from cliptok import Tokenizer
from cliptok.encoder import TextConfig, TextEncoder

PROMPTS = ["a photo of a cat", "a photo of a woman wearing a red dress"]


def transformers_encoder(config: TextConfig, folder: Path) -> Any:
    """transformers' text model of these sizes with random weights, saved to `folder`."""
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(0)
    values = {k: v for k, v in config.to_transformers().items() if k not in ("architectures", "model_type")}
    model = CLIPTextModel(CLIPTextConfig(**values)).eval()
    model.save_pretrained(folder)
    return model


def largest_difference(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).abs().max())


@torch.no_grad()
def main(small: bool = False) -> dict[str, Any]:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    config = TextConfig.preset("SD2", **({"width": 64, "layers": 3, "heads": 4, "mlp": 128} if small else {}))
    tok = Tokenizer()
    with tempfile.TemporaryDirectory() as folder:
        reference = transformers_encoder(config, Path(folder)).to(device)
        enc = TextEncoder.from_pretrained(folder, device=device)
    print(enc)

    # 1. The same call as with transformers, mask included.
    inputs = tok(PROMPTS, padding=True, return_tensors="pt").to(device)
    outputs = enc(**inputs)
    expected = reference(**inputs)
    print(
        "last_hidden_state", tuple(outputs.last_hidden_state.shape), "pooler_output", tuple(outputs.pooler_output.shape)
    )
    for name in ("last_hidden_state", "pooler_output"):
        # Masked positions are compared too.
        torch.testing.assert_close(outputs[name], expected[name], rtol=1e-4, atol=1e-5)
        print(
            f"  {name} equals transformers', largest difference {largest_difference(outputs[name], expected[name]):.1e}"
        )

    # 2. Padding. Attention is causal: what stands to the right of a position cannot change it.
    long = tok(PROMPTS, padding="max_length", max_length=77, return_tensors="pt").to(device)
    short_length = inputs.input_ids.shape[1]
    ends = (inputs.input_ids == enc.config.end_id).int().argmax(dim=1).tolist()
    print(f"\nThe prompts padded to {short_length} and to 77; ends of text at {ends}")
    found: dict[str, Any] = {"ends": ends, "outputs": outputs}
    for masked in (True, False):
        names = ("input_ids", "attention_mask") if masked else ("input_ids",)
        padded_short = enc(**{name: inputs[name] for name in names})
        padded_long = enc(**{name: long[name] for name in names})
        print(f"{'with' if masked else 'without'} the attention mask")
        for row, end in enumerate(ends):
            a, b = padded_short.last_hidden_state[row], padded_long.last_hidden_state[row, :short_length]
            until = largest_difference(a[: end + 1], b[: end + 1])
            after = largest_difference(a[end + 1 :], b[end + 1 :]) if end + 1 < short_length else 0.0
            print(f"  prompt {row}: up to its end of text, at {end}, {until:.1e}; after it {after:.1e}")
            found[f"until {masked} {row}"] = until
        pooled = largest_difference(padded_short.pooler_output, padded_long.pooler_output)
        print(f"  pooled outputs {pooled:.1e}")
        found[f"pooled {masked}"] = pooled
        found[f"long {masked}"] = padded_long.last_hidden_state

    # 3. What the mask changes: nothing up to the end of text, and every position after it.
    print("with against without the mask, at 77 positions")
    for row, end in enumerate(ends):
        a, b = found["long True"][row], found["long False"][row]
        until, after = largest_difference(a[: end + 1], b[: end + 1]), largest_difference(a[end + 1 :], b[end + 1 :])
        print(f"  prompt {row}: up to its end of text {until:.1e}; after it {after:.1e}")
        found[f"mask until {row}"], found[f"mask after {row}"] = until, after
    print(
        "So pooled outputs need no padding at all, and `encode` computes none.\n"
        "Stable Diffusion reads all 77 positions, without a mask: there padding is part of the picture."
    )
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true")
    main(parser.parse_args().small)
