"""Stable Diffusion 3 and Flux with our tokenizers and encoders, and whole pipelines saved with both."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from cliptok import Tokenizer
from cliptok.encoder import TextEncoder
from encoder.test_encoder_stable_diffusion import clip, clip_tokenizer, diffusers, images, sd, sdxl

assert sd and sdxl  # fixtures
pytestmark = pytest.mark.filterwarnings("ignore")


class T5Ids:
    """In place of T5's tokenizer, whose files are not here: ids of the characters."""

    model_max_length, added_tokens_encoder = 16, {}

    def __call__(self, texts: list[str], max_length: int = 16, **_: Any) -> Any:
        rows = [[*(ord(character) % 30 for character in text), 1][:max_length] for text in texts]
        ids = torch.tensor([row + [0] * (max_length - len(row)) for row in rows])
        return transformers.BatchEncoding({"input_ids": ids, "attention_mask": torch.ones_like(ids)})

    def tokenize(self, text: str) -> list[str]:
        return list(text)

    def batch_decode(self, rows: Any, **_: Any) -> list[str]:
        return [str(row) for row in rows]


def t5() -> Any:
    torch.manual_seed(0)
    sizes = {"d_model": 32, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 4}
    return transformers.T5EncoderModel(transformers.T5Config(vocab_size=32, **sizes)).eval()


def vae(channels: int) -> Any:
    torch.manual_seed(0)
    plain = {"use_quant_conv": False, "use_post_quant_conv": False, "shift_factor": 0.06, "scaling_factor": 1.5}
    sizes = {"block_out_channels": (4,), "layers_per_block": 1, "latent_channels": channels, "norm_num_groups": 1}
    return diffusers.AutoencoderKL(sample_size=32, **sizes, **plain)


def sd3(folder: Path) -> Any:
    torch.manual_seed(0)
    heads = {"attention_head_dim": 8, "num_attention_heads": 4}
    sizes = {"sample_size": 32, "patch_size": 1, "in_channels": 4, "out_channels": 4, "num_layers": 1}
    widths = {"joint_attention_dim": 32, "caption_projection_dim": 32, "pooled_projection_dim": 64}
    return diffusers.StableDiffusion3Pipeline(
        transformer=diffusers.SD3Transformer2DModel(**sizes, **heads, **widths),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        vae=vae(4),
        text_encoder=clip(True, "quick_gelu"),
        tokenizer=clip_tokenizer(folder / "1"),
        text_encoder_2=clip(True, "gelu", seed=1),
        tokenizer_2=clip_tokenizer(folder / "2", pad="!"),
        text_encoder_3=t5(),
        tokenizer_3=T5Ids(),
    )


def flux(folder: Path) -> Any:
    torch.manual_seed(0)
    heads = {"attention_head_dim": 16, "num_attention_heads": 2, "axes_dims_rope": (4, 4, 8)}
    sizes = {"patch_size": 1, "in_channels": 4, "num_layers": 1, "num_single_layers": 1}
    return diffusers.FluxPipeline(
        transformer=diffusers.FluxTransformer2DModel(
            **sizes, **heads, joint_attention_dim=32, pooled_projection_dim=32
        ),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        vae=vae(1),
        text_encoder=clip(False, "quick_gelu"),
        tokenizer=clip_tokenizer(folder / "1"),
        text_encoder_2=t5(),
        tokenizer_2=T5Ids(),
    )


def put_ours(pipe: Any, folder: Path, suffixes: tuple[str, ...]) -> None:
    """Ours in place of transformers' tokenizers and encoders, from files of theirs."""
    for suffix in suffixes:
        for name in (f"tokenizer{suffix}", f"text_encoder{suffix}"):
            getattr(pipe, name).save_pretrained(folder / name)
        setattr(pipe, f"tokenizer{suffix}", Tokenizer.from_pretrained(folder / f"tokenizer{suffix}"))
        setattr(pipe, f"text_encoder{suffix}", TextEncoder.from_pretrained(folder / f"text_encoder{suffix}"))


@pytest.mark.parametrize(("make", "suffixes"), [(sd3, ("", "_2")), (flux, ("",))])
def test_images_are_equal(make: Any, suffixes: tuple[str, ...], tmp_path: Path) -> None:
    pipe = make(tmp_path)
    options = {"negative_prompt": None} if make is flux else {}
    expected = images(pipe, max_sequence_length=16, **options)
    put_ours(pipe, tmp_path / "ours", suffixes)
    assert isinstance(pipe.text_encoder, TextEncoder)
    found = images(pipe, max_sequence_length=16, **options)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)
    assert expected.std() > 0.01


@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize("which", ["sd", "sdxl"])
def test_a_pipeline_saved_with_both_is_complete(
    which: str, plain: bool, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """The snippet of the documentation, saved: plain diffusers loads the folder and gives the same images."""
    reference, folder = request.getfixturevalue(which)
    kind = type(reference)
    pipe = kind.from_pretrained(folder)
    suffixes = ("", "_2") if which == "sdxl" else ("",)
    for suffix in suffixes:
        tokenizer = Tokenizer.from_pretrained(folder, subfolder=f"tokenizer{suffix}")
        setattr(pipe, f"tokenizer{suffix}", tokenizer if plain else tokenizer.as_transformers())
        setattr(pipe, f"text_encoder{suffix}", TextEncoder.from_pretrained(folder, subfolder=f"text_encoder{suffix}"))
    pipe.save_pretrained(tmp_path / "saved")
    index = json.loads((tmp_path / "saved" / "model_index.json").read_text())
    assert all(index[f"tokenizer{suffix}"] == ["transformers", "CLIPTokenizer"] for suffix in suffixes)
    loaded = kind.from_pretrained(tmp_path / "saved")
    assert type(loaded.tokenizer) is transformers.CLIPTokenizer and not isinstance(loaded.text_encoder, TextEncoder)
    np.testing.assert_allclose(images(loaded), images(reference), rtol=0, atol=2e-6)
    again = kind.from_pretrained(
        tmp_path / "saved", tokenizer=Tokenizer.from_pretrained(tmp_path / "saved", subfolder="tokenizer")
    )
    assert type(again.tokenizer) is Tokenizer
    np.testing.assert_allclose(images(again), images(reference), rtol=0, atol=2e-6)
