"""Folders and hub repositories: which files in them hold the weights, the configuration and the tokenizer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from cliptok._common.hub import hub_model
from cliptok._common.json_files import read_json
from cliptok._common.regular_files import is_there
from cliptok.encoder.checkpoints.configurations import Configuration, read_configuration
from cliptok.encoder.checkpoints.sources import ShardedSource, Source, open_source
from cliptok.tokenizer.files.vocabulary import OTHER_KINDS

_TOKENIZER_FILES = ("tokenizer.json", "vocab.json", *OTHER_KINDS)  # those of other kinds are refused when read
_INDEX = "model_index.json"
_STEMS = (("model", "safetensors"), ("open_clip_model", "safetensors"), ("pytorch_model", "bin"))
_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")


class Folder(Protocol):
    """Something that has files: a directory, or a repository of the hub."""

    where: str

    def find(self, name: str) -> Path | None: ...

    def listing(self) -> list[str]:
        """The names of its files, where they can be listed."""

    def missing(self) -> str | None:
        """What to say where nothing is found because the hub was not asked or did not answer."""

    def tokenizer(self) -> dict[str, Any] | None:
        """The arguments of `Tokenizer.from_pretrained` for the tokenizer that lies here or beside, if one does."""

    def pipeline_index(self) -> tuple[Path, str] | None:
        """The `model_index.json` of the pipeline that this is a part of, and the part's name, if it is one."""


class Directory:
    """A folder of this machine."""

    def __init__(self, path: Path) -> None:
        self.path, self.where = path, str(path)

    def find(self, name: str) -> Path | None:
        try:
            return self.path / name if is_there(self.path / name) else None
        except FileNotFoundError:
            raise
        except OSError:  # A name that the system does not take, such as one that is too long.
            return None

    def listing(self) -> list[str]:
        return sorted(path.name for path in self.path.iterdir() if path.is_file())

    def missing(self) -> str | None:
        return None

    def tokenizer(self) -> dict[str, Any] | None:
        path = self.path.resolve()
        beside = path.parent / _tokenizer_name(path.name) if path.name.startswith("text_encoder") else path
        for folder in (path, beside):
            if any(is_there(folder / name) for name in _TOKENIZER_FILES):
                return {"name_or_path": str(folder)}
        return None

    def pipeline_index(self) -> tuple[Path, str] | None:
        path = self.path.resolve()
        index = path.parent / _INDEX
        return (index, path.name) if is_there(index) else None


class Repository:
    """A repository of the hub, or a folder in it."""

    def __init__(self, name: str, subfolder: str | None, options: Mapping[str, Any]) -> None:
        self.name, self.subfolder, self.options = name, subfolder, options
        self.where = f"{name}{f'/{subfolder}' if subfolder else ''}"
        self._model = hub_model(name, "a checkpoint's file, its folder or a hub name", **options)

    def find(self, name: str) -> Path | None:
        return self._model.find(name, self.subfolder)

    def listing(self) -> list[str]:
        return self._model.listing(self.subfolder)

    def missing(self) -> str | None:
        return self._model.missing()

    def tokenizer(self) -> dict[str, Any] | None:
        beside = self.subfolder
        if beside and beside.startswith("text_encoder"):
            beside = _tokenizer_name(beside)
        if not any(self._model.has(name, beside) for name in _TOKENIZER_FILES):
            return None
        return {"name_or_path": self.name, "subfolder": beside or "", **self.options}

    def pipeline_index(self) -> tuple[Path, str] | None:
        index = self._model.find(_INDEX, "") if self.subfolder else None
        return None if index is None else (index, str(self.subfolder))


def _tokenizer_name(encoder: str) -> str:
    return encoder.replace("text_encoder", "tokenizer", 1)


def folder_configuration(folder: Folder, openai: bool) -> Configuration | None:
    """The configuration of a folder whose weights have OpenAI's names, or not; open_clip's belongs to the former."""
    names = ("open_clip_config.json", "config.json") if openai else ("config.json", "open_clip_config.json")
    for name in names:
        path = folder.find(name)
        if path is not None and (known := read_configuration(path)) is not None:
            return known
    return None


def projected_in_pipeline(folder: Folder) -> bool | None:
    """Whether the class that a diffusers pipeline names for this part has a projection; None where it names none.

    Raises ValueError for another class than transformers' two, since only its library knows what it computes.
    """
    found = folder.pipeline_index()
    if found is None:
        return None
    index, part = found
    entry = read_json(index).get(part)
    if not isinstance(entry, list) or len(entry) != 2 or entry[1] is None:
        return None
    if entry[1] not in ("CLIPTextModel", "CLIPTextModelWithProjection"):
        raise ValueError(
            f"{index} names {'.'.join(map(str, entry))} for {part}, which is no class of a CLIP text tower; "
            f"{entry[0]} computes it"
        )
    return bool(entry[1] == "CLIPTextModelWithProjection")


def folder_weights(folder: Folder, variant: str | None) -> Source:
    """The first of the known file names, safetensors before pickles; else the only weight file that there is.

    Raises FileNotFoundError that lists what there is where that leaves no one file.
    """
    dot = f".{variant}" if variant else ""
    names = []
    for stem, suffix in _STEMS:
        names += [f"{stem}{dot}.{suffix}", f"{stem}.{suffix}.index{dot}.json"]
        if variant:
            names.append(f"{stem}{dot}.{suffix}.index.json")
    names.append(f"open_clip_pytorch_model{dot}.bin")
    for name in names:
        path = folder.find(name)
        if path is not None:
            return ShardedSource(path, folder.find) if name.endswith(".json") else open_source(path)
    hint = ""
    if folder.find(_INDEX):
        hint = '; it is a diffusers pipeline: give subfolder="text_encoder" (or "text_encoder_2")'
    elif variant is None and folder.find("model.fp16.safetensors"):
        hint = '; it has the fp16 variant only: give variant="fp16"'
    else:
        there = [name for name in folder.listing() if name.endswith(_WEIGHTS)]
        if len(there) == 1 and variant is None and (path := folder.find(there[0])) is not None:
            return open_source(path)
        if there:
            hint = f"; there are {', '.join(there[:8])}: give the path of the one that you mean"
        elif listed := folder.listing():
            hint = f"; there are {', '.join(listed[:8])}"
    if not hint and (missing := folder.missing()):
        raise FileNotFoundError(missing)
    raise FileNotFoundError(f"{folder.where} has no weights under any of the names {', '.join(names)}{hint}")
