"""Safetensors files: the header is checked before anything is read, and tensors are read one at a time."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from cliptok._common.json_files import one_line, parse_json, some, wanted
from cliptok._common.regular_files import open_regular
from cliptok.encoder.weights import fault

MAX_HEADER_BYTES = 100_000_000
"""The longest header of a safetensors file, as the library itself allows."""

_NAMES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "C64": "complex64",
    "BOOL": "bool",
    **{f"I{bits}": f"int{bits}" for bits in (8, 16, 32, 64)},
    **{f"U{bits}": f"uint{bits}" for bits in (8, 16, 32, 64)},
}
_DTYPES = {name: getattr(torch, ours) for name, ours in _NAMES.items() if hasattr(torch, ours)}


@dataclasses.dataclass(frozen=True)
class Entry:
    """What a header says of one tensor."""

    dtype: str
    shape: tuple[int, ...]
    end: int
    """Where its bytes end, counted from where those of all tensors begin."""


def read_header(path: Path) -> tuple[dict[str, Entry], int]:
    """The tensors that a safetensors file says it has, and where in the file their bytes begin.

    Raises ValueError that names the file, and the tensor, for a header of another form.
    """
    with open_regular(path) as file:
        size = path.stat().st_size
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or not 2 <= length <= size - 8:
            raise ValueError(f"{path} is not a whole safetensors file: its header is longer than the file")
        if length > MAX_HEADER_BYTES:
            raise ValueError(f"{path} has a header of {length:,} bytes; at most {MAX_HEADER_BYTES:,} are read")
        text = file.read(length)
    try:
        header = wanted(parse_json(text.decode(), repeats=False), dict, "the header")
        entries = {str(name): _entry(name, entry) for name, entry in header.items() if name != "__metadata__"}
    except ValueError as error:
        raise ValueError(f"{path} is no safetensors file: {one_line(error)}") from error
    return entries, 8 + length


def _entry(name: str, value: Any) -> Entry:
    fields = wanted(value, dict, f"{name!r} in the header")
    what = f"of {name!r} in the header"
    shape = [_whole(n, f"a size {what}") for n in wanted(fields.get("shape"), list, f"shape {what}")]
    offsets = [_whole(n, f"an offset {what}") for n in wanted(fields.get("data_offsets"), list, f"data_offsets {what}")]
    if len(offsets) != 2 or offsets[0] > offsets[1]:
        raise ValueError(f"data_offsets {what} are {some(map(str, offsets), 4)}; expected where it begins and ends")
    return Entry(wanted(fields.get("dtype"), str, f"dtype {what}"), tuple(shape), offsets[1])


def _whole(value: Any, what: str) -> int:
    number: int = wanted(value, int, what)
    if not 0 <= number < 1 << 63:
        raise ValueError(f"{what} is out of range")
    return number


class SafetensorsSource:
    """One safetensors file; reading a tensor touches that tensor's bytes alone."""

    def __init__(self, path: Path) -> None:
        from safetensors import SafetensorError, safe_open

        self.where = str(path)
        self._entries, start = read_header(path)
        size = path.stat().st_size
        if cut := sorted(name for name, entry in self._entries.items() if start + entry.end > size):
            raise ValueError(f"{path} is not a whole safetensors file; cut short: {some(cut)}")
        try:
            self._file: Any = safe_open(path, framework="pt", device="cpu")
        except SafetensorError as error:
            raise ValueError(f"{path} is not a whole safetensors file ({one_line(error)})") from error

    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        return {name: entry.shape for name, entry in self._entries.items()}

    def dtype(self, name: str) -> torch.dtype:
        named = self._entries[name].dtype
        if named not in _DTYPES:
            raise ValueError(f"{self.where} holds {name} as {named}, which this version of torch does not know")
        return cast(torch.dtype, _DTYPES[named])

    def fault(self, name: str) -> str | None:
        return fault(self.dtype(name))

    def read(self, name: str) -> Tensor:
        from safetensors import SafetensorError

        try:
            return cast(Tensor, self._file.get_tensor(name))
        except SafetensorError as error:
            raise ValueError(f"{self.where}: {name} cannot be read ({one_line(error)})") from error

    def rows(self, name: str) -> Any:
        """What reads the rows of a tensor that it is sliced to, and no others."""
        return self._file.get_slice(name)
