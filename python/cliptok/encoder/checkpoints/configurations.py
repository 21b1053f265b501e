"""What a checkpoint's own configuration says: which model it is, or that it is none that can be computed here."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cliptok._common.json_files import Trouble, read_json, wanted
from cliptok.encoder.config import TextConfig

# Model types of transformers whose text tower is CLIP's, with CLIP's tokenizer; and what a whole model is called.
_CLIPS = {
    "clip": "CLIPModel",
    "clip_text_model": "",
    "clipseg": "CLIPModel",
    "clipseg_text_model": "",
    "xclip": "CLIPModel",
    "xclip_text_model": "",
    "owlvit": "CLIPModel",
    "owlvit_text_model": "",
    "owlv2": "CLIPModel",
    "owlv2_text_model": "",
}
# open_clip's options that make another network of a text tower.
_FOREIGN = (
    *("proj_bias", "act_kwargs", "ls_init_value", "block_type", "qk_norm", "use_pad_mask", "correct_cls_mask"),
    *("scaled_cosine_attn", "scale_heads", "scale_attn_inner", "scale_attn", "scale_fc", "final_ln_after_pool"),
)
_CLIP_END = 49407


@dataclasses.dataclass
class Configuration:
    """A configuration file that was read."""

    path: Path
    config: TextConfig
    stated: Mapping[str, int]
    """The sizes that it states, by our names, in transformers' files also those by default; the weights must agree."""
    projection: bool | None
    """Whether it promises a projection; None where it does not say."""
    library: str
    """"transformers" or "open_clip"."""


def read_configuration(path: Path) -> Configuration | None:
    """Read `config.json` or `open_clip_config.json`; None where it describes no model with text.

    Raises ValueError for a text model that is not CLIP's, with its name and what loads it.
    """
    content = read_json(path)
    with Trouble(path):
        if path.name == "open_clip_config.json" or "model_cfg" in content:
            return _open_clip(path, wanted(content.get("model_cfg", content), dict, "model_cfg"))
        return _open_clip(path, content) if "text_cfg" in content else _transformers(path, content)


def _transformers(path: Path, content: Mapping[str, Any]) -> Configuration | None:
    listed = wanted(content.get("architectures"), (list, type(None)), "architectures")
    architecture = wanted(listed[0], str, "architectures[0]") if listed else None
    text = wanted(content["text_config"], dict, "text_config") if "text_config" in content else content
    kind = wanted(content.get("model_type"), (str, type(None)), "model_type")
    if kind is not None and kind not in _CLIPS:
        if "_class_name" in content or kind.endswith("_vision_model"):
            return None
        name = architecture or kind
        raise ValueError(
            f"{path} describes {name} (model_type {kind!r}), which is no CLIP text tower: its tokenizer, attention, "
            f"pooling or projection is another. transformers' {architecture or 'AutoModel'} computes it"
        )
    if "hidden_size" not in text and "text_config" not in content:
        return None
    config = TextConfig.from_transformers(content)
    stated = {name: getattr(config, name) for name in ("width", "layers", "mlp", "positions", "vocabulary")}
    whole = kind is not None and _CLIPS[kind] == "CLIPModel"
    projected = {"CLIPTextModel": False, "CLIPTextModelWithProjection": True, "CLIPModel": True}.get(architecture or "")
    if whole and config.projection is not None:
        config = dataclasses.replace(config, architecture="CLIPModel")
    if "cliptok_architecture" in content and config.projection is not None:
        config = dataclasses.replace(config, architecture=content["cliptok_architecture"])
    return Configuration(path, config, stated, projected, "transformers")


def _open_clip(path: Path, model: Mapping[str, Any]) -> Configuration:
    text = wanted(model.get("text_cfg") or {}, dict, "text_cfg")
    pool = text.get("pool_type", "argmax")
    norm = wanted(text.get("norm_kwargs") or {}, dict, "norm_kwargs")
    flags = {
        name: wanted(of.get(name) or False, bool, name)
        for of, name in ((text, "embed_cls"), (text, "no_causal_mask"), (model, "quick_gelu"))
    }
    for option in ("hf_model_name", "hf_tokenizer_name"):
        if option in text:
            what = "a text tower of" if option == "hf_model_name" else "a text tower with the tokenizer of"
            raise ValueError(f"{path} describes {what} {text[option]}, which is no CLIP tower; open_clip computes it")
    foreign = [f"{name}={text[name]}" for name in _FOREIGN if text.get(name)]
    if pool not in ("argmax", "eos") or (pool == "eos" and text.get("eos_id") != _CLIP_END):
        foreign.append(f"pool_type={pool}")
    if foreign:
        raise ValueError(
            f"{path} describes a text tower with {', '.join(foreign)}, which is no CLIP tower; open_clip computes it"
        )

    def size(name: str, default: int) -> int:
        number: int = wanted(text.get(name, default), int, name)
        return number

    config = TextConfig(
        width=size("width", 512),
        heads=size("heads", 8),
        layers=size("layers", 12),
        vocabulary=size("vocab_size", 49408),
        positions=size("context_length", 77) + flags["embed_cls"],
        activation="quick_gelu" if flags["quick_gelu"] else "gelu",
        layer_norm_eps=norm.get("eps", 1e-5),
        pad_id=size("pad_id", 0),
        causal=not flags["no_causal_mask"],
        class_token=flags["embed_cls"],
        projection=None if text.get("proj_type") == "none" else model.get("embed_dim", 512),
        architecture="CLIPModel",
    )
    written = {"width": "width", "layers": "layers", "vocab_size": "vocabulary", "context_length": "positions"}
    stated = {ours: getattr(config, ours) for theirs, ours in written.items() if theirs in text}
    return Configuration(path, config, stated, text.get("proj_type", "linear") != "none", "open_clip")
