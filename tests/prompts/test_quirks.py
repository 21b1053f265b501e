"""The oddities of each dialect: exact by default, mended by name and by quirks="fixed"."""

import numpy as np
import pytest
import torch

from cliptok.encoder import TextConfig, TextEncoder
from cliptok.prompts import DIALECTS, Conditioner, Planner, PromptError

PAGES = {
    "comfyui-adv": "comfyui",
    "swarmui": "comfyui",
    "lpw-xl": "lpw",
    "forge": "a1111",
    "invokeai": "compel",
}
TESTED: set[tuple[str, str]] = set()


def planners(dialect, quirk, family="sd1"):
    """The exact one, one with this quirk mended, and one with all."""
    TESTED.add((dialect, quirk))
    return [Planner(dialect, family, quirks=quirks) for quirks in ("exact", [quirk], "fixed")]


def chunks(planner, text, role=0, **settings):
    return planner.plan(text, negative=False, **settings).chunks[0][role]


def small(width=32, projection=None, seed=0, layers=3):
    torch.manual_seed(seed)
    return TextEncoder(TextConfig(width=width, layers=layers, heads=4, mlp=64, projection=projection)).eval()


@pytest.fixture(scope="module")
def encoders():
    return [small(), small(48, 48, 1)]


@pytest.mark.parametrize("dialect", ["a1111", "forge"])
def test_web_ui(dialect):
    exact, *fixed = planners(dialect, "merged-words")
    assert exact.plan("(a cat:1.1)(a dog:1.1)").pieces[0] == [("a cata dog", 1.1)]
    for planner in fixed:
        assert planner.plan("(a cat:1.1)(a dog:1.1)").pieces[0] == [("a cat", 1.1), ("a dog", 1.1)]

    exact, *fixed = planners(dialect, "break-in-brackets")
    assert exact.plan("(a BREAK b:1.3)").pieces[0] == [("a", 1.3), ("BREAK", -1.3), ("b", 1.3)]
    for planner in fixed:
        found = planner.plan("(a BREAK b:1.3) c")
        assert len(found.chunks[0][0].ids) == 2 and [text for text, _ in found.pieces[0]] == ["a", "BREAK", "b", " c"]

    exact, *fixed = planners(dialect, "weight-at-end")
    assert exact.plan("poster, 16:9").pieces[0] == [("poster, 16", 1.0)]
    for planner in fixed:
        assert planner.plan("poster, 16:9").pieces[0] == [("poster, 16:9", 1.0)]
        with pytest.raises(PromptError, match="AND makes 2 prompts"):
            planner.plan("a cat :2 AND a dog")

    exact, *fixed = planners(dialect, "capital-and")
    with pytest.raises(PromptError, match="AND makes 2 prompts"):
        exact.plan("A CAT AND A DOG")
    for planner in fixed:
        assert planner.plan("A CAT AND A DOG").pieces[0] == [("A CAT AND A DOG", 1.0)]

    exact, *fixed = planners(dialect, "moved-inversion")
    for planner in (exact, *fixed):
        planner.inversions["l"]["easynegative"] = 4
    text = "cat " * 60 + ", dog " + "bird " * 6 + "easynegative " + "fish " * 9
    stays, moved = chunks(exact, text), chunks(fixed[0], text)
    assert stays.notes[0] == "comma" and [fix.chunk for fix in stays.fixes] == [0]
    assert [fix.chunk for fix in moved.fixes] == [1] and moved.fixes[0].position == 8
    assert stays.ids.tolist() == moved.ids.tolist() and moved.ids[1, 8:12].tolist() == [0] * 4


def test_web_ui_batch_mean(encoders):
    prompts = ["a (red:1.6) fox", "a cat"]
    made = {q: Conditioner(encoders[0], dialect="a1111", quirks=q) for q in ("exact", "fixed")}
    TESTED.update((dialect, "batch-mean") for dialect in ("a1111", "forge"))
    exact, fixed = (cond(prompts, negative=False).prompt_embeds for cond in made.values())
    alone = torch.cat([made["exact"](prompt, negative=False).prompt_embeds for prompt in prompts])
    torch.testing.assert_close(fixed, alone)
    assert (exact[1] - alone[1]).abs().max() > 1e-3
    torch.testing.assert_close(made["exact"](prompts, negative=False, per_prompt=True).prompt_embeds, alone)


@pytest.mark.parametrize("dialect", ["comfyui", "comfyui-adv", "swarmui"])
def test_comfyui(dialect):
    exact, *fixed = planners(dialect, "stray-close")
    assert exact.plan("(a:1.4) b) (c:1.4)").pieces[0][-1] == (" b) (c:1.4)", 1.0)
    for planner in fixed:
        assert planner.plan("(a:1.4) b) (c:1.4)").pieces[0][-1] == ("c", 1.4)


def test_advanced_mask_token(encoders):
    TESTED.add(("comfyui-adv", "mask-token"))
    made = [Conditioner(encoders[0], dialect="comfyui-adv", quirks=q) for q in ("exact", ["mask-token"])]
    exact, fixed = (c("a (cat:0.5)", negative=False, interpretation="compel").prompt_embeds for c in made)
    assert (exact - fixed).abs().max() > 1e-3
    # Half of the text, and half of it with the word as the mask token.
    plain = Conditioner(encoders[0], dialect="comfyui")
    for states, mask in ((exact, "+"), (fixed, ",")):
        both = [plain(text, negative=False).prompt_embeds for text in ("a cat", f"a {mask}")]
        torch.testing.assert_close(states, (both[0] + both[1]) / 2)


