"""Encoders and tokenizers from where people have them: a folder, a single file, a loaded pipeline, transformers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cliptok import TextEncoder, Tokenizer
from cliptok._common.errors import PrintableErrors
from cliptok._common.hub import hub_model
from cliptok._common.json_files import read_json, wanted
from cliptok.encoder import TextConfig, textual_inversion
from cliptok.encoder.checkpoints.sources import open_source
from cliptok.encoder.checkpoints.towers import find_towers
from cliptok.encoder.weights import checked_vectors
from cliptok.prompts.families import PRESETS, family_named

# The names of a pipeline's parts for each family's encoders.
_COMPONENTS = {
    "sd1": ("",),
    "sd2": ("",),
    "sdxl": ("", "_2"),
    "sdxl-refiner": ("_2",),
    "sd3": ("", "_2"),
    "flux": ("",),
}
_PARTS = tuple(f"text_encoder{suffix}" for suffix in ("", "_2", "_3"))


@dataclasses.dataclass
class Found:
    """What a source has, in the order of the family's encoders."""

    family: str
    encoders: list[Any]
    tokenizers: list[Any]
    zeros: bool = True
    """Whether no negative prompt means zeros, as the pipeline is configured."""


def as_encoder(model: Any) -> TextEncoder:
    """Ours as it is; transformers' CLIPTextModel and CLIPTextModelWithProjection as ours on the same weights.

    Raises TypeError for anything else, and for layers that something has wrapped.
    """
    if isinstance(model, TextEncoder):
        return model
    config = getattr(model, "config", None)
    if not isinstance(model, nn.Module) or config is None or not hasattr(config, "to_dict"):
        raise TypeError(f"expected a CLIP text encoder, not {type(model).__name__}")
    weights = {name.removeprefix("text_model."): p for name, p in model.named_parameters()}
    values = TextConfig.from_transformers(config.to_dict())
    projection = weights.get("text_projection.weight")
    table = weights.get("embeddings.token_embedding.weight")
    values = dataclasses.replace(
        values,
        projection=None if projection is None else projection.shape[0],
        vocabulary=values.vocabulary if table is None else table.shape[0],
    )
    with torch.device("meta"):
        made = TextEncoder(values)
    # transformers and we have the tower under `text_model.` or not, as versions and projections go.
    wanted = {name.removeprefix("text_model."): name for name, _ in made.named_parameters()}
    if set(wanted) != set(weights):
        other = sorted(set(wanted) ^ set(weights))
        raise TypeError(
            f"{type(model).__name__} is no plain CLIP text encoder: {', '.join(other[:3])}; merge adapters into the "
            "weights first, as fuse_lora() and unload_lora_weights() do"
        )
    for name, parameter in weights.items():
        module, _, leaf = wanted[name].rpartition(".")
        setattr(made.get_submodule(module), leaf, parameter)
    return made.eval()


def from_pipeline(pipe: Any) -> Found:
    """The CLIP half of a loaded diffusers pipeline."""
    parts = dict(getattr(pipe, "components", {}))
    present = {suffix for suffix in ("", "_2", "_3") if _is_clip(parts.get(f"text_encoder{suffix}"))}
    others = {name for name in parts if name.startswith("text_encoder")}
    if "text_encoder_3" in others and present >= {"", "_2"}:
        family = "sd3"
    elif present >= {"", "_2"}:
        family = "sdxl"
    elif present == {"_2"}:
        family = "sdxl-refiner"
    elif present == {""} and "text_encoder_2" in others:
        family = "flux"
    elif present == {""}:
        tokenizer = parts.get("tokenizer")
        wide = getattr(parts["text_encoder"].config, "hidden_size", 0) == 1024
        family = "sd2" if wide or getattr(tokenizer, "pad_token_id", None) == 0 else "sd1"
    else:
        raise ValueError(f"{type(pipe).__name__} has no CLIP text encoder that is known")
    suffixes = _COMPONENTS[family]
    zeros = bool(getattr(pipe, "config", {}).get("force_zeros_for_empty_prompt", True))
    return Found(
        family,
        [parts[f"text_encoder{suffix}"] for suffix in suffixes],
        [parts[f"tokenizer{suffix}"] for suffix in suffixes],
        zeros,
    )


