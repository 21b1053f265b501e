"""Tensors out of zipped pickles, TorchScript archives and trainers' checkpoints, without running any code of theirs.

An archive is a zip file: `data.pkl` describes the objects in it, `data/N` are the storages of tensors, `code/` is
source text that is never read here. The unpickler knows tensors and plain containers; a class of the archive, or of a
trainer that is known, becomes a bag of attributes. No module is imported for a name in the file.
"""

from __future__ import annotations

import dataclasses
import pickle
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cliptok._common.json_files import one_line
from cliptok.encoder.checkpoints.archives import STORAGE_DTYPES, checked_pickle, open_archive, read_member
from cliptok.encoder.weights import fault

_Storage = tuple[str, torch.dtype, int]
"""Its record in the archive, and how many numbers of which dtype it holds."""


@dataclasses.dataclass
class _LazyTensor:
    """Where a tensor's values are: a storage of the archive, an offset, a shape and strides."""

    record: str
    dtype: torch.dtype
    count: int
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Module:
    """Stands in for every class that the archive defines."""

    def __init__(self, *_: Any) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


def _rebuild_tensor(storage: _Storage, offset: int, shape: Any, strides: Any, *_: Any) -> _LazyTensor:
    sizes, steps = tuple(shape), tuple(strides)
    record, dtype, count = storage
    numbers = (count, offset, *sizes, *steps)
    if len(sizes) != len(steps) or not all(type(number) is int and 0 <= number < 1 << 63 for number in numbers):
        raise pickle.UnpicklingError("it has a tensor of no shape")
    if not isinstance(record, str) or not isinstance(dtype, torch.dtype):
        raise pickle.UnpicklingError("it has a tensor without values")
    return _LazyTensor(record, dtype, count, offset, sizes, steps)


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
        if module == "torch" and name in STORAGE_DTYPES:
            return STORAGE_DTYPES[name]
        if (module, name) in _SAFE:
            return _SAFE[module, name]
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")

    trainers = False

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, record, _location, count = pid
        if kind != "storage":
            raise pickle.UnpicklingError("it has an object of another kind than a tensor's storage")
        return record, dtype, count


MAX_NESTING = 100
"""How deep modules or dictionaries inside one another are followed in an archive."""


class _Archive:
    """A zip file, and the objects that its `data.pkl` describes. Raises UnpicklingError for what is no plain data."""

    def __init__(self, path: Path, trainers: bool) -> None:
        self.where = str(path)
        self._zip = open_archive(path)
        names = self._zip.namelist()
        data = next((name for name in names if name.count("/") == 1 and name.endswith("/data.pkl")), "")
        if not data:
            raise ValueError(f"{path} is a zip file without data.pkl; torch did not write it")
        self._root = data.removesuffix("data.pkl")
        content = read_member(self._zip, data)
        self._left = len(content)  # A pickle may share parts, and describe a tree of more parts than it has bytes.
        unpickler = _Unpickler(checked_pickle(content))
        unpickler.trainers = trainers
        try:
            self.content = unpickler.load()
        except pickle.UnpicklingError:
            raise
        except Exception as error:  # Whatever damaged bytes do to the unpickler.
            raise pickle.UnpicklingError(one_line(error)) from error

    def visit(self, depth: int) -> None:
        """Count one more part of the content, at this depth."""
        self._left -= 1
        if depth > MAX_NESTING or self._left < 0:
            raise ValueError(f"{self.where} was refused: its parts hold one another without end")

    def read(self, name: str, tensor: _LazyTensor) -> Tensor:
        """A tensor's values. Raises ValueError where its storage does not hold them all."""
        storage = read_member(self._zip, f"{self._root}data/{tensor.record}")
        size = tensor.dtype.itemsize
        reach = tensor.offset + sum((n - 1) * s for n, s in zip(tensor.shape, tensor.strides, strict=True)) + 1
        if 0 in tensor.shape:
            return torch.empty(tensor.shape, dtype=tensor.dtype)
        if reach > tensor.count or tensor.count * size != len(storage):
            raise ValueError(f"{self.where}: {name} is cut short")
        flat = torch.frombuffer(bytearray(storage), dtype=tensor.dtype)
        return flat.as_strided(tensor.shape, tensor.strides, tensor.offset)


def read_tensors(path: Path) -> dict[str, Any] | None:
    """The content of a trainer's checkpoint, tensors and plain containers; None where it asks for anything else."""
    try:
        archive = _Archive(path, trainers=True)
    except pickle.UnpicklingError:
        return None

    def plain(value: Any, name: str, depth: int) -> Any:
        archive.visit(depth)
        if isinstance(value, _LazyTensor):
            return archive.read(name, value)
        if isinstance(value, dict):
            return {str(key): plain(inner, f"{name}.{key}", depth + 1) for key, inner in value.items()}
        return value if isinstance(value, str | int | float) else None

    return plain(archive.content, "", 0) if isinstance(archive.content, dict) else None


class TorchScriptSource:
    """The parameters and buffers of a TorchScript archive, by their dotted names."""

    def __init__(self, path: Path) -> None:
        self.where = str(path)
        try:
            self._archive = _Archive(path, trainers=False)
        except pickle.UnpicklingError as error:
            raise ValueError(f"{path} was refused: {error}. It is no plain TorchScript module") from error
        self._tensors: dict[str, _LazyTensor] = {}
        self._collect(self._archive.content, "", 0)

    def _collect(self, value: Any, prefix: str, depth: int) -> None:
        self._archive.visit(depth)
        if isinstance(value, _LazyTensor):
            self._tensors[prefix.removesuffix(".")] = value
        elif isinstance(value, _Module):
            self._collect(value.state, prefix, depth + 1)
        elif isinstance(value, dict):
            for name, inner in value.items():
                self._collect(inner, f"{prefix}{name}.", depth + 1)

    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        return {name: tensor.shape for name, tensor in self._tensors.items()}

    def dtype(self, name: str) -> torch.dtype:
        return self._tensors[name].dtype

    def fault(self, name: str) -> str | None:
        return fault(self._tensors[name].dtype)

    def read(self, name: str) -> Tensor:
        return self._archive.read(name, self._tensors[name])
