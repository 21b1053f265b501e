"""What a forward pass returns."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

_NAMES = ("text_embeds", "last_hidden_state", "pooler_output", "hidden_states")


@dataclasses.dataclass(init=False, eq=False)
class TextEncoderOutput(dict[str, Any]):
    """Attributes by name; integer indices follow transformers' outputs, because diffusers reads `[0]` and `[-1]`.

    With a projection the order is (text_embeds, last_hidden_state, hidden_states), without one (last_hidden_state,
    pooler_output, hidden_states); what is None is left out. Shapes, for ids (n, length):
    last_hidden_state (n, length, width) after the final LayerNorm, pooler_output (n, width), text_embeds
    (n, projection), hidden_states layers + 1 tensors (n, length, width), the last before the final LayerNorm.

    It is a dict of what is not None, which `torch.nn.DataParallel` can gather from several devices.
    """

    last_hidden_state: Tensor
    pooler_output: Tensor
    text_embeds: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None

    def __init__(
        self,
        last_hidden_state: Tensor | Iterable[tuple[str, Any]],
        pooler_output: Tensor | None = None,
        text_embeds: Tensor | None = None,
        hidden_states: tuple[Tensor, ...] | None = None,
    ) -> None:
        """From its fields, or from (name, value) pairs, as a dict: `DataParallel` makes it so."""
        if isinstance(last_hidden_state, Tensor):
            values = (text_embeds, last_hidden_state, pooler_output, hidden_states)
            given = dict(zip(_NAMES, values, strict=True))
        else:
            given = dict(last_hidden_state)
        for name in _NAMES:
            setattr(self, name, given.get(name))

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        self.pop(name, None)
        if value is not None:
            super().__setitem__(name, value)

    def __setitem__(self, name: str, value: Any) -> None:
        setattr(self, name, value)

    def to_tuple(self) -> tuple[Any, ...]:
        skip = "" if self.text_embeds is None else "pooler_output"
        return tuple(self[name] for name in _NAMES if name in self and name != skip)

    def __getitem__(self, key: int | slice | str) -> Any:
        if not isinstance(key, str):
            return self.to_tuple()[key]
        if key not in self:
            raise KeyError(f"the output has no {key!r}; it has {', '.join(self)}")
        return super().__getitem__(key)

    def __reduce__(self) -> Any:
        return type(self), (list(self.items()),)


with warnings.catch_warnings():
    # torch 2.4 calls a function of its own that it has deprecated.
    warnings.filterwarnings("ignore", "`torch.utils._pytree._register_pytree_node` is deprecated", FutureWarning)
    torch.export.register_dataclass(TextEncoderOutput, serialized_type_name="cliptok.TextEncoderOutput")
