"""Tensors out of zipped pickles, TorchScript archives and trainers' checkpoints, without running any code of theirs.

An archive is a zip file: `data.pkl` describes the objects in it, `data/N` are the storages of tensors, `code/` is
source text that is never read here. The unpickler knows tensors and plain containers; a class of the archive, or of a
trainer that is known, becomes a bag of attributes. No module is imported for a name in the file.
"""

from __future__ import annotations

import dataclasses
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

_STORAGE_DTYPES = {
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


@dataclasses.dataclass
class _LazyTensor:
    """Where a tensor's values are: a storage of the archive, an offset, a shape and strides."""

    record: str
    dtype: torch.dtype
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Module:
    """Stands in for every class that the archive defines."""

    def __init__(self, *_: Any) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


def _rebuild_tensor(storage: tuple[str, torch.dtype], offset: int, shape: Any, strides: Any, *_: Any) -> _LazyTensor:
    return _LazyTensor(storage[0], storage[1], int(offset), tuple(shape), tuple(strides))


def _rebuild_parameter(tensor: _LazyTensor, *_: Any) -> _LazyTensor:
    return tensor


def _same(value: Any, *_: Any) -> Any:
    return value


_SAFE = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    ("torch.jit._pickle", "build_intlist"): _same,
    ("torch.jit._pickle", "build_doublelist"): _same,
    ("torch.jit._pickle", "build_boollist"): _same,
    ("torch.jit._pickle", "build_tensorlist"): _same,
    ("torch.jit._pickle", "restore_type_tag"): _same,
}


# Packages whose objects trainers leave beside the weights: settings, callbacks, paths.
_TRAINERS = ("pytorch_lightning", "lightning", "lightning_fabric", "lightning_utilities", "omegaconf", "argparse")


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module.startswith("__torch__") or (self.trainers and module.split(".")[0] in _TRAINERS):
            return _Module
        if self.trainers and module in ("pathlib", "pathlib._local") and name.endswith("Path"):
            return _Module
        if module == "torch" and name in _STORAGE_DTYPES:
            return _STORAGE_DTYPES[name]
        if (module, name) in _SAFE:
            return _SAFE[module, name]
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")

    trainers = False

    def persistent_load(self, pid: Any) -> tuple[str, torch.dtype]:
        _, dtype, record, _location, _count = pid
        return str(record), dtype


def read_tensors(path: Path) -> dict[str, Any] | None:
    """The content of a trainer's checkpoint, tensors and plain containers; None where it asks for anything else."""
    source = TorchScriptSource.__new__(TorchScriptSource)
    source.where, source._tensors = str(path), {}
    source._archive = zipfile.ZipFile(path)
    data = next((name for name in source._archive.namelist() if name.endswith("/data.pkl")), "")
    source._root = data.removesuffix("data.pkl")
    try:
        with source._archive.open(data) as file:
            unpickler = _Unpickler(file)
            unpickler.trainers = True
            content = unpickler.load()
    except (pickle.UnpicklingError, EOFError, KeyError, ValueError, TypeError, AttributeError, IndexError):
        return None
    return source.materialised(content) if isinstance(content, dict) else None


class TorchScriptSource:
    """The parameters and buffers of a TorchScript archive, by their dotted names."""

    def __init__(self, path: Path) -> None:
        self.where = str(path)
        self._archive = zipfile.ZipFile(path)
        data = next(
            (name for name in self._archive.namelist() if name.count("/") == 1 and name.endswith("/data.pkl")), ""
        )
        if not data:
            raise ValueError(f"{path} is a zip file without data.pkl; it is no TorchScript archive")
        self._root = data.removesuffix("data.pkl")
        try:
            with self._archive.open(data) as file:
                module = _Unpickler(file).load()
        except (pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError, IndexError) as error:
            raise ValueError(f"{path} was refused: {error}. It is no plain TorchScript module") from error
        self._tensors: dict[str, _LazyTensor] = {}
        self._collect(module, "")

    def _collect(self, value: Any, prefix: str) -> None:
        if isinstance(value, _LazyTensor):
            self._tensors[prefix.removesuffix(".")] = value
        elif isinstance(value, _Module):
            self._collect(getattr(value, "state", None), prefix)
        elif isinstance(value, dict):
            for name, inner in value.items():
                self._collect(inner, f"{prefix}{name}.")

    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        return {name: tensor.shape for name, tensor in self._tensors.items()}

    def dtype(self, name: str) -> torch.dtype:
        return self._tensors[name].dtype

    def materialised(self, value: Any, name: str = "") -> Any:
        """Plain containers with the tensors in them read; everything else is left out."""
        if isinstance(value, _LazyTensor):
            self._tensors[name] = value
            return self.read(name)
        if isinstance(value, dict):
            return {str(key): self.materialised(inner, f"{name}.{key}") for key, inner in value.items()}
        return value if isinstance(value, str | int | float) else None

    def read(self, name: str) -> Tensor:
        tensor = self._tensors[name]
        storage = self._archive.read(f"{self._root}data/{tensor.record}")
        flat = torch.frombuffer(bytearray(storage), dtype=tensor.dtype)
        reach = tensor.offset + sum((n - 1) * s for n, s in zip(tensor.shape, tensor.strides, strict=True)) + 1
        if reach > flat.numel():
            raise ValueError(f"{self.where}: {name} is cut short")
        return flat.as_strided(tensor.shape, tensor.strides, tensor.offset)
