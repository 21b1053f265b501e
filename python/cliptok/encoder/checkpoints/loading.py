"""From folders, files and hub names to encoders, and back to files that transformers and diffusers load."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from torch import nn

from cliptok._common.atomic_files import atomic_write
from cliptok.encoder.checkpoints.sources import DictSource, ShardedSource, Source, open_source
from cliptok.encoder.checkpoints.weights import check, choose_tower, origins, read_config
from cliptok.encoder.config import TextConfig
from cliptok.encoder.model import TextModel

Model = TypeVar("Model", bound=TextModel)

# open_clip's options that make another network of a text tower
_FOREIGN = (
    *("no_causal_mask", "embed_cls", "proj_bias", "act_kwargs", "ls_init_value", "block_type", "qk_norm"),
    *("scaled_cosine_attn", "scale_heads", "scale_attn_inner", "scale_attn", "scale_fc"),
)
_CHANGES = ("activation", "heads", "layers", "projection", "end_id", "pad_id", "start_id")


class Folder(Protocol):
    """Something that has files: a directory, or a repository of the hub."""

    def find(self, name: str) -> Path | None: ...


class _Directory:
    def __init__(self, path: Path) -> None:
        self.path = path

    def find(self, name: str) -> Path | None:
        return self.path / name if (self.path / name).is_file() else None


class _Repository:
    def __init__(self, name: str, subfolder: str | None, options: Mapping[str, Any]) -> None:
        self.name, self.subfolder, self.options = name, subfolder, options

    def find(self, name: str) -> Path | None:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

        try:
            return Path(hf_hub_download(self.name, name, subfolder=self.subfolder, **self.options))
        except LocalEntryNotFoundError:
            if self.options.get("local_files_only"):
                return None
            raise
        except EntryNotFoundError:
            return None


def load(
    cls: type[Model],
    source: str | os.PathLike[str] | Mapping[str, torch.Tensor],
    *,
    subfolder: str | None = None,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
    variant: str | None = None,
    encoder: str | None = None,
    revision: str | None = None,
    cache_dir: str | None = None,
    token: str | bool | None = None,
    local_files_only: bool = False,
    **changes: Any,
) -> Model:
    """Load a text encoder, in evaluation mode.

    `source` is a folder (transformers, diffusers or open_clip, sharded or not), a single file of any known layout, a
    state dict, or a hub name. `variant="fp16"` takes the files of that variant. `encoder` chooses among the towers of
    an SDXL or SD 3 file: "clip_l" or "clip_g". `dtype` defaults to the widest floating dtype that the tower has in the
    file. `activation`, `heads`, `layers`, `projection=None` and the ids override what the file and its configuration
    say; `weights.read_config` has the rules where there is no configuration.

    Only the text tower's tensors are read, each straight to `dtype` and `device`. Missing, unknown, wrongly shaped,
    cut and non-finite tensors raise ValueError with their names. Pickles that want to run code are refused.
    """
    unknown = set(changes) - set(_CHANGES)
    if unknown:
        raise TypeError(f"from_pretrained has no argument {', '.join(sorted(unknown))}")
    known: TextConfig | None = None
    if isinstance(source, Mapping):
        tensors: Source = DictSource(source)
    elif Path(source).is_file():
        tensors = open_source(Path(source))
    else:
        path = Path(source) / (subfolder or "")
        if Path(source).is_dir():
            folder: Folder = _Directory(path)
            if not path.is_dir():
                raise FileNotFoundError(f"{source} has no subfolder {subfolder!r}")
        elif str(source).count("/") <= 1 and not str(source).startswith((".", "/", "~")):
            options = {
                "revision": revision,
                "cache_dir": cache_dir,
                "token": token,
                "local_files_only": local_files_only,
            }
            folder = _Repository(str(source), subfolder, options)
        else:
            raise FileNotFoundError(f"{source} is neither a file nor a folder, and no hub name")
        known = _folder_config(folder)
        tensors = _folder_weights(folder, variant, f"{source}{f'/{subfolder}' if subfolder else ''}")
    tower = choose_tower(tensors, encoder)
    config = read_config(tensors, tower, known, changes)
    wanted = origins(tensors, tower, config)
    check(tensors, tower, config, wanted)
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
    return model.eval()


def save(model: TextModel, folder: str | os.PathLike[str], *, variant: str | None = None) -> None:
    """Write `config.json` and `model.safetensors` (`model.<variant>.safetensors`) into `folder`, made if need be.

    transformers loads the result as `CLIPTextModelWithProjection`, or as `CLIPTextModel` without a projection.
    """
    from safetensors.torch import save_file

    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    content = {**model.config.to_transformers(), "dtype": str(model.dtype).removeprefix("torch.")}
    tensors = {
        name if name.startswith(("text_model.", "text_projection.")) else f"text_model.{name}": value.contiguous()
        for name, value in model.state_dict().items()
    }
    with atomic_write(path / f"model{f'.{variant}' if variant else ''}.safetensors") as file:
        save_file(tensors, file.name, metadata={"format": "pt"})
    with atomic_write(path / "config.json") as file:
        file.write(json.dumps(content, indent=2).encode() + b"\n")


def _folder_config(folder: Folder) -> TextConfig | None:
    path = folder.find("config.json")
    if path is not None:
        content = json.loads(path.read_text(encoding="utf-8"))
        if "hidden_size" in content or "text_config" in content:
            return TextConfig.from_transformers(content)
    path = folder.find("open_clip_config.json")
    if path is None:
        return None
    model = json.loads(path.read_text(encoding="utf-8"))
    model = model.get("model_cfg", model)
    text = model.get("text_cfg", {})
    if "hf_model_name" in text:
        raise ValueError(f"{path} describes a text tower of {text['hf_model_name']}, which is no CLIP tower")
    pool = text.get("pool_type", "argmax")
    foreign = [f"{name}={text[name]}" for name in _FOREIGN if text.get(name)]
    if pool not in ("argmax", "eos"):
        foreign.append(f"pool_type={pool}")
    if foreign:
        raise ValueError(f"{path} describes a text tower with {', '.join(foreign)}, which is no CLIP tower")
    return TextConfig(
        width=text.get("width", 512),
        heads=text.get("heads", 8),
        activation="quick_gelu" if model.get("quick_gelu") else "gelu",
        layer_norm_eps=(text.get("norm_kwargs") or {}).get("eps", 1e-5),
        pad_id=text.get("pad_id", 0),
        **({"end_id": text["eos_id"]} if pool == "eos" and "eos_id" in text else {}),
    )


def _folder_weights(folder: Folder, variant: str | None, where: str) -> Source:
    """The first of the known file names, safetensors before pickles."""
    dot = f".{variant}" if variant else ""
    names = []
    for stem, suffix in (("model", "safetensors"), ("open_clip_model", "safetensors"), ("pytorch_model", "bin")):
        names += [f"{stem}{dot}.{suffix}", f"{stem}.{suffix}.index{dot}.json"]
        if variant:
            names.append(f"{stem}{dot}.{suffix}.index.json")
    names.append(f"open_clip_pytorch_model{dot}.bin")
    for name in names:
        path = folder.find(name)
        if path is not None:
            return ShardedSource(path, folder.find) if name.endswith(".json") else open_source(path)
    hint = ""
    if folder.find("model_index.json"):
        hint = '; it is a diffusers pipeline: give subfolder="text_encoder" (or "text_encoder_2")'
    elif variant is None and folder.find("model.fp16.safetensors"):
        hint = '; it has the fp16 variant only: give variant="fp16"'
    raise FileNotFoundError(f"{where} has no weights under any of the names {', '.join(names)}{hint}")


def _widest(source: Source, names: set[str]) -> torch.dtype:
    widest = None
    for name in sorted(names):
        dtype = source.dtype(name)
        if dtype.is_floating_point and dtype.itemsize > 1:
            widest = dtype if widest is None else torch.promote_types(widest, dtype)
    return widest or torch.get_default_dtype()
