"""Rows that leave a DataLoader worker inside the message, without their padding.

torch passes tensors between processes as files in shared memory, which takes longer than tokenizing a batch.
"""

from typing import Any

import numpy as np
import torch


class CompactRows(torch.Tensor):
    """Rows on the CPU whose pickle is small. They arrive as a plain tensor, equal in every value, also a changed one.

    What is computed from them is a plain tensor too.
    """

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    def __deepcopy__(self, memo: object) -> torch.Tensor:
        return self.clone()

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        rows = self.detach().numpy()
        fill = rows.flat[-1]
        # Columns on the right that hold nothing but padding, in every row, stay behind.
        used = (rows != fill).reshape(-1, rows.shape[-1]).any(0)
        content = rows[..., : len(used.tobytes().rstrip(b"\0"))]
        small = content.astype(np.uint16)
        if np.array_equal(small, content):
            content = small
        return _unpack, (content.tobytes(), content.dtype.str, rows.shape, rows.dtype.str, int(fill))


def _unpack(content: bytes, content_dtype: str, shape: tuple[int, ...], dtype: str, fill: int) -> torch.Tensor:
    rows = np.full(shape, fill, dtype)
    kept = np.frombuffer(content, content_dtype).reshape(*shape[:-1], -1)
    rows[..., : kept.shape[-1]] = kept
    return torch.from_numpy(rows)
