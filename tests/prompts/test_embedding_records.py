"""Embeddings and pooled outputs of every recorded prompt, within 2e-5 of the largest value."""

import json

import numpy as np
import pytest

from cliptok.prompts import PromptError
from support.prompt_encoders import compare, conditioner
from support.prompt_records import CASES, FOLDER, records, refused


@pytest.mark.parametrize("name", CASES)
def test_embeddings_are_the_tools(name):
    case, cond = CASES[name], conditioner(name)
    compared = 0
    for record in records(name):
        if "error" in record.entry and "AttributeError" not in record.entry["error"]:
            continue
        settings = {**case.settings, **record.settings}
        negative = False if record.negative is None else record.negative
        try:
            plan = cond.plan([record.text], negative=negative, **settings)
        except PromptError:
            if refused(record):
                continue
            raise
        out = cond.encode(plan, pooled=True if "pooled_at" in record.entry else None)
        where = f"{name} {record.key}"
        embeds = out.prompt_embeds[0]
        if case.family == "sd3":
            assert not embeds[:, 80:].any()  # filled with zeros to the width of the image model
            embeds = embeds[:, :80]
        compared += compare(embeds, record.array("emb"), where)
        compared += compare(first(out.pooled_prompt_embeds), record.array("pooled"), where, False)
        if record.negative is not None:
            compared += compare(first(out.negative_prompt_embeds), record.array("neg_emb"), where)
            compared += compare(first(out.negative_pooled_prompt_embeds), record.array("neg_pooled"), where, False)
    assert compared


def first(tensor):
    return None if tensor is None else tensor[0]


def batches(name):
    if not (FOLDER / f"{name}.json").is_file():
        from support.shared import missing

        missing(f"no {name} in {FOLDER}")
    content = json.loads((FOLDER / f"{name}.json").read_text())
    arrays = np.load(FOLDER / f"{name}.npz")
    for key, entry in content["prompts"].items():
        found = {}
        for field in ("emb", "neg_emb", "pooled", "neg_pooled"):
            if f"{field}_shape" not in entry:
                continue
            shape, at = entry[f"{field}_shape"], entry[f"{field}_at"]
            if field.endswith("emb"):
                shape = [*shape[:-1], 4]
                rows = int(np.prod(shape[:-1]))
                found[field] = arrays[field][at : at + rows].reshape(shape)
            else:
                found[field] = arrays[field][at : at + int(np.prod(shape))].reshape(shape)
        yield key, entry, found


def test_a_web_ui_batch_shares_one_mean():
    cond = conditioner("a1111-sd1")
    for key, entry, found in batches("a1111-batches"):
        out = cond(entry["texts"], negative=False)
        compare(out.prompt_embeds, found["emb"], key)


def test_a_schedules_texts_are_one_batch():
    cond = conditioner("a1111-sd1")
    for key, entry, found in batches("a1111-schedule-batch"):
        made = cond.schedule(entry["text"], 10, negative=False)
        assert [[end, text] for end, text in made.texts] == entry["schedule"]
        ours = [made.at(end - 1).prompt_embeds[0] for end, _ in entry["schedule"]]
        for number, embeds in enumerate(ours):
            compare(embeds, found["emb"][number], f"{key} {number}")


def test_an_empty_negative_is_zeros_for_sdxl():
    cond = conditioner("a1111-sdxl")
    for key, entry, found in batches("a1111-sdxl-negative"):
        out = cond("a cat", negative=entry["text"])
        if not found["emb"].any():
            assert not out.negative_prompt_embeds.any() and not out.negative_pooled_prompt_embeds.any()
            continue
        compare(out.negative_prompt_embeds[0], found["emb"], key)
        compare(out.negative_pooled_prompt_embeds[0], found["pooled"], key, False)


def test_comfyui_fills_the_shorter_of_two_texts():
    cond = conditioner("comfy-sdxl")
    for key, entry, found in batches("comfy-sdxl-two"):
        out = cond(entry["text_l"], entry["text_g"], negative=False)
        compare(out.prompt_embeds[0], found["emb"], key)
        compare(out.pooled_prompt_embeds[0], found["pooled"], key, False)


def test_compel_pads_a_list():
    cond = conditioner("compel-sd1")
    for key, entry, found in batches("compel-sd1-lists"):
        compare(cond(entry["texts"], negative=False).prompt_embeds, found["emb"], key)


def test_compel_for_sdxl():
    cond = conditioner("compel-sdxl")
    for key, entry, found in batches("compel-sdxl-calls"):
        call = entry["call"]
        negative = call.get("negative_prompt")
        out = cond(
            call["main_prompt"],
            call.get("style_prompt"),
            negative,
            call.get("negative_style_prompt"),
        )
        single = isinstance(call["main_prompt"], str)
        for ours, recorded in (
            (out.prompt_embeds, found["emb"]),
            (out.negative_prompt_embeds, found["neg_emb"]),
        ):
            compare(ours[0] if single else ours, recorded, key)
        for ours, recorded in (
            (out.pooled_prompt_embeds, found["pooled"]),
            (out.negative_pooled_prompt_embeds, found["neg_pooled"]),
        ):
            compare(ours, recorded.reshape(ours.shape), key, False)


def test_lpw_pads_a_whole_call():
    cond = conditioner("lpw-sd1")
    for key, entry, found in batches("lpw-batches"):
        out = cond(entry["texts"], negative=entry["negatives"])
        compare(out.prompt_embeds, found["emb"], key)
        compare(out.negative_prompt_embeds, found["neg_emb"], key)
