"""What is encoded for a batch, and how the states of it are summed up.

Every weighting is a sum over rows: `scale * (base + (state - base) * weight)`, place by place, where the base is
nothing, the empty prompt's state, or the row's own last state. So a whole batch is one gather and one sum.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from cliptok.prompts.plan import PlacedFix
from cliptok.prompts.tokens import PieceTokenizer

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]


@dataclasses.dataclass
class RowMaker:
    """Rows as the encoder reads them, each distinct one once."""

    tokenizer: PieceTokenizer
    zero_after_end: bool
    vocabulary: int
    inversions: dict[str, int]
    """The first id past the vocabulary of each textual inversion."""
    rows: list[npt.NDArray[np.int64]] = dataclasses.field(default_factory=list)
    hidden: list[Bools | None] = dataclasses.field(default_factory=list)
    ends: list[int] = dataclasses.field(default_factory=list)
    lengths: list[int] = dataclasses.field(default_factory=list)
    """How many positions of each row are needed."""
    keys: dict[bytes, int] = dataclasses.field(default_factory=dict)

    def add(
        self,
        ids: npt.NDArray[np.int32],
        hidden: Bools | None = None,
        fixes: tuple[PlacedFix, ...] = (),
        length: int = 77,
    ) -> int:
        """The number of a row of 77 ids, of which the states of the first `length` are needed.

        `hidden` marks what attention does not see.
        """
        row = ids.astype(np.int64)
        end = int((row == self.tokenizer.end).argmax())
        if self.zero_after_end:
            row[end + 1 :] = 0
        for fix in fixes:
            first = self.inversions[fix.name] + fix.first
            row[fix.position : fix.position + fix.vectors] = np.arange(first, first + fix.vectors) + self.vocabulary
        if hidden is not None and not hidden.any():
            hidden = None
        key = row[:length].tobytes() + (b"" if hidden is None else hidden.tobytes())
        number = self.keys.get(key)
        if number is None:
            number = self.keys[key] = len(self.rows)
            self.rows.append(row)
            self.hidden.append(hidden)
            self.ends.append(end)
            self.lengths.append(length)
        return number

    def empty(self) -> int:
        """The number of the empty prompt's row."""
        ids = np.full(77, self.tokenizer.pad, np.int32)
        ids[:2] = self.tokenizer.begin, self.tokenizer.end
        return self.add(ids)


ONES = np.ones(77, np.float32)


@dataclasses.dataclass
class Terms:
    """Summands: which chunk each goes to, which row it is of, and what it is multiplied by."""

    out: list[int] = dataclasses.field(default_factory=list)
    row: list[int] = dataclasses.field(default_factory=list)
    scale: list[Floats] = dataclasses.field(default_factory=list)
    weight: list[Floats] = dataclasses.field(default_factory=list)

    def add(self, out: int, row: int, weight: Floats = ONES, scale: Floats | float = 1.0) -> None:
        self.out.append(out)
        self.row.append(row)
        self.weight.append(weight)
        self.scale.append(scale if isinstance(scale, np.ndarray) else np.full(77, scale, np.float32))
