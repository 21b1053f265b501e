"""From folders, files and hub names to encoders, and back to files that transformers and diffusers load."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from cliptok._common.atomic_files import atomic_write
from cliptok._common.errors import PrintableErrors
from cliptok.encoder.checkpoints.configurations import Configuration
from cliptok.encoder.checkpoints.folders import (
    Directory,
    Folder,
    Repository,
    folder_configuration,
    folder_weights,
    projected_in_pipeline,
)
from cliptok.encoder.checkpoints.parameters import check, origins
from cliptok.encoder.checkpoints.recognition import Recognised, announce, recognise, sizes
from cliptok.encoder.checkpoints.sources import DictSource, Source, open_source
from cliptok.encoder.checkpoints.towers import Tower, choose_tower
from cliptok.encoder.device import checked_device, checked_dtype
from cliptok.encoder.model import TextModel
from cliptok.encoder.own_tokenizer import OwnTokenizer
from cliptok.tokenizer.calls.options import check_path

Model = TypeVar("Model", bound=TextModel)

_CHANGES = ("activation", "heads", "layers", "projection", "causal", "end_id", "pad_id", "start_id", "architecture")
_SAID_OTHERWISE = {
    "device_map": 'give device=, such as device="cuda"',
    "low_cpu_mem_usage": "loading always reads one tensor at a time",
    "attn_implementation": "attention is torch's scaled_dot_product_attention",
    "use_safetensors": "safetensors are taken before pickles",
    "hidden_act": "give activation=",
    "num_attention_heads": "give heads=",
}


@PrintableErrors()
def load(
    cls: type[Model],
    source: str | os.PathLike[str] | Mapping[str, torch.Tensor],
    *,
    subfolder: str | None = None,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
    variant: str | None = None,
    encoder: str | None = None,
    strict: bool = False,
    revision: str | None = None,
    cache_dir: str | None = None,
    token: str | bool | None = None,
    local_files_only: bool = False,
    **changes: Any,
) -> tuple[Model, OwnTokenizer]:
    """Load a text encoder, in evaluation mode, and find out which tokenizer is its own.

    `source` is a folder (transformers, diffusers or open_clip, sharded or not), a single file of any known layout, a
    state dict, or a hub name. `variant="fp16"` takes the files of that variant. `encoder` chooses among the towers of
    an SDXL or SD 3 file: "clip_l" or "clip_g". `dtype` defaults to the widest floating dtype that the tower has in the
    file. `activation`, `heads`, `layers`, `causal`, `projection=None` and the ids override what the file and its
    configuration say; `recognition.recognise` has the rules where there is no configuration, in the folder or beside
    the file. What they have to guess is warned of, or with `strict` refused. `torch_dtype` and `num_hidden_layers` are
    taken for `dtype` and `layers`.

    Only the text tower's tensors are read, each straight to `dtype` and `device`. Missing, unknown, wrongly shaped,
    truncated, quantized and non-finite tensors raise ValueError with their names; so do a configuration and weights
    that disagree, and text towers that are not CLIP's. Pickles that want to run code are refused.
    """
    dtype = _renamed(changes, dtype)
    device = checked_device(device)
    options = {"revision": revision, "cache_dir": cache_dir, "token": token, "local_files_only": local_files_only}
    found, tokenizer = inspect(source, subfolder, variant, encoder, options, changes)
    tensors, tower, config = found.source, found.tower, found.config
    wanted = origins(tensors, tower, config)
    check(tensors, tower, config, wanted)
    announce(found.guesses, tensors.where, strict)
    if dtype is None:
        dtype = _widest(tensors, {origin.names[0] for origin in wanted.values()})
    with torch.device("meta"):
        model = cls(config)
    bad = []
    for name, origin in wanted.items():
        # A copy always: a slice would keep its whole tensor alive, and a state dict stays the caller's.
        value = origin.make(*(tensors.read(part) for part in origin.names)).to(device, dtype, copy=True)
        if not bool(torch.isfinite(value).all()):
            bad.append(" and ".join(origin.names))
        module, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(module), leaf, nn.Parameter(value))
    if bad:
        raise ValueError(
            f"{tensors.where} has values that are not finite in {dtype}, in {', '.join(sorted(set(bad))[:8])}"
        )
    return model.eval(), tokenizer


def inspect(
    source: str | os.PathLike[str] | Mapping[str, torch.Tensor],
    subfolder: str | None,
    variant: str | None,
    encoder: str | None,
    options: Mapping[str, Any],
    changes: Mapping[str, Any],
) -> tuple[Recognised, OwnTokenizer]:
    """Open a checkpoint and find out what it is; no weights are read yet. Arguments as in `load`."""
    folder: Folder | None = None
    if not isinstance(source, Mapping):
        check_path("the checkpoint", source, "a file, a folder, a hub name or a state dict")
    alone = isinstance(source, Mapping) or Path(source).is_file()
    if isinstance(source, Mapping):
        tensors: Source = DictSource(source)
    elif alone:
        folder = Directory(Path(source).parent)
        tensors = open_source(Path(source))
    else:
        folder = _folder(source, subfolder, options)
        folder_configuration(folder, openai=True)  # names a foreign model before its weights look broken
        tensors = folder_weights(folder, variant)
    tower = choose_tower(tensors, encoder)
    known = None
    if folder is not None and not (alone and (tower.sd2 or tower.family is not None)):
        known = folder_configuration(folder, tower.openai)
        if alone and known is not None and not _fits(known, tensors, tower):
            known = None  # it is another file's
    if known is not None and folder is not None and (projected := projected_in_pipeline(folder)) is not None:
        known = dataclasses.replace(known, projection=projected)  # whatever class it was saved from
    found = recognise(tensors, tower, known, changes)
    profile = {"openai": "openai", "longclip": "openai", "open_clip": "open_clip"}.get(found.layout, "transformers")
    beside = folder.tokenizer() if folder is not None and not tower.openai else None
    return found, OwnTokenizer(beside, profile, known=beside is not None or found.layout != "transformers")


def _folder(source: str | os.PathLike[str], subfolder: str | None, options: Mapping[str, Any]) -> Folder:
    path = Path(source) / (subfolder or "")
    if Path(source).is_dir():
        if not path.is_dir():
            raise FileNotFoundError(f"{source} has no subfolder {subfolder!r}")
        return Directory(path)
    return Repository(os.fspath(source), subfolder, options)


def _fits(known: Configuration, tensors: Source, tower: Tower) -> bool:
    """Whether a configuration beside a single file can be this file's: some folders collect files of many models."""
    return bool(known.stated.get("width", known.config.width) == sizes(tensors, tower)["width"])


