"""Our tokenizer and encoder inside diffusers' own pipelines, nothing patched: the images are the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cliptok import Tokenizer
from cliptok.encoder import TextEncoder
from cliptok.prompts.stable_diffusion import encode_prompts, encode_prompts_xl

diffusers = pytest.importorskip("diffusers")

PROMPTS = ["a photo of a cat, highly detailed", "two dogs on the beach"]
NEGATIVE = ["blurry", "ugly, deformed"]


def unet(**more):
    torch.manual_seed(0)
    return diffusers.UNet2DConditionModel(
        block_out_channels=(32, 64),
        layers_per_block=1,
        sample_size=16,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        norm_num_groups=8,
        **more,
    )


def vae():
    torch.manual_seed(0)
    return diffusers.AutoencoderKL(
        block_out_channels=[32, 64],
        in_channels=3,
        out_channels=3,
        down_block_types=["DownEncoderBlock2D"] * 2,
        up_block_types=["UpDecoderBlock2D"] * 2,
        latent_channels=4,
        norm_num_groups=8,
    )


def clip(projected: bool, activation: str, width: int = 32, seed: int = 0):
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    torch.manual_seed(seed)
    kind = CLIPTextModelWithProjection if projected else CLIPTextModel
    config = CLIPTextConfig(
        hidden_size=width,
        intermediate_size=64,
        projection_dim=width,
        num_attention_heads=4,
        num_hidden_layers=5,
        hidden_act=activation,
    )
    return kind(config).eval()


def clip_tokenizer(folder, pad: str | None = None):
    """transformers' tokenizer on the published vocabulary, with SD 2's padding where `pad` says so."""
    from transformers import CLIPTokenizer

    Tokenizer().save_pretrained(folder)
    return CLIPTokenizer.from_pretrained(folder, **({"pad_token": pad} if pad else {}))


@pytest.fixture(scope="module")
def sd(tmp_path_factory):
    """A tiny Stable Diffusion pipeline, saved by diffusers."""
    folder = tmp_path_factory.mktemp("sd")
    pipe = diffusers.StableDiffusionPipeline(
        vae=vae(),
        text_encoder=clip(False, "quick_gelu"),
        tokenizer=clip_tokenizer(folder / "t"),
        unet=unet(cross_attention_dim=32),
        scheduler=diffusers.DDIMScheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.save_pretrained(folder / "pipe")
    return pipe, folder / "pipe"


@pytest.fixture(scope="module")
def sdxl(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sdxl")
    pipe = diffusers.StableDiffusionXLPipeline(
        vae=vae(),
        text_encoder=clip(False, "quick_gelu"),
        text_encoder_2=clip(True, "gelu", seed=1),
        tokenizer=clip_tokenizer(folder / "t"),
        tokenizer_2=clip_tokenizer(folder / "t2", pad="!"),
        unet=unet(
            cross_attention_dim=64,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            transformer_layers_per_block=(1, 1),
            projection_class_embeddings_input_dim=8 * 6 + 32,
        ),
        scheduler=diffusers.EulerDiscreteScheduler(),
        add_watermarker=False,
    )
    pipe.save_pretrained(folder / "pipe")
    return pipe, folder / "pipe"


def images(pipe, **options):
    pipe.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(0)
    options = {"prompt": PROMPTS, "negative_prompt": NEGATIVE, **options}
    if options["prompt"] is None:
        del options["negative_prompt"]
    return pipe(num_inference_steps=2, generator=generator, output_type="np", height=16, width=16, **options).images


def assert_same_images(ours, reference) -> None:
    """Equal as images, which have 256 levels; before that, to the rounding of the image model's convolutions."""
    np.testing.assert_allclose(ours, reference, rtol=0, atol=2e-6)
    assert ours.std() > 0.01


def with_ours(folder, kind, suffixes=("",)):
    """A fresh pipeline in which tokenizer and encoder are ours: the snippet of the documentation."""
    pipe = kind.from_pretrained(folder)
    for suffix in suffixes:
        setattr(pipe, f"tokenizer{suffix}", Tokenizer.from_pretrained(folder, subfolder=f"tokenizer{suffix}"))
        setattr(pipe, f"text_encoder{suffix}", TextEncoder.from_pretrained(folder, subfolder=f"text_encoder{suffix}"))
    return pipe


def reference_images(pipe, clip_skip, **options):
    """diffusers reads `text_model.final_layer_norm`, which the installed transformers may have renamed."""
    if (
        clip_skip is not None
        and "text_encoder_2" not in pipe.components
        and not hasattr(pipe.text_encoder, "text_model")
    ):
        # Not as a submodule: that would make the tree of modules a circle.
        object.__setattr__(pipe.text_encoder, "text_model", pipe.text_encoder)
        try:
            return images(pipe, clip_skip=clip_skip, **options)
        finally:
            object.__delattr__(pipe.text_encoder, "text_model")
    return images(pipe, clip_skip=clip_skip, **options)