@pytest.mark.parametrize("dialect", ["compel", "invokeai"])
def test_compel(dialect):
    exact, *fixed = planners(dialect, "text-after-and")
    assert exact.plan('("a", "b").and() and a bird').pieces[0] == [("a", 1.0), ("b", 1.0)]
    for planner in fixed:
        with pytest.raises(PromptError, match=r"column 18: there is text after \.and"):
            planner.plan('("a", "b").and() and a bird')
    exact, *fixed = planners(dialect, "kept-escapes")
    assert exact.plan(r"c\+\+ x").pieces[0] == [(r"c\+\+ x", 1.0)]
    for planner in fixed:
        assert planner.plan(r"c\+\+ x").pieces[0] == [("c++ x", 1.0)]


@pytest.mark.parametrize("dialect", ["compel", "invokeai", "sdnext"])
def test_short_chunks(dialect):
    exact, *fixed = planners(dialect, "short-chunks")
    text = "a cat. " + "red dog, " * 40
    assert chunks(exact, text).notes[0] == "sentence" and (chunks(exact, text).pieces[0] >= 0).sum() == 3
    for planner in fixed:
        assert chunks(planner, text).notes[0] == "phrase" and (chunks(planner, text).pieces[0] >= 0).sum() > 70


@pytest.mark.parametrize(
    ("dialect", "text"), [("compel", "(cat)1.3"), ("invokeai", "(cat)1.3"), ("sdnext", "(cat:1.3)")]
)
def test_raw_pooled(dialect, text):
    exact, *fixed = planners(dialect, "raw-pooled", "sdxl")
    ids = exact.tokenizers["g"].lists([text, "cat"])
    assert chunks(exact, text, 1).pooled_ids[1 : 1 + len(ids[0])].tolist() == ids[0]
    for planner in fixed:
        assert chunks(planner, text, 1).pooled_ids[1:3].tolist() == [ids[1][0], 49407]


@pytest.mark.parametrize(("dialect", "family"), [("lpw-xl", "sdxl"), ("sd_embed", "sd1"), ("sd_embed", "sdxl")])
def test_break_is_a_word(dialect, family):
    exact, *fixed = planners(dialect, "break-word", family)
    assert exact.plan("a BREAK b").pieces[0] == [("a", 1.0), ("BREAK", -1.0), ("b", 1.0)]
    assert len(chunks(exact, "a BREAK b").ids) == 1 and -1 in chunks(exact, "a BREAK b").weights
    for planner in fixed:
        found = chunks(planner, "a BREAK b")
        assert len(found.ids) == 2 and (found.weights == 1).all() and found.notes == ["break", ""]


@pytest.mark.parametrize("dialect", ["lpw-xl", "sd_embed"])
def test_last_pooled(encoders, dialect):
    TESTED.add((dialect, "last-pooled"))
    made = [
        Conditioner(encoders, family="sdxl", dialect=dialect, quirks=q) for q in ("exact", ["last-pooled"], "fixed")
    ]
    text = "cat " * 75 + "dog " * 3
    exact, *fixed = (cond(text, negative="x").pooled_prompt_embeds for cond in made)
    first, last = (Conditioner(encoders, family="sdxl", dialect="diffusers")(t).pooled_prompt_embeds
                   for t in ("cat " * 75, "dog " * 3))  # fmt: skip
    torch.testing.assert_close(exact, last)
    for pooled in fixed:
        torch.testing.assert_close(pooled, first)


def test_joined_prompts():
    exact, *fixed = planners("lpw-xl", "joined-prompts", "sdxl")
    plan = exact.plan("a cat", "a dog", negative="x")
    assert plan.pieces[0] == [("a cat a dog", 1.0)]
    assert np.array_equal(plan.chunks[0][0].ids, plan.chunks[0][1].ids)
    for planner in fixed:
        plan = planner.plan("a cat", "a dog", negative="x")
        assert plan.pieces[0] == [("a cat", 1.0)] and plan.chunks[0][0].ids[0, 2] != plan.chunks[0][1].ids[0, 2]


def test_empty_word():
    exact, *fixed = planners("sd_embed", "empty-word")
    assert exact.plan("").pieces[0] == [("empty", 1.0)]
    for planner in fixed:
        assert planner.plan("", negative="x").pieces[0] == [("", 1.0)]


def test_every_quirk_of_every_dialect_is_tested_and_on_its_page():
    from pathlib import Path

    names = {(name, quirk) for name, dialect in DIALECTS.items() for quirk in dialect.quirks}
    assert names == TESTED, "run the whole file"
    for name, quirk in names:
        page = {
            "comfyui-adv": "comfyui",
            "swarmui": "comfyui",
            "lpw-xl": "lpw",
            "forge": "a1111",
            "invokeai": "compel",
        }.get(name, name)
        text = (Path(__file__).parents[2] / "docs" / "prompts" / f"{page}.md").read_text(encoding="utf-8")
        assert f"`{quirk}`" in text, (name, quirk)