def _is_clip(model: Any) -> bool:
    if isinstance(model, TextEncoder):
        return True
    config = getattr(model, "config", None)
    return getattr(config, "model_type", "") in ("clip_text_model", "clip")


@PrintableErrors()
def from_folder(
    source: str | Path,
    family: str | None,
    device: torch.device | str,
    dtype: torch.dtype | None,
    loading: dict[str, Any],
) -> Found:
    """The CLIP half of a pipeline's folder or hub repository, or of a single file."""
    options = {"device": device, "dtype": dtype, **loading}
    if Path(source).is_file():
        return _from_file(Path(source), family, options)
    index = _index(source, loading)
    family = family or _family_of(index, str(source))
    suffixes = _COMPONENTS[family_named(family).name]
    encoders = [TextEncoder.from_pretrained(source, subfolder=f"text_encoder{s}", **options) for s in suffixes]
    hub = {name: loading[name] for name in ("revision", "cache_dir", "local_files_only", "token") if name in loading}
    tokenizers = [Tokenizer.from_pretrained(str(source), subfolder=f"tokenizer{s}", **hub) for s in suffixes]
    if family == "sd1" and tokenizers[0].pad_token_id == 0:
        family = "sd2"
    return Found(family, encoders, tokenizers, bool(index.get("force_zeros_for_empty_prompt", True)))


def _index(source: str | Path, loading: Mapping[str, Any]) -> dict[str, Any]:
    path: Path | None = Path(source) / "model_index.json"
    if not Path(source).is_dir():
        names = ("revision", "cache_dir", "local_files_only", "token")
        hub = {name: loading[name] for name in names if name in loading}
        model = hub_model(source, "a pipeline's folder, a checkpoint's file or a hub name", **hub)
        path = model.find("model_index.json")
        if path is None and (missing := model.missing()):
            raise FileNotFoundError(missing)
    if path is None or not path.is_file():
        raise FileNotFoundError(f"{source} has no model_index.json, so it is no pipeline's folder")
    content: dict[str, Any] = read_json(path)
    for name, value in content.items():
        if name in _PARTS:
            for part in wanted(value, (list, type(None)), f"{path}: {name}") or ():
                wanted(part, (str, type(None)), f"{path}: a part of {name}")
    return content


def _family_of(index: Mapping[str, Any], where: str) -> str:
    def has(name: str) -> bool:
        return bool((index.get(name) or [None])[0])

    kind = str(index.get("_class_name", ""))
    if "Flux" in kind:
        return "flux"
    if "StableDiffusion3" in kind or has("text_encoder_3"):
        return "sd3"
    if has("text_encoder_2"):
        return "sdxl" if has("text_encoder") else "sdxl-refiner"
    if has("text_encoder"):
        return "sd1"
    raise ValueError(f"{where} has no text encoder; give a pipeline with text_encoder or text_encoder_2")


def _from_file(path: Path, family: str | None, options: dict[str, Any]) -> Found:
    """A checkpoint in one file: which towers it has says what it is."""
    towers = find_towers(open_source(path).shapes())
    if family is None:
        prefixes = [tower.prefix for tower in towers]
        if any(prefix.startswith("text_encoders.") for prefix in prefixes):
            family = "sd3" if len(towers) > 1 else "flux"
        elif len(towers) > 1:
            family = "sdxl"
        elif any(prefix.startswith("conditioner.") for prefix in prefixes):
            family = "sdxl-refiner"
        else:
            family = "sd2" if any(prefix.startswith("cond_stage_model.model") for prefix in prefixes) else "sd1"
    roles = family_named(family).roles
    names = [{"l": "clip_l", "g": "clip_g"}[role] if len(towers) > 1 else None for role in roles]
    encoders = [TextEncoder.from_pretrained(path, encoder=name, **options) for name in names]
    return Found(family, encoders, [Tokenizer.from_preset(PRESETS[role]) for role in roles])


@PrintableErrors()
def read_vectors(source: Any, role: str, width: int, name: str) -> Tensor:
    """The vectors (n, width) of a textual inversion for one encoder."""
    if isinstance(source, Mapping) and role in source:
        source = source[role]
    where, _, vectors = textual_inversion.read_vectors(source, width)
    return checked_vectors(vectors, f"embedding {name!r} ({where}) of encoder {role!r}", width, torch.float32)
