"""What a checkpoint's own configuration says: which model it is, or that it is none that can be computed here."""

from __future__ import annotations

import dataclasses
import json
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cliptok.encoder.config import TextConfig, text_part

# Model types of transformers whose text tower is CLIP's, with CLIP's tokenizer, and how their classes' names begin.
_CLIPS = {"clip": "CLIP", "clipseg": "CLIPSeg", "xclip": "XCLIP", "owlvit": "OwlViT", "owlv2": "Owlv2"}
# What open_clip knows in `model_cfg` and in its `text_cfg`, without what makes another network of a text tower.
_MODEL_OPTIONS = {
    *("embed_dim", "vision_cfg", "text_cfg", "multimodal_cfg", "quick_gelu", "custom_text", "output_dict"),
    *("init_logit_scale", "init_logit_bias", "nonscalar_logit_scale", "cast_dtype"),
}
_TEXT_OPTIONS = {
    *("context_length", "vocab_size", "width", "heads", "layers", "mlp_ratio", "embed_cls", "pad_id", "eos_id"),
    *("no_causal_mask", "pool_type", "proj_type", "output_tokens", "norm_kwargs"),
    *("tokenizer_mode", "hf_model_pretrained", "hf_proj_type", "hf_pooler_type"),  # without a tower of that kind unused
}
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
    kind = content.get("model_type")
    family = _CLIPS.get((kind or "clip").removesuffix("_text_model"))
    if family is None or not _is_class_of(family, architecture):
        if "_class_name" in content or (kind or "").endswith("_vision_model"):
            return None
        raise ValueError(
            f"{path} describes {architecture or kind} (model_type {kind!r}), which is no CLIP text tower: its "
            f"tokenizer, attention, pooling or projection is another. {_who_computes(family, architecture)} computes it"
        )
    text = text_part(content)
    if "hidden_size" not in text and "text_config" not in content:
        return None
    if "auto_map" in content:
        raise ValueError(f"{path} names code of its own (auto_map), which is never run; what it computes is not known")
    if content.get("quantization_config"):
        method = content["quantization_config"].get("quant_method", "an unknown method")
        raise ValueError(
            f"{path} says that the weights are quantized ({method}); load the original, or dequantize them"
        )
    if text.get("attention_dropout"):
        message = (
            f"{path} has attention_dropout {text['attention_dropout']}; there is no dropout here, in training either"
        )
        warnings.warn(message, UserWarning, stacklevel=5)
    config = TextConfig.from_transformers(content)
    stated = _stated(
        text,
        *(("hidden_size", "width"), ("num_hidden_layers", "layers"), ("intermediate_size", "mlp")),
        *(("max_position_embeddings", "positions"), ("vocab_size", "vocabulary")),
    )
    whole = "text_config" in content
    projected = {"CLIPTextModel": False, "CLIPTextModelWithProjection": True, "CLIPModel": True}.get(architecture or "")
    if projected:
        stated.update(_stated(content if whole else text, ("projection_dim", "projection")))
    if whole and config.projection is not None:
        config = dataclasses.replace(config, architecture="CLIPModel")
    if "cliptok_architecture" in content and config.projection is not None:
        config = dataclasses.replace(config, architecture=content["cliptok_architecture"])
    return Configuration(path, config, stated, projected, "transformers")


def _is_class_of(family: str, architecture: str | None) -> bool:
    """Whether a class has this family's text tower; classes of other libraries may do anything with it."""
    if architecture is None:
        return True
    return re.fullmatch(rf"{family}(Text|Vision)?(Model|For[A-Za-z]+)(WithProjection)?", architecture) is not None


def _who_computes(family: str | None, architecture: str | None) -> str:
    if family is None or architecture in (None, "AutoModel"):
        return f"transformers' {architecture or 'AutoModel'}"
    return f"The library that has the class {architecture}"


def _open_clip(path: Path, model: Mapping[str, Any]) -> Configuration:
    text = model.get("text_cfg")
    if not isinstance(text, Mapping):
        raise ValueError(f"{path} describes a model without text_cfg, so none with a CLIP text tower")
    pool = text.get("pool_type", "argmax")
    for option in ("hf_model_name", "hf_tokenizer_name"):
        if text.get(option):
            what = "a text tower of" if option == "hf_model_name" else "a text tower with the tokenizer of"
            raise ValueError(f"{path} describes {what} {text[option]}, which is no CLIP tower; open_clip computes it")
    norm = dict(text.get("norm_kwargs") or {})
    eps = norm.pop("eps", 1e-5)
    foreign = [f"{name}={text[name]}" for name in text if name not in _TEXT_OPTIONS and text[name]]
    foreign += [f"{name}" for name in model if name not in _MODEL_OPTIONS and model[name]]
    foreign += [f"norm_kwargs={norm}"] if norm else []
    if pool not in ("argmax", "eos") or (pool == "eos" and text.get("eos_id") != _CLIP_END):
        foreign.append(f"pool_type={pool}")
    if text.get("proj_type", "linear") not in ("linear", "none"):
        foreign.append(f"proj_type={text['proj_type']}")
    if foreign:
        raise ValueError(
            f"{path} describes a text tower with {', '.join(foreign)}, which is no CLIP tower; open_clip computes it"
        )
    class_token = bool(text.get("embed_cls"))
    width = text.get("width", 512)
    projection = None if text.get("proj_type") == "none" else model.get("embed_dim", 512)
    stated = _stated(text, ("width", "width"), ("layers", "layers"), ("vocab_size", "vocabulary"))
    if "width" in text:
        stated["mlp"] = int(width * text.get("mlp_ratio", 4.0))
    if "context_length" in text:
        stated["positions"] = text["context_length"] + class_token
    if projection is not None and "embed_dim" in model:
        stated["projection"] = projection
    config = TextConfig(
        width=width,
        heads=text.get("heads", 8),
        activation="quick_gelu" if model.get("quick_gelu") else "gelu",
        layer_norm_eps=eps,
        pad_id=text.get("pad_id", 0),
        causal=not text.get("no_causal_mask"),
        class_token=class_token,
        projection=projection,
        architecture="CLIPModel",
    )
    return Configuration(path, config, stated, projection is not None, "open_clip")


def _stated(content: Mapping[str, Any], *names: tuple[str, str]) -> dict[str, int]:
    return {ours: content[theirs] for theirs, ours in names if isinstance(content.get(theirs), int)}
