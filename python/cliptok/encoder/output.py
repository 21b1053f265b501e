"""What a forward pass returns."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor


@dataclasses.dataclass
class TextEncoderOutput:
    """Attributes by name; integer indices follow transformers' outputs, because diffusers reads `[0]` and `[-1]`.

    With a projection the order is (text_embeds, last_hidden_state, hidden_states), without one (last_hidden_state,
    pooler_output, hidden_states); what is None is left out. Shapes, for ids (n, length):
    last_hidden_state (n, length, width) after the final LayerNorm, pooler_output (n, width), text_embeds
    (n, projection), hidden_states layers + 1 tensors (n, length, width), the last before the final LayerNorm.
    """

    last_hidden_state: Tensor
    pooler_output: Tensor
    text_embeds: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None

    def keys(self) -> list[str]:
        names = ["text_embeds", "last_hidden_state", "pooler_output", "hidden_states"]
        return [name for name in names if getattr(self, name) is not None]

    def to_tuple(self) -> tuple[Any, ...]:
        skip = "" if self.text_embeds is None else "pooler_output"
        return tuple(getattr(self, name) for name in self.keys() if name != skip)

    def __getitem__(self, key: int | slice | str) -> Any:
        if isinstance(key, str):
            if key not in self.keys():
                raise KeyError(f"the output has no {key!r}; it has {', '.join(self.keys())}")
            return getattr(self, key)
        return self.to_tuple()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self.keys())


with warnings.catch_warnings():
    # torch 2.4 calls a function of its own that it has deprecated.
    warnings.filterwarnings("ignore", "`torch.utils._pytree._register_pytree_node` is deprecated", FutureWarning)
    torch.export.register_dataclass(TextEncoderOutput, serialized_type_name="cliptok.TextEncoderOutput")
