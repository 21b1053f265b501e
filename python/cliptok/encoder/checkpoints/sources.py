"""Files that hold tensors, read one tensor at a time. No reader here runs code that a file brings along."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from cliptok._common.json_files import one_line, read_json, some, wanted
from cliptok._common.regular_files import open_regular
from cliptok.encoder.checkpoints.archives import check_legacy, check_zipped, open_archive
from cliptok.encoder.checkpoints.safetensors_file import SafetensorsSource
from cliptok.encoder.checkpoints.torchscript import TorchScriptSource, read_tensors
from cliptok.encoder.weights import fault


class Source(Protocol):
    """Names and shapes at once, tensors when asked for. `where` names the file (or files) in errors."""

    where: str

    def shapes(self) -> Mapping[str, tuple[int, ...]]: ...

    def dtype(self, name: str) -> torch.dtype: ...

    def fault(self, name: str) -> str | None:
        """Why the tensor cannot be weights; None where it can."""

    def read(self, name: str) -> Tensor:
        """The tensor on the CPU, in the file's dtype."""


class DictSource:
    """A state dict in memory, or a mapped pickle. Raises ValueError for one that holds anything but tensors."""

    def __init__(self, tensors: Mapping[str, Tensor], where: str = "the state dict") -> None:
        self.where = where
        self._tensors = tensors
        for name, value in tensors.items():
            if not isinstance(name, str) or not isinstance(value, Tensor):
                raise ValueError(
                    f"{where} holds {type(value).__name__} under {name!r}; expected tensors by their names"
                )

    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        return {name: () if tensor.is_nested else tuple(tensor.shape) for name, tensor in self._tensors.items()}

    def dtype(self, name: str) -> torch.dtype:
        return self._tensors[name].dtype

    def fault(self, name: str) -> str | None:
        return fault(self._tensors[name])

    def read(self, name: str) -> Tensor:
        return self._tensors[name]


class ShardedSource:
    """Several files behind one index, each opened when it is first asked."""

    def __init__(self, index: Path, find: Callable[[str], Path | None]) -> None:
        self.where = str(index)
        weight_map = wanted(read_json(index).get("weight_map"), dict, f"{index}: weight_map")
        held: dict[str, list[str]] = {}
        for name, file in weight_map.items():
            held.setdefault(wanted(file, str, f"{index}: the file of {name}"), []).append(name)
        self._shards: dict[str, Source] = {}
        for file, names in sorted(held.items()):
            if file in ("", ".", "..") or "/" in file or "\\" in file:
                raise ValueError(f"{index} names the shard {file!r}, which is no name of a file beside it")
            path = find(file)
            if path is None:
                raise ValueError(f"{index} names the shard {file}, which is missing; it holds {some(sorted(names))}")
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

    def fault(self, name: str) -> str | None:
        return self._of[name].fault(name)

    def read(self, name: str) -> Tensor:
        return self._of[name].read(name)


SAFETENSORS = (".safetensors", ".sft")
_WRAPPERS = ("state_dict", "model", "model_state_dict", "net", "module", "ema", "ema_state_dict")


MAX_WRAPPERS = 8
"""How many dictionaries around a state dict are opened."""


def open_source(path: Path) -> Source:
    """Open a weight file by its content: safetensors, a TorchScript archive, or a pickle of tensors.

    Raises ValueError for a file that is none of these, is cut short, or wants to run code.
    """
    with open_regular(path) as file:
        head = file.read(16)
    if head[8:9] == b"{" or path.suffix in SAFETENSORS:
        return SafetensorsSource(path)
    zipped = head[:4] == b"PK\x03\x04"
    if zipped:
        with open_archive(path) as archive:
            if any(name.endswith("/constants.pkl") for name in archive.namelist()):
                return TorchScriptSource(path)
    try:
        content = load_pickle(path)
    except UnsafePickleError:
        # Trainers leave objects of their own classes beside the weights: those that are known are passed over.
        content = read_tensors(path) if zipped else None
        if content is None:
            raise
    return DictSource(_state_dict(content, path), str(path))


class UnsafePickleError(ValueError):
    """A pickle that asks for more than tensors and plain containers."""


def load_pickle(path: Path) -> object:
    """`torch.load` of tensors and plain containers only. A file that needs more is refused, with ValueError.

    Archives are mapped: tensors are read when they are used, and none reaches beyond its own bytes.
    """
    with open_regular(path) as file:
        zipped = file.read(4) == b"PK\x03\x04"
    (check_zipped if zipped else check_legacy)(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except pickle.UnpicklingError as error:
        reason = str(error).strip().splitlines()
        asked = next((line.strip() for line in reason if "GLOBAL" in line or "Unsupported" in line), "")
        raise UnsafePickleError(
            f"{path} is a pickle that wants to run code when it is loaded, or is no checkpoint at all, and was refused"
            f"{': ' + asked if asked else ''}. Convert it to safetensors where you trust it"
        ) from error
    except OSError:
        raise
    except Exception as error:  # Whatever damaged bytes do to torch's readers.
        raise ValueError(f"{path} is cut short or damaged: {one_line(error)}") from error


def _state_dict(content: object, path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint: themselves, or under one of the names that trainers save them by.

    Raises ValueError where two of these names hold tensors, such as the weights and their moving average.
    """
    for _ in range(MAX_WRAPPERS):
        if not isinstance(content, Mapping) or any(isinstance(value, Tensor) for value in content.values()):
            break
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
