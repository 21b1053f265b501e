"""Rows that leave a DataLoader worker inside the message, without their padding.

torch passes tensors between processes as files in shared memory, which takes longer than tokenizing a batch.
"""

from math import prod
from typing import Any

import numpy as np
import torch

from cliptok._engine import compact_rows, spread_rows


class CompactRows(torch.Tensor):
    """Rows on the CPU whose pickle is small. They arrive as a plain tensor, equal in every value, also a changed one.

    What is computed from them is a plain tensor too.
    """

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    def __deepcopy__(self, memo: object) -> torch.Tensor:
        return self.clone()

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        rows = np.ascontiguousarray(self.detach().numpy())
        # Columns on the right that hold nothing but padding, in every row, stay behind.
        return _unpack, (*compact_rows(rows), rows.shape, rows.dtype.name)


def _unpack(
    content: bytes, columns: int, is_small: bool, fill: int, shape: tuple[int, ...], dtype: str
) -> torch.Tensor:
    width = shape[-1]
    rows = spread_rows(content, columns, is_small, fill, (prod(shape[:-1]), width), dtype)
    return torch.from_numpy(rows).view(shape)
