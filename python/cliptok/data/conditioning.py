"""`ConditioningDataset`: what `cliptok embed --pipeline` wrote, read back for training, mapped into memory."""

from __future__ import annotations

import bisect
import os
from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from cliptok._common.errors import BadInputError
from cliptok._common.extras import need

TENSORS = ("prompt_embeds", "pooled_prompt_embeds")
_ENDINGS = (".safetensors", ".arrow")


class ConditioningDataset(Dataset[dict[str, Any]]):
    """The rows of outputs of `embed_files(pipeline=...)`, for a `DataLoader`, shuffled or not, with workers or not.

    `source` is a `.safetensors` or `.arrow` file, a folder (all of these in it and below, in the order of their names),
    or several of both. A row is a dict: `prompt_embeds` (positions, width) and `pooled_prompt_embeds` (width) as the
    file has them, in its dtype, and in Arrow files the columns that `keep` carried along, such as the images' keys,
    as Python values. Files are mapped: a row costs the pages it lies in, and workers share them. Tensors are copies of
    the rows, which may be changed.

    Raises BadInputError, a ValueError, for what is no such output; for Parquet too, whose pages are compressed and
    cannot be mapped. IndexError for a row that there is not.
    """

    def __init__(self, source: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> None:
        given = [source] if isinstance(source, (str, os.PathLike)) else list(source)
        self.files = [path for one in given for path in _files(Path(one))]
        """The outputs, in order."""
        self._ends = list(accumulate(len(file) for file in self._opened))

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, row: int) -> dict[str, Any]:
        index = row + len(self) if row < 0 else row
        if not 0 <= index < len(self):
            raise IndexError(f"row {row} of {len(self)}")
        number = bisect.bisect_right(self._ends, index)
        return self._opened[number][index - (self._ends[number - 1] if number else 0)]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return map(self.__getitem__, range(len(self)))

    @cached_property
    def _opened(self) -> list[_Safetensors | _Arrow]:
        return [_Safetensors(path) if path.suffix == ".safetensors" else _Arrow(path) for path in self.files]

    def __getstate__(self) -> dict[str, Any]:
        """Without what is open: a worker maps the files itself."""
        return {name: value for name, value in self.__dict__.items() if name != "_opened"}


class _Safetensors:
    def __init__(self, path: Path) -> None:
        need("reading safetensors", "safetensors")
        from safetensors import SafetensorError, safe_open

        try:
            opened: Any = safe_open(path, framework="pt")
            self._tensors = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118
        except SafetensorError as error:
            raise BadInputError(f"{path} is damaged: {error}") from error
        _check_names(path, list(self._tensors))
        self._rows = max(one.get_shape()[0] for one in self._tensors.values())

    def __len__(self) -> int:
        return int(self._rows)

    def __getitem__(self, row: int) -> dict[str, Any]:
        return {name: one[row : row + 1][0] for name, one in self._tensors.items()}


class _Arrow:
    def __init__(self, path: Path) -> None:
        need("reading Arrow files", "pyarrow")
        import pyarrow as pa

        try:
            self._table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        except pa.ArrowException as error:
            raise BadInputError(f"{path} is damaged: {error}") from error
        _check_names(path, self._table.column_names)

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def __getitem__(self, row: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name in self._table.column_names:
            scalar = self._table.column(name)[row]
            found[name] = _tensor(scalar.values) if name in TENSORS else scalar.as_py()
        return found


def _tensor(values: Any) -> Tensor:
    """Values of a list, or of a list of lists of one length, as a tensor."""
    import pyarrow as pa

    if not pa.types.is_nested(values.type):
        return torch.from_numpy(np.array(values.to_numpy()))
    return torch.from_numpy(np.array(values.flatten().to_numpy()).reshape(len(values), values.type.list_size))


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        found = sorted(
            one
            for one in path.rglob("*")
            if one.suffix in _ENDINGS and not any(part.startswith(".") for part in one.relative_to(path).parts)
        )
        if found:
            return found
        if any(path.rglob("*.parquet")):
            raise BadInputError(f"{path} has Parquet files alone, which {_NOT_MAPPED}")
        raise BadInputError(f"{path}: no .safetensors and no .arrow file in it")
    if path.suffix == ".parquet":
        raise BadInputError(f"{path} {_NOT_MAPPED}")
    if path.suffix not in _ENDINGS:
        raise BadInputError(f"{path} is no output of conditioning; expected .safetensors, .arrow or a folder of them")
    if not path.is_file():
        raise BadInputError(f"{path}: no such file")
    return [path]


_NOT_MAPPED = "cannot be mapped into memory, since Parquet compresses its pages; write --format arrow or safetensors"


def _check_names(path: Path, names: list[str]) -> None:
    if not set(names) & set(TENSORS):
        raise BadInputError(f"{path} has no {' and no '.join(TENSORS)}; it has {', '.join(names) or 'nothing'}")