def _renamed(changes: dict[str, Any], dtype: torch.dtype | None) -> torch.dtype | None:
    """Take transformers' names of arguments for ours; TypeError with our name for what is said otherwise here."""
    if "num_hidden_layers" in changes:
        changes["layers"] = changes.pop("num_hidden_layers")
    given = changes.pop("torch_dtype", None)
    for name, ours in _SAID_OTHERWISE.items():
        if name in changes:
            raise TypeError(f"from_pretrained has no argument {name}; {ours}")
    unknown = set(changes) - set(_CHANGES)
    if unknown:
        raise TypeError(f"from_pretrained has no argument {', '.join(sorted(unknown))}")
    return checked_dtype(given if dtype is None else dtype)


def save(
    model: TextModel,
    folder: str | os.PathLike[str],
    *,
    variant: str | None = None,
    safe_serialization: bool = True,
) -> None:
    """Write `config.json` and `model.safetensors` (`model.<variant>.safetensors`) into `folder`, made if need be.

    transformers loads the result as `CLIPTextModelWithProjection`, or as `CLIPTextModel` without a projection.
    `safe_serialization=False` writes `pytorch_model.bin` instead. Raises ValueError for towers that transformers has no
    class for, MobileCLIP's without a causal mask and CoCa's, and for adapters that are not merged.
    """
    from safetensors.torch import save_file

    if not model.config.causal or model.config.class_token:
        raise ValueError(
            "transformers' CLIP text models have a causal mask and no class token, so this tower has no such files; "
            "keep the checkpoint that it came from, or torch.save its state_dict()"
        )
    with torch.device("meta"):
        plain = TextModel(model.config).state_dict().keys()
    if other := sorted(model.state_dict().keys() ^ plain):
        raise ValueError(
            f"the encoder's parameters are not those of a plain one, from {other[0]} on; merge adapters and remove "
            "parametrizations before saving it"
        )
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    content = {**model.config.to_transformers(), "dtype": str(model.dtype).removeprefix("torch.")}
    tensors = {
        name if name.startswith(("text_model.", "text_projection.")) else f"text_model.{name}": value.contiguous()
        for name, value in model.state_dict().items()
    }
    dot = f".{variant}" if variant else ""
    with atomic_write(path / (f"model{dot}.safetensors" if safe_serialization else f"pytorch_model{dot}.bin")) as file:
        if safe_serialization:
            save_file(tensors, file.name, metadata={"format": "pt"})
        else:
            torch.save(tensors, file)
    with atomic_write(path / "config.json") as file:
        file.write(json.dumps(content, indent=2).encode() + b"\n")


def _widest(source: Source, names: set[str]) -> torch.dtype:
    widest = None
    for name in sorted(names):
        dtype = source.dtype(name)
        if dtype.is_floating_point and dtype.itemsize > 1:
            widest = dtype if widest is None else torch.promote_types(widest, dtype)
    return widest or torch.get_default_dtype()
