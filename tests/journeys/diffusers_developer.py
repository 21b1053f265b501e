"""A diffusers developer's job: the two calls of a Stable Diffusion pipeline, of its tokenizer and its text encoder."""

import tempfile
from pathlib import Path

import torch

from cliptok import TextEncoder, Tokenizer
from cliptok.encoder import TextConfig


def main(folder: Path) -> None:
    """Everything in a folder of its own, laid out as a pipeline's, with a small encoder of random weights."""
    torch.manual_seed(0)
    TextEncoder(TextConfig(width=64, layers=2, heads=4, mlp=128)).save_pretrained(folder / "text_encoder")
    Tokenizer.from_preset("sd1").save_pretrained(folder / "tokenizer")
    tokenizer = Tokenizer.from_pretrained(folder, subfolder="tokenizer")
    text_encoder = TextEncoder.from_pretrained(folder, subfolder="text_encoder")
    inputs = tokenizer(
        ["a photo of a cat", ""],
        padding="max_length",
        max_length=tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    )
    with torch.inference_mode():
        states = text_encoder(inputs.input_ids)[0]
    assert states.shape == (2, 77, 64)
    assert tokenizer.batch_decode(inputs.input_ids, skip_special_tokens=True) == ["a photo of a cat", ""]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))
    print("done")
