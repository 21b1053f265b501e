"""Every published text tower in small, made by its own library: equal to ours, or refused by name."""

from __future__ import annotations

import copy
import dataclasses
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from cliptok.encoder import TextEncoder

TEXTS = [
    "a photo of a cat",
    "“curly” quotes &amp; more 😀 – café",
    "",
    "a dog " * 60,
    "two dogs, and <end_of_text> more",
]
EQUAL = "equal"
WIDTH = {"width": 64, "heads": 2, "layers": 2}


def open_clip_presets() -> dict[str, dict[str, Any]]:
    import open_clip

    folder = Path(open_clip.__file__).parent / "model_configs"
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


@torch.no_grad()
def try_open_clip(name: str, model: dict[str, Any], folder: Path) -> str:
    """EQUAL if a small tower of this preset gives open_clip's embeddings of `TEXTS`, else why it is refused.

    What the installed open_clip cannot build is decided by the configuration, beside the weights of a plain tower.
    """
    import open_clip
    from open_clip.model import CLIPTextCfg, _build_text_tower

    model = {**copy.deepcopy(model), "embed_dim": 32}
    text = model.get("text_cfg", {})
    known = text.keys() <= {field.name for field in dataclasses.fields(CLIPTextCfg)}
    tensors = {"visual.class_embedding": torch.zeros(4)}
    own = None
    if "hf_model_name" not in text:
        text.update(WIDTH)
        torch.manual_seed(0)
        small = {**(text if known else WIDTH), "vocab_size": min(text.get("vocab_size", 49408), 70000)}
        own = _build_text_tower(32, small, quick_gelu=model.get("quick_gelu") or False).eval()
        for parameter in own.parameters():
            parameter.mul_(1 if parameter.ndim == 1 else 3)
        prefix = "text." if model.get("custom_text") or "multimodal_cfg" in model else ""
        tensors.update({prefix + key: value.contiguous() for key, value in own.state_dict().items()})
    save_file(tensors, folder / "open_clip_model.safetensors")
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": model}))
    try:
        encoder = TextEncoder.from_pretrained(folder)
    except ValueError as error:
        return str(error).replace(str(folder / "open_clip_config.json"), "it")
    if own is None or not known:
        return "LOADED"
    tokenizer = open_clip.get_tokenizer(name if name in open_clip.list_models() else "ViT-B-32")
    expected = own(tokenizer(TEXTS))
    expected = expected[0] if isinstance(expected, tuple) else expected
    difference = float((encoder.encode(TEXTS) - expected).abs().max() / expected.abs().max())
    return EQUAL if difference < 1e-5 else f"WRONG by {difference:.1g}"


def transformers_families() -> dict[str, tuple[str, dict[str, Any]]]:
    """By name the model class, and its arguments where a text configuration is not all."""
    names = ["CLIPTextModel", "CLIPTextModelWithProjection", "CLIPModel", "CLIPSegModel", "XCLIPModel", "OwlViTModel"]
    names += ["Owlv2Model", "AltCLIPModel", "ChineseCLIPModel", "SiglipModel", "Siglip2Model", "MetaClip2Model"]
    names += ["GroupViTModel", "AlignModel", "FlavaModel", "ClapModel"]
    return {name: (name, {}) for name in names}


def _shrunk(config: Any) -> Any:
    """A configuration of the fewest and smallest layers, text and image alike."""
    small = {"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 2, "num_hidden_layers": 2}
    for part in [config, *(getattr(config, name, None) for name in ("text_config", "vision_config"))]:
        for name, value in {**small, "projection_dim": 32, "image_size": 32, "patch_size": 16}.items():
            if hasattr(part, name):
                setattr(part, name, value)
    return config


@torch.no_grad()
def try_transformers(name: str, folder: Path) -> str:
    """EQUAL if a small model of this class gives the same pooled outputs on CLIP's ids, else why it is refused."""
    import transformers

    kind = getattr(transformers, name)
    config = _shrunk(kind.config_class())
    (folder / "config.json").write_text(json.dumps({**config.to_dict(), "architectures": [name]}))
    if config.model_type not in ("clip_text_model", "clip", "clipseg", "xclip", "owlvit", "owlv2"):
        save_file({"x": torch.zeros(1)}, folder / "model.safetensors")
        try:
            TextEncoder.from_pretrained(folder)
        except ValueError as error:
            return str(error).replace(str(folder / "config.json"), "it")
        return "LOADED"
    torch.manual_seed(0)
    model = kind(config).eval()
    for key, parameter in model.named_parameters():
        if "embedding" not in key and parameter.ndim == 2:
            parameter.mul_(3)
    model.save_pretrained(folder)
    encoder = TextEncoder.from_pretrained(folder)
    length = encoder.config.positions
    ids = encoder.tokenizer(TEXTS[:3], padding="max_length", max_length=length, return_tensors="pt").input_ids[
        :, :length
    ]
    text = getattr(model, "text_model", model)
    if name == "CLIPTextModelWithProjection":
        ours, theirs = encoder(ids).text_embeds, model(ids).text_embeds
    else:
        ours, theirs = encoder.text_model(ids).pooler_output, text(ids).pooler_output
        if hasattr(model, "get_text_features"):
            features = model.get_text_features(ids)
            features = getattr(features, "pooler_output", features)
            ours, theirs = torch.cat([ours, encoder(ids)["text_embeds"]], 1), torch.cat([theirs, features], 1)
    difference = float((ours - theirs).abs().max() / theirs.abs().max())
    return EQUAL if difference < 1e-5 else f"WRONG by {difference:.1g}"


def page(open_clip: dict[str, str], main: dict[str, str], transformers: dict[str, str]) -> str:
    """The page of the documentation."""
    lines = [
        "# Which text towers load",
        "",
        "Made by `python tests/encoder/test_encoder_towers.py`, which builds each tower in small with its library.",
        "*Equal*: the folder loads, and `encode` gives the library's embeddings of the same texts, tokenizer included.",
        "Everything else is refused with the reason given; nothing loads and computes something else.",
    ]
    introductions = {
        "open_clip presets": [],
        "Kinds of presets on open_clip's main branch": [
            "Of its 181 presets 3.3 lacks some, which are in no package; these are of the kinds that were found.",
            "What 3.3 cannot build is decided by the configuration alone. A preset loads if 3.3 has all its options,",
            "and if they leave the tower CLIP's. Any other option is refused by its name, false or not.",
        ],
        "transformers classes": [],
    }
    for (title, introduction), results in zip(introductions.items(), (open_clip, main, transformers), strict=True):
        equal = [name for name, result in results.items() if result == EQUAL]
        refused = [(name, result) for name, result in results.items() if result != EQUAL]
        lines += ["", f"## {title}", "", *introduction, *([""] if introduction else [])]
        lines += [f"Equal, {len(equal)} of {len(results)}: {', '.join(equal)}.", ""]
        lines += ["| refused | because |", "| --- | --- |", *(f"| {name} | {result} |" for name, result in refused)]
    return "\n".join(lines) + "\n"
