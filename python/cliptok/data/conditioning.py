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

from cliptok._common.errors import BadInputError, PrintableErrors
from cliptok._common.extras import need
from cliptok._common.json_files import some
from cliptok._common.regular_files import check_regular

_DIMENSIONS = {"prompt_embeds": 3, "pooled_prompt_embeds": 2}
TENSORS = tuple(_DIMENSIONS)
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
        if not self.files:
            raise BadInputError("source is empty; expected the outputs of conditioning")
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
        return [_open(path) for path in self.files]

    def __getstate__(self) -> dict[str, Any]:
        """Without what is open: a worker maps the files itself."""
        return {name: value for name, value in self.__dict__.items() if name != "_opened"}


class _Safetensors:
    def __init__(self, path: Path) -> None:
        need("reading safetensors", "safetensors")
        from cliptok.encoder.checkpoints.safetensors_file import SafetensorsSource

        source = SafetensorsSource(path)
        shapes = source.shapes()
        _check_names(list(shapes))
        for name, shape in shapes.items():
            if name in TENSORS and (len(shape) != _DIMENSIONS[name] or 0 in shape[1:] or source.fault(name)):
                raise BadInputError(
                    f"{name} has shape {shape} and dtype {source.dtype(name)}, which is no conditioning"
                )
        counts = {name: shape[0] if shape else None for name, shape in shapes.items()}
        if len(set(counts.values())) > 1:
            raise BadInputError(f"it has {some(f'{count} rows of {name}' for name, count in counts.items())}")
        self._tensors = {name: source.rows(name) for name in shapes}
        self._rows = next(iter(counts.values()))

    def __len__(self) -> int:
        return int(self._rows or 0)

    def __getitem__(self, row: int) -> dict[str, Any]:
        return {name: one[row : row + 1][0] for name, one in self._tensors.items()}


class _Arrow:
    def __init__(self, path: Path) -> None:
        need("reading Arrow files", "pyarrow")
        import pyarrow as pa

        self._table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        self._table.validate(full=True)  # Offsets that lead out of the file would end the process.
        _check_names(self._table.column_names)
        for name in {*TENSORS} & {*self._table.column_names}:
            _check_lists(name, self._table.column(name))

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def __getitem__(self, row: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name in self._table.column_names:
            scalar = self._table.column(name)[row]
            found[name] = _tensor(scalar.values) if name in TENSORS else scalar.as_py()
        return found


def _check_lists(name: str, column: Any) -> None:
    """Raise BadInputError for a column that is not (rows, width), or (rows, positions, width), of numbers."""
    import pyarrow as pa

    kind = column.type
    if name == "prompt_embeds" and (pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind)):
        kind = kind.value_type
    if not pa.types.is_fixed_size_list(kind) or not pa.types.is_floating(kind.value_type) or not kind.list_size:
        raise BadInputError(f"{name} is of type {column.type}, which is no conditioning")
    for values in column.chunks:
        while True:
            if values.null_count:
                raise BadInputError(f"{name} has nulls")
            if not pa.types.is_nested(values.type):
                break
            values = values.flatten()


def _tensor(values: Any) -> Tensor:
    """Values of a list, or of a list of lists of one length, as a tensor."""
    import pyarrow as pa

    if not pa.types.is_nested(values.type):
        return torch.from_numpy(np.array(values.to_numpy()))
    return torch.from_numpy(np.array(values.flatten().to_numpy()).reshape(len(values), values.type.list_size))


@PrintableErrors()
def _open(path: Path) -> _Safetensors | _Arrow:
    """Raises BadInputError that names the file for whatever is wrong with it."""
    try:
        check_regular(path)
        return _Safetensors(path) if path.suffix == ".safetensors" else _Arrow(path)
    except MemoryError:
        raise
    except (ValueError, OSError, KeyError) as error:  # Arrow's are of all three.
        if isinstance(error, OSError) and error.strerror:
            raise
        message = str(error) or type(error).__name__
        raise BadInputError(message if message.startswith(str(path)) else f"{path} is damaged: {message}") from error


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


def _check_names(names: list[str]) -> None:
    if not set(names) & set(TENSORS) or len(set(names)) < len(names):
        raise BadInputError(f"it has the columns {some(names) or 'nothing'}; expected {' or '.join(TENSORS)}, once")
