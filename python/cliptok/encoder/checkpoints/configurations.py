"""What a checkpoint's own configuration says: which model it is, or that it is none that can be computed here."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cliptok._common.json_files import Trouble, read_json, wanted
from cliptok._common.warning import warn_caller
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
_OFF_UNLESS_SAID = {
    *("hf_model_name", "hf_tokenizer_name", "tokenizer_kwargs", "act_kwargs", "final_ln_after_pool", "proj_bias"),
    *("block_type", "qk_norm", "scaled_cosine_attn", "scale_heads", "scale_attn_inner", "scale_attn", "scale_fc"),
}
"""Those that make another network of it, but not where they are false or empty. Nobody knows what an option means that
open_clip 3.3 lacks, false or not."""
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
    kind = wanted(content.get("model_type"), (str, type(None)), "model_type")
    family = _CLIPS.get("clip" if kind is None else kind.removesuffix("_text_model"))
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
    if quantization := _optional(content, "quantization_config", dict, {}):
        method = quantization.get("quant_method", "an unknown method")
        raise ValueError(
            f"{path} says that the weights are quantized ({method}); load the original, or dequantize them"
        )
    dropout = _optional(text, "attention_dropout", (int, float), 0.0)
    if not 0 <= dropout <= 1:
        raise ValueError(f"{path}: attention_dropout is {dropout}; expected 0 to 1")
    if dropout:
        warn_caller(f"{path} has attention_dropout {dropout}; there is no dropout here, in training either")
    config = TextConfig.from_transformers(content)
    stated = {name: getattr(config, name) for name in ("width", "layers", "mlp", "positions", "vocabulary")}
    whole = "text_config" in content
    projected = {"CLIPTextModel": False, "CLIPTextModelWithProjection": True, "CLIPModel": True}.get(architecture or "")
    if projected:
        written = (content if whole else text).get("projection_dim")
        stated.update({} if written is None else {"projection": written})
    if whole and config.projection is not None:
        config = dataclasses.replace(config, architecture="CLIPModel")
    if "cliptok_architecture" in content and config.projection is not None:
        config = dataclasses.replace(config, architecture=content["cliptok_architecture"])
    return Configuration(path, config, stated, projected, "transformers")


def _optional(content: Mapping[str, Any], name: str, kind: type | tuple[type, ...], default: Any) -> Any:
    """The value, of this type; what is absent or null is the default."""
    value = content.get(name)
    return default if value is None else wanted(value, kind, name)


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
    if "text_cfg" not in model:
        raise ValueError(
            f"{path} describes a text tower without a text_cfg ({', '.join(model)}), as a MaMMUT's, which is no CLIP "
            "tower; open_clip computes it"
        )
    text = wanted(model.get("text_cfg"), dict, "text_cfg")
    pool = text.get("pool_type", "argmax")
    norm = dict(_optional(text, "norm_kwargs", dict, {}))
    eps = norm.pop("eps", 1e-5)
    flags = {
        name: _optional(of, name, bool, False)
        for of, name in ((text, "embed_cls"), (text, "no_causal_mask"), (model, "quick_gelu"))
    }
    for option in ("hf_model_name", "hf_tokenizer_name"):
        if _optional(text, option, str, ""):
            what = "a text tower of" if option == "hf_model_name" else "a text tower with the tokenizer of"
            raise ValueError(f"{path} describes {what} {text[option]}, which is no CLIP tower; open_clip computes it")
    foreign = [
        f"{name}={value}"
        for name, value in text.items()
        if name not in _TEXT_OPTIONS and value is not None and (value or name not in _OFF_UNLESS_SAID)
    ]
    foreign += [name for name, value in model.items() if name not in _MODEL_OPTIONS and value is not None]
    foreign += [f"norm_kwargs={norm}"] if norm else []
    if pool not in ("argmax", "eos") or (pool == "eos" and text.get("eos_id") != _CLIP_END):
        foreign.append(f"pool_type={pool}")
    if text.get("proj_type", "linear") not in ("linear", "none"):
        foreign.append(f"proj_type={text['proj_type']}")
    if foreign:
        raise ValueError(
            f"{path} describes a text tower with {', '.join(foreign)}, which is no CLIP tower; open_clip computes it"
        )

    def size(name: str, default: int, of: Mapping[str, Any] = text) -> int:
        number: int = wanted(of.get(name, default), int, name)
        return number

    width, projected = size("width", 512), text.get("proj_type", "linear") != "none"
    config = TextConfig(
        width=width,
        heads=size("heads", 8),
        layers=size("layers", 12),
        mlp=int(width * wanted(text.get("mlp_ratio", 4.0), (int, float), "mlp_ratio")),
        vocabulary=size("vocab_size", 49408),
        positions=size("context_length", 77) + flags["embed_cls"],
        activation="quick_gelu" if flags["quick_gelu"] else "gelu",
        layer_norm_eps=eps,
        pad_id=size("pad_id", 0),
        causal=not flags["no_causal_mask"],
        class_token=flags["embed_cls"],
        projection=size("embed_dim", 512, model) if projected else None,
        architecture="CLIPModel",
    )
    written = {"width": "width", "layers": "layers", "vocab_size": "vocabulary", "context_length": "positions"}
    stated = {ours: getattr(config, ours) for theirs, ours in written.items() if theirs in text}
    if "width" in text:
        stated["mlp"] = config.mlp
    if projected and "embed_dim" in model:
        stated["projection"] = size("embed_dim", 512, model)
    return Configuration(path, config, stated, projected, "open_clip")