@pytest.mark.parametrize("clip_skip", [None, 1, 2])
def test_stable_diffusion_images_are_equal(sd, clip_skip):
    reference, folder = sd
    ours = with_ours(folder, diffusers.StableDiffusionPipeline)
    assert isinstance(ours.text_encoder, TextEncoder) and isinstance(ours.tokenizer, Tokenizer)
    expected = reference_images(reference, clip_skip)
    assert_same_images(images(ours, clip_skip=clip_skip), expected)
    assert np.abs(expected - images(ours, clip_skip=clip_skip, prompt=PROMPTS[::-1])).max() > 1e-4


@pytest.mark.parametrize("clip_skip", [None, 1])
@pytest.mark.parametrize("negative", [None, NEGATIVE])
def test_sdxl_images_are_equal(sdxl, clip_skip, negative):
    reference, folder = sdxl
    ours = with_ours(folder, diffusers.StableDiffusionXLPipeline, ("", "_2"))
    expected = images(reference, clip_skip=clip_skip, negative_prompt=negative)
    assert_same_images(images(ours, clip_skip=clip_skip, negative_prompt=negative), expected)


@pytest.mark.parametrize("clip_skip", [None, 2])
def test_prompt_embeds_condition_the_pipeline(sd, clip_skip):
    reference, folder = sd
    ours = with_ours(folder, diffusers.StableDiffusionPipeline)
    expected = reference_images(reference, clip_skip)
    embeds = encode_prompts(ours.text_encoder, ours.tokenizer, PROMPTS, clip_skip=clip_skip)
    # diffusers applies clip skip to the prompt and not to the negative prompt
    negative = encode_prompts(ours.text_encoder, ours.tokenizer, NEGATIVE)
    assert embeds.shape == (2, 77, 32) and not embeds.is_inference()
    got = images(reference, prompt=None, prompt_embeds=embeds, negative_prompt_embeds=negative)
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_sdxl_prompt_embeds_equal_diffusers(sdxl):
    reference, folder = sdxl
    ours = with_ours(folder, diffusers.StableDiffusionXLPipeline, ("", "_2"))
    encoders, tokenizers = (ours.text_encoder, ours.text_encoder_2), (ours.tokenizer, ours.tokenizer_2)
    repeated = [*PROMPTS, PROMPTS[0]]
    for clip_skip in (None, 1):
        for second in (None, repeated[::-1]):
            with torch.no_grad():
                expected, _, pooled, _ = reference.encode_prompt(
                    repeated, second, do_classifier_free_guidance=False, clip_skip=clip_skip
                )
            got = encode_prompts_xl(encoders, tokenizers, repeated, second, clip_skip=clip_skip)
            torch.testing.assert_close(got.prompt_embeds, expected, rtol=1e-5, atol=1e-6)
            torch.testing.assert_close(got.pooled_prompt_embeds, pooled, rtol=1e-5, atol=1e-6)


def test_bad_arguments(sd, sdxl):
    ours = with_ours(sd[1], diffusers.StableDiffusionPipeline)
    with pytest.raises(ValueError, match="clip_skip 6 does not fit an encoder of 5 layers"):
        encode_prompts(ours.text_encoder, ours.tokenizer, PROMPTS, clip_skip=6)
    with pytest.raises(ValueError, match="prompts is empty"):
        encode_prompts(ours.text_encoder, ours.tokenizer, [])
    with pytest.raises(ValueError, match="has no projection"):
        encode_prompts_xl([ours.text_encoder], [ours.tokenizer], PROMPTS)
    with pytest.raises(ValueError, match="1 encoders and 0 tokenizers"):
        encode_prompts_xl([ours.text_encoder], [], PROMPTS)


@pytest.mark.parametrize("which", ["sd", "sdxl"])
def test_example_conditions_its_pipeline(which, request):
    from test_encoder_examples import example

    _, folder = request.getfixturevalue(which)
    module = example("stable_diffusion")
    pipe = module.with_our_encoders(folder, torch.float32, "cpu")
    expected = images(pipe, prompt=PROMPTS[:1], negative_prompt=NEGATIVE[:1])
    got = images(pipe, prompt=None, **module.prompt_tensors(pipe, PROMPTS[0], NEGATIVE[0]))
    np.testing.assert_allclose(got, expected, atol=1e-5)
