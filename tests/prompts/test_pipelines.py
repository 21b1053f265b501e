"""Conditioning in diffusers' own pipelines: images are equal to the pipelines' own, and to compel's."""

import pytest

pytest.importorskip("diffusers")

import torch

from cliptok.prompts import Conditioner, PromptError
from encoder.test_encoder_stable_diffusion import NEGATIVE, PROMPTS, assert_same_images, images, sd, sdxl

__all__ = ["sd", "sdxl"]  # fixtures
# Of the installed diffusers and transformers, about themselves.
pytestmark = [pytest.mark.filterwarnings(f"ignore::{kind}") for kind in ("FutureWarning", "DeprecationWarning")]

WEIGHTED = "a (red fox)1.3 in a forest++, dark--"


@pytest.mark.parametrize("which", ["sd", "sdxl"])
def test_the_diffusers_dialect_makes_the_pipelines_images(which, request):
    pipe, folder = request.getfixturevalue(which)
    expected = images(pipe)
    for cond in (
        Conditioner.from_pipeline(pipe, dialect="diffusers"),
        Conditioner.from_pretrained(folder, dialect="diffusers"),
    ):
        assert cond.family.name == {"sd": "sd1", "sdxl": "sdxl"}[which]
        assert_same_images(images(pipe, prompt=None, **cond(PROMPTS, negative=NEGATIVE)), expected)
    other = images(pipe, prompt=None, **cond(PROMPTS[::-1], negative=NEGATIVE))
    assert abs(other - expected).max() > 1e-4


def test_compels_images(sd, sdxl):
    compel = pytest.importorskip("compel")
    pipe, _ = sd
    reference = compel.Compel(tokenizer=pipe.tokenizer, text_encoder=pipe.text_encoder, truncate_long_prompts=False)
    expected = images(
        pipe, prompt=None, prompt_embeds=reference([WEIGHTED]), negative_prompt_embeds=reference(["blurry"])
    )
    cond = Conditioner.from_pipeline(pipe, dialect="compel")
    assert_same_images(images(pipe, prompt=None, **cond(WEIGHTED, negative="blurry")), expected)

    pipe, _ = sdxl
    theirs = compel.CompelForSDXL(pipe)(WEIGHTED, negative_prompt="blurry")
    expected = images(
        pipe,
        prompt=None,
        prompt_embeds=theirs.embeds,
        pooled_prompt_embeds=theirs.pooled_embeds,
        negative_prompt_embeds=theirs.negative_embeds,
        negative_pooled_prompt_embeds=theirs.negative_pooled_embeds,
    )
    cond = Conditioner.from_pipeline(pipe, dialect="compel")
    assert_same_images(images(pipe, prompt=None, **cond(WEIGHTED, negative="blurry")), expected)


def test_a_schedule_switches_in_the_pipeline(sd):
    pipe, _ = sd
    cond = Conditioner.from_pipeline(pipe, dialect="a1111")
    schedule = cond.schedule("a [cat:dog:1]", 2, negative="blurry")
    assert schedule.changes == [1] and [text for _, text in schedule.texts] == ["a cat", "a dog"]
    arguments = schedule.arguments()
    assert arguments.pop("num_inference_steps") == 2

    def by_hand(pipe, step, timestep, tensors):
        after = cond("a dog", negative="blurry")
        tensors["prompt_embeds"] = torch.cat([after.negative_prompt_embeds, after.prompt_embeds])
        return tensors

    expected = images(
        pipe,
        prompt=None,
        **cond("a cat", negative="blurry"),
        callback_on_step_end=by_hand,
        callback_on_step_end_tensor_inputs=["prompt_embeds"],
    )
    assert_same_images(images(pipe, prompt=None, **arguments), expected)
    with pytest.raises(PromptError, match="use schedule"):
        cond("a [cat:dog:1]")


def test_and_combines_noise_predictions(sd):
    from cliptok.prompts.schedules import combine

    pipe, _ = sd
    cond = Conditioner.from_pipeline(pipe, dialect="a1111")
    schedule = cond.schedule("a cat :1.2 AND a dog :-0.6", 4)
    assert schedule.weights == [1.2, -0.6]
    with pytest.raises(ValueError, match="has 2 parts"):
        schedule.arguments()
    torch.manual_seed(0)
    latents = torch.randn(1, 4, 8, 8)

    def noise(embeds):
        with torch.no_grad():
            return pipe.unet(latents, 10, encoder_hidden_states=embeds).sample

    unconditional = noise(schedule.parts[0].at(0).negative_prompt_embeds)
    parts = [noise(part.at(0).prompt_embeds) for part in schedule.parts]
    expected = unconditional + 1.2 * 7.5 * (parts[0] - unconditional) - 0.6 * 7.5 * (parts[1] - unconditional)
    torch.testing.assert_close(combine(unconditional, parts, schedule.weights, 7.5), expected)


