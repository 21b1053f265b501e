"""Files that hold tensors, read one tensor at a time. No reader here runs code that a file brings along."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from torch import Tensor

from cliptok.encoder.checkpoints.torchscript import TorchScriptSource, read_tensors


class Source(Protocol):
    """Names and shapes at once, tensors when asked for. `where` names the file (or files) in errors."""

    where: str

    def shapes(self) -> Mapping[str, tuple[int, ...]]: ...

    def dtype(self, name: str) -> torch.dtype: ...

    def read(self, name: str) -> Tensor:
        """The tensor on the CPU, in the file's dtype."""


class SafetensorsSource:
    """One safetensors file; reading a tensor touches that tensor's bytes alone."""

    def __init__(self, path: Path) -> None:
        from safetensors import SafetensorError, safe_open

        self.where = str(path)
        try:
            file: Any = safe_open(path, framework="pt", device="cpu")
        except SafetensorError as error:
            raise ValueError(f"{path} is not a whole safetensors file ({error}){_beyond_end(path)}") from error
        self._file = file
        self._names: list[str] = list(file.keys())

    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        return {name: tuple(self._file.get_slice(name).get_shape()) for name in self._names}

    def dtype(self, name: str) -> torch.dtype:
        # An empty slice carries the dtype without reading the data.
        part = self._file.get_slice(name)
        empty: Tensor = part[0:0] if part.get_shape() else self._file.get_tensor(name)
        return empty.dtype

    def read(self, name: str) -> Tensor:
        return cast(Tensor, self._file.get_tensor(name))


class DictSource:
    """A state dict in memory, or a mapped pickle."""

    def __init__(self, tensors: Mapping[str, Tensor], where: str = "the state dict") -> None:
        self.where = where
        self._tensors = tensors

    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        return {name: tuple(tensor.shape) for name, tensor in self._tensors.items()}

    def dtype(self, name: str) -> torch.dtype:
        return self._tensors[name].dtype

    def read(self, name: str) -> Tensor:
        return self._tensors[name]


class ShardedSource:
    """Several files behind one index, each opened when it is first asked."""

    def __init__(self, index: Path, find: Callable[[str], Path | None]) -> None:
        self.where = str(index)
        weight_map = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        self._shards: dict[str, Source] = {}
        for file in sorted(set(weight_map.values())):
            path = find(file)
            if path is None:
                held = sorted(name for name, shard in weight_map.items() if shard == file)
                raise ValueError(f"{index} names the shard {file}, which is missing; it holds {_some(held)}")
            self._shards[file] = open_source(path)
        self._of: dict[str, Source] = {}
        for name, file in weight_map.items():
            if name not in self._shards[file].shapes():
                raise ValueError(f"{index} places {name} in {file}, which does not hold it")
            self._of[name] = self._shards[file]

    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        of_shard = {id(shard): shard.shapes() for shard in self._shards.values()}
        return {name: of_shard[id(shard)][name] for name, shard in self._of.items()}

    def dtype(self, name: str) -> torch.dtype:
        return self._of[name].dtype(name)

    def read(self, name: str) -> Tensor:
        return self._of[name].read(name)


_WRAPPERS = ("state_dict", "model", "model_state_dict", "net", "module", "ema", "ema_state_dict")


def open_source(path: Path) -> Source:
    """Open a weight file by its content: safetensors, a TorchScript archive, or a pickle of tensors.

    Raises ValueError for a file that is none of these, is cut short, or wants to run code.
    """
    with path.open("rb") as file:
        head = file.read(16)
    if head[8:9] == b"{" or path.suffix in (".safetensors", ".sft"):
        return SafetensorsSource(path)
    if head[:4] == b"PK\x03\x04":
        try:
            with zipfile.ZipFile(path) as archive:
                if any(name.endswith("/constants.pkl") for name in archive.namelist()):
                    return TorchScriptSource(path)
        except zipfile.BadZipFile as error:
            raise ValueError(f"{path} is cut short or damaged: {error}") from error
    zipped = head[:2] == b"PK"
    try:
        content = load_pickle(path, mmap=zipped)
    except UnsafePickleError:
        # Trainers leave objects of their own classes beside the weights: those that are known are passed over.
        content = read_tensors(path) if zipped else None
        if content is None:
            raise
    return DictSource(_state_dict(content, path), str(path))


class UnsafePickleError(ValueError):
    """A pickle that asks for more than tensors and plain containers."""


def load_pickle(path: Path, mmap: bool = False) -> object:
    """`torch.load` of tensors and plain containers only. A file that needs more is refused, with ValueError."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except pickle.UnpicklingError as error:
        reason = str(error).strip().splitlines()
        wanted = next((line.strip() for line in reason if "GLOBAL" in line or "Unsupported" in line), "")
        raise UnsafePickleError(
            f"{path} is a pickle that wants to run code when it is loaded, or is no checkpoint at all, and was refused"
            f"{': ' + wanted if wanted else ''}. Convert it to safetensors where you trust it"
        ) from error
    except (RuntimeError, EOFError) as error:
        raise ValueError(f"{path} is cut short or damaged: {error}") from error


def _state_dict(content: object, path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint: themselves, or under one of the names that trainers save them by.

    Raises ValueError where two of these names hold tensors, such as the weights and their moving average.
    """
    while isinstance(content, Mapping) and not any(isinstance(value, Tensor) for value in content.values()):
        inner = [name for name in _WRAPPERS if isinstance(content.get(name), Mapping) and content[name]]
        if len(inner) > 1:
            raise ValueError(f"{path} holds tensors under {', '.join(inner)}; save the one that you mean by itself")
        if not inner:
            break
        content = content[inner[0]]
    if not isinstance(content, Mapping):
        raise ValueError(f"{path} holds a {type(content).__name__}, not a dictionary of tensors")
    tensors = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    for prefix in ("module.", "_orig_mod.", "model."):  # of DataParallel, torch.compile and Lightning modules
        if tensors and all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): value for name, value in tensors.items()}
    return tensors


def _beyond_end(path: Path) -> str:
    """The tensors of a truncated safetensors file that lie past its end, for the error message."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length)) if length < size else {}
    except (OSError, ValueError):
        return ""
    cut = [
        name
        for name, entry in header.items()
        if name != "__metadata__" and 8 + length + entry["data_offsets"][1] > size
    ]
    return f"; cut short: {_some(sorted(cut))}" if cut else ""


def _some(names: list[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
