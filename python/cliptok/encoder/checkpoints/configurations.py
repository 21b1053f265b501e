"""What a checkpoint's own configuration says: which model it is, or that it is none that can be computed here."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
    """The sizes that the file states itself, by our names; the weights must agree."""
    projection: bool | None
    """Whether it promises a projection; None where it does not say."""
    library: str
    """"transformers" or "open_clip"."""


def read_configuration(path: Path) -> Configuration | None:
    """Read `config.json` or `open_clip_config.json`; None where it describes no model with text.

    Raises ValueError for a text model that is not CLIP's, with its name and what loads it.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is no JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}, not a configuration")
    if path.name == "open_clip_config.json" or "model_cfg" in content:
        return _open_clip(path, content.get("model_cfg", content))
    if "text_cfg" in content:
        return _open_clip(path, content)
    return _transformers(path, content)


def _transformers(path: Path, content: Mapping[str, Any]) -> Configuration | None:
    architecture = next(iter(content.get("architectures") or ()), None)
    text = content.get("text_config") if "text_config" in content else content
    kind = content.get("model_type")
    if kind is not None and kind not in _CLIPS:
        if "_class_name" in content or kind.endswith("_vision_model"):
            return None
        name = architecture or kind
        raise ValueError(
            f"{path} describes {name} (model_type {kind!r}), which is no CLIP text tower: its tokenizer, attention, "
            f"pooling or projection is another. transformers' {architecture or 'AutoModel'} computes it"
        )
    if not isinstance(text, Mapping) or ("hidden_size" not in {**text} and "text_config" not in content):
        return None
    config = TextConfig.from_transformers(content)
    stated = _stated(
        text,
        *(("hidden_size", "width"), ("num_hidden_layers", "layers"), ("intermediate_size", "mlp")),
        *(("max_position_embeddings", "positions"), ("vocab_size", "vocabulary")),
    )
    whole = kind is not None and _CLIPS[kind] == "CLIPModel"
    projected = {"CLIPTextModel": False, "CLIPTextModelWithProjection": True, "CLIPModel": True}.get(architecture or "")
    if whole and config.projection is not None:
        config = dataclasses.replace(config, architecture="CLIPModel")
    if "cliptok_architecture" in content and config.projection is not None:
        config = dataclasses.replace(config, architecture=content["cliptok_architecture"])
    return Configuration(path, config, stated, projected, "transformers")


def _open_clip(path: Path, model: Mapping[str, Any]) -> Configuration:
    text = model.get("text_cfg") or {}
    pool = text.get("pool_type", "argmax")
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
    class_token = bool(text.get("embed_cls"))
    stated = _stated(text, ("width", "width"), ("layers", "layers"), ("vocab_size", "vocabulary"))
    if "context_length" in text:
        stated["positions"] = text["context_length"] + class_token
    config = TextConfig(
        width=text.get("width", 512),
        heads=text.get("heads", 8),
        activation="quick_gelu" if model.get("quick_gelu") else "gelu",
        layer_norm_eps=(text.get("norm_kwargs") or {}).get("eps", 1e-5),
        pad_id=text.get("pad_id", 0),
        causal=not text.get("no_causal_mask"),
        class_token=class_token,
        projection=None if text.get("proj_type") == "none" else model.get("embed_dim", 512),
        architecture="CLIPModel",
    )
    return Configuration(path, config, stated, text.get("proj_type", "linear") != "none", "open_clip")


def _stated(content: Mapping[str, Any], *names: tuple[str, str]) -> dict[str, int]:
    return {ours: content[theirs] for theirs, ours in names if isinstance(content.get(theirs), int)}