def test_what_was_encoded_is_not_encoded_again(sd):
    pipe, _ = sd
    cond = Conditioner.from_pipeline(pipe, dialect="a1111")
    prompts = [f"a photo of {number} cats" for number in range(8)]
    first = cond(prompts, negative="blurry")
    assert cond.stats.encoded == 10  # eight prompts, the negative one, the empty one
    again = cond(prompts, negative="blurry")
    assert cond.stats.encoded == 10 and torch.equal(again.prompt_embeds, first.prompt_embeds)
    cond([*prompts[:7], "a (dog:1.3)"], negative="blurry")
    assert cond.stats.encoded == 11
    cond([*prompts[:7], "a (dog:1.1)"], negative="blurry")
    assert cond.stats.encoded == 11  # a weight is no other row
    with torch.no_grad():
        cond.roles[0].encoder.blocks().__next__().mlp.fc1.weight.data += 0.01  # as merging a LoRA does
    changed = cond(prompts, negative="blurry")
    assert cond.stats.encoded == 21 and not torch.equal(changed.prompt_embeds, first.prompt_embeds)
    assert cond.stats.bytes <= cond.cache.limit


@pytest.mark.parametrize(
    "dialect", ["diffusers", "a1111", "forge", "comfyui", "comfyui-adv", "compel", "lpw", "sdnext"]
)
def test_a_batch_equals_its_prompts_one_by_one(sd, dialect):
    pipe, _ = sd
    cond = Conditioner.from_pipeline(pipe, dialect=dialect)
    prompts = ["a (red:1.3) fox", "a cat", "(dark)0.5 [wood] ++", "a cat, (dog:0.7)"]
    settings = {"per_prompt": True} if "per_prompt" in cond.dialect.settings else {}
    batch = cond(prompts, negative="(ugly:1.2)", **settings)
    for row, prompt in enumerate(prompts):
        alone = cond(prompt, negative="(ugly:1.2)", **settings)
        torch.testing.assert_close(batch.prompt_embeds[row : row + 1], alone.prompt_embeds)
        torch.testing.assert_close(batch.negative_prompt_embeds[row : row + 1], alone.negative_prompt_embeds)


def test_fixed_quirks_and_mixed_parts(sd):
    pipe, _ = sd
    exact, fixed = (Conditioner.from_pipeline(pipe, dialect="a1111", quirks=q) for q in ("exact", "fixed"))
    text = "(a cat:1.1)(a dog:1.1)"
    assert exact.plan(text).pieces[0] == [("a cata dog", 1.1)]
    assert fixed.plan(text).pieces[0] == [("a cat", 1.1), ("a dog", 1.1)]
    assert len(exact.plan("(a BREAK b:1.3)").chunks[0][0].ids) == 1
    assert len(fixed.plan("(a BREAK b:1.3)").chunks[0][0].ids) == 2
    mixed = Conditioner.from_pipeline(pipe, dialect="a1111", weighting="empty")
    plan = mixed.plan("a (cat:1.4) BREAK b")
    assert plan.parts["weighting"] == "empty" and len(plan.chunks[0][0].ids) == 2
    plain = mixed("a cat BREAK b", negative=False).prompt_embeds
    empty = mixed("", negative=False).prompt_embeds
    weighted = mixed.encode(plan).prompt_embeds
    at = int((plan.chunks[0][0].weights[0] != 1).argmax())
    expected = empty[0, at] + (plain[0, at] - empty[0, at]) * 1.4
    torch.testing.assert_close(weighted[0, at], expected)


@pytest.mark.parametrize("which", ["sd", "sdxl"])
def test_the_example_makes_two_images(which, request):
    from encoder.test_encoder_examples import example

    pipe, _ = request.getfixturevalue(which)
    pipe.set_progress_bar_config(disable=True)
    found = example("prompts_to_conditioning").two_images(pipe, "a1111", 1, height=16, width=16, output_type="np")
    assert found.shape == (2, 16, 16, 3) and abs(found[0] - found[1]).max() > 1e-4
