"""Prompts in files to what a pipeline's image model takes, in the semantics of a dialect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cliptok._common.errors import BadInputError
from cliptok.batch.encoding import as_field, as_values
from cliptok.batch.fingerprints import of_any_tokenizer, of_encoder
from cliptok.batch.formats import WITH_COLUMNS
from cliptok.batch.list_arrays import as_lists
from cliptok.batch.summary import Counts
from cliptok.prompts.dialects.dialect import PARTS

if TYPE_CHECKING:
    from cliptok.prompts import Conditioner, Plan

TOGETHER = 128
"""Prompts that are encoded in one go: those of SDXL take 80 MB."""


PART = 1024
"""Prompts that are committed together: 640 MB of SDXL."""


class Planning(NamedTuple):
    """In the place of `Tokenizing`: prompts stay text, and are planned for their counts and errors.

    The stage that encodes plans them once more, which takes a thousandth of its time.
    """

    conditioner: Conditioner
    settings: Mapping[str, Any]

    def plan(self, prompts: list[str]) -> Plan:
        """Each prompt as if it were alone, so that it does not matter which are read together."""
        # What a shorter prompt is filled up with is left out again.
        return self.conditioner.plan_each(prompts, **{**self.settings, "fill": "last"})

    def record(self) -> dict[str, Any]:
        """Everything that determines the conditioning of a prompt."""
        made = self.conditioner
        dialect = {name: getattr(made.dialect, name) for name in ("name", *PARTS)}
        return {
            "pipeline": [of_encoder(role.encoder) for role in made.roles],
            "tokenizers": [of_any_tokenizer(role.tokenizer.tokenizer) for role in made.roles],
            "inversions": {role.name: role.inversions for role in made.roles},
            "family": made.family.name,
            "dialect": dialect,
            "quirks": made.fixed,
            "on_error": "literal" if made.literal else "raise",
            "prompt_settings": dict(self.settings),
            "dtype": str(made.dtype),
        }

    def table(self, table: pa.Table, counts: Counts) -> pa.Table:
        """The table as it is. Raises PromptError with the row in the table."""
        if len(table):
            for chunks in self.plan(table.column(0).to_pylist()).chunks:
                counts.tokens += chunks[0].count + 2 * len(chunks[0].ids)
                counts.truncated += chunks[0].dropped > 0
        return table


class Conditions(NamedTuple):
    """The last stage: prompts to columns `prompt_embeds` and, where the model has them, `pooled_prompt_embeds`."""

    planning: Planning
    lists: str
    """Of states: `fixed` where all prompts have as many, or `variable`."""
    keeps_bfloat16: bool = False
    """The outputs can hold bfloat16; others hold the same values as float32."""

    @classmethod
    def of(cls, planning: Planning, format: str) -> Conditions:
        """For a format of outputs.

        Raises ValueError for one that cannot hold the model's conditioning, TypeError and ValueError for settings.
        """
        planning.plan([""])
        is_fixed = format not in WITH_COLUMNS or planning.conditioner.dialect.chunking == "one-row"
        made = cls(planning, "fixed" if is_fixed else "variable", format == "safetensors")
        if format == "npy" and len(made.names) > 1:
            raise ValueError(f"an npy file holds one array, and there are {' and '.join(made.names)}; write arrow")
        return made

    @property
    def names(self) -> list[str]:
        """The columns that are written."""
        family = self.planning.conditioner.family
        return ["prompt_embeds"] * (family.name != "flux") + ["pooled_prompt_embeds"] * family.pooled

    def tables(self, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
        """The rows of `tables` with conditioning in place of the prompts in the first column.

        Values are float16 or bfloat16 where the encoders are and the format has it, else float32: states (n, length,
        width), pooled outputs (n, width).
        """
        lengths: set[int] = set()
        for table in tables:
            columns = self._columns(table.column(0).to_pylist(), lengths)
            if self.lists == "fixed" and len(lengths) > 1:
                raise BadInputError(
                    f"prompts have {' and '.join(map(str, sorted(lengths)))} positions, and an array has rows of one "
                    "length; write Arrow or Parquet"
                )
            made = table.remove_column(0)
            for place, name in enumerate(self.names):
                made = made.add_column(place, *as_field(name, columns[name]))
            yield made

    def _columns(self, prompts: list[str], lengths: set[int]) -> dict[str, pa.Array]:
        # Of no prompts, as many columns and as wide: those of an empty one.
        plan = self.planning.plan(prompts or [""])
        found = self.planning.conditioner.encode(plan)
        columns: dict[str, pa.Array] = {}
        for name in self.names:
            values = as_values(found[name], self.keeps_bfloat16)[: len(prompts)]
            if name == "pooled_prompt_embeds" or self.lists == "fixed":
                columns[name] = as_lists(values)
            else:
                columns[name] = _as_variable(values, [_positions(chunks) for chunks in plan.chunks[: len(prompts)]])
        if "prompt_embeds" in columns:
            lengths.update(_positions(chunks) for chunks in plan.chunks[: len(prompts)])
        return columns


def _positions(chunks: tuple[Any, ...]) -> int:
    """Positions that a prompt takes, without what fills it up to the longest."""
    return max(int(one.positions) for one in chunks)


def _as_variable(values: npt.NDArray[Any], lengths: list[int]) -> pa.Array:
    """An array (n, longest, width) as lists of so many rows."""
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    width = values.shape[-1]
    kept = np.concatenate([states[:length] for states, length in zip(values, lengths, strict=True)] or [values[0:0, 0]])
    return pa.ListArray.from_arrays(pa.array(offsets), as_lists(kept.reshape(-1, width)))
